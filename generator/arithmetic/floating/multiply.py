"""Multiplication."""

from functools import partial

from amaranth.hdl import Const

from blueprint.arithmetic.floating import FloatFormat
from generator.arithmetic.floating.pipeline import FloatBlock, Results, Step, Values, Wires, suffix
from generator.arithmetic.floating.words import fields, is_special, locate, pack, place, rounded
from generator.arithmetic.integers import zero_extend

#: Delays of the steps relative to each other (tenths of a nanosecond for FP16 in asap7).
DELAYS = (10, 5, 5, 5)


def steps(fmt: FloatFormat, flush: bool = False) -> tuple[Step, ...]:
    """Steps from ``a`` and ``b`` to ``result``: multiply, count leading zeros, shift, round."""
    last = (partial(_shift, fmt, flush), partial(_round, fmt, flush))
    return (partial(_multiply, fmt, flush), partial(_count, fmt, flush), *last)


def _multiply(fmt: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    """The product of the significands, its exponent and sign, and the flags for infinity and NaN."""
    e = fmt.exponent_bits
    exponent_a, x = fields(fmt, v.a, flush)
    exponent_b, y = fields(fmt, v.b, flush)
    (infinite_a, nan_a), (infinite_b, nan_b) = (is_special(fmt, v[name]) for name in "ab")
    total = zero_extend(exponent_a, e + 2) + zero_extend(exponent_b, e + 2)
    infinite = w("infinite", infinite_a | infinite_b)
    # A zero is all zeros in exponent and fraction; flushed subnormals are zeros too.
    zero = ~x.any() | ~y.any()
    return {
        "product": w("product", x * y),
        "exponent": w("exponent", (total - Const(fmt.bias - 1, e + 2))[: e + 2]),
        "sign": w("sign", v.a[-1] ^ v.b[-1]),
        "special": infinite,
        "nan": w("nan", nan_a | nan_b | (infinite & zero) if fmt.infinities else nan_a | nan_b),
    }


def _count(fmt: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    lowest, highest = 3 - fmt.bias, 2 * (2**fmt.exponent_bits - 1) - fmt.bias + 1
    if flush:
        # Two normal significands: the product has at most one leading zero.
        zero = w("zero", ~v.product[-1])
        base = v.exponent - Const(1, len(v.exponent)) - zero
        base = w("base", base[: len(v.exponent)])
        found = {"amount": ~zero, "base": base[:-1], "subnormal": base[-1]}
    else:
        left = fmt.fraction_bits + 1
        word = v.product[fmt.fraction_bits :]
        found = locate(w, fmt, word, v.exponent, lowest, highest, left, False)
    return v.keep("product", "sign", "special", "nan") | found


def _shift(fmt: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    left = 1 if flush else fmt.fraction_bits + 1
    found = place(w, fmt, v.product, v.amount, left)
    return v.keep("base", "subnormal", "sign", "special", "nan") | found


def _round(fmt: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    significand, guard = v.significand, v.guard
    if flush:
        keep = ~v.subnormal
        significand, guard = significand & keep.replicate(len(significand)), guard & keep
    magnitude = rounded(w, fmt, v.base, significand, guard, v.sticky)
    return {"result": pack(w, fmt, magnitude, v.sign, v.special, v.nan)}


class FloatMultiply(FloatBlock):
    """Multiplies two floats, rounded to nearest even."""

    def __init__(
        self, fmt: FloatFormat, *, flush: bool = False, stages: int = 0, handshake: bool = False
    ) -> None:
        self.format = fmt
        operands = {"a": fmt.width, "b": fmt.width}
        name = f"fp_multiply_{suffix(fmt, flush)}"
        super().__init__(name, operands, fmt.width, steps(fmt, flush), DELAYS, stages, handshake)
