"""The front promoted under a budget: what is measured, what it corrects, where numbers are from, what goes on."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import json
import re
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from dse import comparison, report, store
from dse.explore import front, run
from dse.fidelity import child
from dse.fidelity.levels import LEVELS, Level
from dse.fidelity.promote import Limits, promote, spread
from dse.fidelity.promotion import Promotion
from dse.fidelity.request import Request
from dse.merge import merge
from dse.shard import Shard
from dse.store import StudyError
from dse.study import Study
from tests.dse import toy
from tests.dse.test_study import reopened
from tests.dse.toy import changed
from tests.dse.toy_levels import levels

SMALL = changed(
    ("{range: [1, 32]}", "{range: [1, 6]}"),
    ("{log2: [1, 4096]}", "[1, 4]"),
    ("[false, true]", "[false]"),
    ("max: 500", "max: 12"),
)
Measure = Callable[..., Promotion]


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Measurements in this process, where they take no time; those that were asked for."""
    calls: list[tuple[int, str]] = []

    def measure(level: str, request: Request, *, timeout_s: float, memory_mib: int) -> Promotion:
        calls.append((request.point, level))
        module, _, name = request.function.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)(request)
        except ValueError as problem:
            return Promotion(request.point, level, {}, log=f"{problem}\nthe tail")
        return Promotion(request.point, level, found.metrics, request.known, found.cycles)

    monkeypatch.setattr(child, "measure", measure)
    return calls


def climb(folder: Path, budget: float = 1000, chosen: Sequence[Level] = levels(), **options: Any) -> Study:
    return promote(folder, Limits(budget), levels=chosen, families=toy.FAMILIES, **options)


def explored(folder: Path, text: str = SMALL) -> Study:
    return run(toy.problem(text), folder)


