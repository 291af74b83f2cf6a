"""Quotients and inverse square roots by digit recurrence: a bit a step, rounded to nearest, exact to the bit.

Both are of positive numbers ``significand * 2**(field - bias - fraction_bits)`` with the leading bit in the
significand, and give as many bits as a float of the target format holds and one more, by which it is rounded (no
result lies between two floats exactly where that bit is not 0). So the error against the real number is at most half
a unit in the last place. Source: restoring division and square root, Ercegovac and Lang, Digital Arithmetic (2004),
chapters 5 and 6; the inverse root needs no division, as the divisor stays in every comparison.
"""

from __future__ import annotations

import numpy as np

from blueprint.arithmetic.floating import FloatFormat, Patterns
from blueprint.numbers import Number


def steps(fraction_bits: Number) -> Number:
    """Steps of a recurrence: the leading bit, those of the fraction, and the one that rounds."""
    return fraction_bits + 2


def significand(fmt: FloatFormat, a: Patterns) -> tuple[Patterns, Patterns]:
    """Exponent field and significand of positive normal numbers; any other pattern is read as if it were normal."""
    a = np.asarray(a, np.int64)
    return a >> fmt.fraction_bits, (a & (fmt.min_normal - 1)) | fmt.min_normal


def inverse_root(target: FloatFormat, wide: FloatFormat, over: Patterns, under: Patterns) -> Patterns:
    """``sqrt(over / under)`` of positive normal ``wide`` numbers, as patterns of ``target``, of the same exponents.

    Raises ``ValueError`` for formats with different exponents.
    """
    if target.exponent_bits != wide.exponent_bits:
        raise ValueError(f"Exponents must be of {wide.exponent_bits} bits, not {target.exponent_bits}")
    (field_over, top), (field_under, divisor) = significand(wide, over), significand(wide, under)
    distance = field_over - field_under
    odd, less = distance & 1, top < divisor
    rest = np.where(odd == 1, top << 1, np.where(less, top << 2, top))
    exponent = (distance >> 1) - ((odd == 0) & less)
    root, product = np.zeros_like(rest), np.zeros_like(rest)
    for _ in range(steps(target.fraction_bits)):
        trial = (product << 2) + divisor
        fits = (rest >= trial).astype(np.int64)
        rest = (rest - fits * trial) << 2
        root, product = (root << 1) | fits, (product << 1) + fits * divisor
    return _packed(target, exponent + target.bias, root)


def quotient(target: FloatFormat, over: int, under: Patterns) -> Patterns:
    """``over / under`` of positive normal ``target`` numbers; ``over`` is one pattern."""
    (field_over, top), (field_under, divisor) = (
        significand(target, np.asarray(over, np.int64)),
        significand(target, under),
    )
    less = top < divisor
    rest = np.where(less, top << 1, top)
    found = np.zeros_like(rest)
    for _ in range(steps(target.fraction_bits)):
        fits = (rest >= divisor).astype(np.int64)
        rest = (rest - fits * divisor) << 1
        found = (found << 1) | fits
    return _packed(target, field_over - field_under - less + target.bias, found)


def _packed(fmt: FloatFormat, field: Patterns, found: Patterns) -> Patterns:
    """The pattern of a significand with one bit too many, rounded; the carry of the rounding steps the exponent."""
    pattern: Patterns = ((field - 1) << fmt.fraction_bits) + ((found + 1) >> 1)
    return pattern
