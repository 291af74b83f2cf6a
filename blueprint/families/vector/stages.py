"""Flip-flops and paths of products and conversions that have registers inside (``product_stages``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from blueprint.arithmetic import floating, products
from blueprint.arithmetic.floating import FP32
from blueprint.arithmetic.products import CHOSEN_BITS
from blueprint.families.vector.parameters import (
    EXPONENT_BITS,
    INTEGER_WIDTH,
    PRODUCT_LIMIT,
    SUM_WIDTH,
    VectorParameters,
)
from blueprint.numbers import Number, Real, bit_length, ceil_div, clog2, flag, possible
from blueprint.unit import ADDER, AND_ROW, COMPRESSOR, MUX, REGISTER, SRAM, TO_FIXED, TO_FLOAT, Path, Unit

#: The farthest that a significand moves below the smallest normal number of FP16.
_FAR = 122
#: Flags of a float beside its significand: infinite and NaN.
_FLAGS = 2


def _held(p: VectorParameters, delays: tuple[int, ...], behind: Sequence[Number]) -> Number:
    """Flip-flops of a chain of steps, of which each leaves so many bits to hold ``behind`` it."""
    total: Number = 0
    for stages in range(1, PRODUCT_LIMIT + 1):
        bits = sum(behind[cut - 1] for cut in floating.cuts(delays, stages))
        total = total + flag(p.product_stages == stages) * bits
    return total


def _converts(p: VectorParameters) -> Number:
    """1 where the format at the ports has other exponents than the one inside; elsewhere only fractions change."""
    return flag(p.width > p.element_width)


def product_bits(p: VectorParameters, signed: Number) -> Number:
    """Flip-flops inside a product: two rows, their sum, what is rounded."""
    e, f = EXPONENT_BITS, p.fraction
    beside = _FLAGS + signed
    rows = floating.look_up(p.format, lambda fmt: products.plan(fmt.fraction_bits).left_bits)
    behind = (rows + e + 2 + beside, 2 * (f + 1) + e + 2 + beside, f + 3 + e + 2 + beside)
    return _held(p, floating.PRODUCT_DELAYS, behind)


def port_bits(p: VectorParameters) -> Number:
    """Flip-flops inside a conversion from the format at the ports."""
    e, f, beside = EXPONENT_BITS, p.fraction, _FLAGS + 1
    behind = (f + 1 + e + 1 + beside, f + 1 + bit_length(f) + e + beside, f + 3 + e + beside)
    whole = _held(p, floating.CONVERT_DELAYS, behind)
    # Where exponents are alike a conversion is one step, and all registers stand behind it.
    return _converts(p) * whole + (1 - _converts(p)) * p.product_stages * p.width


def whole_bits(p: VectorParameters) -> Number:
    """Flip-flops inside a conversion from a sum: magnitude, count, what is rounded; each with the sign."""
    e, count = EXPONENT_BITS, bit_length(SUM_WIDTH - 1)
    behind = (SUM_WIDTH + 1, SUM_WIDTH + count + e + 1, p.fraction + 3 + e + 1)
    return _held(p, floating.CONVERT_DELAYS, behind)


def both_bits(p: VectorParameters) -> Number:
    """Flip-flops inside the conversions of a result to the format at the ports and to an integer."""
    e, f = EXPONENT_BITS, p.fraction
    limit = bit_length(f + 3)
    begin, middle = limit + 1 + f + 1, INTEGER_WIDTH + 3
    narrow = (
        f + 1 + e + 2 + _FLAGS + begin + 1,
        f + 1 + bit_length(_FAR) + e + 1 + _FLAGS + middle + 1,
        f + 3 + e + 1 + _FLAGS + INTEGER_WIDTH + 1,
    )
    alike = (p.width + begin + 1, p.width + middle + 1, p.width + INTEGER_WIDTH)
    here = _converts(p)
    delays = floating.BOTH_DELAYS
    return here * _held(p, delays, narrow) + (1 - here) * _held(p, delays[1:], alike)


def units(p: VectorParameters) -> Iterator[Unit]:
    """Registers inside products and conversions, and of what waits for them."""
    if not possible(p.quick):
        return
    operands, lanes, wide = p.takes_operand, p.lanes, p.width
    # Beside the product with the scale, both of a gate, that of a rotation, and squares: elements, gains, operands.
    gate = p.gated * (3 + 2 + (p.added | p.rotated))
    waiting = p.sums * (2 + operands) + gate + p.rotated * 2 + 1
    yield REGISTER("front", lanes * p.product_stages, width=waiting * wide)
    yield REGISTER("float", lanes * (2 + operands) * p.quick, width=port_bits(p))
    yield REGISTER("float", lanes * p.sums * p.quick, width=whole_bits(p))
    signed = lanes * (1 + p.sums + p.gated + 2 * p.rotated) + p.sums
    yield REGISTER("float", signed * p.quick, width=product_bits(p, 1))
    yield REGISTER("float", (lanes * (1 + p.gated) + 1) * p.quick, width=product_bits(p, 0))
    yield REGISTER("float", lanes * p.quick, width=product_bits(p, 1) + both_bits(p), enable=1)


def paths(p: VectorParameters) -> tuple[Path, ...]:
    """Paths between the registers inside products and conversions, and of the digits of an inverse root."""
    if not possible(p.quick):
        return ()
    there, bits = p.quick, p.fraction + 1
    wide = FP32.fraction_bits + p.fraction + 4
    levels = floating.look_up(p.format, lambda fmt: int(products.plan(fmt.fraction_bits).depth))
    begin = (AND_ROW("float", there, width=bits), COMPRESSOR("float", there * levels, width=bits))
    joined, alone = flag(p.product_stages == 1), flag(p.product_stages > 1)
    # A network of prefixes is a gate in front, one behind, and one for each level.
    total = MUX("float", 2 + clog2(2 * bits), entries=2, width=2 * bits)
    count = ADDER("float", there * flag(p.product_stages < PRODUCT_LIMIT), width=EXPONENT_BITS + 2)
    rounding = MUX("float", there * (2 + clog2(p.width)), entries=2, width=p.width)
    chosen = MUX("front", there, entries=2, width=p.width)
    converted: Real = 0.0
    both: Real = 0.0
    for stages in range(1, PRODUCT_LIMIT + 1):
        here = flag(p.product_stages == stages)
        converted = converted + here * max(floating.pieces(floating.CONVERT_DELAYS, stages))
        both = both + here * max(floating.pieces(floating.BOTH_DELAYS, stages))
    memory = SRAM("memory", there, words=p.rows_kept * p.beats_max, width=p.lanes * p.width)
    return (
        Path("product-begin", (*begin, total.times(joined))),
        Path("product-total", (total.times(alone),)),
        Path("product-end", (count, rounding, chosen)),
        Path("buffer-product", (memory, *begin)),
        Path("convert", (TO_FLOAT("float", p.sums * converted, inputs=SUM_WIDTH, outputs=p.width),)),
        Path("results", (TO_FIXED("float", both, inputs=p.fraction, outputs=INTEGER_WIDTH),)),
        Path(
            "digit",
            (
                ADDER("factor", there, width=CHOSEN_BITS),
                MUX("factor", there * ceil_div(wide, CHOSEN_BITS), entries=2, width=wide),
            ),
        ),
    )
