"""Flip-flops and paths of products and conversions that have registers inside (``product_stages``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from blueprint.arithmetic import float_registers, floating, products
from blueprint.arithmetic.float_registers import Left, digits, held, ready
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
#: Flags of a float beside its significand.
_SPECIAL = {"special": 1, "nan": 1}


def _held(p: VectorParameters, delays: tuple[int, ...], steps: Sequence[Left]) -> Number:
    """Flip-flops inside a chain of steps with the registers of a product."""
    return held(steps, delays, p.product_stages, PRODUCT_LIMIT)


def _converts(p: VectorParameters) -> Number:
    """1 where the format at the ports has other exponents than the one inside; elsewhere only fractions change."""
    return flag(p.width > p.element_width)


def product_steps(p: VectorParameters, signed: Number) -> tuple[Left, ...]:
    """Values behind the steps of a product."""
    rows = floating.look_up(p.format, lambda fmt: products.plan(fmt.fraction_bits).left_bits)
    return float_registers.product(EXPONENT_BITS, p.fraction, rows, signed=signed)


def product_bits(p: VectorParameters, signed: Number) -> Number:
    """Flip-flops inside a product."""
    return _held(p, floating.PRODUCT_DELAYS, product_steps(p, signed))


def port_steps(p: VectorParameters) -> tuple[Left, ...]:
    """Values behind the steps of a conversion from a format with fewer exponents at the ports: unpack, count, shift."""
    f, flags = p.fraction, {"sign": 1, **_SPECIAL}
    # Numbers lie about 1: of the upper bits of their exponents one stands for all.
    outside = p.element_width - 1 - f
    base = {"low": outside, "high": 1}
    return (
        {"word": f + 1, "exponent": outside, **flags},
        {"word": f + 1, "amount": bit_length(f), **base, **flags},
        {**base, **digits(f), **flags},
    )


def port_bits(p: VectorParameters) -> Number:
    """Flip-flops inside a conversion from the format at the ports."""
    whole = _held(p, floating.CONVERT_DELAYS, port_steps(p))
    # Where exponents are alike a conversion is one step, and all registers stand behind it.
    return _converts(p) * whole + (1 - _converts(p)) * p.product_stages * p.width


def whole_steps(p: VectorParameters) -> tuple[Left, ...]:
    """Values behind the steps of a conversion from a sum: magnitude, count, shift."""
    sign, amount = {"sign": 1}, bit_length(SUM_WIDTH - 1)
    # The exponent is the amount and a constant; of its bits above those of the amount one stands for all.
    return (
        {"word": SUM_WIDTH, **sign},
        {"word": SUM_WIDTH, "amount": amount, **sign},
        {"low": amount, "high": 1, **digits(p.fraction), **sign},
    )


def whole_bits(p: VectorParameters) -> Number:
    """Flip-flops inside a conversion from a sum."""
    return _held(p, floating.CONVERT_DELAYS, whole_steps(p))


def integer_steps(p: VectorParameters) -> tuple[Left, ...]:
    """Values behind the steps of the conversion of a result to an integer, beside its sign: unpack, shift, round."""
    digits, huge = {"magnitude": INTEGER_WIDTH, "guard": 1, "sticky": 1}, {"huge": 1}
    amount = bit_length(p.fraction + 3)  # to the point, or two places beyond the lowest bit
    return (
        {"amount": amount, "significand": p.fraction + 1, **huge},
        {**digits, **huge},
        {"result": INTEGER_WIDTH},
    )


def element_steps(p: VectorParameters) -> tuple[Left, ...]:
    """Values behind the steps of a conversion to a format with fewer exponents, beside the sign."""
    e, f = EXPONENT_BITS, p.fraction
    return (
        {"word": f + 1, "exponent": e + 2, **_SPECIAL},
        {"word": f + 1, "amount": bit_length(_FAR), "base": e, "subnormal": 1, **_SPECIAL},
        {**ready(e, f), "subnormal": 1, **_SPECIAL},
    )


def both_steps(p: VectorParameters, narrow: bool) -> tuple[Left, ...]:
    """Values behind the steps of both conversions of a result; to a ``narrow`` format, or one with the same exponents.

    With the same exponents the first step gives the element, sign included, which then waits for the integer.
    """
    *wholes, last = integer_steps(p)
    alike: Left = {"result": p.width}
    elements = element_steps(p) if narrow else (alike,) * 3
    left = [*({**whole, "sign": 1} for whole in wholes), {**last, "sign": int(narrow)}]
    return tuple(
        {f"value_{name}": bits for name, bits in element.items()}
        | {name if name == "sign" else f"whole_{name}": bits for name, bits in whole.items()}
        for element, whole in zip(elements, left, strict=True)
    )


def both_bits(p: VectorParameters) -> Number:
    """Flip-flops inside the conversions of a result to the format at the ports and to an integer."""
    here, delays = _converts(p), floating.BOTH_DELAYS
    alike = _held(p, delays[1:], both_steps(p, False))
    return here * _held(p, delays, both_steps(p, True)) + (1 - here) * alike


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
