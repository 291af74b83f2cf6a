"""Operands that floating point goes wrong on, and the vectors at the border of subnormal and normal, by name."""

from __future__ import annotations

import numpy as np

from blueprint.arithmetic.floating import FloatFormat, Patterns

SPECIALS, RANDOM = 180, 100_000


def specials(fmt: FloatFormat) -> Patterns:
    """180 patterns: zeros, borders, ties, largest, infinities, quiet and signaling NaN."""
    f, top = fmt.fraction_bits, (1 << fmt.exponent_bits) - 1
    one, half = 1 << f, 1 << (f - 1)
    found = [0, 1, 2, 3, half, one - 2, one - 1, one, one + 1, one + 2, 2 * one - 1, 2 * one, 2 * one + 1]
    found += [fmt.max_finite - 1, fmt.max_finite, fmt.exponent_mask, fmt.exponent_mask + 1, fmt.canonical_nan]
    found += [fmt.sign_mask - 1, fmt.exponent_mask - one, fmt.exponent_mask - half]
    bias = fmt.bias
    near = [bias + step for step in (0, -1, 1, -f, f, -f - 1, f + 1, -f - 2, f + 2, -2, 2, f + 3, -f - 3)]
    for field in [*near, 3, 4, top - 2, top - 1, f + 1, f + 2, bias // 2, bias + bias // 2]:
        if 0 < field < top:
            found += [field << f | fraction for fraction in (0, 1, half, one - 1, half - 1)]
    rest = np.random.default_rng(180).integers(0, fmt.sign_mask, 2000).tolist()
    magnitudes = list(dict.fromkeys([*found, *rest]))[: SPECIALS // 2]
    return np.array([sign | value for value in magnitudes for sign in (0, fmt.sign_mask)], np.int64)


def pairs(fmt: FloatFormat, seed: int = 1) -> tuple[Patterns, Patterns]:
    """All pairs of a format of at most 8 bits, else specials crossed and 100,000 random pairs, half of them close."""
    mask = (1 << fmt.width) - 1
    if fmt.width <= 8:
        every = np.arange(1 << (2 * fmt.width))
        return every >> fmt.width, every & mask
    rng = np.random.default_rng(seed)
    cross = specials(fmt)
    a, b = rng.integers(0, mask + 1, (2, RANDOM))
    opposite = (a ^ fmt.sign_mask) + rng.integers(-40, 41, RANDOM)
    close = a + (rng.integers(-3, 4, RANDOM) << fmt.fraction_bits) ^ rng.integers(0, 2, RANDOM) << (
        fmt.width - 1
    )
    kind = rng.integers(0, 4, RANDOM)
    b = np.where(kind == 0, opposite, np.where(kind == 1, close, b)) & mask
    # An eighth of the pairs lies around the smallest normal number.
    small = np.where(rng.integers(0, 8, RANDOM) == 0, fmt.sign_mask | (8 << fmt.fraction_bits) - 1, mask)
    first = np.concatenate([np.repeat(cross, len(cross)), a & small])
    return first, np.concatenate([np.tile(cross, len(cross)), b & small])


#: FP16 at the border of subnormal and normal: name -> (operation, a, b, result).
BORDER = {
    "largest_subnormal_plus_smallest": ("add", 0x03FF, 0x0001, 0x0400),
    "smallest_normal_minus_smallest": ("subtract", 0x0400, 0x0001, 0x03FF),
    "normal_minus_normal_is_subnormal": ("subtract", 0x0401, 0x0400, 0x0001),
    "two_subnormals_make_a_normal": ("add", 0x0200, 0x0200, 0x0400),
    "two_subnormals_stay_subnormal": ("add", 0x0155, 0x0155, 0x02AA),
    "largest_subnormal_twice": ("add", 0x03FF, 0x03FF, 0x07FE),
    "second_binade_minus_first": ("subtract", 0x0800, 0x0400, 0x0400),
    "second_binade_cancels_into_subnormals": ("subtract", 0x0800, 0x07FF, 0x0001),
    "subnormal_cancels_to_zero": ("subtract", 0x0001, 0x0001, 0x0000),
    "negative_zero_plus_negative_zero": ("add", 0x8000, 0x8000, 0x8000),
    "negative_zero_plus_zero": ("add", 0x8000, 0x0000, 0x0000),
    "zero_minus_zero": ("subtract", 0x0000, 0x0000, 0x0000),
    "subnormal_plus_negative_zero": ("add", 0x0001, 0x8000, 0x0001),
    "product_rounds_up_to_smallest_normal": ("multiply", 0x0400, 0x3BFF, 0x0400),
    "product_is_largest_subnormal": ("multiply", 0x0400, 0x3BFE, 0x03FF),
    "product_ties_to_even_zero": ("multiply", 0x0001, 0x3800, 0x0000),
    "product_ties_to_even_two": ("multiply", 0x0003, 0x3800, 0x0002),
    "product_just_above_half_of_smallest": ("multiply", 0x0001, 0x3801, 0x0001),
    "product_below_half_keeps_sign": ("multiply", 0x8001, 0x37FF, 0x8000),
    "product_of_subnormals_vanishes": ("multiply", 0x03FF, 0x03FF, 0x0000),
    "subnormal_times_large_is_normal": ("multiply", 0x0001, 0x7BFF, 0x1BFF),
    "subnormal_times_power_of_two": ("multiply", 0x0200, 0x4000, 0x0400),
    "sum_overflows": ("add", 0x7BFF, 0x5000, 0x7C00),
    "sum_just_below_overflow": ("add", 0x7BFF, 0x4BFF, 0x7BFF),
    "carry_of_rounding_raises_exponent": ("add", 0x3BFF, 0x0C01, 0x3C00),
    "infinity_minus_infinity": ("subtract", 0x7C00, 0x7C00, 0x7E00),
    "zero_times_infinity": ("multiply", 0x0000, 0xFC00, 0x7E00),
    "signaling_nan_gets_canonical": ("add", 0x7C01, 0x3C00, 0x7E00),
    "negative_nan_gets_canonical": ("multiply", 0xFE55, 0x3C00, 0x7E00),
}
