"""The time that is left: by the pace so far, smoothed, and never below zero."""

from __future__ import annotations

import pytest

from toolchain.remaining import Remaining


def test_an_even_pace_is_told_exactly() -> None:
    remaining = Remaining(now=100.0)
    assert [remaining.seconds(done, 10, 100.0 + 2 * done) for done in range(1, 11)] == pytest.approx(
        [18, 16, 14, 12, 10, 8, 6, 4, 2, 0]
    )


def test_parts_that_were_there_before_took_no_time() -> None:
    assert Remaining(done=50, now=0.0).seconds(60, 100, 5.0) == pytest.approx(20)


def test_a_long_part_moves_the_end_a_little_and_then_more() -> None:
    """After nine parts of a second each, one of ten seconds: the mean so far says 19 for 9 s left."""
    remaining = Remaining(now=0.0)
    for done in range(1, 10):
        remaining.seconds(done, 20, float(done))
    jumped = remaining.seconds(10, 20, 19.0)
    assert 1 < jumped < 14, "between what was expected before, 1 s, and the mean, 19 s"
    assert remaining.seconds(11, 20, 20.0) < 19 / 11 * 9 + 2


@pytest.mark.parametrize(("done", "total", "now"), [(0, 10, 5.0), (10, 10, 5.0), (11, 10, 5.0), (5, 10, 0.0)])
def test_nothing_is_left_of_work_that_is_done_or_not_begun(done: int, total: int, now: float) -> None:
    assert Remaining(now=0.0).seconds(done, total, now) == 0.0


def test_no_time_below_zero_is_left() -> None:
    remaining = Remaining(now=0.0)
    remaining.seconds(9, 10, 1.0)
    assert remaining.seconds(9.5, 10, 100.0) >= 0.0
