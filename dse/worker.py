"""Evaluation in other processes, which read batches from standard input and answer on standard output.

A worker ends when its standard input does, so when its parent ends, however that ends. It leaves Ctrl-C to the
parent. Messages are pickles with their length in front. Nothing is asked of the main module of the caller.
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
from dataclasses import dataclass
from typing import IO, Any

from dse.batch import Batch, encode
from dse.problem import Problem
from dse.space import Indices

#: Batches waiting at each worker, so that none idles while the parent stores results.
_AHEAD = 2
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Answer:
    """An evaluated batch: encoded for the store, and its own front."""

    header: str
    payload: bytes
    front: Batch

    def counts(self) -> tuple[int, int]:
        """Points, and feasible ones."""
        facts = json.loads(self.header)
        return facts["points"], facts["points"] - sum(facts["counts"].values())


def answer(problem: Problem, indices: Indices) -> Answer:
    """Evaluate one batch."""
    batch = problem.evaluate(indices)
    return Answer(*encode(batch), problem.front(batch))


class Workers:
    """A few processes that evaluate batches of one problem; use it in a ``with``."""

    def __init__(self, problem: Problem, count: int) -> None:
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-P", "-c", "from dse.worker import main; main()"]
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
            for _ in range(count)
        ]
        for process in self._processes:
            _send(process.stdin, problem)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def map(self, batches: Iterator[Indices]) -> Iterator[Answer]:
        """The answer to each batch, in the order asked for."""
        busy: deque[subprocess.Popen[bytes]] = deque()
        idle = deque(self._processes * _AHEAD)
        for indices in batches:
            if not idle:
                yield self._answer(busy, idle)
            process = idle.popleft()
            _send(process.stdin, indices)
            busy.append(process)
        while busy:
            yield self._answer(busy, idle)

    def _answer(self, busy: deque[Any], idle: deque[Any]) -> Answer:
        process = busy.popleft()
        try:
            found = _receive(process.stdout)
        except EOFError:
            raise RuntimeError(f"A worker ended with exit code {process.wait()} before its answer") from None
        idle.append(process)
        if isinstance(found, Answer):
            return found
        raise found


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
    while True:
        try:
            found: Any = answer(problem, tasks.get())
        except Exception as failure:
            found = failure
        _send(sink, found)


def _listen(tasks: queue.SimpleQueue[Any]) -> None:
    """Takes messages as they come: a parent that is sending never waits for one that is answering."""
    while True:
        try:
            tasks.put(_receive(sys.stdin.buffer))
        except EOFError:
            os._exit(0)
