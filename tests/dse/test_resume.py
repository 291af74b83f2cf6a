"""A study goes on under another search, other constraints and objectives, from what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dse import search, store
from dse.explore import front, run
from dse.progress import Silent
from dse.store import StudyError
from tests.dse import toy
from tests.dse.test_study import NSGA2, RANDOM, acknowledged, reopened
from tests.dse.toy import TEXT, changed


@pytest.mark.parametrize("text", [TEXT, NSGA2, RANDOM], ids=["exhaustive", "nsga2", "random"])
@pytest.mark.parametrize(
    "pair",
    [
        ("max: 500", "max: 700"),
        ("max: 500", "max: 300"),
        ("constraints: {area_um2: {max: 500}}", "constraints: {flip_flops: {min: 4, max: 30}}"),
        ("constraints: {area_um2: {max: 500}}\n", ""),
    ],
    ids=["looser", "tighter", "another", "none"],
)
def test_stored_points_are_judged_by_other_constraints(
    text: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    run(toy.problem(text), tmp_path).close()
    now = toy.problem(text.replace(*pair))
    with run(now, tmp_path) as study:
        for batch in study.batches():
            fresh = now.evaluate(batch.indices)
            assert np.array_equal(batch.metrics, fresh.metrics, equal_nan=True)
            reasons = [[found.reasons[code] for code in found.reason] for found in (batch, fresh)]
            assert reasons[0] == reasons[1]
        facts = (study.digest(), study.infeasible, front(study))
    with reopened(tmp_path) as again:
        assert (again.digest(), again.infeasible, front(again)) == facts
    assert (tmp_path / "space.yaml").read_text() == now.space.text


def test_other_constraints_on_a_whole_space_are_as_if_it_had_been_started_with_them(tmp_path: Path) -> None:
    looser = changed(("max: 500", "max: 700"))
    run(toy.problem(), tmp_path / "a").close()
    with run(toy.problem(looser), tmp_path / "a") as one, run(toy.problem(looser), tmp_path / "b") as two:
        assert (one.digest(), one.infeasible, front(one)) == (two.digest(), two.infeasible, front(two))
    for name in ("front.csv", "points.csv", "space.yaml"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("method", ["nsga2", "random"])
def test_a_raised_budget_adds_to_what_is_there(method: str, tmp_path: Path) -> None:
    text = changed(("auto", method), ("budget: 100000", "budget: 400"))
    with run(toy.problem(text), tmp_path) as study:
        before = [index for batch in study.batches() for index in batch.indices.tolist()]
        goals = study.objectives(study.front)
    more = text.replace("budget: 400", "budget: 900")
    with run(toy.problem(more), tmp_path) as study:
        now = [index for batch in study.batches() for index in batch.indices.tolist()]
        assert now[:400] == before and len(now) == len(set(now)) == 900
        better = study.objectives(study.front)
        assert all((better <= goal).all(axis=1).any() for goal in goals), "the front became worse"
        digest = study.digest()
    with run(toy.problem(more), tmp_path) as study:  # nothing is left to do
        assert study.digest() == digest and study.evaluated == 900
    with run(toy.problem(text), tmp_path) as study:  # a lowered budget takes nothing away
        assert study.digest() == digest and study.evaluated == 900
    with run(toy.problem(changed(("auto", "auto"))), tmp_path) as study:
        assert study.exact and study.evaluated == 1664


def test_a_search_interrupted_after_its_budget_was_raised_goes_on(tmp_path: Path) -> None:
    text = changed(("auto", "nsga2"), ("budget: 100000", "budget: 400"))
    more = text.replace("budget: 400", "budget: 900")
    for name in ("whole", "cut"):
        run(toy.problem(text), tmp_path / name).close()
    with run(toy.problem(more), tmp_path / "whole") as study:
        expected = study.digest()
    with pytest.raises(KeyboardInterrupt):
        run(toy.problem(more), tmp_path / "cut", progress=Stops(after=2))
    assert 400 < len(acknowledged(tmp_path / "cut")) < 900
    with run(toy.problem(more), tmp_path / "cut") as study:
        assert study.digest() == expected


def test_a_search_that_asks_for_other_points_than_are_stored_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = toy.problem(changed(("auto", "nsga2"), ("budget: 100000", "budget: 400")))
    with pytest.raises(KeyboardInterrupt):
        run(problem, tmp_path, progress=Stops(after=2))
    asks = search.dependent

    def otherwise(*given: Any) -> Any:
        steps = asks(*given)
        indices = next(steps)
        while True:
            indices = steps.send((yield indices[::-1]))

    monkeypatch.setattr(search, "dependent", otherwise)
    with pytest.raises(
        StudyError, match="study must hold the points its search asks for, and it holds others"
    ):
        run(problem, tmp_path)


class Stops(Silent):
    """Ctrl-C after some batches."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, done: int, feasible: int, front: int) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_other_objectives_find_another_front_among_the_same_points(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as study:
        digest = study.digest()
    now = toy.problem(changed(("{area_um2: min,", "{energy_pj_per_token: min, flip_flops: min,")))
    with run(now, tmp_path) as study:
        whole = now.evaluate(np.arange(now.space.size))
        assert study.digest() == digest
        assert study.front.indices.tolist() == now.front(whole).indices.tolist()
    with reopened(tmp_path) as study:
        assert study.front.indices.tolist() == now.front(whole).indices.tolist()


def test_a_change_that_is_killed_halfway_is_not_there(tmp_path: Path) -> None:
    with run(toy.problem(NSGA2), tmp_path) as study:
        expected = study.digest()
    kept = store.load(tmp_path)
    judged = 0

    def dying(batch: Any) -> Any:
        nonlocal judged
        judged += 1
        if judged == 5:
            raise KeyboardInterrupt
        return toy.problem(changed(("max: 500", "max: 3"))).judged(batch)

    with pytest.raises(KeyboardInterrupt):
        kept.amend(kept.facts(), dying)
    kept.close()
    with reopened(tmp_path) as study:
        assert study.digest() == expected
