"""Kills, dead workers, damage: a study goes on or says in one sentence why not."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from blueprint.files import schemas
from dse import store, worker
from dse.batch import encode
from dse.explore import front, run
from dse.store import StudyError
from tests.dse import toy
from tests.dse.test_study import MEDIUM, NSGA2, reopened
from tests.dse.toy import changed

LEFT_BY_A_KILL = [
    {"study.lock": b""},
    {"study.lock": b"4711", "study.db.new": b"SQLite format 3", "study.db.new-journal": b"\xd9\xd5\x05\xf9"},
    {"study.lock": b"\xff\xfe\xfd", ".study.db-12345678.new": b"half", ".front.csv-1.new": b"half"},
    {"study.db-wal": b"\x37\x7f\x06\x82" + bytes(60), "study.db-shm": bytes(32768)},
    {"study.lock": b"1", "space.yaml": b"half: ["},
]


@pytest.mark.parametrize("files", LEFT_BY_A_KILL, ids=lambda files: "+".join(files))
def test_a_study_begins_in_what_a_kill_left(files: dict[str, bytes], tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path / "whole") as study:
        expected = study.digest()
    cut = tmp_path / "cut"
    cut.mkdir()
    for name, content in files.items():
        (cut / name).write_bytes(content)
    with run(toy.problem(), cut) as study:
        assert study.digest() == expected
    assert not [path.name for path in cut.iterdir() if path.name.startswith(".")]


#: Steps of Python at which a process can die; SQLite's own are those of the tests that kill at random.
STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "fcntl.flock", "sqlite3.connect"}


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Run something in a child that is killed right before its file operation ``step``; whether it came to it."""
    child = os.fork()
    if child == 0:
        left = step

        def hook(event: str, _: object) -> None:
            nonlocal left
            if event in STEPS:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        action()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_a_study_goes_on_after_a_kill_at_any_step(tmp_path: Path) -> None:
    small = changed(("[1, 32]", "[1, 4]"))
    with run(toy.problem(small), tmp_path / "whole") as study:
        expected = (study.digest(), study.knee)
    problem = toy.problem(small)
    step = 0
    while killed_at(step, partial(run, problem, tmp_path / f"cut{step}")):
        with run(problem, tmp_path / f"cut{step}") as study:
            assert (study.digest(), study.knee) == expected, step
        names = {path.name for path in (tmp_path / f"cut{step}").iterdir()}
        assert names <= {
            "front.csv",
            "points.csv",
            "space.yaml",
            "study.db",
            "study.db-shm",
            "study.db-wal",
            "study.lock",
        }
        step += 1
    assert step >= 12


@dataclass(frozen=True)
class Deadly:
    """A toy's judge that kills, stops or hangs its process: as often as ``times`` says, counted in a file."""

    tally: Path
    times: int
    how: str = "killed"

    def __call__(self, columns: Any, count: int) -> Any:
        if self.tally.stat().st_size < self.times:
            with self.tally.open("ab") as file:
                file.write(b"x")
            print("about to die", file=sys.stderr, flush=True)
            if self.how == "hung":
                time.sleep(1000)
            os.kill(os.getpid(), signal.SIGSTOP if self.how == "stopped" else signal.SIGKILL)
        return toy.Judge(toy.ToySpec)(columns, count)


def deadly(tmp_path: Path, times: int, how: str = "killed") -> Any:
    (tmp_path / "tally").touch()
    problem = toy.problem(MEDIUM)
    return dataclasses.replace(problem, evaluators={"toy": Deadly(tmp_path / "tally", times, how)})


HOW = {"killed": "killed by SIGKILL", "stopped": "stopped for 1 s", "hung": "without an answer for 8 s"}


