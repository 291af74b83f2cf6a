"""Predicates and choices on one number and on arrays of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from blueprint.numbers import flag, one_of


@pytest.mark.parametrize("condition", [False, True, np.False_, np.True_, 0, 1])
def test_a_flag_of_one_design_is_the_integer_0_or_1(condition: object) -> None:
    found = flag(condition)
    assert type(found) is int and found == int(bool(condition))


def test_a_flag_of_many_designs_counts() -> None:
    found = flag(np.array([3, 5, 7]) > 4)
    assert found.dtype == np.int64 and (1 - found).tolist() == [1, 0, 0] and found.sum() == 2


@pytest.mark.parametrize("kind", [np.str_, np.object_])
def test_names_are_found_among_others(kind: type) -> None:
    names: npt.NDArray[Any] = np.array(["mac", "opt1", "opt", ""], dtype=kind)
    found = one_of(names, ("opt1", "ent"))
    assert found.dtype == np.int64 and found.tolist() == [0, 1, 0, 0]
    assert [one_of(str(name), ("opt1", "ent")) for name in names] == found.tolist()
    assert type(one_of("mac", ("mac",))) is int
    assert one_of(names, ()).tolist() == [0, 0, 0, 0]
