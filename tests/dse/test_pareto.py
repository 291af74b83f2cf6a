from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from dse import pareto
from ternforge.rooms import ROOMS


def brute(points: pareto.Floats) -> list[bool]:
    """The definition, pair by pair."""
    keep = [not np.isnan(point).any() for point in points]
    for one, other in itertools.permutations(range(len(points)), 2):
        if (points[other] <= points[one]).all() and (points[other] < points[one]).any():
            keep[one] = False
    return keep


@pytest.mark.parametrize("axes", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("size", [0, 1, 2, 300])
def test_distinct_rows_are_those_of_numpy(axes: int, size: int) -> None:
    rows = np.random.default_rng(axes + size).integers(-2, 3, (size, axes)).astype(float)
    unique, inverse = pareto.unique_rows(rows)
    expected, numbers = np.unique(rows, axis=0, return_inverse=True)
    assert np.array_equal(unique, expected) and np.array_equal(inverse, numbers.reshape(-1))


def test_no_room_compares_structured_arrays() -> None:
    """NumPy turns an interrupt in such a comparison into a TypeError, which would end a study as an internal error."""
    root = Path(pareto.__file__).parents[1]
    files = [file for room in (*ROOMS, "ternforge") for file in (root / room).rglob("*.py")]
    assert len(files) > 100
    assert not [str(file) for file in files if re.search(r"np\.unique\([^()]*axis=", file.read_text("utf-8"))]


@pytest.mark.parametrize("axes", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("levels", [3, 10, 1000])
def test_front_equals_the_definition(axes: int, levels: int) -> None:
    random = np.random.default_rng(axes * levels)
    for size in (1, 2, 7, 60, 150):
        points = random.integers(0, levels, (size, axes)).astype(float)
        assert pareto.front_mask(points).tolist() == brute(points)


@pytest.mark.parametrize("axes", [2, 3, 4])
def test_front_over_several_blocks_equals_the_definition_on_a_sphere(axes: int) -> None:
    random = np.random.default_rng(axes)
    directions = np.abs(random.normal(size=(3000, axes)))
    points = 1 - directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert pareto.front_mask(points).all()
    inside = np.concatenate([points + 0.01, points])
    assert pareto.front_mask(inside).tolist() == [False] * 3000 + [True] * 3000


@pytest.mark.parametrize("axes", [2, 3, 4])
def test_front_with_many_ties_equals_the_definition(axes: int) -> None:
    """Integer points near a plane: nearly all are on the front, and many share a coordinate."""
    random = np.random.default_rng(axes)
    points = random.integers(0, 12, (700, axes)).astype(float)
    points[:, -1] = np.maximum(0, 20 - points[:, :-1].sum(axis=1)) + random.integers(0, 2, 700)
    below = np.all(points[None] <= points[:, None], axis=-1) & np.any(points[None] < points[:, None], axis=-1)
    assert pareto.front_mask(points).tolist() == np.logical_not(np.any(below, axis=1)).tolist()


def test_equal_points_are_all_kept_and_nan_never() -> None:
    points = np.array([[1.0, 2.0, 3.0], [np.nan, 0.0, 0.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.1]])
    assert pareto.front_mask(points).tolist() == [True, False, True, False]


def test_empty_input_has_an_empty_front() -> None:
    assert pareto.front_mask(np.zeros((0, 3))).tolist() == []
    assert pareto.sort_fronts(np.zeros((0, 2))).tolist() == []


def test_infinite_values_are_compared_like_others() -> None:
    points = np.array([[np.inf, 0.0], [1.0, 1.0], [2.0, np.inf]])
    assert pareto.front_mask(points).tolist() == [True, True, False]


def test_oriented_turns_maxima_around() -> None:
    both = pareto.oriented([np.array([1.0, 2.0]), np.array([3.0, 4.0])], ["min", "max"])
    assert both.tolist() == [[1.0, -3.0], [2.0, -4.0]]


def test_sort_fronts_peels_front_after_front() -> None:
    points = np.array([[0.0, 3.0], [3.0, 0.0], [1.0, 4.0], [4.0, 4.0], [2.0, 3.5]])
    assert pareto.sort_fronts(points).tolist() == [0, 0, 1, 2, 1]


def test_crowding_prefers_ends_and_gaps() -> None:
    points = np.array([[0.0, 4.0], [1.0, 3.0], [3.0, 1.0], [4.0, 0.0]])
    assert pareto.crowding(points).tolist() == [np.inf, 1.5, 1.5, np.inf]


def cells(points: pareto.Floats, limit: int) -> int:
    """Hypervolume of integer points by counting unit cells."""
    grid = np.stack(np.meshgrid(*[np.arange(limit)] * points.shape[1], indexing="ij"), -1)
    cells = grid.reshape(-1, points.shape[1])
    return int((cells[:, None, :] >= points[None]).all(-1).any(-1).sum())


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_hypervolume_equals_counted_cells(axes: int) -> None:
    random = np.random.default_rng(axes)
    for size in (1, 5, 20):
        points = random.integers(0, 8, (size, axes)).astype(float)
        assert pareto.hypervolume(points, [8.0] * axes) == cells(points, 8)


def test_hypervolume_ignores_points_beyond_the_reference() -> None:
    assert pareto.hypervolume(np.array([[1.0, 1.0], [0.0, 9.0]]), [3.0, 3.0]) == 4.0
    assert pareto.hypervolume(np.array([[5.0, 5.0]]), [3.0, 3.0]) == 0.0


def test_hypervolume_refuses_a_reference_of_another_size() -> None:
    with pytest.raises(ValueError, match=r"^Reference must have one number per objective \(2\), not 3$"):
        pareto.hypervolume(np.array([[1.0, 1.0]]), [3.0, 3.0, 3.0])


def test_knee_is_nearest_to_the_ideal() -> None:
    front = np.array([[0.0, 100.0], [2.0, 20.0], [10.0, 0.0]])
    assert pareto.knee(front) == 1
    assert pareto.knee(front * [1.0, 1e6]) == 1  # units do not matter


def test_knee_of_one_point_is_that_point_and_of_none_is_refused() -> None:
    assert pareto.knee(np.array([[3.0, 4.0]])) == 0
    with pytest.raises(ValueError, match=r"^A front must have at least one point to have a knee, not 0$"):
        pareto.knee(np.zeros((0, 2)))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["random", "few values", "one line", "equal"])
def test_a_sieve_keeps_every_point_of_the_front(objectives: int, kind: str) -> None:
    random = np.random.default_rng([objectives, len(kind)])
    points = random.random((4000, objectives))
    if kind == "few values":
        points = np.round(points * 6)
    elif kind == "one line":
        points[:, -1] = -points[:, 0]
    elif kind == "equal":
        points[:] = points[0]
    points[::97] = np.nan
    front = pareto.front_mask(points)
    for strong in (points[:0], points[front], points[front][:5] - 0.01, np.full((1, objectives), np.inf)):
        kept = pareto.sieve(points, strong)
        both = np.concatenate([points, strong])
        needed = np.flatnonzero(pareto.front_mask(both)[: len(points)])
        assert np.isin(needed, kept).all()
        assert not np.isnan(points[kept]).any() and (np.diff(kept) > 0).all()


def test_a_sieve_leaves_out_most_of_what_is_dominated() -> None:
    points = np.random.default_rng(1).random((20_000, 3)) + 0.1
    front = points[pareto.front_mask(points)]
    assert len(front) <= len(pareto.sieve(points, front[:0])) < len(points) / 20
    assert len(pareto.sieve(points, front - 0.02)) < len(front) / 2
    assert len(pareto.sieve(points, np.zeros((1, 3)))) == 0
