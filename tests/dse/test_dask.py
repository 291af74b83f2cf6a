"""Searches on a Dask scheduler and workers of this machine: the same study, whatever dies."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from blueprint.errors import ParamError
from dse import dask_pool, search
from dse.explore import problem_of, run
from dse.problem import FACTS, Problem
from dse.space_file import read_space
from dse.store import StudyError
from dse.worker import answer
from ternforge import cli
from tests.dse import test_systems as systems
from tests.dse import toy
from tests.dse.test_merge import TWO, rows
from tests.dse.test_resume import Stops
from tests.dse.test_study import NSGA2, ROOT, acknowledged
from tests.dse.toy import changed

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="the extra dask is not installed here"
)
#: Six batches of few designs that can be built: quick, and enough to be interrupted.
SIX = TWO.replace("range: [1, 1100]", "range: [1, 1500]")


class Cluster:
    """A scheduler and workers as processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start("scheduler", f"--port={self.port}", "--no-dashboard", "--no-show")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.1)

    def start(self, what: str, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        entry = f"from distributed.cli.dask_{what} import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", entry, "--host=127.0.0.1", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def worker(self, **variables: str) -> subprocess.Popen[bytes]:
        options = ("--nthreads=1", "--no-dashboard", "--no-nanny", f"--local-directory={self.folder}")
        return self.start("worker", self.address, *options, **variables)

    def stop(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "cluster").mkdir()
    made = Cluster(tmp_path / "cluster")
    try:
        yield made
    finally:
        made.stop()


@dataclasses.dataclass(frozen=True)
class Marking:
    """A toy's judge that leaves a file a worker, and is slow enough to be killed."""

    folder: Path
    pause: float = 0.0

    def __call__(self, columns: Any, count: int) -> Any:
        (self.folder / f"by-{os.getpid()}").touch()
        time.sleep(self.pause)
        return toy.Judge(toy.ToySpec)(columns, count)


def marking(text: str, folder: Path, pause: float = 0.0) -> Problem:
    return dataclasses.replace(toy.problem(text), evaluators={"toy": Marking(folder, pause)})


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The study of one machine. The toys stand for no technology and no version of ours."""
    monkeypatch.setattr(dask_pool, "_AHEAD", 1)
    run(toy.problem(SIX), tmp_path / "whole", workers=1, points_csv=False).close()
    return tmp_path / "whole"


@pytest.mark.slow
@needs_dask
def test_two_workers_of_a_scheduler_make_the_study_of_one_machine(
    cluster: Cluster, whole: Path, tmp_path: Path
) -> None:
    workers = [cluster.worker(), cluster.worker()]
    problem = marking(SIX, tmp_path, 0.05)
    run(problem, tmp_path / "study", points_csv=False, dask=cluster.address).close()
    assert rows(tmp_path / "study") == rows(whole)
    assert (tmp_path / "study/front.csv").read_bytes() == (whole / "front.csv").read_bytes()
    marks = {path.name for path in tmp_path.glob("by-*")}
    assert marks <= {f"by-{worker.pid}" for worker in workers} and marks


@pytest.mark.slow
@needs_dask
def test_two_workers_of_a_scheduler_make_a_study_of_systems(cluster: Cluster, tmp_path: Path) -> None:
    """Whole decoders are compiled and estimated on the workers, each batch of eight on one of them."""
    for _ in range(2):
        cluster.worker()
    problem = problem_of(read_space(systems.written(tmp_path)))
    for name, address in (("study", cluster.address), ("whole", None)):
        run(problem, tmp_path / name, workers=1, points_csv=False, dask=address).close()
    assert len(rows(tmp_path / "study")["batches"]) == 3 and rows(tmp_path / "study") == rows(
        tmp_path / "whole"
    )
    front = [(tmp_path / name / "front.csv").read_bytes() for name in ("study", "whole")]
    assert front[0] == front[1] and front[0].count(b"\n") > 2


class Kills(Stops):
    """Kills a process once some batches are there."""

    def __init__(self, after: int, process: subprocess.Popen[bytes]) -> None:
        super().__init__(after)
        self.process = process

    def advance(self, done: int, feasible: int, front: int) -> None:
        with suppress(KeyboardInterrupt):
            super().advance(done, feasible, front)
            return
        os.kill(self.process.pid, signal.SIGKILL)


@pytest.mark.slow
@needs_dask
def test_the_batches_of_a_killed_worker_are_evaluated_again(
    cluster: Cluster, whole: Path, tmp_path: Path
) -> None:
    killed = cluster.worker()
    cluster.worker()
    problem = marking(SIX, tmp_path, 0.1)
    run(
        problem, tmp_path / "study", points_csv=False, dask=cluster.address, progress=Kills(1, killed)
    ).close()
    assert killed.wait(10) == -signal.SIGKILL
    assert rows(tmp_path / "study") == rows(whole)


@pytest.mark.slow
@needs_dask
def test_a_killed_scheduler_is_one_sentence_and_the_same_command_goes_on(
    cluster: Cluster, whole: Path, tmp_path: Path
) -> None:
    cluster.worker()
    problem = marking(SIX, tmp_path, 0.1)
    with pytest.raises(StudyError) as caught:
        run(
            problem,
            tmp_path / "study",
            points_csv=False,
            dask=cluster.address,
            progress=Kills(1, cluster.scheduler),
        )
    assert re.fullmatch(
        rf"{cluster.address}: Dask scheduler and workers must answer until the search ends, and they do not "
        r"\(.+\); what is stored stays, and the same command goes on",
        str(caught.value),
    )
    assert cli.explain(caught.value) == str(caught.value)  # which is exit code 2
    assert acknowledged(tmp_path / "study")
    run(problem, tmp_path / "study", points_csv=False).close()
    assert rows(tmp_path / "study") == rows(whole)


@pytest.mark.slow
@needs_dask
def test_a_worker_of_another_version_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import blueprint.version; blueprint.version.VERSION = '0.0.9'\n"
    )
    cluster.worker(PYTHONPATH=str(other))
    with pytest.raises(StudyError) as caught:
        run(toy.problem(SIX), tmp_path / "study", dask=cluster.address)
    assert re.fullmatch(
        r"Dask worker tcp://\S+ must run the same ternforge on the same technology, and it differs in version "
        rf"\({re.escape(dask_pool.VERSION)} here, 0\.0\.9 there\)",
        str(caught.value),
    )


@pytest.mark.slow
@needs_dask
def test_a_worker_with_another_technology_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    cluster.worker()
    problem = problem_of(read_space(ROOT / "examples" / "ternary_lut" / "space.yaml"))
    other = dataclasses.replace(problem, provenance={**problem.provenance, FACTS: "0123"})
    with pytest.raises(StudyError, match=r"^Dask worker tcp://\S+ must run .* differs in technology asap7$"):
        run(other, tmp_path / "study", dask=cluster.address)


@pytest.mark.slow
@needs_dask
def test_a_scheduler_without_workers_is_refused(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_pool, "WORKERS_S", 1)
    with pytest.raises(StudyError, match="must answer until the search ends, and they do not"):
        run(toy.problem(SIX), tmp_path / "study", dask=cluster.address)


@needs_dask
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x", "tcp://127.0.0.1:port"])
def test_nobody_at_an_address_is_refused_before_anything_is_written(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dask_pool, "CONNECT_S", 1)
    space = str(ROOT / "examples" / "ternary_lut" / "space.yaml")
    assert cli.run(["explore", space, "--out", str(tmp_path / "study"), "--dask", address, "-q"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{address}: Dask scheduler must answer at tcp://HOST:PORT, and none does (")
    assert said.count("\n") == 1 and not (tmp_path / "study").exists()


def test_a_search_that_needs_answers_is_not_for_a_scheduler(tmp_path: Path) -> None:
    message = (
        "Search with --dask must not depend on answers, as exhaustive and random do not, and nsga2 does; "
        "give another --method or a higher --budget, or search without --dask"
    )
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        run(toy.problem(NSGA2), tmp_path / "study", dask="tcp://127.0.0.1:1")


def test_without_the_extra_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    message = (
        "Option --dask needs the package distributed, which is not installed: pip install 'ternforge[dask]'"
    )
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        run(toy.problem(changed()), tmp_path / "study", dask="tcp://127.0.0.1:1")
    assert not (tmp_path / "study").exists()


def test_code_technology_and_numpy_decide_who_may_evaluate(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = dask_pool.identity()
    assert set(facts) == {"version", "code", "NumPy"} and dask_pool.fault(facts, "asap7", None) is None
    assert dask_pool.fault({**facts, "code": "1"}, "asap7", None) == f"code (1 here, {facts['code']} there)"
    assert dask_pool.fault(facts, "asap7", "0") == "technology asap7"
    assert str(dask_pool.fault(facts, "none", "0")).startswith("technology none (")
    monkeypatch.setattr(dask_pool, "_technology", lambda _: "0")
    assert dask_pool.fault(facts, "asap7", "0") is None


#: What a worker does with the batches that a scheduler gives it.
_ELSEWHERE = """\
import pickle, sys
from dse import dask_pool, search
problem, expected, batches = pickle.load(sys.stdin.buffer)
found = [dask_pool.evaluate(problem, expected, indices) for indices in batches]
sys.stdout.buffer.write(pickle.dumps([(each.header, each.payload, each.front.indices.tolist()) for each in found]))
"""


def test_another_process_gives_systems_the_numbers_of_this_one(tmp_path: Path) -> None:
    """What workers of a scheduler do, without one: whole decoders are compiled there from what was sent."""
    problem = problem_of(read_space(systems.written(tmp_path)))
    first, *more = search.asked(problem)
    sent = pickle.dumps((pickle.dumps(problem), dask_pool.identity(), [first]))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE], input=sent, cwd=tmp_path, env=env, capture_output=True, check=True
    )
    here = answer(problem, first)
    assert pickle.loads(done.stdout) == [(here.header, here.payload, here.front.indices.tolist())]
    assert here.counts() == (6, 4) and len(more) == 2