def test_the_front_is_measured_and_its_numbers_say_where_they_are_from(tmp_path: Path) -> None:
    with explored(tmp_path) as study:
        before = {row["id"]: row for row in front(study)}
        assert {row["level"] for row in before.values()} == {"analytic"}
    with climb(tmp_path) as study:
        rows = front(study)
        assert rows and all(
            row["level"].startswith("synthesized: area_um2; simulated: tokens_per_second; ") for row in rows
        )
        for row in rows:
            if row["id"] in before:
                old = before[row["id"]]
                assert row["area_um2"] == pytest.approx(old["area_um2"] * 1.3 * row["width"] ** 0.5)
                assert row["tokens_per_second"] == pytest.approx(old["tokens_per_second"] * 0.9)
                assert row["flip_flops"] == old["flip_flops"]
        summary = study.summary()
        assert json.loads(json.dumps(summary))["fidelity"]["levels"]["synthesized"]["failed"] == 0
        assert summary["knee"] in {row["id"] for row in rows}
    with (tmp_path / "front.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["level"] for row in table] == [row["level"] for row in rows]
    assert float(table[0]["area_um2"]) == rows[0]["area_um2"]


def test_corrections_bring_designs_onto_the_front_which_are_measured_too(
    tmp_path: Path, asked: list[tuple[int, str]]
) -> None:
    # In truth wide designs are larger than the formulas say, so that others are on the front.
    with explored(tmp_path) as study:
        first = set(study.front.indices.tolist())
        truth = _truth(study)
    with climb(tmp_path) as study:
        found = study.ladder.corrections["synthesized", "area_um2"]
        assert found.used and found.after < found.before
        assert {row["id"] for row in front(study)} == truth
        measured = {point for point, level in asked if level == "synthesized"}
        assert measured > first or truth <= {study.space.point_id(point) for point in first}
        rest = next(
            row
            for row in study.rows(next(study.batches()))
            if row["id"] not in map(study.space.point_id, measured)
        )
        assert "corrected: " in rest["level"]
        exact = dict(zip(_ids(study), _areas(study), strict=True))[rest["id"]]
        assert rest["area_um2"] == pytest.approx(exact, rel=0.15)


def _ids(study: Study) -> list[str]:
    return [study.space.point_id(index) for index in range(study.space.size)]


def _areas(study: Study) -> Any:
    whole = toy.problem(SMALL).evaluate(np.arange(study.space.size))
    return whole.column("area_um2") * 1.3 * study.space.columns(whole.indices)["width"] ** 0.5


def _truth(study: Study) -> set[str]:
    """The front if every design were measured."""
    problem = toy.problem(SMALL)
    whole = problem.evaluate(np.arange(problem.space.size))
    metrics = whole.metrics.copy()
    metrics[:, whole.names.index("area_um2")] = _areas(study)
    metrics[:, whole.names.index("tokens_per_second")] *= 0.9
    best = problem.front(problem.judged(dataclasses.replace(whole, metrics=metrics)))
    return {study.space.point_id(index) for index in best.indices.tolist()}


def test_a_measured_design_that_breaks_a_constraint_leaves_the_front(tmp_path: Path) -> None:
    with explored(tmp_path) as study:
        largest = max(front(study), key=lambda row: row["area_um2"])["id"]
        before = study.infeasible["area_um2 must be at most 12"]
    with climb(tmp_path) as study:
        row = study.point(largest)
        assert row["area_um2"] > 12 and row["reason"] == "area_um2 must be at most 12"
        assert largest not in {row["id"] for row in front(study)}
        assert study.infeasible["area_um2 must be at most 12"] > before
        assert study.feasible == study.evaluated - sum(study.infeasible.values())


def test_the_same_call_measures_nothing_twice(tmp_path: Path, asked: list[tuple[int, str]]) -> None:
    explored(tmp_path).close()
    climb(tmp_path, level="simulated").close()
    assert {level for _, level in asked} == {"simulated"}
    count = len(asked)
    climb(tmp_path, level="simulated").close()
    assert len(asked) == count
    climb(tmp_path).close()
    assert len(asked) == len(set(asked)) > count


def test_an_interrupted_run_goes_on_to_the_same_study(
    tmp_path: Path, asked: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        explored(tmp_path / name).close()
    climb(tmp_path / "a").close()
    inner = child.measure

    def stops(level: str, request: Request, **limits: Any) -> Promotion:
        if len(asked) % 4 == 3:
            asked.append((-1, "interrupted"))
            raise KeyboardInterrupt
        return inner(level, request, **limits)

    monkeypatch.setattr(child, "measure", stops)
    interrupted = 0
    while True:
        try:
            climb(tmp_path / "b").close()
            break
        except KeyboardInterrupt:
            interrupted += 1
    assert interrupted > 2
    with reopened(tmp_path / "a") as one, reopened(tmp_path / "b") as two:
        plain = [
            [dataclasses.replace(each, seconds=0) for each in study.ladder.promotions] for study in (one, two)
        ]
        assert plain[0] == plain[1] and front(one) == front(two)
    assert (tmp_path / "a/front.csv").read_bytes() == (tmp_path / "b/front.csv").read_bytes()


def test_time_that_is_up_is_no_failure(tmp_path: Path, asked: list[tuple[int, str]]) -> None:
    explored(tmp_path).close()
    said: list[str] = []
    climb(tmp_path, 1e-9, note=said.append).close()
    assert asked == []
    assert re.fullmatch(r"time is up with \d+ measurements left; the same command goes on", said[-1])
    with reopened(tmp_path) as study:
        assert study.summary()["fidelity"] is None


def test_progress_counts_and_estimates_once(tmp_path: Path) -> None:
    explored(tmp_path).close()
    said: list[str] = []
    climb(tmp_path, note=said.append).close()
    form = r"\d+ measured, \d+ wait, about \d+ s left"
    assert said and all(re.fullmatch(form, line) for line in said)
    assert [int(line.split()[0]) for line in said] == list(range(1, len(said) + 1))


def test_a_level_that_fails_leaves_the_analytical_number_and_goes_on(
    tmp_path: Path, asked: list[Any]
) -> None:
    explored(tmp_path).close()
    chosen = levels(first="refuse", second="refuse")
    said: list[str] = []
    with climb(tmp_path, chosen=chosen, note=said.append) as study:
        assert study.front.indices.tolist() == study.analytic_front.indices.tolist()
        assert {row["level"] for row in front(study)} == {"analytic"}
        found = study.summary()["fidelity"]
        count = len(study.front)
        assert found["levels"] == {name: {"ok": 0, "failed": count} for name in ("simulated", "synthesized")}
        assert found["failed"][0]["reason"] == "no such cell" and len(found["failed"]) == 2 * count
        assert "the tail" in study.ladder.promotions[0].log
    assert f"{study.space.point_id(asked[0][0])} failed: no such cell" in said
    assert said[-1] == f"{2 * count} measured, {2 * count} failed, 0 wait, about 0 s left"
    climb(tmp_path, chosen=chosen).close()
    assert len(asked) == 2 * count
    with climb(tmp_path, level="simulated", retry=True) as study:
        again = asked[2 * count :]
        assert {(point, "simulated") for point in study.analytic_front.indices.tolist()} <= set(again)
        assert study.summary()["fidelity"]["levels"] == {"simulated": {"ok": len(again), "failed": 0}}


def test_designs_are_measured_spread_over_the_front(tmp_path: Path) -> None:
    with explored(tmp_path) as study:
        order = spread(study)
        assert sorted(order) == study.front.indices.tolist()
        assert study.space.point_id(order[0]) == study.knee
        areas = {int(i): a for i, a in zip(study.front.indices, study.front.column("area_um2"), strict=True)}
        ends = {min(areas, key=areas.__getitem__), max(areas, key=areas.__getitem__)}
        assert ends <= set(order[:3])


def test_exploring_on_keeps_what_was_measured(tmp_path: Path) -> None:
    looser = SMALL.replace("max: 12", "max: 30")
    explored(tmp_path).close()
    with climb(tmp_path) as study:
        facts, digest = study.ladder.promotions, study.digest()
        best = front(study)
    with explored(tmp_path) as study:
        assert (study.ladder.promotions, study.digest(), front(study)) == (facts, digest, best)
    with explored(tmp_path, looser) as study:
        assert study.ladder.promotions == facts
        assert max(row["area_um2"] for row in front(study)) > 12


def test_a_search_is_the_same_whatever_was_measured(tmp_path: Path) -> None:
    for name in "ab":
        explored(tmp_path / name).close()
    climb(tmp_path / "b").close()
    with reopened(tmp_path / "a") as one, reopened(tmp_path / "b") as two:
        assert one.digest() == two.digest()
        assert one.front.indices.tolist() == two.analytic_front.indices.tolist()


def test_merged_shards_bring_what_was_measured(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in (1, 2)]
    for number, folder in enumerate(folders, start=1):
        run(toy.problem(SMALL), folder, shard=Shard(number, 2)).close()
        climb(folder).close()
    with merge(folders, tmp_path / "all", families=toy.FAMILIES) as study:
        count = sum(len(reopened(folder).ladder.promotions) for folder in folders)
        assert len(study.ladder.promotions) == count > 0
        best = front(study)
        assert any("synthesized" in row["level"] for row in best)
    explored(tmp_path / "whole").close()
    with climb(tmp_path / "all") as one, climb(tmp_path / "whole") as two:
        assert one.digest() == two.digest()
        assert {row["id"] for row in front(one)} == _truth(one)


def test_a_page_and_a_comparison_say_what_was_measured(tmp_path: Path) -> None:
    for name in "ab":
        explored(tmp_path / name).close()
    climb(tmp_path / "b").close()
    with reopened(tmp_path / "a") as one, reopened(tmp_path / "b") as two:
        plain, promoted = report.html(one), report.html(two)
        assert 'id="fidelity"' not in plain and "the front is exact" in plain
        assert 'id="fidelity"' in promoted and "the front is exact" not in promoted
        assert "<td>synthesized: area_um2; simulated: tokens_per_second; " in promoted
        rows = comparison.summary(comparison.compare([one, two]))
        assert rows["differs"] == {"levels": ["analytic", "analytic, simulated, synthesized"]}


def test_a_study_without_promotions_has_no_table_of_them(tmp_path: Path) -> None:
    explored(tmp_path).close()
    query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    with sqlite3.connect(tmp_path / "study.db") as connection:
        assert [name for (name,) in connection.execute(query)] == ["batches", "facts", "front"]


@pytest.mark.parametrize("column", ["metrics", "seconds", "log", "status"])
def test_a_damaged_promotion_is_refused(column: str, tmp_path: Path) -> None:
    explored(tmp_path).close()
    climb(tmp_path).close()
    with sqlite3.connect(tmp_path / "study.db") as connection:
        point = connection.execute("SELECT min(point) FROM promotions").fetchone()[0]
        connection.execute(f"UPDATE promotions SET {column} = 7 WHERE point = ?", (point,))
    connection.close()
    message = (
        f"{tmp_path / 'study.db'}: study must be undamaged, and it is not (promotion of design {point} does not match "
        "its checksum); restore it from a copy or explore into another folder"
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        reopened(tmp_path)


def test_what_cannot_be_promoted_is_refused(tmp_path: Path) -> None:
    there = f"{tmp_path / 'study.db'}: study must exist, and there is none; run `ternforge explore` first"
    with pytest.raises(StudyError, match=f"^{re.escape(there)}$"):
        climb(tmp_path)
    explored(tmp_path).close()
    level = "Level must be one of simulated, synthesized, not 'simulate'; did you mean 'simulated'?"
    with pytest.raises(ParamError, match=f"^{re.escape(level)}$"):
        climb(tmp_path, level="simulate")
    for limits, message in (
        ({"budget_s": 0}, "Budget must be above 0 s, not 0"),
        ({"budget_s": 1, "each_s": -2}, "Limit must be above 0 s, not -2"),
        ({"budget_s": 1, "memory_mib": 0}, "Memory must be above 0 MiB, not 0"),
    ):
        with pytest.raises(ParamError, match=f"^{message}$"):
            Limits(**limits)  # type: ignore[arg-type]
    held = store.lock(tmp_path)
    with pytest.raises(StudyError, match=r": study must have one writer, and process \d+ is writing it$"):
        climb(tmp_path)
    held.close()
    assert [level.name for level in LEVELS] == ["simulated", "synthesized"]


@pytest.mark.parametrize(
    ("provenance", "message"),
    [
        (
            {"version": "0.0.1", "technology facts": "a"},
            "study must be promoted by the version that wrote it, 0.0.1, not by ",
        ),
        (
            {"technology facts": "a"},
            "study must be promoted with the numbers of its technology, and none has others now; ",
        ),
    ],
)
def test_a_study_of_other_numbers_is_refused(
    provenance: dict[str, str], message: str, tmp_path: Path
) -> None:
    from blueprint.version import VERSION

    run(toy.problem(SMALL, provenance={"version": VERSION, **provenance}), tmp_path).close()
    with pytest.raises(StudyError, match=re.escape(message)):
        climb(tmp_path)
