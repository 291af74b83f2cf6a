"""Arithmetic that works the same on one design and on NumPy arrays of a million designs.

mypy reads a formula as that of one design: fields and what follows from them are ``int``, so it refuses a text, a
fraction or ``None`` where a width must be. ``Parameters.columns`` then hands arrays to the same formula; operators of
NumPy and the functions here give every design the same number as alone, which the conformance suite compares. What
holds numbers of one design and of many side by side (:mod:`blueprint.unit`, the cost model) says :data:`Whole` and
:data:`Real`, and mypy checks both cases there.
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.signedinteger[Any]]
Floats = npt.NDArray[np.floating[Any]]
Truths = npt.NDArray[np.bool_]

#: A whole number in a formula.
Number = int
#: A whole number of one design, or an array with those of many.
Whole = int | Integers
#: A real number of one design, or an array with those of many.
Real = float | Floats | Integers

#: The widest vector that every Verilog tool takes (IEEE 1364-2005, 4.3.1).
VECTOR_BITS = 1 << 16
#: Most words that are kept in registers if the design leaves the choice open; more words use a memory.
FILE_WORDS = 16

_Value = TypeVar("_Value", int, float, str)


@overload
def ceil_div(value: int, by: int) -> int: ...
@overload
def ceil_div(value: Integers, by: int) -> Integers: ...
def ceil_div(value: Whole, by: int) -> Whole:
    """Smallest integer not below ``value / by``."""
    return -(-value // by)


def whole_bytes(bits: Number) -> Number:
    """Bits of the bytes that hold a word."""
    return 8 * ceil_div(bits, 8)


@overload
def bit_length(value: int) -> int: ...
@overload
def bit_length(value: Integers) -> Integers: ...
def bit_length(value: Whole) -> Whole:
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


@overload
def choose(condition: Whole | Truths, yes: _Value, no: _Value) -> _Value: ...
@overload
def choose(condition: Whole | Truths, yes: Real, no: Real) -> Real: ...
def choose(condition: Any, yes: Any, no: Any) -> Any:
    """Select ``yes`` where the condition holds, else ``no``; all three may be arrays over designs."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, yes, no)
    return yes if condition else no


@overload
def flag(condition: int) -> int: ...
@overload
def flag(condition: Truths | Integers) -> Integers: ...
def flag(condition: Whole | Truths) -> Whole:
    """1 where the condition holds, else 0: a predicate that counts, so that formulas multiply by it."""
    if isinstance(condition, np.ndarray):
        return condition.astype(np.int64)
    return int(bool(condition))


def possible(condition: Whole | Truths) -> bool:
    """True if the condition holds for any of the designs; other formulas need not be evaluated."""
    return bool(condition) if np.ndim(condition) == 0 else True


def alone(value: Real) -> float:
    """The number of columns of one design, or a number that all designs share."""
    return float(np.broadcast_to(value, 1)[0])


def smaller(one: Number, other: Number) -> Number:
    """The smaller of two values."""
    return choose(one < other, one, other)


def larger(one: Number, other: Number) -> Number:
    """The larger of two values."""
    return choose(one > other, one, other)


@overload
def slices(bits: int) -> tuple[int, int]: ...
@overload
def slices(bits: Integers) -> tuple[Integers, Integers]: ...
def slices(bits: Any) -> Any:
    """Number of vectors that hold a word, at least 1, and the width of all but the last, which has the rest."""
    count = larger(ceil_div(bits, VECTOR_BITS), 1)
    return count, ceil_div(bits, count)


@overload
def one_of(value: str, names: tuple[str, ...]) -> int: ...
@overload
def one_of(value: npt.NDArray[np.str_], names: tuple[str, ...]) -> Integers: ...
def one_of(value: str | npt.NDArray[np.str_], names: tuple[str, ...]) -> Whole:
    """1 where the value is one of the names, else 0."""
    if isinstance(value, np.ndarray):
        return np.isin(value, names).astype(np.int64)
    return int(value in names)
