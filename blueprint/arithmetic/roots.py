"""Quotients and inverse square roots by digit recurrence: one bit per step, rounded to nearest, bit-exact.

Operands are positive numbers ``significand * 2**(field - bias - fraction_bits)`` whose significand includes the leading
bit. The recurrence computes the bits of the target format and one more, by which the result is rounded; a result
halfway between two floats is rounded up. The error against the real number is therefore at most half a unit in the last
place. Source: restoring division and square root, Ercegovac and Lang, Digital Arithmetic (2004), chapters 5 and 6. The
inverse root needs no division, because every comparison includes the divisor.
"""

from __future__ import annotations

import numpy as np

from blueprint.arithmetic.floating import FloatFormat, Patterns
from blueprint.numbers import Number


def steps(fraction_bits: Number) -> Number:
    """Number of steps of a recurrence: one each for the leading bit, the bits of the fraction, and the rounding bit."""
    return fraction_bits + 2


def significand(fmt: FloatFormat, a: Patterns) -> tuple[Patterns, Patterns]:
    """Exponent field and significand of positive normal numbers; any other pattern is read as if it were normal."""
    a = np.asarray(a, np.int64)
    return a >> fmt.fraction_bits, (a & (fmt.min_normal - 1)) | fmt.min_normal


def inverse_root(target: FloatFormat, wide: FloatFormat, over: Patterns, under: Patterns) -> Patterns:
    """``sqrt(over / under)`` of positive normal numbers of format ``wide``, as patterns of ``target``.

    ``over`` and ``under`` broadcast. Raises ``ValueError`` for formats with different exponent widths.
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
    """``over / under`` of positive normal ``target`` numbers, in the shape of ``under``; ``over`` is one pattern."""
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
    """The pattern of a significand with one extra bit, by which it is rounded; a carry increments the exponent."""
    pattern: Patterns = ((field - 1) << fmt.fraction_bits) + ((found + 1) >> 1)
    return pattern