@pytest.fixture(params=["killed", "stopped", pytest.param("hung", marks=pytest.mark.slow)])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A way in which a worker fails; what takes minutes takes seconds here."""
    monkeypatch.setattr(worker, "STOPPED_S", 1)
    if request.param == "hung":
        monkeypatch.setattr(worker, "ANSWER_S", 8)
    return str(request.param)


def test_the_batch_of_a_failed_worker_is_evaluated_again(how: str, tmp_path: Path) -> None:
    with run(toy.problem(MEDIUM), tmp_path / "whole", points_csv=False) as study:
        expected = study.digest()
    with run(deadly(tmp_path, 2, how), tmp_path / "cut", workers=2, points_csv=False) as study:
        assert study.digest() == expected
    assert (tmp_path / "tally").stat().st_size == 2
    log = (tmp_path / "cut/workers.log").read_text()
    assert "about to die" in log
    assert (
        len(re.findall(rf"^worker \d+ failed, {HOW[how]}: its batches are evaluated again$", log, re.M)) == 2
    )


def test_a_batch_over_which_every_worker_fails_is_given_up(how: str, tmp_path: Path) -> None:
    message = (
        f"Worker must live until it has answered, and 3 in a row failed, the last {HOW[how]}; their log is "
        f"{tmp_path}/cut/workers.log; with fewer --workers or more memory the same command goes on"
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        run(deadly(tmp_path, 1000, how), tmp_path / "cut", workers=2, points_csv=False)
    with run(toy.problem(MEDIUM), tmp_path / "cut", workers=2, points_csv=False) as study:
        assert study.complete


def test_workers_find_their_rooms_whatever_the_path_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in ("dse", "blueprint", "costmodel", "toolchain"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path), "", *sys.path])
    monkeypatch.chdir(tmp_path)
    with run(toy.problem(MEDIUM), tmp_path / "study", workers=2, points_csv=False) as study:
        assert study.complete
    assert not (tmp_path / "study/workers.log").exists()


DAMAGE = [
    "UPDATE batches SET header = 5 WHERE sequence = 2",
    "UPDATE batches SET payload = 'text' WHERE sequence = 2",
    "UPDATE batches SET checksum = 'x' WHERE sequence = 2",
    "UPDATE batches SET header = CAST(x'ff80' AS TEXT) WHERE sequence = 2",
    "UPDATE facts SET value = CAST(x'ff80' AS TEXT)",
    "UPDATE facts SET value = x'00' WHERE key = 'facts'",
    "DELETE FROM facts",
    "DROP TABLE facts",
    "DROP TABLE batches",
    "ALTER TABLE batches RENAME COLUMN header TO head",
]


@pytest.mark.parametrize("statement", DAMAGE)
def test_a_damaged_row_is_one_sentence(statement: str, tmp_path: Path) -> None:
    run(toy.problem(NSGA2), tmp_path).close()
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute(statement)
    connection.close()
    for action in (lambda: reopened(tmp_path), lambda: run(toy.problem(NSGA2), tmp_path)):
        with pytest.raises(
            StudyError, match=r"study\.db: study must be undamaged, and it is not \(.*restore it"
        ):
            action()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "[" * 100_000,
            "a row is maximum recursion depth exceeded while decoding a JSON array from a unicode string",
        ),
        ("[]", "a row is 'list' object has no attribute 'get'"),
        (f'{{"format": "{schemas.STUDY}", "content": {{}}}}', "its facts lack 'metrics'"),
        (
            "9" * 5000,
            "a row is Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits; use "
            "sys.set_int_max_str_digits() to increase the limit",
        ),
    ],
    ids=["deep", "list", "short", "long"],
)
def test_facts_with_their_checksum_that_are_none(text: str, what: str, tmp_path: Path) -> None:
    store.create(tmp_path, dict.fromkeys(("content", "metrics", "provenance", "text"))).close()
    with sqlite3.connect(tmp_path / "study.db") as connection:
        for key, value in (("facts", text), ("checksum", hashlib.sha256(text.encode()).hexdigest())):
            connection.execute("UPDATE facts SET value = ? WHERE key = ?", (value, key))
    connection.close()
    with pytest.raises(StudyError) as caught:
        store.load(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/study.db: study must be undamaged, and it is not ({what}); restore it from a copy or explore "
        "into another folder"
    )


@pytest.mark.parametrize("value", ["'text', x'00', 1", "5, 5, 5", "CAST(x'ff80' AS TEXT), x'00', 'x'"])
def test_a_damaged_front_is_found_again_or_refused(value: str, tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as study:
        expected = front(study)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("DELETE FROM front")
        connection.execute(f"INSERT INTO front VALUES (1, {value})")
    connection.close()
    try:
        with reopened(tmp_path) as study:
            assert front(study) == expected
    except StudyError as refused:
        assert "study must be undamaged" in str(refused)


def test_a_study_on_which_nothing_can_be_written_is_read_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed writer leaves its last batches in the log."""
    with run(toy.problem(NSGA2), tmp_path / "whole") as study:
        expected = study.digest()
    (tmp_path / "copy").mkdir()
    with store.lock(tmp_path / "copy"):
        kept = store.create(tmp_path / "copy", store.load(tmp_path / "whole").facts())
        for sequence, batch in enumerate(store.load(tmp_path / "whole").batches()):
            kept.append(sequence, *encode(batch))
        (tmp_path / "cut").mkdir()
        for name in ("study.db", "study.db-wal"):  # as a kill here would leave it
            shutil.copy(tmp_path / "copy" / name, tmp_path / "cut" / name)
        kept.close()
    assert (tmp_path / "cut/study.db-wal").stat().st_size > 10_000
    monkeypatch.setattr(os, "access", lambda *_: False)
    with reopened(tmp_path / "cut") as study:
        assert study.digest() == expected
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["study.db", "study.db-wal"]
