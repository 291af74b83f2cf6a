from __future__ import annotations

import csv
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from blueprint.errors import ParamError
from dse import store
from dse.batch import decode, encode
from dse.explore import front, run
from dse.store import StudyError
from dse.study import Study, open_study
from tests.dse import toy
from tests.dse.toy import LARGE, TEXT, changed

ROOT = Path(__file__).resolve().parents[2]
NSGA2 = changed(("auto", "nsga2"), ("budget: 100000", "budget: 1500"))
MEDIUM = LARGE.replace("[1, 4000]", "[1, 900]")  # two batches
LONG = LARGE.replace("[1, 4000]", "[1, 12000]")  # 32 batches
SLOW = NSGA2.replace("seed: 7", "seed: 7, population: 16")
RANDOM = changed(("auto", "random"), ("budget: 100000", "budget: 1500"))


def reopened(folder: Path) -> Study:
    return open_study(folder, families=toy.FAMILIES)


def test_a_batch_survives_the_disk_bit_for_bit() -> None:
    problem = toy.problem()
    for indices in (np.arange(100, 900), np.array([5, 3, 1600]), np.zeros(0, np.int64)):
        batch = problem.evaluate(indices)
        again = decode(*encode(batch))
        assert np.array_equal(again.indices, batch.indices)
        assert again.metrics.tobytes() == batch.metrics.tobytes()
        assert np.array_equal(again.reason, batch.reason)
        assert (again.names, again.reasons) == (batch.names, batch.reasons)


