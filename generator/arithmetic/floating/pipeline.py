"""An operation cut into combinational steps, with registers between as many of them as asked."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FloatFormat, cuts
from blueprint.errors import ParamError
from generator.block import Block, register
from generator.cells.elastic import elastic


class Wires:
    """Names intermediate values inside a module."""

    def __init__(self, m: Module, prefix: str = "") -> None:
        self.m, self.prefix = m, prefix

    def __call__(self, name: str, value: Value) -> Signal:
        """A signal that carries ``value``."""
        wire = Signal(len(value), name=self.prefix + name)
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


class FloatBlock(Block):
    """Base of the float blocks.

    ``stages`` registers lie in every path, ``0`` makes it combinational. Plain blocks have an ``enable`` where they
    have stages: it moves all of them at once, or has a bit for each, first stage lowest, where they are ``separate``.
    With ``handshake`` the operands come with ``in_valid`` and ``in_ready`` and the result leaves with ``out_valid`` and
    ``out_ready``; each stage moves as soon as the next one is free.
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
        separate: bool = False,
    ) -> None:
        if isinstance(stages, bool) or not isinstance(stages, int):
            raise TypeError(f"stages must be an integer, not {stages!r}")
        if stages < 0:
            raise ParamError(f"stages must be at least 0, not {stages}")
        self.operands, self.steps, self.delays = tuple(operands), steps, delays
        self.stages, self.handshake, self.separate = stages, handshake, separate
        plural = "" if stages == 1 else "s"
        self.latency = f"{stages} cycle{plural}" + ("" if stages else " (combinational)")
        ports: dict[str, Any] = {operand: In(width) for operand, width in operands.items()}
        ports |= {"result": Out(result)}
        if handshake:
            ports |= {"in_valid": In(1), "in_ready": Out(1), "out_valid": Out(1), "out_ready": In(1)}
        elif stages:
            ports |= {"enable": In(stages if separate else 1)}
        name += (f"_s{stages}" if stages else "") + (
            "_stream" if handshake else "_each" if separate and stages else ""
        )
        super().__init__(name, ports, clocked=stages > 0, resets=handshake and stages > 0)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        moves = self._moves(m) if self.stages or self.handshake else []
        values: Values = {operand: getattr(self, operand) for operand in self.operands}
        places, stage = cuts(self.delays, self.stages), 0
        for number, step in enumerate(self.steps, start=1):
            values = step(Wires(m), values)
            for _ in range(places.count(number)):
                values = self._hold(m, stage, moves[stage], values)
                stage += 1
        m.d.comb += self.result.eq(values["result"])
        return m

    def _moves(self, m: Module) -> list[Value]:
        """The load line of every stage."""
        if self.handshake:
            return self._handshake(m)
        return list(self.enable) if self.separate else [self.enable] * self.stages

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
        """Every stage moves as soon as the next one is free."""
        full = [Signal(name=f"full{stage}") for stage in range(self.stages)]
        moves = [*(Signal(name=f"move{stage}") for stage in range(self.stages)), self.out_ready]
        valid = [self.in_valid, *full]
        for stage in reversed(range(self.stages)):
            elastic(m, valid[stage], full[stage], moves[stage], moves[stage + 1])
        m.d.comb += [self.in_ready.eq(moves[0]), self.out_valid.eq(valid[-1])]
        return moves[:-1]


def suffix(fmt: FloatFormat, flush: bool) -> str:
    """The part of a module's name that says the format."""
    return fmt.name + ("_flush" if flush else "")
