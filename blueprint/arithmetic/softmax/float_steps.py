"""Steps of float products, sums and conversions, as fine as registers between them may stand.

Words are as narrow as their operands: the low bits of a significand that are always zero have no flip-flop. The
generator has the same steps in `generator/arithmetic/softmax/floats.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from blueprint.arithmetic import products
from blueprint.arithmetic.floating import ADD_DELAYS, FP16, FP32
from blueprint.arithmetic.softmax.arithmetic import Arithmetic
from blueprint.arithmetic.softmax.parts import (
    Part,
    Step,
    float_dims,
    integer_product,
    one,
    shifter,
    times,
    widened,
)
from blueprint.numbers import Number, bit_length, choose, flag, larger, smaller

#: Bits of the two significands of a product, without those that are always zero.
FACTORS = ((24, 24), (24, 17), (24, 11), (24, 8), (11, 11), (8, 8))
#: Relative delays: an operand that becomes a sum's format, the steps of a product, of a conversion between floats, of
#: one from an integer, and of one to an integer.
WIDEN_DELAY, PRODUCT, CONVERT, FROM_FIXED, TO_INTEGER = (
    4,
    (5, 4, 4, 4, 4),
    (5, 4, 4),
    (4, 6, 6, 4),
    (3, 4, 4, 3),
)


@dataclass(frozen=True)
class FloatStep:
    """A step: its relative delay, the bits that it leaves, and its parts."""

    delay: int
    bits: Number
    parts: Step = ()

    def beside(self, bits: Number) -> FloatStep:
        """The step with ``bits`` more that pass it unchanged."""
        return FloatStep(self.delay, self.bits + bits, self.parts)

    def copies(self, count: Number) -> FloatStep:
        """So many of the step side by side."""
        return FloatStep(self.delay, self.bits * count, times(self.parts, count))


Chain = tuple[FloatStep, ...]


def _shared(part: Part, shares: tuple[float, ...]) -> tuple[Part, ...]:
    """A part whose delay is divided among some steps; its area is in the first."""
    return tuple(
        Part(part.kind, part.dims, part.passed * share, part.total if number == 0 else 0)
        for number, share in enumerate(shares)
    )


def _shares(delays: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(delay / sum(delays) for delay in delays)


def row_bits(left: Number, right: Number) -> Number:
    """Bits of the two words that a product of significands is the sum of."""
    found: Number = 0
    for factors in FACTORS:
        here = flag((left == factors[0]) & (right == factors[1]))
        found = found + here * sum(len(column) for column in products.plan_of(*factors).left)
    return found


def amount_bits(left: Number, lowest: Number, window: Number) -> Number:
    """Bits of the distance by which a word moves down, after a move ``left`` up, into a window of so many bits.

    ``lowest`` is the lowest exponent field that its highest bit may have.
    """
    return smaller(bit_length(larger(left, left + 1 - lowest)), bit_length(left + window + 1))


def widen(a: Arithmetic) -> FloatStep:
    """An input in the format of the sums, without the zeros below its fraction."""
    return FloatStep(WIDEN_DELAY, 1 + a.sum_exponent + a.in_fraction, (widened(a),))


def product(exponent: Number, fraction: Number, left: Number, right: Number, signed: int) -> Chain:
    """A product: rows, their sum, leading zeros, place, round.

    Significands have ``left`` and ``right`` bits above those that are zero.
    """
    bias = _bias(exponent)
    special = 2 + signed
    lowest, highest = 3 - bias, 2 * ((1 << exponent) - 1) - bias + 1
    amount = amount_bits(fraction + 1, lowest, fraction + 2)
    base = bit_length(highest)
    rows, adder = integer_product(left, right)[:2], integer_product(left, right)[2]
    rounded = _shared(
        one("to_float", inputs=left + right, outputs=larger(left, right) + exponent), (1 / 3,) * 3
    )
    field = one("adder", width=exponent + 2).passing(0)
    parts: tuple[Step, ...] = ((*rows, field), (adder,), *((part,) for part in rounded))
    bits = (
        row_bits(left, right) + exponent + 2 + special,
        left + right + exponent + 2 + special,
        left + right + amount + base + special,
        fraction + 3 + base + special,
        exponent + fraction + signed,
    )
    return tuple(FloatStep(*each) for each in zip(PRODUCT, bits, parts, strict=True))


def adder(a: Arithmetic) -> Chain:
    """A sum of two floats: order, align, add, normalize, round."""
    e, f = a.sum_exponent, a.sum_fraction
    bits = (
        2 * (e + f) + 2,
        2 * f + 4 + 1 + e + 4,
        f + 4 + 1 + e + 4,
        e + f + 1 + 2 + 4,
        1 + e + f,
    )
    parts = _shared(one("float_adder", **float_dims(a)), _shares(ADD_DELAYS))
    return tuple(
        FloatStep(delay, each, (part,)) for delay, each, part in zip(ADD_DELAYS, bits, parts, strict=True)
    )


def narrow(a: Arithmetic) -> Chain:
    """A float sum, or the FP32 quotient of a fixed-point sum, as an output: leading zeros, place, round.

    Formats with the same exponents are rounded in the last step, equal ones pass.
    """
    whole = choose(a.exact, FP32.width, a.float_width)
    counts = a.is_fp16 * (1 - a.sums_stall)
    offset = FP16.bias - FP32.bias
    window, word = FP16.fraction_bits + 2, FP32.fraction_bits + 1
    lowest, highest = 1 + offset, 2**FP32.exponent_bits - 1 + offset
    amount = amount_bits(min(word - 1, highest - 1), lowest, window)
    base = bit_length(highest)
    counted, placed = word + amount + base + 3, window + 1 + base + 3
    rounds = flag(whole > a.out_width)
    parts: tuple[Step, ...] = (
        (one("adder", width=FP32.exponent_bits + 2).times(counts),),
        (shifter(a.in_fraction + 1, a.in_fraction + 1).times(counts),),
        (one("half_adder", width=a.out_width).times(rounds),),
    )
    bits = choose(counts, counted, whole), choose(counts, placed, whole), a.out_width
    return tuple(FloatStep(*each) for each in zip(CONVERT, bits, parts, strict=True))


def from_fixed(a: Arithmetic) -> Chain:
    """A fixed-point sum as a float: magnitude, leading zeros, place, round. The float is the output or FP32."""
    word = a.o_width
    fraction = choose(a.divides_first, a.in_fraction, FP32.fraction_bits)
    exponent = choose(a.divides_first * a.is_fp16, FP16.exponent_bits, FP32.exponent_bits)
    highest = _bias(exponent) + word - 1 - a.value_fraction
    left = larger(smaller(word - 1, highest - 1), 0)
    amount = amount_bits(left, highest, fraction + 2)
    base = bit_length(larger(highest, 1))
    width = 1 + exponent + fraction
    shares = _shared(one("to_float", inputs=word, outputs=width), _shares(FROM_FIXED))
    bits = (word + 2, word + amount + base + 2, fraction + 3 + base + 2, width)
    return tuple(
        FloatStep(delay, each, (part,)) for delay, each, part in zip(FROM_FIXED, bits, shares, strict=True)
    )


def to_integer(a: Arithmetic) -> Chain:
    """A float product as an exponent of two: distance, place, round, cut to the range.

    NaN and an infinite score travel beside it.
    """
    e, f, width = a.sum_exponent, a.sum_fraction, a.t_width
    asked = bit_length(larger(_bias(e) + width - 1, 1 << e))
    amount = smaller(asked, bit_length(larger(width, f + 1) + 2))
    bits = (f + 1 + amount + 2 + 2, width + 4 + 2, width + 2, a.t_word + 1)
    parts: tuple[Step, ...] = (
        (one("adder", width=e + 2),),
        (shifter(width + 1, f + 1),),
        (one("half_adder", width=width),),
        (Part("comparator", {"width": width}, 1, 2),),
    )
    return tuple(FloatStep(*each) for each in zip(TO_INTEGER, bits, parts, strict=True))


def tree(a: Arithmetic, count: int) -> Chain:
    """Levels of adders over the products of a score; an odd word waits for the next level."""
    found: list[FloatStep] = []
    for level in range(count):
        words = -(-a.lanes // (1 << level))
        pairs, odd = words // 2, words % 2
        *inner, last = (step.copies(pairs) for step in adder(a))
        found += [step.beside(odd * a.float_width) for step in (*inner, last)]
    return tuple(found)


def _bias(exponent: Number) -> Number:
    return (1 << larger(exponent - 1, 0)) - 1