def test_a_study_can_be_read_again(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as study:
        assert study.complete and study.exact
        assert study.evaluated == 1664 == study.feasible + sum(study.infeasible.values())
        facts = (study.digest(), study.infeasible, study.knee, front(study))
    with reopened(tmp_path) as again:
        assert (again.digest(), again.infeasible, again.knee, front(again)) == facts
        json.dumps(again.summary())


def test_the_front_is_the_front_of_the_whole_space(tmp_path: Path) -> None:
    problem = toy.problem()
    whole = problem.evaluate(np.arange(problem.space.size))
    with run(problem, tmp_path) as study:
        assert study.front.indices.tolist() == problem.front(whole).indices.tolist()


def test_tables_hold_every_point(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as study:
        with (tmp_path / "points.csv").open() as file:
            points = list(csv.DictReader(file))
        with (tmp_path / "front.csv").open() as file:
            best = list(csv.DictReader(file))
        assert [row["id"] for row in points] == [f"p{i:06d}" for i in range(1664)]
        assert all((row["feasible"] == "True") == (row["reason"] == "") for row in points)
        assert [row["id"] for row in best] == [row["id"] for row in front(study)]
        assert [row["id"] for row in best if row["knee"] == "True"] == [study.knee]
        assert float(best[0]["area_um2"]) == front(study)[0]["area_um2"]


def test_a_point_is_found_with_its_reason(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as study:
        last = study.point("p001663")
        assert (last["width"], last["depth"], last["reason"]) == (32, 4096, "more than 4096 bits")
        assert last["area_um2"] is None


def test_a_point_that_was_not_evaluated_is_refused(tmp_path: Path) -> None:
    with run(toy.problem(changed(("auto", "random"), ("budget: 100000", "budget: 1"))), tmp_path) as study:
        missing = "p000000" if study.batches().__next__().indices[0] else "p000001"
        message = f"{tmp_path}: point must be one that was evaluated, and {missing} was not"
        with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
            study.point(missing)
        with pytest.raises(
            ParamError, match=r"^Point must be knee or one of p000000 to p001663, not 'p009999'$"
        ):
            study.point("p009999")


@pytest.mark.parametrize("text", [TEXT, NSGA2, RANDOM], ids=["exhaustive", "nsga2", "random"])
def test_one_and_two_workers_give_the_same_study(text: str, tmp_path: Path) -> None:
    digests = set()
    for workers in (1, 2):
        with run(toy.problem(text), tmp_path / str(workers), workers=workers) as study:
            digests.add((study.digest(), study.knee))
    assert len(digests) == 1
    assert (tmp_path / "1/front.csv").read_bytes() == (tmp_path / "2/front.csv").read_bytes()


def test_two_workers_agree_over_many_batches(tmp_path: Path) -> None:
    digests = []
    for workers in (1, 2):
        with run(toy.problem(LARGE), tmp_path / str(workers), workers=workers, points_csv=False) as study:
            digests.append(study.digest())
            assert not (tmp_path / str(workers) / "points.csv").exists()
    assert digests[0] == digests[1]


def test_a_finished_study_is_left_as_it_is(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as study:
        before = study.digest()
    problem = toy.problem()
    broken = type(problem)(problem.space, {}, problem.metrics, problem.provenance)  # evaluates nothing
    with run(broken, tmp_path) as study:
        assert study.digest() == before


def test_a_sample_is_small_feasible_and_always_the_same(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as study:
        sample = study.sample(100)
        assert 60 <= len(sample) <= 100 and sample.feasible.all()
        assert sample.indices.tolist() == study.sample(100).indices.tolist()
        assert len(study.sample(10**6)) == study.feasible


@pytest.mark.parametrize(
    ("pair", "what"),
    [
        (("[1, 32]", "[1, 31]"), "families.toy.width"),
        (
            ("style: [small, fast]", "style: [small]"),
            'families.toy.style (["small", "fast"] then, ["small"] now)',
        ),
        (("k: 64", "k: 128"), "workload"),
        (("technology: none", "technology: asap7"), "technology (none then, asap7 now)"),
    ],
)
def test_a_changed_space_is_refused(pair: tuple[str, str], what: str, tmp_path: Path) -> None:
    run(toy.problem(), tmp_path).close()
    message = (
        f"{tmp_path}: study must be continued with the space it was started with, and this one differs in {what}; "
        "explore into another folder"
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        run(toy.problem(changed(pair)), tmp_path)


def test_other_versions_are_refused(tmp_path: Path) -> None:
    run(toy.problem(), tmp_path).close()
    with pytest.raises(
        StudyError, match=r"this one differs in version \(1 then, 2 now\); explore into another folder$"
    ):
        run(toy.problem(provenance={"version": "2"}), tmp_path)


def test_a_changed_remark_is_not_a_changed_space(tmp_path: Path) -> None:
    run(toy.problem(), tmp_path).close()
    run(toy.problem("# remark\n" + TEXT), tmp_path).close()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    holder = store.lock(tmp_path)
    message = f"{tmp_path}: study must have one writer, and process {os.getpid()} is writing it"
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        run(toy.problem(), tmp_path)
    holder.close()
    run(toy.problem(), tmp_path).close()


def test_a_missing_study_is_refused(tmp_path: Path) -> None:
    message = f"{tmp_path}/study.db: study must exist, and there is none; run `ternforge explore` first"
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        reopened(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = f"{tmp_path}/file/study: study folder must be writable, and it is not: Not a directory"
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        run(toy.problem(), tmp_path / "file/study")


def test_a_truncated_study_is_refused_at_every_length(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as study:
        expected = study.digest()
    whole = (tmp_path / "study.db").read_bytes()
    for length in [0, 1, 511, 4096, *range(5000, len(whole), 4099)]:
        (tmp_path / "study.db").write_bytes(whole[:length])
        with pytest.raises(StudyError, match=r"study\.db: study must be undamaged, and it is not \("):
            reopened(tmp_path).digest()
    (tmp_path / "study.db").write_bytes(whole[:-1])  # which may be a byte of a page's end that holds nothing
    try:
        assert reopened(tmp_path).digest() == expected
    except StudyError as refused:
        assert "study must be undamaged, and it is not (" in str(refused)


def test_a_flipped_bit_is_refused_or_harmless(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as study:
        expected = (study.digest(), study.infeasible, front(study))
    whole = (tmp_path / "study.db").read_bytes()
    dice, refused = random.Random(5), 0
    held = [place for place, byte in enumerate(whole) if byte]  # the rest is mostly the empty end of a page
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[dice.choice(held)] ^= 1 << dice.randrange(8)
        (tmp_path / "study.db").write_bytes(bytes(damaged))
        try:
            with reopened(tmp_path) as study:
                assert (study.digest(), study.infeasible, front(study)) == expected
        except StudyError:
            refused += 1
    assert refused > 120


def test_a_batch_of_other_content_is_refused_at_once(tmp_path: Path) -> None:
    run(toy.problem(NSGA2), tmp_path).close()
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("UPDATE batches SET header = replace(header, '0', '1') WHERE sequence = 2")
    connection.close()
    message = (
        f"{tmp_path}/study.db: study must be undamaged, and it is not (batch 2 does not match its checksum); "
        "restore it from a copy or explore into another folder"
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        reopened(tmp_path)


def test_a_missing_batch_is_refused(tmp_path: Path) -> None:
    run(toy.problem(NSGA2), tmp_path).close()
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("DELETE FROM batches WHERE sequence = 3")
    connection.close()
    with pytest.raises(StudyError, match=r"batches 0 to 16 should be there, but only 16 are"):
        list(reopened(tmp_path).batches())


def test_a_study_in_a_folder_without_writing_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run(toy.problem(), tmp_path) as study:
        expected = study.digest()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with reopened(tmp_path) as study:
        assert study.digest() == expected


def started(folder: Path, text: str, pause: float, workers: int) -> subprocess.Popen[bytes]:
    """A search in a process group of its own that has just begun."""
    code = "import sys; from tests.dse.toy import main; main(*sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), text, str(pause), str(workers)],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    return process


def wait_for_growth(folder: Path) -> None:
    """Until another batch is in a study that somebody is writing."""

    def count() -> int:
        if not (folder / "study.db").exists():
            return 0
        connection = sqlite3.connect(f"file:{folder / 'study.db'}?mode=ro", uri=True)
        try:
            return int(connection.execute("SELECT count(*) FROM batches").fetchone()[0])
        finally:
            connection.close()

    before, deadline = count(), time.monotonic() + 30
    while count() <= before and time.monotonic() < deadline:
        time.sleep(0.01)


def acknowledged(folder: Path) -> list[int]:
    """Indices of all points on disk, in order; none where the study was not even made."""
    if not (folder / "study.db").exists():
        return []
    kept = store.load(folder)
    found = [index for batch in kept.batches() for index in batch.indices.tolist()]
    kept.close()
    return found


@pytest.mark.parametrize(
    ("text", "pause", "workers"), [(SLOW, 0.02, 1), (LONG, 0.5, 2)], ids=["nsga2", "exhaustive"]
)
def test_kills_lose_and_repeat_nothing(text: str, pause: float, workers: int, tmp_path: Path) -> None:
    with run(toy.problem(text), tmp_path / "whole", points_csv=False) as study:
        expected = (study.digest(), study.knee)
    dice = random.Random(11)
    before: list[int] = []
    kills = 0
    while kills < 12:
        with started(tmp_path / "cut", text, pause, workers) as process:
            if kills % 2:  # on a busy machine it may take long until there is anything to lose
                wait_for_growth(tmp_path / "cut")
            time.sleep(dice.uniform(0.0, 0.2))
            finished = process.poll() is not None
            os.killpg(process.pid, signal.SIGKILL)
        if finished:
            break
        kills += 1
        now = acknowledged(tmp_path / "cut")
        assert now[: len(before)] == before, "an acknowledged point was lost"
        assert len(now) == len(set(now)), "a point was evaluated twice"
        before = now
    assert kills >= 10 and before
    with started(tmp_path / "cut", text, 0.0, workers) as process:
        assert process.wait(60) == 0
    with reopened(tmp_path / "cut") as study:
        assert (study.digest(), study.knee) == expected


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    with started(tmp_path, LONG, 0.5, 2) as process:
        wait_for_growth(tmp_path)
        workers = children(process.pid)
        process.kill()  # the parent alone
    assert len(workers) == 2
    deadline = time.monotonic() + 10
    while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(worker) for worker in workers)
    store.lock(tmp_path).close()


def stat(pid: str) -> list[str]:
    """State, parent and so on of a process; nothing of one that is gone."""
    try:
        return (Path("/proc") / pid / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def children(pid: int) -> list[str]:
    numbers = [path.name for path in Path("/proc").glob("[0-9]*")]
    return [number for number in numbers if stat(number)[1:2] == [str(pid)]]


def alive(pid: str) -> bool:
    return stat(pid)[:1] not in ([], ["Z"])


def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    with run(toy.problem(NSGA2), tmp_path / "whole") as study:
        expected = study.digest()
    with started(tmp_path / "cut", NSGA2, 2.0, 1) as process:  # half a minute, of which one batch is seen
        wait_for_growth(tmp_path / "cut")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
    assert 0 < len(acknowledged(tmp_path / "cut")) < 1500
    with run(toy.problem(NSGA2), tmp_path / "cut") as study:
        assert study.digest() == expected


def test_an_idle_worker_ends_when_nobody_can_ask_it_any_more() -> None:
    code = "from dse.worker import main; main()"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        time.sleep(0.3)
        process.stdin.close()
        try:
            assert process.wait(20) == 0
        finally:
            process.kill()
