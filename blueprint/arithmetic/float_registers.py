"""Flip-flops inside float blocks: what the steps of a block leave for a register behind them, by name.

Names and widths are those of the values that the steps in ``generator/arithmetic/floating`` pass on; what a step leaves
as a constant has no flip-flop and no name here. :func:`held` counts the registers of a pipelined block, which stand
where :func:`blueprint.arithmetic.floating.cuts` puts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from blueprint.arithmetic import floating
from blueprint.numbers import Number, bit_length, flag, larger

#: Bits of the values that one step leaves, by their names.
Left = Mapping[str, Number]


def held(steps: Sequence[Left], delays: tuple[int, ...], stages: Number, limit: int) -> Number:
    """Flip-flops inside a chain of steps with 0 to ``limit`` stages."""
    places = {count: floating.cuts(delays, count) for count in range(1, limit + 1)}
    used = {cut for cuts in places.values() for cut in cuts}
    widths = {cut: sum(steps[cut - 1].values()) for cut in used}
    total: Number = 0
    for count, cuts in places.items():
        total = total + flag(stages == count) * sum(widths[cut] for cut in cuts)
    return total


def ready(exponent: Number, fraction: Number) -> dict[str, Number]:
    """What rounding takes: exponent field, significand with its leading bit, guard bit and sticky bit."""
    return {"base": exponent, **digits(fraction)}


def digits(fraction: Number) -> dict[str, Number]:
    """What rounding takes beside the exponent field."""
    return {"significand": fraction + 1, "guard": 1, "sticky": 1}


def adder(
    exponent: Number,
    fraction: Number,
    *,
    infinities: Number = 1,
    signed: Number = 1,
    short: Number = 0,
    flushes: Number = 0,
) -> tuple[Left, ...]:
    """Values behind the steps of an adder: order, align, total, normalize, round.

    Operands lack ``short`` of the lowest fraction bits. ``flushes`` is 1 where subnormal results become zeros.
    """
    signs = {"sign": signed, "minus": signed}
    special = {"special": infinities, "nan": 1}
    magnitude = exponent + fraction
    return (
        {"large": magnitude - short, "small": magnitude - short, **signs},
        # Two more bits below the significand that is shifted.
        {"x": fraction + 1 - short, "y": fraction + 3, "lost": 1, "exponent": exponent, **signs, **special},
        {"total": fraction + 4, "lost": 1, "exponent": exponent, **signs, **special},
        {**ready(exponent, fraction), "tiny": flushes, "sign": signed, "cancels": signed, **special},
        {"result": signed + magnitude},
    )


def pair(exponent: Number, fraction: Number, *, infinities: Number = 1) -> tuple[Left, ...]:
    """Values behind the same steps of a block that gives sum and difference."""
    signs: Left = {"sum_sign": 1, "difference_sign": 1, "minus": 1}
    special: Left = {"special": infinities, "sum_nan": 1, "difference_nan": infinities}
    magnitude = exponent + fraction
    both = {
        f"{path}_{name}": bits
        for path in ("plus", "less")
        for name, bits in ready(exponent, fraction).items()
    }
    return (
        {"large": magnitude, "small": magnitude, **signs},
        {"x": fraction + 1, "y": fraction + 3, "lost": 1, "exponent": exponent, **signs, **special},
        {"plus": fraction + 4, "less": fraction + 3, "lost": 1, "exponent": exponent, **signs, **special},
        {**both, **signs, **special},
        {"result": 2 * (1 + magnitude)},
    )


def multiplier(
    exponent: Number, fraction: Number, rows: Number, *, infinities: Number = 1
) -> tuple[Left, ...]:
    """Values behind the steps of a multiplier of any numbers: two ``rows``, their sum, count, shift, round."""
    flags: Left = {"sign": 1, "special": infinities, "nan": 1}
    # Columns of designs hold integers too, which have no exponent.
    bias = (1 << larger(exponent, 1) - 1) - 1
    left = fraction + 1
    lowest, highest = 3 - bias, 2 * ((1 << exponent) - 1) - bias + 1
    amount, base = bit_length(larger(left, left + 1 - lowest)), bit_length(highest)
    return (
        {"product": rows, "exponent": exponent + 2, **flags},
        {"product": 2 * left, "exponent": exponent + 2, **flags},
        {"product": 2 * left, "amount": amount, "base": base, **flags},
        {**ready(base, fraction), **flags},
        {"result": 1 + exponent + fraction},
    )


def product(exponent: Number, fraction: Number, rows: Number, *, signed: Number = 1) -> tuple[Left, ...]:
    """Values behind the steps of a product of normal numbers: two ``rows``, their sum, place, round."""
    flags: Left = {"sign": signed, "special": 1, "nan": 1}
    field = exponent + 2  # of the sum of two exponents, with a sign
    return (
        {"product": rows, "exponent": field, **flags},
        {"product": 2 * (fraction + 1), "exponent": field, **flags},
        {**ready(field - 1, fraction), "subnormal": 1, **flags},
        {"result": signed + exponent + fraction},
    )
