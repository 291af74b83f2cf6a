"""Pipelined blocks of several combinational steps, and their common parts."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FloatFormat
from blueprint.arithmetic.softmax.arithmetic import Arithmetic
from blueprint.arithmetic.softmax.blocks import BLOCKS, cuts
from blueprint.errors import ParamError
from generator.arithmetic.floating import convert
from generator.arithmetic.floating.pipeline import Step, Values, Wires, chain, stored
from generator.arithmetic.floating.words import fields, is_special
from generator.arithmetic.integers import sign_extend, zero_extend
from generator.block import Block, drive


class Chain(Block):
    """Base of the pipelined blocks.

    Every path has ``stages`` registers, which ``enable`` moves all at once; there is no reset. ``static`` inputs bypass
    the registers and must not change while data is inside. ``flags`` leave with the result. ``operands``, ``static``
    and ``flags`` give the widths of the ports; a port without bits does not exist. Raises ``TypeError`` or
    ``ParamError`` for wrong ``stages``.
    """

    def __init__(
        self,
        name: str,
        operands: Mapping[str, int],
        result: int,
        steps: tuple[Step, ...],
        stages: int,
        static: Mapping[str, int] | None = None,
        flags: Mapping[str, int] | None = None,
    ) -> None:
        if isinstance(stages, bool) or not isinstance(stages, int):
            raise TypeError(f"stages must be an integer, not {stages!r}")
        if stages < 0:
            raise ParamError(f"stages must be at least 0, not {stages}")
        static, flags = static or {}, flags or {}
        self.operands, self.static = (tuple(p for p in given if given[p]) for given in (operands, static))
        self.steps, self.stages = steps, stages
        self.latency = f"{stages} cycle{'' if stages == 1 else 's'}" + ("" if stages else " (combinational)")
        ports: dict[str, Any] = {port: In(width) for port, width in (*operands.items(), *static.items())}
        ports |= {"result": Out(result), **{flag: Out(width) for flag, width in flags.items()}}
        ports |= {"enable": In(min(stages, 1))}
        self.beside = tuple(flag for flag, width in flags.items() if width)
        super().__init__(name + (f"_s{stages}" if stages else ""), ports, clocked=stages > 0)

    def delays(self) -> tuple[int, ...]:
        """Relative delays of the steps."""
        return BLOCKS[self.place].delays

    def places(self) -> list[int]:
        """Number of steps in front of each register."""
        return cuts(self.delays(), self.stages)

    def wires(self, m: Module, number: int) -> Wires:
        """The namer of the wires of a step. A block that has several steps of one kind must tell them apart here."""
        return Wires(m)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        values = Values({port: self.pins[port][1] for port in self.operands})
        static = {port: self.pins[port][1] for port in self.static}
        places, stage = self.places(), 0
        for number, step in enumerate(self.steps, start=1):
            found = step(self.wires(m, number), Values(values | static))
            values = Values({name: value for name, value in found.items() if name not in static})
            for _ in range(places.count(number)):
                values = stored(m, stage, self.enable, values)
                stage += 1
        drive(m, self.result, values.result)
        m.d.comb += [self.pins[flag][1].eq(values[flag]) for flag in self.beside]
        return m


def widened(w: Wires, a: Arithmetic, word: Value) -> Value:
    """A float of the input format in the format of the sums."""
    if a.acc_format == "same":
        return word
    return chain(w, convert.steps(a.input_format, a.sum_format), a=word)


def capped(word: Value, bits: int) -> Value:
    """Saturate to an unsigned word of ``bits`` bits."""
    if len(word) <= bits:
        return zero_extend(word, bits)
    return word[:bits] | word[bits:].any().replicate(bits)


def negated(word: Value, sign: Value, width: int) -> Value:
    """Conditionally negate ``word``, in ``width`` bits."""
    return ((zero_extend(word, width) ^ sign.replicate(width)) + sign)[:width]


def resized(word: Value, left: int) -> Value:
    """``word`` with ``left`` zeros below, or without its lowest ``-left`` bits; at least one bit."""
    if left >= 0:
        return Cat(Const(0, left), word)
    return word[-left:] if -left < len(word) else Const(0, 1)


def saturated(word: Value, width: int) -> Value:
    """Saturate to a two's complement word of ``width`` bits."""
    if len(word) <= width:
        return sign_extend(word, width)
    sign = word[-1]
    return Mux(fits(word, width), Cat(word[: width - 1], sign), Cat((~sign).replicate(width - 1), sign))


def fits(word: Value, width: int) -> Value:
    """1 if a two's complement word needs no more than ``width`` bits."""
    above = word[width - 1 : -1]
    return ~(above ^ word[-1].replicate(len(above))).any()


class Unpacked(NamedTuple):
    """A float taken apart: the exponent of subnormals is 1; ``special`` is 1 for NaN and infinity."""

    sign: Value
    exponent: Value
    significand: Value
    special: Value


def unpacked(fmt: FloatFormat, word: Value) -> Unpacked:
    """The fields of a float."""
    exponent, significand = fields(fmt, word, False)
    infinite, nan = is_special(fmt, word)
    return Unpacked(word[-1], exponent, significand, infinite | nan)
