"""Base of the nodes between the FIFOs: pipelines without stalls, one token per firing."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.families.streaming_attention.inventory import saturations
from blueprint.numbers import flag
from generator.arithmetic.softmax import DeepFinish, Finish
from generator.block import Block
from generator.cells.skew import delay_line
from generator.families.streaming_attention.turns import Ending, count_ending
from generator.layout import bits, elements, viewed

ONE = Const(1, 1)


def delayed(m: Module, value: Any, cycles: int, name: str, *, resets: bool = False) -> Any:
    """Delay a value or a view by a number of cycles; a view keeps its shape."""
    return viewed(value.shape(), delay_line(m, bits(value), cycles, name, resets=resets)[-1])


class Flags(NamedTuple):
    """Sideband of a token: last of its row, of its pass and of the run, and the queries that see it.

    A flag that a design or a node does not use is empty.
    """

    last: Value
    turn: Value
    final: Value
    visible: Value


FLAGS = Flags._fields


class NodeBlock(Block):
    """Base of the nodes: ``fire`` with the data of one token, ``write`` with its result some cycles later.

    The :class:`Flags` of a token that are named in ``flags`` travel beside it, and those in ``passed`` leave with it.
    """

    throughput = "one token per cycle"

    def __init__(
        self,
        spec: StreamingAttentionSpec,
        ports: dict[str, Any],
        flags: tuple[str, ...],
        passed: tuple[str, ...],
        cycles: int,
    ) -> None:
        self.spec, self.cycles = spec, cycles
        widths = {"last": 1, "turn": spec.turn_bits, "final": spec.final_bits, "visible": spec.visible_bits}
        self.saturates = bool(saturations(spec)[self.place])
        self._taps: dict[str, list[Value]] = {}
        self.latency = f"{cycles} cycle{'s' * (cycles != 1)} from fire to write"
        ports = {"fire": In(1), "write": Out(1), **ports, "saturated": Out(flag(self.saturates))}
        ports |= {name: In(width if name in flags else 0) for name, width in widths.items()}
        ports |= {
            f"{name}_out": Out(width if name in flags and name in passed else 0)
            for name, width in widths.items()
        }
        super().__init__(f"{spec.family}_{self.place}_{spec.design_hash}", ports, clocked=True, resets=True)

    def delayed(self, m: Module, value: Any, cycles: int, name: str, *, resets: bool = False) -> Any:
        """Delay ``value`` by a number of cycles."""
        return delayed(m, value, cycles, name, resets=resets)

    def taken(self, m: Module, value: Any, name: str) -> Any:
        """Data of a token, one cycle later where a node of short steps takes it into registers."""
        return self.delayed(m, value, self.spec.short, name)

    def follow(self, m: Module, cycles: int) -> tuple[Value, Flags]:
        """Valid bit and flags a number of cycles after firing."""
        valid = self.tapped(m, "valid", self.fire, cycles, resets=True)
        flags = Flags(self.last, self.turn, self.final, self.visible)
        return valid, Flags(*(self.tapped(m, name, each, cycles) for name, each in flags._asdict().items()))

    def tapped(self, m: Module, name: str, value: Value, cycles: int, *, resets: bool = False) -> Value:
        """Delay ``value`` by a number of cycles, in delay registers that are shared."""
        taps = self._taps.setdefault(name, [value])
        while len(taps) <= cycles:
            taps.append(self.delayed(m, taps[-1], 1, f"{name}_{len(taps)}_", resets=resets))
        return taps[cycles]

    def saturate(self, m: Module, *events: Value) -> None:
        """Report, one cycle later, that a value left its range; each event bit has a register."""
        together = Cat(*events)
        held = Signal(len(together), name="saturated_held")
        m.d.sync += held.eq(together)
        m.d.comb += self.saturated.eq(held.any())

    def leave(self, m: Module, flags: Flags) -> None:
        """Connect the sideband flags of the result."""
        outputs = Flags(self.last_out, self.turn_out, self.final_out, self.visible_out)
        m.d.comb += [output.eq(each) for output, each in zip(outputs, flags, strict=True) if len(output)]

    def finish(self, m: Module, results: list[Value]) -> None:
        """Drive the results of all lanes and the flags when the token leaves the pipeline."""
        valid, flags = self.follow(m, self.cycles)
        m.d.comb += [self.write.eq(valid), self.result.eq(Cat(*results))]
        self.leave(m, flags)

    def begin(self, m: Module, valid: Value, last: Value) -> Signal:
        """1 if the present token is the first of its row."""
        begin = Signal(name="begin", init=1)
        with m.If(valid):
            m.d.sync += begin.eq(last)
        return begin

    def ending(self, m: Module, last: Value, cycles: int) -> Ending | None:
        """The cycles behind the last key of a row, ``cycles`` after it is taken, where partial sums take turns.

        The node takes no other key then, and ``freed`` says that the last one has been dealt with.
        """
        if not self.spec.sum_stages:
            return None
        a = self.spec.softmax
        taken = count_ending(m, a, self.fire & self.last, "taken")
        m.d.comb += [self.busy.eq(taken.busy), self.freed.eq(taken.last)]
        return count_ending(m, a, last, "ending") if cycles else taken

    def sees(self, visible: Value, lane: int) -> Value:
        """1 if a lane sees the token's key."""
        position = lane // self.spec.head_group
        return visible[position] if position < len(visible) else ONE


def ending_ports(spec: StreamingAttentionSpec) -> dict[str, Any]:
    """Ports of a node whose partial sums take turns: it takes no key, and it is done with the last one of a row."""
    return dict.fromkeys(("busy", "freed"), Out(flag(spec.sum_stages > 0)))


class LaneBlock(NodeBlock, ABC):
    """Base of the nodes that do the same for every lane: ``ends`` are the ports of one lane."""

    def __init__(self, spec: StreamingAttentionSpec, ends: dict[str, Any], cycles: int) -> None:
        ports = {name: member.flow(ArrayLayout(member.shape, spec.lanes)) for name, member in ends.items()}
        super().__init__(spec, ports, FLAGS, FLAGS, cycles + spec.short)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        held = (self.taken(m, given, f"given{n}_") for n, given in enumerate(self.inputs()))
        lanes = zip(*map(elements, held), strict=True)
        self.finish(m, [self.lane(m, number, *given) for number, given in enumerate(lanes)])
        return m

    @abstractmethod
    def inputs(self) -> tuple[Any, ...]:
        """The input ports, in the order in which :meth:`lane` takes them."""

    @abstractmethod
    def lane(self, m: Module, number: int, *given: Value) -> Value:
        """Result of one lane for its inputs."""


def finisher(spec: StreamingAttentionSpec) -> Finish | DeepFinish:
    """The block that makes an output of a sum."""
    return DeepFinish(spec.softmax, spec.finish_cuts) if spec.finish_cuts else Finish(spec.softmax)


def finished(
    owner: Block, m: Module, block: Finish | DeepFinish, name: str, **given: Value
) -> tuple[Value, Value]:
    """(output, overflow) of a sum; only integers overflow."""
    found, clipped = Signal(len(bits(block.result)), name=f"result{name}"), Signal(name=f"clipped{name}")
    owner.use(m, block, f"finish{name}", result=found, saturated=clipped, enable=ONE, **given)
    return found, clipped
