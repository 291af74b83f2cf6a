"""Answers for arrays of small numbers: each combination is asked for once, in whatever way it is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic import carry_save

#: Arrays that broadcast, as the columns of a mesh do, a plain number, and ones of which some are no number of a key.
ARRAYS: dict[str, tuple[Any, ...]] = {
    "mesh": (np.arange(3, 60).reshape(-1, 1), np.array([[3000, 3005, 4095]]), 7),
    "one": (np.array([9]), 2),
    "flat": (np.array([4, 4, 4, 1]), np.array([2, 3, 2, 2])),
    "none": (np.zeros(0, np.int64), 3),
    "negative": (np.array([-1, 4]), np.array([3, 3])),
    "too large": (np.array([1, 4096]), np.array([3, 3])),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_combinations_are_those_of_sorted_keys(name: str) -> None:
    keys = carry_save._joined(ARRAYS[name])
    found = carry_save._distinct(ARRAYS[name])
    assert (found is None) == (name in ("none", "negative", "too large"))
    if found is not None:
        unique, inverse = np.unique(keys, return_inverse=True)
        assert np.array_equal(found[0], unique)
        assert np.array_equal(found[1].reshape(-1), inverse.reshape(-1))


def test_combinations_without_places_for_all_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry_save, "_FEW", 5)
    assert carry_save._distinct((np.array([0, 4]), np.array([1, 2]))) is None
    assert carry_save._distinct((np.array([0, 1]), np.array([1, 2]))) is not None


@pytest.mark.parametrize("few", [0, 1 << 16], ids=["sorted", "places"])
def test_every_design_has_the_answer_of_its_numbers(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry_save, "_FEW", few)
    asked = []

    def function(a: int, b: int) -> tuple[int, ...]:
        asked.append((a, b))
        return a + 10 * b, a * b

    a, b = np.arange(4).reshape(-1, 1), np.array([[2, 5, 2, 2, 2, 2, 2]])
    found: Any = carry_save._each(function, a, b)
    assert np.array_equal(found[0], a + 10 * b) and np.array_equal(found[1], a * b)
    assert len(asked) == len(set(asked)) == 8
