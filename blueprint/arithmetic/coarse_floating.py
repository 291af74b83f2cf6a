"""Addition with approximate normalization: results keep up to ``coarse - 1`` leading zeros, so a word stores them.

After "Floating-Point Multiply-Add with Approximate Normalization for Low-Cost Matrix Engines" (arXiv 2408.11997): the
normalization shifter of an accumulating adder has no fine stages and shifts by multiples of ``coarse`` only. From the
highest bit down, a word holds the sign, the exponent field and a significand of ``fraction_bits + 1`` bits with its
leading bit, so it is one bit wider than the format. Its value is
``(-1)**sign * significand * 2**(field - bias - fraction_bits)``. A zero has field 0. The highest field is infinity
(fraction 0) or NaN.

One addition is off by at most ``2**(coarse - 2 - fraction_bits)`` of the largest of ``|a|``, ``|b|`` and ``|a + b|``,
where exact normalization is off by ``2**(-1 - fraction_bits)`` of ``|a + b|``; up to the exponent field ``coarse`` the
bound is ``2**(coarse - 2)`` smallest subnormals. Rounding is to nearest even, with two guard bits and a sticky bit at
the exponent of the larger operand; lower bits are lost even where cancellation would shift them up.
"""

from __future__ import annotations

import numpy as np

from blueprint.arithmetic.floating import FloatFormat, Patterns
from blueprint.errors import ParamError
from blueprint.numbers import bit_length


def check(fmt: FloatFormat, coarse: int) -> int:
    """Return ``coarse``. Raises ``TypeError`` if it is no integer and ``ParamError`` if there is no such adder."""
    if isinstance(coarse, bool) or not isinstance(coarse, int):
        raise TypeError(f"coarse must be an integer, not {coarse!r}")
    if coarse not in (2, 4, 8) or coarse > fmt.fraction_bits:
        raise ParamError(
            f"coarse must be 2, 4 or 8 and at most the {fmt.fraction_bits} fraction bits, not {coarse}"
        )
    if not fmt.infinities:
        raise ParamError(f"A format of coarse normalization must have infinities; {fmt.name} has none")
    return coarse


def widen(fmt: FloatFormat, a: Patterns) -> Patterns:
    """Convert patterns of the format to words with an explicit leading bit, exactly."""
    a = np.asarray(a, np.int64)
    f = fmt.fraction_bits
    field, fraction = (a & fmt.exponent_mask) >> f, a & (fmt.min_normal - 1)
    lead = field > 0
    field = np.where(lead, field, fraction > 0)
    return (a & fmt.sign_mask) << 1 | field << (f + 1) | lead.astype(np.int64) << f | fraction


def narrow(fmt: FloatFormat, a: Patterns) -> Patterns:
    """Convert words to normalized patterns of the format, exactly."""
    sign, field, significand = _parts(fmt, a)
    special = field == _highest(fmt)
    f = fmt.fraction_bits
    shift = np.clip(np.minimum(f + 1 - bit_length(significand), field - 1), 0, None)
    magnitude = (np.maximum(field - shift - 1, 0) << f) + (significand << shift)
    magnitude = np.where(significand == 0, 0, magnitude)
    found = np.where(special, fmt.exponent_mask, magnitude) | sign << (fmt.width - 1)
    return np.where(special & (significand & (fmt.min_normal - 1) != 0), fmt.canonical_nan, found)


def add(fmt: FloatFormat, a: Patterns, b: Patterns, coarse: int) -> Patterns:
    """``a + b`` on words; a result of 0 is +0 unless both are negative."""
    check(fmt, coarse)
    f, highest = fmt.fraction_bits, _highest(fmt)
    parts = [_parts(fmt, word) for word in (a, b)]
    top = np.maximum(parts[0][1], parts[1][1])
    guard = f + 3
    terms = []
    for sign, field, significand in parts:
        distance = np.minimum(top - field, 2 * guard)
        wide = significand << guard
        lost = (wide & ((1 << distance) - 1)) != 0
        terms.append(((wide >> distance) | lost) * (1 - 2 * sign))
    total = terms[0] + terms[1]
    # Two guard bits with a sticky bit below them, as in the hardware.
    size, lost = np.abs(total) >> (guard - 2), np.abs(total) & ((1 << (guard - 2)) - 1) != 0
    carry = size >> (f + 3)
    shift = np.minimum(f + 3 - bit_length(size), top - 1) // coarse * coarse * (1 - carry)
    shift = np.maximum(shift, 0)
    word, right = size << shift, 2 + carry
    kept, rest, half = word >> right, word & ((1 << right) - 1), (1 << right) >> 1
    kept = kept + ((rest > half) | ((rest == half) & (lost | (kept & 1 == 1))))
    over = kept >> (f + 1)
    field = top + carry - shift + over
    kept = kept >> over
    zero = kept == 0
    sign = np.where(zero, parts[0][0] & parts[1][0], total < 0)
    word = np.where(zero, 0, field << (f + 1) | kept)
    word = np.where(field >= highest, infinity(fmt), word) | sign << fmt.width
    return _specials(fmt, parts, word)


def infinity(fmt: FloatFormat) -> int:
    """The word of +inf."""
    return fmt.exponent_mask << 1 | fmt.min_normal


def nan(fmt: FloatFormat) -> int:
    """The word of NaN."""
    return infinity(fmt) | fmt.min_normal >> 1


Parts = tuple[Patterns, Patterns, Patterns]


def _specials(fmt: FloatFormat, parts: list[Parts], word: Patterns) -> Patterns:
    highest, fraction = _highest(fmt), fmt.min_normal - 1
    special = [field == highest for _, field, _ in parts]
    nans = [
        field_high & (significand & fraction != 0)
        for field_high, (_, _, significand) in zip(special, parts, strict=True)
    ]
    (sign_a, _, _), (sign_b, _, _) = parts
    sign = np.where(special[0], sign_a, sign_b)
    word = np.where(special[0] | special[1], infinity(fmt) | sign << fmt.width, word)
    invalid = nans[0] | nans[1] | (special[0] & special[1] & (sign_a != sign_b))
    return np.where(invalid, nan(fmt), word)


def _highest(fmt: FloatFormat) -> int:
    return (1 << fmt.exponent_bits) - 1


def _parts(fmt: FloatFormat, a: Patterns) -> Parts:
    a = np.asarray(a, np.int64)
    f = fmt.fraction_bits
    return a >> fmt.width & 1, a >> (f + 1) & _highest(fmt), a & (2 * fmt.min_normal - 1)
