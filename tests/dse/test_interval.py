"""Ranges of numbers: whatever numbers are in them, the result is in the range of the result."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dse.interval import Interval, high, low

FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda a, b: a + b + 3,
    "difference": lambda a, b: 7 - a - b,
    "product": lambda a, b: 2.5 * a * b,
    "quotient": lambda a, b: a / b + 1e6 / b,
    "ends": lambda a, b: np.maximum(a, b) - np.minimum(a, 0.25),
    "square": lambda a, b: np.abs(1.0) * (np.maximum(a, 0) ** 2) + b,
    "roots": lambda a, b: np.sqrt(np.maximum(a, 0)) * np.ceil(b),
    "levels": lambda a, b: np.log2(np.maximum(a, 1)) + np.exp2(np.ceil(np.log2(np.maximum(b, 1)))),
    "choice": lambda a, b: np.where(a > b, a, 3.0 * b)[()],
    "conditions": lambda a, b: ((a >= 1.0) & (b <= 4)) * a + (a < b) * 2.0,
    "either": lambda a, b: np.where((a > 0) & (b > a), b, -1.0),
}


def drawn(random: np.random.Generator, positive: bool) -> tuple[Interval, Any]:
    """Ranges, some of one number, and numbers in them: ends and others."""
    ends = np.sort(random.choice([-4.0, -1.5, 0.0, 0.25, 1.0, 2.0, 3.5, 8.0], (2, 400)), axis=0)
    if positive:
        ends = np.abs(ends) + 0.5
        ends.sort(axis=0)
    share = random.choice([0.0, 0.3, 0.9, 1.0], 400)
    inside = np.clip(ends[0] * (1 - share) + ends[1] * share, *ends)
    return Interval(*ends), inside


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("exact", [None, 0, 1], ids=["both", "first", "second"])
def test_results_are_in_the_range_of_the_result(name: str, exact: int | None) -> None:
    random = np.random.default_rng(len(name))
    pairs = [drawn(random, False), drawn(random, name == "quotient")]
    given: list[Any] = [inside if number == exact else ends for number, (ends, inside) in enumerate(pairs)]
    found = FORMULAS[name](*given)
    expected = FORMULAS[name](*(inside for _, inside in pairs))
    assert (low(found) <= expected).all() and (expected <= high(found)).all()
    wide = high(found) - low(found)
    assert np.isfinite(wide).all() and (wide > 0).any()


@pytest.mark.parametrize("name", FORMULAS)
def test_the_range_of_one_number_is_what_the_formula_gives(name: str) -> None:
    random = np.random.default_rng(len(name))
    numbers = [drawn(random, name == "quotient")[1] for _ in range(2)]
    found = FORMULAS[name](*(Interval(each, each) for each in numbers))
    expected = np.asarray(FORMULAS[name](*numbers), dtype=np.float64)
    assert np.array_equal(found.low.astype(np.float64), expected)
    assert np.array_equal(found.high.astype(np.float64), expected)


def test_a_quotient_by_a_range_around_zero_is_any_number() -> None:
    found = 1.0 / Interval(np.array([-1.0, 0.0, 1.0]), np.array([1.0, 2.0, 2.0]))
    assert found.low.tolist() == [-np.inf, -np.inf, 0.5] and found.high.tolist() == [np.inf, np.inf, 1.0]


def test_whether_a_unit_is_there() -> None:
    zero, some = np.zeros(3), np.array([0.0, 0.0, 1.0])
    assert not np.any(Interval(zero, zero)) and np.any(Interval(zero, some))


@pytest.mark.parametrize(
    ("misuse", "message"),
    [
        (bool, "A range of numbers must be compared by functions of NumPy, not by a branch of Python"),
        (np.asarray, "A range of numbers must stay one, not become an array"),
        (hash, "unhashable type: 'Interval'"),
    ],
)
def test_a_range_is_no_number(misuse: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        misuse(Interval(np.zeros(2), np.ones(2)))


@pytest.mark.parametrize(
    "function", [np.sin, np.floor, lambda a: a**3, lambda a: a**-1, np.sum, lambda a: a @ a]
)
def test_other_functions_are_refused(function: Callable[[Any], Any]) -> None:
    """So a formula that ranges cannot follow ends a search; it cannot give a wrong bound."""
    with pytest.raises(TypeError):
        function(Interval(np.zeros(2), np.ones(2)))
