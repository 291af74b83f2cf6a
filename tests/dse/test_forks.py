"""Workers that are forks of the process that asks them."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dse import worker
from dse.explore import run
from dse.worker import Answer, Fork, can_fork
from tests.dse import toy

MEDIUM = toy.LARGE.replace("[1, 4000]", "[1, 900]")


def test_a_fork_answers_and_holds_no_file_of_its_parent(tmp_path: Path) -> None:
    """Neither the lock of the study nor a pipe of another worker: those would stay open when the parent ends."""
    problem = toy.problem()
    with (tmp_path / "study.lock").open("w") as held, (tmp_path / "log").open("wb") as log:
        first, second = Fork(problem, log), Fork(problem, log)
        try:
            worker._send(second.stdin, np.arange(50))
            found = worker._receive(second.stdout)
            assert isinstance(found, Answer) and found.counts()[0] == 50
            files = {
                name: os.readlink(f"/proc/{second.pid}/fd/{name}")
                for name in os.listdir(f"/proc/{second.pid}/fd")
            }
            assert sorted(files) == ["0", "1", "2", "3"]
            assert held.name not in files.values() and files["1"] == files["2"] == log.name
            with pytest.raises(subprocess.TimeoutExpired):
                second.wait(0.05)
        finally:
            for fork in (first, second):
                fork.kill()
                assert fork.wait() == -9
                fork.stdin.close()
                fork.stdout.close()
        second.kill()  # of one that is gone: nothing


def test_a_fork_ends_with_its_source(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        fork = Fork(toy.problem(), log)
        fork.stdin.close()
        assert fork.wait(30) == 0
        fork.stdout.close()


def test_beside_a_thread_there_is_no_fork() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert not can_fork()
    finally:
        done.set()
        thread.join()


def test_forks_and_interpreters_give_the_same_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = []
    for forks in (True, False):
        monkeypatch.setattr(worker, "can_fork", lambda forks=forks: forks)
        with run(toy.problem(MEDIUM), tmp_path / str(forks), workers=2, points_csv=False) as study:
            digests.append((study.digest(), study.front.indices.tolist()))
        assert not (tmp_path / str(forks) / "workers.log").exists()
    assert digests[0] == digests[1]


@pytest.mark.parametrize("forks", [True, False])
def test_workers_are_forks_where_this_process_can_fork(
    forks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Exception):
        """Which kind of process was asked for."""

    def ask(kind: str) -> Callable[..., None]:
        def asked(*_: object) -> None:
            raise Asked(kind)

        return asked

    monkeypatch.setattr(worker, "can_fork", lambda: forks)
    monkeypatch.setattr(worker, "Fork", ask("fork"))
    monkeypatch.setattr(worker, "_interpreter", ask("interpreter"))
    with pytest.raises(Asked, match="^fork$" if forks else "^interpreter$"):
        worker.Workers(toy.problem(), 2, tmp_path / "log")
    assert not (tmp_path / "log").exists()
