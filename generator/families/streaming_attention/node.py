"""Base of the nodes between the FIFOs: pipelines without stalls, one token per firing."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.families.streaming_attention.inventory import saturations
from generator.arithmetic.softmax import (
    Finish,
)
from generator.block import Block
from generator.cells.skew import delay_line

ONE = Const(1, 1)


def delayed(m: Module, value: Value, cycles: int, name: str, *, resets: bool = False) -> Value:
    """Delay ``value`` by a number of cycles."""
    return delay_line(m, value, cycles, name, resets=resets)[-1]


def halves(stages: int) -> tuple[int, int]:
    """Registers before and after a step without internal registers; an odd one stands before."""
    return stages - stages // 2, stages // 2


class NodeBlock(Block):
    """Base of the nodes: ``fire`` with the data of one token, ``write`` with its result some cycles later.

    The flags of a token travel beside it: ``last`` of its row, ``turn`` for the last row of its pass, ``final`` for the
    last of the run, ``visible`` for the positions that see it.
    """

    throughput = "one token per cycle"

    def __init__(
        self, spec: StreamingAttentionSpec, ports: dict[str, Any], flags: tuple[str, ...], cycles: int
    ) -> None:
        self.spec, self.cycles = spec, cycles
        widths = {"last": 1, "turn": spec.turn_bits, "final": spec.final_bits, "visible": spec.visible_bits}
        self.flags = {name: int(widths[name]) for name in flags if widths[name]}
        self.saturates = bool(saturations(spec)[self.place])
        ports |= {"saturated": Out(1)} if self.saturates else {}
        self._taps: dict[str, list[Value]] = {}
        self.latency = f"{cycles} cycle{'s' * (cycles != 1)} from fire to write"
        ports = {"fire": In(1), "write": Out(1), **ports}
        ports |= {name: In(width) for name, width in self.flags.items()}
        ports |= {f"{name}_out": Out(self.flags[name]) for name in self.passed() if name in self.flags}
        super().__init__(f"{spec.family}_{self.place}_{spec.design_hash}", ports, clocked=True, resets=True)

    def passed(self) -> tuple[str, ...]:
        """Sideband flags of the result."""
        return ("last", "turn", "final", "visible")

    def delayed(self, m: Module, value: Value, cycles: int, name: str, *, resets: bool = False) -> Value:
        """Delay ``value`` by a number of cycles."""
        return delayed(m, value, cycles, name, resets=resets)

    def flag(self, name: str) -> Value:
        """The input flag, zero bits wide if the design has none."""
        return getattr(self, name) if name in self.flags else Const(0, 0)

    def follow(self, m: Module, cycles: int) -> tuple[Value, dict[str, Value]]:
        """Valid bit and sideband flags a number of cycles after firing."""
        valid = self.tapped(m, "valid", self.fire, cycles, resets=True)
        return valid, {name: self.tapped(m, name, self.flag(name), cycles) for name in self.flags}

    def tapped(self, m: Module, name: str, value: Value, cycles: int, *, resets: bool = False) -> Value:
        """Delay ``value`` by a number of cycles, in delay registers that are shared."""
        taps = self._taps.setdefault(name, [value])
        while len(taps) <= cycles:
            taps.append(self.delayed(m, taps[-1], 1, f"{name}_{len(taps)}_", resets=resets))
        return taps[cycles]

    def saturate(self, m: Module, *events: Value) -> None:
        """Report, one cycle later, that a value left its range; each event bit has a register."""
        bits = Cat(*events)
        held = Signal(len(bits), name="saturated_held")
        m.d.sync += held.eq(bits)
        m.d.comb += self.saturated.eq(held.any())

    def leave(self, m: Module, flags: dict[str, Value]) -> None:
        """Connect the sideband flags of the result."""
        for name in self.passed():
            if name in self.flags:
                m.d.comb += getattr(self, f"{name}_out").eq(flags[name])

    def finish(self, m: Module, results: list[Value]) -> None:
        """The results of all lanes and the flags, when the token has come through."""
        valid, flags = self.follow(m, self.cycles)
        m.d.comb += [self.write.eq(valid), self.result.eq(Cat(*results))]
        self.leave(m, flags)

    def begin(self, m: Module, valid: Value, last: Value) -> Signal:
        """1 if the token there is the first of its row."""
        begin = Signal(name="begin", init=1)
        with m.If(valid):
            m.d.sync += begin.eq(last)
        return begin

    def sees(self, visible: Value, lane: int) -> Value:
        """1 if a lane sees the token's key."""
        position = lane // self.spec.head_group
        return visible[position] if position < len(visible) else ONE

    def pins(self, block: Block, **pins: Any) -> dict[str, Any]:
        """Pins for those ports that a block has; enables are constant, as pipelines never stall."""
        pins["enable"] = pins.get("enable", ONE)
        return {name: value for name, value in pins.items() if name in block.ports}


def finished(owner: Block, m: Module, block: Finish, name: str, **given: Value) -> tuple[Value, Value]:
    """(output, whether it does not fit) of a sum; only integers say so."""
    found, clipped = Signal(len(block.result), name=f"result{name}"), Signal(name=f"clipped{name}")
    owner.use(m, block, f"finish{name}", result=found, **given, **dict.fromkeys(block.beside, clipped))
    return found, clipped
