"""Integers as digits of base 4, lowest first: radix-4 Booth and EN-T.

Both take ``ceil(width / 2)`` digits from -2 to 2. EN-T encodes sign and magnitude: the digits of the magnitude are 0,
1, 2 and -1 (a 3 is 4 - 1 and carries), and a negative number negates all of them, so that more digits are zero. The
magnitude of the most negative number, ``2**(width - 1)``, needs no more digits than the others, so no value is lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.numbers import Number, ceil_div

Integers = npt.NDArray[np.int64]
#: Bits of a digit of base 4.
DIGIT_BITS = 2


def places(width: Number) -> Number:
    """Number of digits of a number of ``width`` bits."""
    return ceil_div(width, DIGIT_BITS)


def booth(values: npt.ArrayLike, width: int) -> Integers:
    """Radix-4 Booth digits of integers ``[...]`` of ``width`` bits, ``[..., places(width)]``."""
    word = np.asarray(values, np.int64)[..., None]
    low = 2 * np.arange(places(width))
    below = np.where(low > 0, word >> np.maximum(low - 1, 0), 0) & 1
    found: Integers = -2 * (word >> (low + 1) & 1) + (word >> low & 1) + below
    return found


def ent(values: npt.ArrayLike, width: int) -> Integers:
    """EN-T digits of integers ``[...]`` of ``width`` bits, ``[..., places(width)]``."""
    word = np.asarray(values, np.int64)
    rest = np.abs(word)
    found = []
    for _ in range(places(width)):
        digit = rest & 3
        digit = np.where(digit == 3, -1, digit)
        found.append(np.where(word < 0, -digit, digit))
        rest = (rest - digit) >> 2
    return np.stack(found, axis=-1)


def value(digits: npt.ArrayLike) -> Integers:
    """Integers from their digits along the last axis."""
    array = np.asarray(digits, np.int64)
    found: Integers = (array << 2 * np.arange(array.shape[-1])).sum(axis=-1)
    return found


def ent_code(values: npt.ArrayLike, width: int) -> Integers:
    """EN-T code words of ``width + 1`` bits: two per digit of the magnitude (3 for -1), lowest first, then the sign.

    The highest digit of an odd width is 0 or 1 and has one bit.
    """
    word = np.asarray(values, np.int64)
    code: Integers = ((ent(np.abs(word), width) & 3) << 2 * np.arange(places(width))).sum(axis=-1)
    return code | (word < 0).astype(np.int64) << width


def nonzero(digits: npt.ArrayLike) -> Integers:
    """Number of nonzero digits along the last axis."""
    counted: Any = np.count_nonzero(digits, axis=-1)
    return np.asarray(counted, np.int64)
