"""Integer arithmetic that works the same on one design and on NumPy arrays of a million designs."""

from __future__ import annotations

from typing import Any

import numpy as np

#: An ``int`` for one design, an integer array for many.
Number = Any

#: The widest vector that every Verilog tool takes (IEEE 1364-2005, 4.3.1).
VECTOR_BITS = 1 << 16


def ceil_div(value: Number, by: Number) -> Number:
    """Smallest integer not below ``value / by``."""
    return -(-value // by)


def bit_length(value: Number) -> Number:
    """Number of bits that hold the non-negative ``value``: 0 for 0, 1 for 1, 2 for 2 and 3."""
    if isinstance(value, np.ndarray):
        # frexp is exact below 2**53: value = fraction * 2**exponent with fraction in [0.5, 1).
        return np.frexp(value.astype(np.float64))[1].astype(np.int64)
    return int(value).bit_length()


def clog2(value: Number) -> Number:
    """Number of bits that address ``value`` items: 0 for 1, 1 for 2, 2 for 3 and 4."""
    return bit_length(value - 1)


def signed_width(magnitude: Number) -> Number:
    """Two's complement width that holds both ``+magnitude`` and ``-magnitude``."""
    return bit_length(magnitude) + 1


def choose(condition: Any, yes: Number, no: Number) -> Number:
    """``yes`` where the condition holds, else ``no``."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, yes, no)
    return yes if condition else no


def flag(condition: Any) -> Number:
    """1 where the condition holds, else 0: a predicate that counts, so that formulas multiply by it."""
    if isinstance(condition, np.ndarray):
        return condition.astype(np.int64)
    return int(bool(condition))


def possible(condition: Any) -> bool:
    """Whether the condition may hold for any of the designs: formulas that it rules out need not be worked out."""
    return bool(condition) if np.ndim(condition) == 0 else True


def smaller(one: Number, other: Number) -> Number:
    """The smaller of two."""
    return choose(one < other, one, other)


def larger(one: Number, other: Number) -> Number:
    """The larger of two."""
    return choose(one > other, one, other)


def slices(bits: Number) -> tuple[Number, Number]:
    """How many vectors hold a word, at least 1, and the width of each but the last, which has the rest."""
    count = larger(ceil_div(bits, VECTOR_BITS), 1)
    return count, ceil_div(bits, count)


def one_of(value: Any, names: tuple[str, ...]) -> Number:
    """1 where the value is one of some names, else 0."""
    if isinstance(value, np.ndarray):
        return np.isin(value, names).astype(np.int64)
    return int(value in names)
