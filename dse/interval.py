"""Ranges of numbers that the formulas of the cost model take in place of numbers.

An operation of NumPy on ranges gives the range of its results for all numbers in them. Sums, products, quotients and
roots are rounded to the nearest double, which keeps their order: so a bound is the number that the formula gives at
that end, to the bit, and no number of a design lies outside. Logarithms and powers of two are not certain to keep it;
their bounds are moved outwards by more than their error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

#: Doubles by which bounds of functions that are not rounded to the nearest one are moved outwards.
_ULPS = 4


class Interval(NDArrayOperatorsMixin):
    """Arrays of lowest and of highest values; of conditions: whether they certainly hold, and whether they may."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = low, high

    def __getitem__(self, key: tuple[()]) -> Interval:
        """What a formula asks of a result that may be an array without dimensions."""
        return Interval(self.low[key], self.high[key])

    def __bool__(self) -> bool:
        raise TypeError(
            "A range of numbers must be compared by functions of NumPy, not by a branch of Python"
        )

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("A range of numbers must stay one, not become an array")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
        found = _UFUNCS.get(ufunc)
        if method != "__call__" or settings or found is None:
            return NotImplemented
        return found(*inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        found = _FUNCTIONS.get(function)
        return NotImplemented if found is None or kwargs else found(*args)


def low(value: Any) -> Any:
    """The lowest value of a range, or the number itself."""
    return value.low if isinstance(value, Interval) else value


def high(value: Any) -> Any:
    """The highest value of a range, or the number itself."""
    return value.high if isinstance(value, Interval) else value


def _rising(function: Callable[..., Any]) -> Callable[..., Interval]:
    """Bounds of a function that grows with each of its arguments."""
    return lambda *values: Interval(function(*map(low, values)), function(*map(high, values)))


def _corners(function: Callable[..., Any], one: Any, other: Any) -> Interval:
    """Bounds of a function that is extreme at the ends of its arguments."""
    found = [function(a, b) for a in (low(one), high(one)) for b in (low(other), high(other))]
    (a, b), (c, d) = (_ordered(*found[:2]), _ordered(*found[2:]))
    return Interval(np.minimum(a, c), np.maximum(b, d))


def _ordered(one: Any, other: Any) -> tuple[Any, Any]:
    return np.minimum(one, other), np.maximum(one, other)


def _product(one: Any, other: Any) -> Interval:
    if np.all(low(one) >= 0) and np.all(low(other) >= 0):
        return Interval(low(one) * low(other), high(one) * high(other))
    return _corners(np.multiply, one, other)


def _quotient(one: Any, other: Any) -> Interval:
    if np.all(low(one) >= 0) and np.all(low(other) > 0):
        return Interval(low(one) / high(other), high(one) / low(other))
    with np.errstate(all="ignore"):
        found = _corners(np.divide, one, other)
    through_zero = (low(other) <= 0) & (high(other) >= 0)
    return Interval(np.where(through_zero, -np.inf, found.low), np.where(through_zero, np.inf, found.high))


def _difference(one: Any, other: Any) -> Interval:
    return Interval(low(one) - high(other), high(one) - low(other))


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(exponent, Interval) or exponent != 2 or not np.all(low(base) >= 0):
        return NotImplemented
    return Interval(base.low**2, base.high**2)


def _inexact(function: Any) -> Callable[[Interval], Interval]:
    """Bounds of a rising function that is right to some doubles; of one number they are what it gives."""

    def bounds(value: Interval) -> Interval:
        least, most = function(value.low), function(value.high)
        room = _ULPS * np.spacing(np.maximum(np.abs(least), np.abs(most))) * (value.low != value.high)
        return Interval(least - room, most + room)

    return bounds


def _below(one: Any, other: Any) -> Interval:
    return Interval(high(one) < low(other), ~np.asarray(low(one) >= high(other)))


def _at_most(one: Any, other: Any) -> Interval:
    return Interval(high(one) <= low(other), ~np.asarray(low(one) > high(other)))


def _chosen(condition: Any, yes: Any, no: Any) -> Interval:
    surely, maybe = low(condition), high(condition)
    least, most = np.minimum(low(yes), low(no)), np.maximum(high(yes), high(no))
    return Interval(
        np.where(surely, low(yes), np.where(maybe, least, low(no))),
        np.where(surely, high(yes), np.where(maybe, most, high(no))),
    )


_UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: _rising(np.add),
    np.subtract: _difference,
    np.multiply: _product,
    np.divide: _quotient,
    np.power: _power,
    np.maximum: _rising(np.maximum),
    np.minimum: _rising(np.minimum),
    np.sqrt: _rising(np.sqrt),
    np.ceil: _rising(np.ceil),
    np.log2: _inexact(np.log2),
    np.exp2: _inexact(np.exp2),
    np.less: _below,
    np.less_equal: _at_most,
    np.greater: lambda one, other: _below(other, one),
    np.greater_equal: lambda one, other: _at_most(other, one),
    np.bitwise_and: _rising(np.bitwise_and),
}
_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.any: lambda value: bool(np.any(value.low != 0) or np.any(value.high != 0)),
    np.where: _chosen,
}
