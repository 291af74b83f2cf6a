"""An operation cut into combinational steps, with registers between as many of them as asked."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.errors import ParamError
from blueprint.floating import FloatFormat
from generator.block import Block, register


class Wires:
    """Names intermediate values inside a module."""

    def __init__(self, m: Module) -> None:
        self.m = m

    def __call__(self, name: str, value: Value) -> Signal:
        """A signal that carries ``value``."""
        wire = Signal(len(value), name=name)
        self.m.d.comb += wire.eq(value)
        return wire

    def either(self, name: str, condition: Value, yes: Value, no: Value) -> Signal:
        """``yes`` where the condition holds, else ``no``."""
        return self(name, Mux(condition, yes, no))


#: What one step leaves for the next: values by name. The last step leaves ``result``.
Values = dict[str, Value]
Step = Callable[[Wires, Values], Values]


def chain(m: Module, steps: tuple[Step, ...], values: Values) -> Value:
    """The result of all steps, one after the other, without a register."""
    for step in steps:
        values = step(Wires(m), values)
    return values["result"]


def cuts(delays: tuple[int, ...], stages: int) -> list[int]:
    """After how many steps each of the registers stands: evenly by delay, and at the end those that find no cut."""
    count = len(delays)
    inner = min(stages, count - 1)

    def parts(places: tuple[int, ...]) -> tuple[int, int]:
        sums = [sum(delays[low:high]) for low, high in zip((0, *places), (*places, count), strict=True)]
        return max(sums), sum(part * part for part in sums)

    return [*min(combinations(range(1, count), inner), key=parts), *[count] * (stages - inner)]


class FloatBlock(Block):
    """Base of the float blocks.

    ``stages`` registers lie in every path, ``0`` makes it combinational. Plain blocks have an ``enable`` where they
    have stages: it moves all of them at once. With ``handshake`` the operands come with ``in_valid`` and ``in_ready``
    and the result leaves with ``out_valid`` and ``out_ready``; each stage moves as soon as the next one is free.
    ``delays`` of the steps, relative to each other, decide where few registers stand.
    """

    place = "float"

    def __init__(
        self,
        name: str,
        operands: dict[str, int],
        result: int,
        steps: tuple[Step, ...],
        delays: tuple[int, ...],
        stages: int,
        handshake: bool,
    ) -> None:
        if isinstance(stages, bool) or not isinstance(stages, int):
            raise TypeError(f"stages must be an integer, not {stages!r}")
        if stages < 0:
            raise ParamError(f"stages must be at least 0, not {stages}")
        self.operands, self.steps, self.delays = tuple(operands), steps, delays
        self.stages, self.handshake = stages, handshake
        plural = "" if stages == 1 else "s"
        self.latency = f"{stages} cycle{plural}" + ("" if stages else " (combinational)")
        ports: dict[str, Any] = {operand: In(width) for operand, width in operands.items()}
        ports |= {"result": Out(result)}
        if handshake:
            ports |= {"in_valid": In(1), "in_ready": Out(1), "out_valid": Out(1), "out_ready": In(1)}
        elif stages:
            ports |= {"enable": In(1)}
        name += (f"_s{stages}" if stages else "") + ("_stream" if handshake else "")
        super().__init__(name, ports, clocked=stages > 0, resets=handshake and stages > 0)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        moves = self._handshake(m) if self.handshake else [self.enable] * self.stages if self.stages else []
        values: Values = {operand: getattr(self, operand) for operand in self.operands}
        places, stage = cuts(self.delays, self.stages), 0
        for number, step in enumerate(self.steps, start=1):
            values = step(Wires(m), values)
            for _ in range(places.count(number)):
                values = self._hold(m, stage, moves[stage], values)
                stage += 1
        m.d.comb += self.result.eq(values["result"])
        return m

    def _hold(self, m: Module, stage: int, move: Value, values: Values) -> Values:
        """Registers for all values between two steps."""
        packed = register(
            m, sum(len(v) for v in values.values()), f"stage{stage}", move, Cat(*values.values())
        )
        held, low = {}, 0
        for name, value in values.items():
            held[name] = packed[low : low + len(value)]
            low += len(value)
        return held

    def _handshake(self, m: Module) -> list[Value]:
        """The load line of every stage."""
        moves: list[Value] = []
        ready: Value = self.out_ready
        full = [Signal(name=f"full{stage}") for stage in range(self.stages)]
        for stage in reversed(range(self.stages)):
            move = Signal(name=f"move{stage}")
            m.d.comb += move.eq(~full[stage] | ready)
            with m.If(move):
                m.d.sync += full[stage].eq(full[stage - 1] if stage else self.in_valid)
            ready = move
            moves.insert(0, move)
        m.d.comb += self.in_ready.eq(ready)
        m.d.comb += self.out_valid.eq(full[-1] if full else self.in_valid)
        return moves


def suffix(fmt: FloatFormat, flush: bool) -> str:
    """The part of a module's name that says the format."""
    return fmt.name + ("_flush" if flush else "")
