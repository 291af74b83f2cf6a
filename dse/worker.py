"""Evaluation in other processes, which read batches from standard input and answer on standard output.

A worker ends when its standard input does, so when its parent ends, however that ends. It leaves Ctrl-C to the
parent. One that dies, is stopped or does not answer is replaced, and its batches are evaluated again.
Messages are pickles with their length in front. Nothing is asked of the main module of the caller.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import IO, Any

from dse.batch import Batch, empty, encode
from dse.problem import Problem
from dse.space import Indices
from dse.store import StudyError

#: Batches waiting at each worker, so that none idles while the parent stores results.
_AHEAD = 2
#: Processes in a row that may fail over a batch before the search gives up.
_MOST_DEATHS = 3
#: Seconds for which a process may be stopped, and after which it must have answered; a batch takes seconds.
STOPPED_S, ANSWER_S = 30, 900
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Answer:
    """An evaluated batch: encoded for the store, and those of its points that may be on the front."""

    header: str
    payload: bytes
    front: Batch

    def counts(self) -> tuple[int, int]:
        """Points, and feasible ones."""
        facts = json.loads(self.header)
        return facts["points"], facts["points"] - sum(facts["counts"].values())


def answer(problem: Problem, indices: Indices, known: Batch | None = None) -> Answer:
    """Evaluate one batch; points that one of ``known`` dominates, a front so far, may be left out of the answer's."""
    batch = problem.evaluate(indices)
    return Answer(*encode(batch, problem.space.share), problem.front(batch, known))


class _Silent(Exception):
    """A process that lives and does not answer: in which state it is."""


class _Worker:
    """A process and the batches it has not answered yet; a new process takes over from one that failed."""

    def __init__(self, problem: Problem, log: IO[bytes]) -> None:
        self._problem, self._log = problem, log
        self._waiting: deque[Indices] = deque()
        self._deaths = 0
        self._start()

    def ask(self, indices: Indices) -> None:
        """Send a batch."""
        self._waiting.append(indices)
        self._outbox.put(indices)

    def answer(self) -> Any:
        """The answer to the oldest batch. Raises ``StudyError`` where one process after the other fails over it."""
        while True:
            try:
                found = self._message()
            except _Silent as problem:
                self._replace(str(problem))
            except (EOFError, OSError, pickle.UnpicklingError):
                self._replace(None)
            else:
                self._waiting.popleft()
                self._deaths = 0
                return found

    def stop(self) -> int:
        """End the process and return its exit code."""
        self._process.kill()
        self._outbox.put(None)
        self._sender.join()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not sent yet to one that is dead
                assert pipe is not None
                pipe.close()
        return int(self._process.wait())

    def _start(self) -> None:
        command = [sys.executable, "-P", "-c", "from dse.worker import main; main()"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._log}
        self._process = subprocess.Popen(command, env=_environment(), **pipes)  # type: ignore[call-overload]
        self._received = bytearray()
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for message in (self._problem, *self._waiting):
            self._outbox.put(message)
        arguments = (self._outbox, self._process.stdin)
        self._sender = threading.Thread(target=_deliver, args=arguments, daemon=True)
        self._sender.start()

    def _message(self) -> Any:
        """The next message. Raises ``EOFError`` where the process ended, :class:`_Silent` where it does not answer."""
        pipe = self._process.stdout
        assert pipe is not None
        while (found := _taken(self._received)) is None:
            self._await(pipe)
            data = os.read(pipe.fileno(), 1 << 20)
            if not data:
                raise EOFError
            self._received += data
        return pickle.loads(found)

    def _await(self, pipe: IO[bytes]) -> None:
        """Wait for bytes, second by second: those in which this process was stopped too do not count."""
        stopped = 0
        for _ in range(ANSWER_S):
            if connection.wait([pipe.fileno()], 1.0):
                return
            stopped = stopped + 1 if _is_stopped(self._process.pid) else 0
            if stopped >= STOPPED_S:
                raise _Silent(f"stopped for {STOPPED_S} s")
        raise _Silent(f"without an answer for {ANSWER_S} s")

    def _replace(self, silent: str | None) -> None:
        """End the process and start another one; ``silent`` says why, where it has not ended by itself."""
        if silent is None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        code = self.stop()
        how = silent or (f"killed by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}")
        self._log.write(
            f"worker {self._process.pid} failed, {how}: its batches are evaluated again\n".encode()
        )
        self._log.flush()
        self._deaths += 1
        if self._deaths >= _MOST_DEATHS:
            raise StudyError(
                f"Worker must live until it has answered, and {self._deaths} in a row failed, the last {how}; "
                f"their log is {self._log.name}; with fewer --workers or more memory the same command goes on"
            )
        self._start()


class Workers:
    """A few processes that evaluate batches of one problem; use it in a ``with``. What they print goes to ``log``."""

    def __init__(self, problem: Problem, count: int, log: Path) -> None:
        self._path = log
        self._log = log.open("wb")
        self._workers: list[_Worker] = []
        try:
            for _ in range(count):
                self._workers.append(_Worker(problem, self._log))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()
        self._log.close()
        with suppress(OSError):
            if not self._path.stat().st_size:
                self._path.unlink()

    def map(self, batches: Iterator[Indices]) -> Iterator[Answer]:
        """The answer to each batch, in the order asked for; a batch whose worker died is evaluated again."""
        busy: deque[_Worker] = deque()
        idle = deque(self._workers * _AHEAD)
        for indices in batches:
            if not idle:
                yield _answer(busy, idle)
            idle[0].ask(indices)
            busy.append(idle.popleft())
        while busy:
            yield _answer(busy, idle)


def _answer(busy: deque[_Worker], idle: deque[_Worker]) -> Answer:
    found = busy[0].answer()
    idle.append(busy.popleft())
    if isinstance(found, Answer):
        return found
    raise found


def _environment() -> dict[str, str]:
    """Environment of a worker: that of this process, with the rooms at their location first on the path."""
    home = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([home, *(entry or os.getcwd() for entry in sys.path)])
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}


def _deliver(outbox: queue.SimpleQueue[Any], pipe: IO[bytes]) -> None:
    """Sends messages up to ``None``: whoever asks does not wait for a process that does not listen."""
    with suppress(OSError):  # it died, as will be seen when its answer is missing
        while (message := outbox.get()) is not None:
            _send(pipe, message)


def _is_stopped(pid: int) -> bool:
    """True if a child process is stopped, as by SIGSTOP."""
    with suppress(ChildProcessError):
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    return False


def _taken(data: bytearray) -> bytes | None:
    """The first whole message, taken out of what was received."""
    start = _LENGTH.size
    if len(data) < start:
        return None
    end = start + _LENGTH.unpack_from(data)[0]
    if len(data) < end:
        return None
    message = bytes(data[start:end])
    del data[:end]
    return message


def _send(pipe: IO[bytes] | None, message: Any) -> None:
    assert pipe is not None
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def _receive(pipe: IO[bytes] | None) -> Any:
    assert pipe is not None
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


def main() -> None:
    """Serve until standard input ends, which ends the process at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not end up among the answers
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    problem: Problem = tasks.get()
    known = empty(problem.metrics)
    while True:
        try:
            found: Any = answer(problem, tasks.get(), known)
            known = problem.merged(known, found.front)
        except Exception as failure:
            found = failure
        _send(sink, found)


def _listen(tasks: queue.SimpleQueue[Any]) -> None:
    """Receive messages in a thread, so that parent and worker never block each other."""
    while True:
        try:
            tasks.put(_receive(sys.stdin.buffer))
        except EOFError:
            os._exit(0)
