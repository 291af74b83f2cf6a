"""Exhaustive searches of so many designs that their study keeps the front and a sample."""

from __future__ import annotations

import csv
import re
import sqlite3
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dse import embedded, report, store
from dse.batch import Batch, decode, drawn, encode
from dse.explore import run
from dse.problem import MESH, Problem
from dse.progress import Silent
from dse.space import MOST_KEPT, SAMPLED
from dse.store import StudyError
from dse.study import Study, open_study
from tests.dse import toy
from tests.dse.toy import LARGE

TIGHT = LARGE.replace("max: 500", "max: 300")


@cache
def whole() -> Batch:
    problem = toy.problem(LARGE)
    return problem.evaluate(np.arange(problem.space.size))


@pytest.fixture(scope="module")
def thin(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run(toy.problem(LARGE), tmp_path_factory.mktemp("thin"), workers=1)


def unable(text: str = LARGE) -> Problem:
    """The problem without anything that evaluates."""
    return replace(toy.problem(text), evaluators={})


class Stops(Silent):
    """Interrupts a search after some batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def advance(self, done: int, feasible: int, front: int) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_the_front_and_all_counts_are_those_of_every_design(thin: Study) -> None:
    every = whole()
    assert len(every) == 1_024_000 > MOST_KEPT and thin.exact and thin.complete
    best = toy.problem(LARGE).front(every)
    assert thin.front.indices.tolist() == best.indices.tolist()
    assert thin.front.metrics.tobytes() == best.metrics.tobytes()
    assert thin.evaluated == len(every) and thin.feasible == int(every.feasible.sum())
    assert thin.infeasible == every.reason_counts()
    assert thin.built == int(every.built.sum()) > thin.feasible


def test_a_page_counts_what_breaks_a_constraint_among_all_designs(thin: Study) -> None:
    counts = embedded.of_study(thin)["counts"]
    broken = whole().built & ~whole().feasible
    assert counts["excluded"] == int(broken.sum()) > counts["excluded_shown"] > 0
    assert len(thin.sample_built(2000)) == pytest.approx(2000, rel=0.1)
    places = thin.sample_built(2000).indices
    assert places.max() > 0.9 * thin.space.size  # of all of the space, not of its beginning


def test_the_sample_is_of_designs_of_all_kinds_and_has_their_numbers(thin: Study) -> None:
    kept = np.concatenate([batch.indices for batch in thin.batches()])
    assert thin.kept == len(kept) == pytest.approx(SAMPLED, rel=0.02)
    assert kept.tolist() == np.flatnonzero(drawn(np.arange(len(whole())), SAMPLED / len(whole()))).tolist()
    for batch in thin.batches():
        of_all = whole().pick(batch.indices)
        assert batch.metrics.tobytes() == np.ascontiguousarray(of_all.metrics).tobytes() or np.array_equal(
            batch.metrics, of_all.metrics, equal_nan=True
        )
        assert [batch.reasons[n] for n in batch.reason] == [whole().reasons[n] for n in of_all.reason]
    share = np.mean([batch.feasible.mean() for batch in thin.batches()])
    assert share == pytest.approx(whole().feasible.mean(), abs=0.02)
    assert len(thin.sample(1000)) == pytest.approx(1000, rel=0.1)


def test_tables_and_file_are_those_of_the_sample(thin: Study) -> None:
    with (thin.folder / "points.csv").open() as file:
        assert sum(1 for _ in csv.DictReader(file)) == thin.kept
    assert (thin.folder / "study.db").stat().st_size < 6 * SAMPLED * 8 * 4


def test_a_point_that_is_not_kept_is_evaluated_again(thin: Study) -> None:
    missing = int(np.flatnonzero(whole().feasible & ~drawn(whole().indices, SAMPLED / len(whole())))[7])
    row = thin.point(thin.space.point_id(missing))
    assert row["area_um2"] == whole().column("area_um2")[missing] and row["feasible"]
    front = int(thin.front.indices[-1])
    assert thin.point(thin.space.point_id(front))["area_um2"] == whole().column("area_um2")[front]


def test_a_point_of_an_unfinished_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(toy.problem(LARGE), tmp_path, workers=1, progress=Stops(1))
    with open_study(tmp_path, families=toy.FAMILIES) as study:
        last = study.space.point_id(study.space.size - 1)
        message = f"{tmp_path}: point must be one that was evaluated, and {last} was not"
        with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
            study.point(last)


def test_a_front_that_stays_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the number of batches that it is of: the file is that of a search that wrote it every time."""
    written: list[int] = []
    put, encoded = store.Store._put_front, store.encode
    monkeypatch.setattr(store, "encode", lambda batch: written.append(len(batch)) or encoded(batch))
    run(toy.problem(LARGE), tmp_path / "once", workers=1).close()
    once = len(written)

    def again(self: store.Store, batches: int, front: Batch) -> None:
        self._front = None
        put(self, batches, front)

    monkeypatch.setattr(store.Store, "_put_front", again)
    run(toy.problem(LARGE), tmp_path / "again", workers=1).close()
    found = []
    for name in ("once", "again"):
        with sqlite3.connect(tmp_path / name / "study.db") as file:
            found.append(
                [file.execute(f"SELECT * FROM {table}").fetchall() for table in ("batches", "front")]
            )
        file.close()
    assert found[0] == found[1]
    assert len(written) - once == len(found[1][0]) + 1 > once  # and one at the end


def test_a_report_of_a_sample_has_no_curve_over_evaluations(thin: Study) -> None:
    assert "or the study keeps a sample of its points." in report.html(thin)


@pytest.mark.parametrize("batches", [1, 4])
def test_an_interrupted_search_goes_on_where_it_was(batches: int, thin: Study, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(toy.problem(LARGE), tmp_path, workers=1, progress=Stops(batches))
    problem, asked = toy.problem(LARGE), []

    def judge(columns: object, shape: tuple[int, ...]) -> object:
        asked.append(int(np.prod(shape)))
        return problem.evaluators["toy"](columns, shape)  # type: ignore[arg-type]

    with run(replace(problem, evaluators={"toy": judge}), tmp_path, workers=1) as study:  # type: ignore[dict-item]
        assert study.digest() == thin.digest() and study.summary()["front"] == thin.summary()["front"]
    assert sum(asked) <= thin.space.size - batches * MESH / 2 and sum(asked) > 0


def test_two_workers_keep_the_same(thin: Study, tmp_path: Path) -> None:
    with run(toy.problem(LARGE), tmp_path, workers=2) as study:
        assert study.digest() == thin.digest()
    assert (tmp_path / "points.csv").read_bytes() == (thin.folder / "points.csv").read_bytes()


def test_other_limits_begin_anew(tmp_path: Path) -> None:
    with run(toy.problem(LARGE), tmp_path / "changed", workers=1) as study:
        before = study.digest()
    with run(toy.problem(TIGHT), tmp_path / "changed", workers=1) as study:
        changed = study.digest()
    with run(toy.problem(TIGHT), tmp_path / "new", workers=1) as study:
        assert study.digest() == changed != before
    searched = toy.problem(LARGE)
    other = replace(searched, space=searched.space.searched(method="random", budget=500))
    # A budget of the whole space is an exhaustive search, whatever is asked for: this one is smaller.
    with run(other, tmp_path / "changed") as study:
        assert study.evaluated == study.kept == 500


def test_another_budget_does_not_begin_anew(tmp_path: Path) -> None:
    with run(toy.problem(LARGE), tmp_path, workers=1) as study:
        before = (study.digest(), study.front.indices.tolist())
    with run(unable(LARGE.replace("budget: 10000000", "budget: 20000000")), tmp_path, workers=1) as study:
        assert (study.digest(), study.front.indices.tolist()) == before


def test_a_lost_front_is_refused(tmp_path: Path) -> None:
    run(toy.problem(LARGE), tmp_path, workers=1).close()
    with sqlite3.connect(tmp_path / "study.db") as file:
        file.execute("DELETE FROM front")
    file.close()
    message = (
        f"{tmp_path}/study.db: study must be undamaged, and it is not (its front does not match its batches); restore "
        "it from a copy or explore into another folder"
    )
    for action in (
        lambda: run(unable(), tmp_path, workers=1),
        lambda: open_study(tmp_path, families=toy.FAMILIES).front,
    ):
        with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
            action()


def test_a_front_that_lacks_the_last_batch_is_refused(tmp_path: Path) -> None:
    """Batch and front are of one transaction: one without the other is damage."""
    run(toy.problem(LARGE), tmp_path, workers=1).close()
    kept = store.load(tmp_path)
    front, count = kept.only_front(), kept.count()
    with kept._connection:
        kept._put_front(count - 1, front)
    kept.close()
    with pytest.raises(StudyError, match=r"its front does not match its batches"):
        run(unable(), tmp_path, workers=1)


def test_the_share_of_a_search_that_is_kept() -> None:
    space = toy.space(LARGE)
    assert space.share == SAMPLED / 1_024_000
    assert space.searched(method="random", budget=900).share == 1.0
    assert toy.space(LARGE.replace("[1, 4000]", "[1, 3906]")).share == 1.0  # 999,936 designs


def test_a_header_counts_what_a_payload_leaves_out() -> None:
    batch = whole().pick(np.arange(40_000, 60_000))
    again = decode(*encode(batch, 0.1))
    assert again.indices.tolist() == batch.indices[drawn(batch.indices, 0.1)].tolist()
    assert 1500 < len(again) < 2500
    import json

    facts = json.loads(encode(batch, 0.1)[0])
    assert (facts["points"], facts["kept"]) == (20_000, len(again))
    assert facts["counts"] == batch.reason_counts()


def test_a_smaller_share_is_a_part_of_a_larger_one() -> None:
    indices = np.arange(100_000)
    small, large = drawn(indices, 0.01), drawn(indices, 0.1)
    assert (large | ~small).all() and 900 < small.sum() < 1100 and 9900 < large.sum() < 10_100
    assert drawn(indices, 1.0).all()
