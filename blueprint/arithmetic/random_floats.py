"""Random float operands that exercise rounding, cancellation, overflow, NaN and infinity."""

from __future__ import annotations

import numpy as np

from blueprint.arithmetic.floating import FloatFormat, Patterns


def patterns(fmt: FloatFormat, random: np.random.Generator, exponents: Patterns, rare: float) -> Patterns:
    """Random patterns of either sign with these biased ``exponents``, in their shape.

    A share ``rare`` of them has any finite value instead. One in 20 is zero, or the smallest or largest subnormal or
    normal number. In a quarter of the calls, one in 50 is an infinity or a NaN.
    """
    shape = exponents.shape
    near = np.clip(exponents, 0, 2**fmt.exponent_bits - 2) << fmt.fraction_bits
    found = near | random.integers(0, fmt.min_normal, shape)
    anything = random.integers(0, fmt.max_finite + 1, shape)
    found = np.where(random.random(shape) < rare, anything, found)
    ends = random.choice([0, 1, fmt.min_normal - 1, fmt.min_normal, fmt.max_finite], shape)
    found = np.where(random.random(shape) < 0.05, ends, found)
    if random.random() < 0.25:
        no_number = random.choice([fmt.overflow, fmt.canonical_nan, fmt.sign_mask - 1], shape)
        found = np.where(random.random(shape) < 0.02, no_number, found)
    signs: Patterns = random.integers(0, 2, shape) << (fmt.width - 1)
    return found | signs
