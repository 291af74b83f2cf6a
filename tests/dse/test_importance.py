"""Importance of parameters on functions whose shares of variance are known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from dse.importance import importance

GRID = np.array(list(product(range(9), range(9), range(9), range(5))))
CODES = {name: GRID[:, place] for place, name in enumerate("abcd")}


def centered(name: str) -> np.ndarray:
    return CODES[name] - CODES[name].mean()


def test_a_sum_is_explained_by_its_terms_alone() -> None:
    """Variances of a, 2 b and 3 c are as 1 to 4 to 9; d has no part."""
    found = importance(CODES, centered("a") + 2 * centered("b") + 3 * centered("c"))
    assert not found.logarithmic
    assert [found.main[name] for name in "abc"] == pytest.approx([1 / 14, 4 / 14, 9 / 14], abs=0.003)
    assert list(found.pairs.values()) == pytest.approx([0] * 6, abs=0.003)
    assert found.main["d"] == 0 and found.total("d") == pytest.approx(0, abs=0.003)


def test_a_product_is_explained_by_the_pair_alone() -> None:
    found = importance(CODES, centered("a") * centered("b"))
    assert max(found.main.values()) == pytest.approx(0, abs=1e-9)
    assert found.pairs["a", "b"] == pytest.approx(1)
    assert found.total("a") == pytest.approx(1) and found.total("c") == pytest.approx(0, abs=1e-9)


def test_a_sum_and_a_product_share_the_variance() -> None:
    """Var(a) is 20/3 on nine steps, Var(a b) its square: a alone has 1 / (1 + 20 / 3) of it."""
    found = importance(CODES, centered("a") + centered("a") * centered("b"))
    assert found.main["a"] == pytest.approx(3 / 23, abs=0.003)
    assert found.pairs["a", "b"] == pytest.approx(20 / 23, abs=0.003)


def test_chance_is_not_taken_for_an_effect() -> None:
    """Of 60 designs in 20 groups chance alone explains about a third of the variance."""
    random = np.random.default_rng(1)
    shares = [
        importance({"a": random.integers(0, 20, 60)}, random.normal(size=60)).main["a"] for _ in range(200)
    ]
    assert float(np.median(shares)) < 0.05


def test_a_sample_without_a_grid_comes_near() -> None:
    random = np.random.default_rng(2)
    rows = random.choice(len(GRID), 600, replace=False)
    values = (centered("a") + 2 * centered("b"))[rows]
    found = importance({name: code[rows] for name, code in CODES.items()}, values)
    assert [found.main[name] for name in "abcd"] == pytest.approx([0.2, 0.8, 0, 0], abs=0.05)


def test_wide_positive_values_are_measured_by_their_logarithm() -> None:
    found = importance(CODES, 2.0 ** (CODES["a"] + 2 * CODES["b"]))
    assert found.logarithmic
    assert [found.main["a"], found.main["b"]] == pytest.approx([0.2, 0.8], abs=0.003)


@pytest.mark.parametrize("values", [np.full(len(GRID), 0.1), np.full(len(GRID), np.nan), np.zeros(len(GRID))])
def test_a_constant_metric_is_explained_by_nothing(values: np.ndarray) -> None:
    found = importance(CODES, values)
    assert set(found.main.values()) == {0.0} and set(found.pairs.values()) == {0.0}


def test_designs_without_a_number_are_left_out() -> None:
    values = (centered("a") + 2 * centered("b")).astype(float)
    values[CODES["d"] == 0] = np.nan
    found = importance(CODES, values)
    assert [found.main["a"], found.main["b"]] == pytest.approx([0.2, 0.8], abs=0.003)


def test_one_design_has_no_variance() -> None:
    found = importance({"a": np.array([3])}, np.array([7.0]))
    assert found.main == {"a": 0.0} and found.pairs == {}
