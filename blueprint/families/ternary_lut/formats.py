"""Number formats of activations and sums, and the widths that follow from them."""

from __future__ import annotations

from typing import Any

from blueprint.arithmetic import float_registers, floating
from blueprint.arithmetic.floating import FloatFormat
from blueprint.numbers import Number

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
    """Flip-flops inside one float adder, or one that gives sum and difference, with so many stages."""
    exponent = floating.look_up(name, lambda fmt: fmt.exponent_bits)
    fraction = floating.look_up(name, lambda fmt: fmt.fraction_bits)
    infinities = floating.look_up(name, lambda fmt: int(fmt.infinities))
    make = float_registers.pair if pair else float_registers.adder
    steps = make(exponent, fraction, infinities=infinities)
    return float_registers.held(steps, floating.ADD_DELAYS, stages, STAGES_LIMIT)
