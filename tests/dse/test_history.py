"""Hypervolume over evaluations."""

from __future__ import annotations

import numpy as np
import pytest

from dse.history import MARGIN, MOST_POINTS, Frame, cuts, history

FRONT = np.array([[0.0, 1.0], [1.0, 0.0]])


def test_shares_by_hand() -> None:
    """The box is 1.1 by 1.1: one end of the front covers 1.1 x 0.1 of it, both 0.21."""
    found = history([(1, FRONT[:1]), (1, FRONT[:0]), (3, FRONT[1:])], FRONT, 5)
    assert found.evaluations == (1, 2, 5)
    assert found.shares == pytest.approx((0.11 / 1.21, 0.11 / 1.21, 0.21 / 1.21))
    assert not found.thinned and MARGIN == 0.1


def test_a_curve_never_falls() -> None:
    points = np.random.default_rng(3).random((4000, 3))
    pieces = [points[start:end] for _, start, end in cuts([4000])]
    from dse.pareto import front_mask

    found = history([(len(piece), piece) for piece in pieces], points[front_mask(points)], 4000)
    assert list(found.shares) == sorted(found.shares) and found.evaluations[-1] == 4000
    assert 20 < len(found.evaluations) <= 40


@pytest.mark.parametrize("sizes", [[10], [3, 3, 4], [1] * 10, [0, 10, 0]])
def test_cuts_cover_every_point_once(sizes: list[int]) -> None:
    rows = [(number, row) for number, start, end in cuts(sizes) for row in range(start, end)]
    assert rows == [(number, row) for number, size in enumerate(sizes) for row in range(size)]


def test_a_front_of_one_point_or_of_equal_ones_has_a_box() -> None:
    for front in (np.array([[2.0, 3.0]]), np.array([[0.0, 0.0]]), np.array([[5.0]])):
        share, thinned = Frame.of(front).share(front)
        assert 0 < share <= 1.0000001 and not thinned


def test_a_large_front_is_thinned_and_says_so() -> None:
    at = np.linspace(0, 1, 3000)
    front = np.stack([at, 1 - at, np.full(3000, 0.5)], axis=1)
    share, thinned = Frame.of(front).share(front)
    exact = Frame.of(front[:, :2]).share(front[:, :2])[0]
    assert thinned and share == pytest.approx(exact, rel=0.01) and share < exact


def test_too_many_objectives_are_refused() -> None:
    front = np.zeros((2, 5))
    with pytest.raises(ValueError, match=r"^Objectives must be at most 4 for a hypervolume, not 5$"):
        Frame.of(front).share(front)
    assert max(MOST_POINTS) == 4
