"""Evaluation in other processes, which read batches from standard input and answer on standard output.

A worker ends when its standard input does, so when its parent ends, however that ends. It leaves Ctrl-C to the
parent. One that dies, is stopped or does not answer is replaced, and its batches are evaluated again.
Messages are pickles with their length in front. Nothing is asked of the main module of the caller.

The first workers are forks of the parent, which have all modules and the problem in an instant; a new interpreter takes
longer than a million designs. Where a fork is not safe, beside other threads or on other systems than Linux, and in
place of a worker that failed, there is a new interpreter.
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import IO, Any

from dse import prune
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
#: Bytes that a pipe holds.
_PIPE = 1 << 20


@dataclass(frozen=True)
class Answer:
    """An evaluated batch: encoded for the store, and those of its points that may be on the front."""

    header: str
    payload: bytes
    front: Batch

    def counts(self) -> tuple[int, int]:
        """Points, and feasible ones."""
        facts = json.loads(self.header)
        return facts["points"], feasible(facts)


def feasible(header: Mapping[str, Any]) -> int:
    """Points that are known to be feasible, by the header of a batch."""
    excluded = sum(header["counts"].values()) + sum(header.get("pruned", {}).values())
    return int(header["points"] - excluded)


def answer(problem: Problem, indices: Indices, known: Batch | None = None) -> Answer:
    """Evaluate one batch; points that one of ``known`` dominates, a front so far, may be left out of the answer's."""
    if problem.space.pruned:
        return Answer(*prune.answer(problem, indices, known))
    batch = problem.evaluate(indices)
    return Answer(*encode(batch, problem.space.share), problem.front(batch, known))


class Fork:
    """A fork of this process that serves a problem, with the methods of :class:`subprocess.Popen` in use here."""

    def __init__(self, problem: Problem, log: IO[bytes]) -> None:
        asked, ask = os.pipe()
        found, tell = os.pipe()
        with suppress(OSError):  # a batch is megabytes, and a pipe holds 64 kB otherwise
            fcntl.fcntl(tell, fcntl.F_SETPIPE_SZ, _PIPE)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _isolate(asked, tell, log.fileno())
                _serve(problem, os.fdopen(0, "rb"), os.fdopen(3, "wb"))
            finally:
                os._exit(1)  # a fork must not clean up what is the parent's
        os.close(asked)
        os.close(tell)
        self.stdin, self.stdout = os.fdopen(ask, "wb"), os.fdopen(found, "rb", buffering=0)
        self._code: int | None = None

    def kill(self) -> None:
        """End it."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or the number of the signal that ended it as a negative number."""
        end = None if timeout is None else time.monotonic() + timeout
        while self._code is None:
            pid, status = os.waitpid(self.pid, 0 if end is None else os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            elif end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired("worker", timeout or 0.0)
            else:
                time.sleep(0.01)
        return self._code


_Process = Fork | subprocess.Popen[bytes]


def can_fork() -> bool:
    """True where a fork of this process is safe: on Linux, without other threads."""
    return sys.platform == "linux" and threading.active_count() == 1


def _isolate(asked: int, tell: int, log: int) -> None:
    """Leave a fork the pipes to its parent (0 and 3) and the log (1 and 2), and none of the parent's files.

    One with the parent's lock or with another worker's pipe would keep these open when the parent ends.
    """
    kept = [os.dup(number) for number in (asked, log, log, tell)]
    high = max(kept) + 1
    moved = [fcntl.fcntl(number, fcntl.F_DUPFD, high) for number in kept]
    for place, number in enumerate(moved):
        os.dup2(number, place)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


def _interpreter(log: IO[bytes]) -> subprocess.Popen[bytes]:
    """A worker with an interpreter of its own."""
    command = [sys.executable, "-P", "-c", "from dse.worker import main; main()"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
    return subprocess.Popen(command, env=environment(), **pipes)


class _Silent(Exception):
    """A process that lives and does not answer: in which state it is."""


class _Worker:
    """A process and the batches it has not answered yet; a new process takes over from one that failed."""

    def __init__(self, problem: Problem, log: IO[bytes], process: _Process) -> None:
        self._problem, self._log = problem, log
        self._waiting: deque[Indices] = deque()
        self._deaths = 0
        self._serve(process)

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
            with suppress(OSError):  # a dead process takes no more messages
                assert pipe is not None
                pipe.close()
        return int(self._process.wait())

    def _serve(self, process: _Process) -> None:
        """Send a new process the problem, and the batches that are not answered yet."""
        self._process = process
        self._received = bytearray()
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        if not isinstance(process, Fork):
            self._outbox.put(self._problem)
        for message in self._waiting:
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
        """Wait for bytes, second by second; seconds in which this process itself was stopped do not count."""
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
        self._serve(_interpreter(self._log))


class Workers:
    """A few processes that evaluate batches of one problem; use it in a ``with``. What they print goes to ``log``."""

    def __init__(self, problem: Problem, count: int, log: Path) -> None:
        self._path = log
        self._log = log.open("wb")
        self._workers: list[_Worker] = []
        try:
            forked = can_fork()  # all of them before the first thread
            processes = [
                Fork(problem, self._log) if forked else _interpreter(self._log) for _ in range(count)
            ]
            self._workers += [_Worker(problem, self._log, process) for process in processes]
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


def environment() -> dict[str, str]:
    """Environment of a worker: that of this process, with the rooms at their location first on the path."""
    home = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([home, *(entry or os.getcwd() for entry in sys.path)])
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}


def _deliver(outbox: queue.SimpleQueue[Any], pipe: IO[bytes]) -> None:
    """Send messages up to ``None``, in a thread: the caller does not wait for a process that does not read."""
    with suppress(OSError):  # the process died; the missing answer will show it
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
    """Serve the problem that comes first until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not end up among the answers
    with suppress(EOFError):
        _serve(_receive(sys.stdin.buffer), sys.stdin.buffer, sink)


def _serve(problem: Problem, source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer batches until the source ends, which ends the process at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks, source), daemon=True).start()
    known = empty(problem.metrics)
    while True:
        try:
            found: Any = answer(problem, tasks.get(), known)
            known = problem.merged(known, found.front)
        except Exception as failure:
            found = failure
        _send(sink, found)


def _listen(tasks: queue.SimpleQueue[Any], source: IO[bytes]) -> None:
    """Receive messages in a thread, so that parent and worker never block each other."""
    while True:
        try:
            tasks.put(_receive(source))
        except EOFError:
            os._exit(0)
