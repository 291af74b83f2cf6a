"""docs/searches.md is what its script writes of what was measured, and evaluations are counted right."""

from __future__ import annotations

import dataclasses
import importlib.util
from functools import cache

import numpy as np
import pytest

from benchmarks.searches import measure, page, runs, spaces
from benchmarks.searches.spaces import Enumerated
from dse.pareto import hypervolume
from dse.searches.methods import DEFAULT
from tests.dse import toy
from tests.dse.test_search import whole

RESULTS = runs.measured()


@cache
def known() -> Enumerated:
    problem = toy.problem(toy.changed(("{log2: [1, 4096]}", "{log2: [1, 256]}")))
    return Enumerated(problem, whole(problem))


def test_the_tables_are_what_the_script_writes() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.page(text, RESULTS) == text


@pytest.mark.parametrize("name", ["hyperparameters", "spaces", "measured", "sensitivity"])
def test_a_page_without_marks_is_refused(name: str) -> None:
    text = page.PAGE.read_text(encoding="utf-8").replace(f"<!-- /{name} -->", "")
    with pytest.raises(ValueError, match=rf"searches\.md must have the marks of {name} once, not 0 times$"):
        page.page(text, RESULTS)


def test_everything_was_run_with_every_seed() -> None:
    counts = {(job.space, job.label): job.seeds for job in runs.jobs()}
    assert {(space, label): len(RESULTS["runs"][space][label]) for space, label in counts} == counts


@pytest.mark.parametrize("space", spaces.SPACES)
@pytest.mark.parametrize("place", range(len(measure.SHARES)))
def test_the_default_needs_no_more_evaluations_than_the_best_peer(space: str, place: int) -> None:
    ours = page.typical(RESULTS["runs"][space][DEFAULT], place)
    assert ours <= page.best_peer(RESULTS, space, place) and ours < float("inf")


@pytest.mark.parametrize("space", spaces.SPACES)
def test_a_run_of_the_page_can_be_had_again(space: str) -> None:
    """The first seed of a cheap search, on the space as it is now."""
    again = spaces.enumerated(space)
    assert RESULTS["spaces"][space]["designs"] == len(again.every)
    assert RESULTS["spaces"][space]["front"] == again.front
    job = runs.Job(space, "random", 1, runs.BUDGET)
    assert job.run(again, 0) == RESULTS["runs"][space]["random"][0]


def test_the_exact_hypervolume_is_that_of_the_front() -> None:
    found = known()
    best = found.problem.front(found.every)
    goals = found.problem.objectives(best)
    low, high = goals.min(axis=0), goals.max(axis=0)
    assert found.exact == pytest.approx(hypervolume((goals - low) / (high - low), [1.1, 1.1]))
    assert found.front == len(np.unique(goals, axis=0)) == len(set(found.members.tolist()) - {-1})


def test_evaluations_are_counted_to_the_first_that_reaches_a_share() -> None:
    found = known()
    asked = np.random.default_rng(1).permutation(len(found.every))
    for share, count in zip(measure.SHARES, measure.needed(found, asked), strict=True):
        assert count is not None
        assert found.volume(asked[:count]) >= share * found.exact * (1 - 1e-9)
        assert found.volume(asked[: count - 1]) < share * found.exact * (1 - 1e-9)
    assert measure.needed(found, asked[:1])[-1] is None


def test_a_run_ends_with_the_exact_front() -> None:
    found = known()
    asked = measure.order(found, "nsga2", 1, 900, {"population": 16})
    assert len(asked) < 900 and measure.needed(found, asked)[-1] is not None
    assert len(measure.order(found, "random", 1, 20, {})) == 20


@pytest.mark.parametrize("name", runs.PEERS)
def test_peers_are_asked_for_their_budget(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed here")
    found, run = known(), runs.PEERS[name][0]
    asked = run(found, 1, 70)
    assert len(asked) == len(set(asked.tolist())) == 70
    assert asked.min() >= 0 and asked.max() < len(found.every)
    assert not np.array_equal(asked, run(found, 2, 70)) and np.array_equal(asked, run(found, 1, 70))


def test_texts_of_runs() -> None:
    some: page.Runs = [[10, None, None], [30, 50, None], [20, 70, None], [40, None, 90]]
    assert page.text_of(some, 0, 100) == "**25** (20 to 30)"
    assert page.text_of(some, 1, 100) == "> 100 (2 of 4)"
    assert page.text_of(some[1:], 1, 100) == "**70** (50 to > 100; 2 of 3)"
    assert page.ratio({"m": [[1, 20, 3]], "m x=1": [[1, 30, 3]]}, "m", "m x=1") == "1.50"
    assert page.ratio({"m": [[1, 20, 3]], "m x=1": [[1, None, 3]]}, "m", "m x=1") == "> 100.0"
    assert page.ratio({"m": [[1, None, 3]], "m x=1": [[1, None, 3]]}, "m", "m x=1") == "-"


def test_only_what_is_missing_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    left = dataclasses.replace(next(runs.jobs()), seeds=2, method="random", budget=5)
    monkeypatch.setattr(runs, "jobs", lambda: iter([left]))
    monkeypatch.setattr(runs, "enumerated", lambda _: known())
    monkeypatch.setattr(runs, "FILE", tmp_path / "found.json")  # type: ignore[operator]
    monkeypatch.setattr(runs.metadata, "version", lambda _: "1")
    results = runs.measured()
    runs.measure_all(results)
    assert len(runs.measured()["runs"][left.space]["random"]) == 2
    monkeypatch.setattr(runs, "enumerated", lambda _: pytest.fail("everything is there"))
    runs.measure_all(runs.measured())
