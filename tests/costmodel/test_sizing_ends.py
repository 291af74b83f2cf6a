"""The end of the descent of drive strengths: the period, patience, no move left; and what is kept then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from costmodel.groundtruth import sizing


class Descent:
    """A state whose delays are given in advance."""

    delays: tuple[float, ...] = ()
    moves = 10**9
    last: Descent

    def __init__(self, _: Any) -> None:
        self.sizes = np.zeros(1, np.int64)
        self.delay, self.steps, self.aims = 0.0, 0, []
        Descent.last = self

    def time(self) -> float:
        self.delay = self.delays[min(self.steps, len(self.delays) - 1)]
        return self.delay

    def step(self, aim: float, share: float) -> bool:
        self.aims.append(aim)
        if self.steps >= self.moves:
            return False
        self.steps += 1
        self.sizes[0] = self.steps
        return share == 0.2

    def names(self, sizes: Any) -> Any:
        return {("top", "cell"): str(int(sizes[0]))}


@pytest.mark.parametrize(
    ("delays", "moves", "period", "steps", "best", "delay"),
    [
        ((100.0,), 99, 100.0, 0, 0, 100.0),
        ((100.0,), 99, 50.0, 15, 0, 100.0),
        ((100.0, 90.0), 99, 50.0, 16, 1, 90.0),
        ((100.0, 90.0, 95.0, 80.0), 99, 50.0, 18, 3, 80.0),
        ((100.0, 90.0, 80.0), 99, 85.0, 2, 2, 80.0),
        ((100.0, 90.0, 80.0), 99, 90.0, 1, 1, 90.0),
        ((100.0, 90.0), 1, 50.0, 1, 1, 90.0),
        (tuple(1000.0 - n for n in range(400)), 999, 1.0, 300, 300, 700.0),
    ],
)
def test_a_descent_ends_and_keeps_its_fastest_state(
    delays: Any,
    moves: int,
    period: float,
    steps: int,
    best: int,
    delay: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sizing, "_State", Descent)
    monkeypatch.setattr(Descent, "delays", delays)
    monkeypatch.setattr(Descent, "moves", moves)
    graph: Any = None
    found = sizing.size(graph, period)
    assert (Descent.last.steps, found.delay_ps) == (steps, delay)
    assert found.changes == {("top", "cell"): str(best)}


def test_steps_aim_three_percent_below_what_was_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "_State", Descent)
    monkeypatch.setattr(Descent, "delays", (100.0, 98.0, 97.0, 90.0, 90.0))
    monkeypatch.setattr(Descent, "moves", 4)
    graph: Any = None
    sizing.size(graph, 1.0)
    assert Descent.last.aims == pytest.approx([97.0, 97.0, 0.97 * 97.0, 0.97 * 90.0, 0.97 * 90.0])
