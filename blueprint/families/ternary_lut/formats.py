"""Number formats of activations and sums, and the widths that follow from them."""

from __future__ import annotations

from typing import Any

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import FloatFormat
from blueprint.numbers import Number, choose

#: Number formats of activations.
ACTIVATIONS = ("int", *floating.FORMATS)
#: Formats to which an exact sum can be rounded.
RESULTS = ("same", "fp16", "bf16", "fp32")
#: Bits of the widest exact sum, whose magnitude float64 still holds.
EXACT_LIMIT = 54
#: Widths of activations in fixed point are clamped to this, which no exact sum can hold; more would overflow ``int64``.
FIXED_LIMIT = 43
#: Most registers inside a float adder.
STAGES_LIMIT = 8


def fixed_width(fmt: FloatFormat) -> int:
    """Bits of a number as a multiple of the smallest number, up to a limit."""
    return min(fmt.max_fixed.bit_length() + 1, FIXED_LIMIT)


def held_bits(name: Any, stages: Number, pair: bool) -> Number:
    """Flip-flops inside one float adder, or one that gives sum and difference, with so many stages.

    The registers after the steps hold the ordered operands, the aligned significands, the totals, the normalized
    totals, and the result. A format without infinities has no flag for them.
    """
    e, f = (
        floating.look_up(name, lambda fmt: fmt.exponent_bits),
        floating.look_up(name, lambda fmt: fmt.fraction_bits),
    )
    infinities = floating.look_up(name, lambda fmt: int(fmt.infinities))
    paths = 2 if pair else 1
    signs = paths + 1  # one for every result, and one if the signs of the operands differ
    special = 1 + infinities * paths  # NaN and infinity; with infinities each result of a pair has a NaN
    behind = (
        2 * (e + f) + signs,
        2 * f + 4 + 1 + e + signs + special,
        paths * (f + 4) - (paths - 1) + 1 + e + signs + special,
        paths * (e + f + 3) + signs + special,
        paths * (1 + e + f),
    )
    total: Number = 0
    for count in range(1, STAGES_LIMIT + 1):
        bits = sum(behind[cut - 1] for cut in floating.cuts(floating.ADD_DELAYS, count))
        total = total + choose(stages == count, bits, 0)
    return total
