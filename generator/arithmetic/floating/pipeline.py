"""Operations as chains of combinational steps, with a chosen number of pipeline registers in between."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FloatFormat, cuts
from blueprint.errors import ParamError
from generator.arithmetic.integers import below, quick_add
from generator.block import Block, register
from generator.cells.elastic import elastic
from generator.layout import bits, side_by_side, viewed


class Wires:
    """Names intermediate values inside a module; where it is ``quick``, carries pass networks of prefixes."""

    def __init__(self, m: Module, prefix: str = "", quick: bool = False) -> None:
        self.m, self.prefix, self.quick = m, prefix, quick

    def __call__(self, name: str, value: Value) -> Value:
        """A signal that carries ``value``; a constant stays a constant, so that no register holds it."""
        if isinstance(value, Const):
            return value
        wire = Signal(len(value), name=self.prefix + name)
        self.m.d.comb += wire.eq(value)
        return wire

    def either(self, name: str, condition: Value, yes: Value, no: Value) -> Value:
        """Select ``yes`` where the condition holds, else ``no``."""
        return self(name, Mux(condition, yes, no))

    def added(self, name: str, left: Value, right: Value, width: int) -> Value:
        """The lowest ``width`` bits of ``left + right``."""
        return quick_add(self.m, self.prefix + name, left, right, width) if self.quick else left + right

    def less(self, left: Value, right: Value) -> Value:
        """1 if ``left < right``, both unsigned."""
        return below(left, right) if self.quick else left < right


class Values(dict[str, Value]):
    """Values that one step passes to the next, as ``v.name``. The last step sets ``result``."""

    def __getattr__(self, name: str) -> Value:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"A step must leave {name}, not only {', '.join(self)}") from None

    def keep(self, *names: str) -> dict[str, Value]:
        """The named values that exist in this step."""
        return {name: self[name] for name in names if name in self}


Results = dict[str, Value]
Step = Callable[[Wires, Values], Results]


def chain(w: Wires, steps: Iterable[Step], **given: Value) -> Value:
    """Apply all steps in sequence, without registers; returns the result."""
    values = Values(given)
    for step in steps:
        values = Values(step(Wires(w.m, w.prefix, w.quick), values))
    return values.result


def stored(m: Module, stage: int, move: Value, values: Values) -> Values:
    """Registers for all values between two steps, side by side in one word. Constants are not held."""
    constants = {name: value for name, value in values.items() if isinstance(value, Const)}
    word = side_by_side(**{name: value for name, value in values.items() if name not in constants})
    held = viewed(word.shape(), register(m, len(bits(word)), f"stage{stage}", move, word))
    return Values({name: constants[name] if name in constants else bits(held[name]) for name in values})


class FloatBlock(Block):
    """Base of the float blocks.

    Every path has ``stages`` registers; with 0 the block is combinational. A plain block with stages has an ``enable``,
    which moves all stages at once or, if they are ``separate``, has a bit for each stage, first stage lowest. A
    ``free`` block moves every cycle and has none.
    With ``handshake`` the operands come with ``in_valid`` and ``in_ready`` and the result leaves with ``out_valid`` and
    ``out_ready``; each stage moves as soon as the next one is free.
    ``result`` is the width of the result, or its layout; ``more`` are widths of further outputs, which the last step
    sets as well. ``delays`` are the relative delays of the steps, which decide where the registers stand; the carries
    of ``quick`` steps pass networks of prefixes. Raises ``TypeError`` or ``ParamError`` for wrong ``stages``.
    """

    place = "float"

    def __init__(
        self,
        name: str,
        operands: dict[str, int],
        result: Any,
        steps: tuple[Step, ...],
        delays: tuple[int, ...],
        stages: int,
        handshake: bool,
        separate: bool = False,
        free: bool = False,
        quick: bool = False,
        more: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        if isinstance(stages, bool) or not isinstance(stages, int):
            raise TypeError(f"stages must be an integer, not {stages!r}")
        if stages < 0:
            raise ParamError(f"stages must be at least 0, not {stages}")
        self.operands, self.steps, self.delays = tuple(operands), steps, delays
        self.stages, self.handshake, self.separate, self.free = stages, handshake, separate, free
        self.quick, self.more = quick, more
        plural = "" if stages == 1 else "s"
        self.latency = f"{stages} cycle{plural}" + ("" if stages else " (combinational)")
        ports: dict[str, Any] = {operand: In(width) for operand, width in operands.items()}
        ports |= {"result": Out(result)} | {output: Out(width) for output, width in more.items()}
        if handshake:
            ports |= {"in_valid": In(1), "in_ready": Out(1), "out_valid": Out(1), "out_ready": In(1)}
        elif not free:
            ports |= {"enable": In(min(stages, stages if separate else 1))}
        name += (
            "_quick" * quick
            + (f"_s{stages}" if stages else "")
            + (
                "_stream"
                if handshake
                else "_each"
                if separate and stages
                else "_free"
                if free and stages
                else ""
            )
        )
        super().__init__(name, ports, clocked=stages > 0, resets=handshake and stages > 0)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        moves = self._moves(m) if self.stages or self.handshake else []
        values = Values({operand: self.pins[operand][1] for operand in self.operands})
        places, stage = cuts(self.delays, self.stages), 0
        for number, step in enumerate(self.steps, start=1):
            values = Values(step(Wires(m, quick=self.quick), values))
            for _ in range(places.count(number)):
                values = stored(m, stage, moves[stage], values)
                stage += 1
        m.d.comb += self.result.eq(values.result)
        m.d.comb += [self.pins[output][1].eq(values[output]) for output in self.more]
        return m

    def _moves(self, m: Module) -> list[Value]:
        """The load line of every stage."""
        if self.handshake:
            return self._handshake(m)
        if self.free:
            return [Const(1, 1)] * self.stages
        return list(self.enable) if self.separate else [self.enable] * self.stages

    def _handshake(self, m: Module) -> list[Value]:
        """Every stage moves as soon as the next one is free."""
        full = [Signal(name=f"full{stage}") for stage in range(self.stages)]
        moves = [*(Signal(name=f"move{stage}") for stage in range(self.stages)), self.out_ready]
        valid = [self.in_valid, *full]
        for stage in reversed(range(self.stages)):
            elastic(m, valid[stage], full[stage], moves[stage], moves[stage + 1])
        m.d.comb += [self.in_ready.eq(moves[0]), self.out_valid.eq(valid[-1])]
        return moves[:-1]


def suffix(fmt: FloatFormat, flush: bool) -> str:
    """The part of a module's name that encodes the format."""
    return fmt.name + ("_flush" if flush else "")
