"""Floats as fixed-point integers and back: multiples of the format's smallest subnormal."""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FloatFormat
from generator.arithmetic.floating import convert
from generator.arithmetic.floating.pipeline import Results, Step, Values, Wires, chain
from generator.arithmetic.floating.words import fields, is_special
from generator.block import Block


class FloatToFixed(Block):
    """Turns a float into a two's complement multiple of the format's smallest subnormal, exactly.

    ``broken`` is 1 if the float is NaN or infinite; the integer is then undefined.
    """

    place = "float"

    def __init__(self, fmt: FloatFormat) -> None:
        self.format = fmt
        self.width = fmt.max_fixed.bit_length() + 1
        super().__init__(
            f"fp_to_fixed_{fmt.name}",
            {"a": In(fmt.width), "result": Out(self.width), "broken": Out(1)},
            clocked=False,
        )

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        w = Wires(m)
        exponent, significand = fields(self.format, self.a, False)
        # Field 1 is where subnormals stand, so the word moves by the field less one.
        distance = w("distance", (exponent - Const(1, len(exponent)))[: len(exponent)])
        word: Value = significand
        for place in range(len(distance)):
            step = 1 << place
            moved = Cat(Const(0, step), word)
            kept = min(len(moved), self.width - 1)
            word = w.either(f"moved{place}", distance[place], moved[:kept], Cat(word, Const(0, step))[:kept])
        sign = self.a[-1]
        signed = (Cat(word, Const(0, self.width - len(word))) ^ sign.replicate(self.width)) + sign
        infinite, nan = is_special(self.format, self.a)
        m.d.comb += [self.result.eq(signed), self.broken.eq(infinite | nan)]
        return m


def steps(source: FloatFormat, target: FloatFormat, width: int) -> tuple[Step, ...]:
    """Convert the integer ``a``, in units of ``source``'s smallest subnormal, into ``result``; ``nan`` has priority."""
    exponent = target.bias + width - 1 + 1 - source.bias - source.fraction_bits
    chosen = convert.placing(target, width, exponent, exponent, False)
    return partial(_magnitude, exponent), *chosen


def _magnitude(exponent: int, w: Wires, v: Values) -> Results:
    found = convert.magnitude(exponent, w, v)
    return found | {"special": Const(0, 1), "nan": v.nan}


class FixedToFloat(Block):
    """Rounds a two's complement multiple of a format's smallest subnormal to a float; NaN where ``broken``."""

    place = "float"

    def __init__(self, source: FloatFormat, target: FloatFormat, width: int) -> None:
        self.steps = steps(source, target, width)
        super().__init__(
            f"fp_from_fixed{width}_{source.name}_{target.name}",
            {"a": In(width), "broken": In(1), "result": Out(target.width)},
            clocked=False,
        )

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        m.d.comb += self.result.eq(chain(Wires(m), self.steps, a=self.a, nan=self.broken))
        return m
