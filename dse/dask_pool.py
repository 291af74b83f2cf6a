"""Evaluation on the workers of a Dask scheduler (extra ``dask``): the same study as on one machine.

Batches go out a few ahead and come back in the order in which they were asked for. A worker answers only if it runs the
same code as this process on the same technology; one that dies has its batches evaluated again by others, which is
Dask's own doing. Nothing is written anywhere but here.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import pickle
from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from blueprint.version import VERSION
from dse.problem import FACTS, Problem
from dse.space import Indices
from dse.store import StudyError
from dse.worker import ANSWER_S, Answer, answer

#: Batches that wait at each thread of a worker, so that none idles while results are stored.
_AHEAD = 2
#: Seconds until the scheduler must answer, and until it must have a worker.
CONNECT_S, WORKERS_S = 10, 60
#: Packages whose code decides the numbers of a design.
_CODE = ("blueprint", "costmodel", "dse")


class Refused(Exception):
    """A worker that would not give the numbers of this process: what differs, in words."""


@cache
def identity() -> dict[str, str]:
    """Facts on which the numbers of this process depend beyond the problem: version, code, NumPy."""
    code = hashlib.sha256()
    for name in _CODE:
        root = Path(str(importlib.import_module(name).__file__)).parent
        for path in sorted(root.rglob("*.py")):
            code.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return {"version": VERSION, "code": code.hexdigest()[:12], "NumPy": np.__version__}


@cache
def _technology(name: str) -> str:
    from costmodel.technology import technology

    return str(technology.load(name).digest)


def fault(expected: dict[str, str], technology: str, digest: str | None) -> str | None:
    """The reason why this process must not evaluate a problem with these facts; ``None`` if it may."""
    found = identity()
    for key, value in expected.items():
        if found[key] != value:
            return f"{key} ({value} here, {found[key]} there)"
    if digest is None:
        return None
    try:
        same = _technology(technology) == digest
    except Exception as problem:
        return f"technology {technology} ({problem})"
    return None if same else f"technology {technology}"


def evaluate(problem: bytes, expected: dict[str, str], indices: Indices) -> Answer:
    """Evaluate one batch on a worker. Raises :class:`Refused` where its numbers could be others."""
    given = _problem(problem)
    if why := fault(expected, given.space.technology, given.provenance.get(FACTS)):
        raise Refused(why)
    return answer(given, indices)


@cache
def _problem(data: bytes) -> Problem:
    found: Problem = pickle.loads(data)
    return found


class DaskWorkers:
    """The workers of a scheduler at ``address``, as :class:`dse.worker.Workers`; use it in a ``with``."""

    def __init__(self, problem: Problem, address: str) -> None:
        self._address, self._problem = address, problem
        self._client = _client(address)
        try:
            self._check()
            self._shared = self._client.scatter(pickle.dumps(problem), broadcast=True, hash=False)
        except BaseException as failure:
            self.__exit__()
            raise self._told(failure) from failure

    def __enter__(self) -> DaskWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._client.close(timeout=2)
        except Exception:  # its scheduler is gone
            logging.getLogger(__name__).debug("closing the client", exc_info=True)

    def map(self, batches: Iterator[Indices]) -> Iterator[Answer]:
        """The answer to each batch, in the order asked for; a batch whose worker died is evaluated again."""
        waiting: deque[Any] = deque()
        try:
            for indices in batches:
                waiting.append(self._submit(indices))
                while len(waiting) > _AHEAD * max(1, self._threads()):
                    yield self._next(waiting)
            while waiting:
                yield self._next(waiting)
        except (StudyError, GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as failure:
            raise self._told(failure) from failure

    def _submit(self, indices: Indices) -> Any:
        return self._client.submit(evaluate, self._shared, identity(), indices, pure=False)

    def _threads(self) -> int:
        return sum(self._client.nthreads().values())

    @staticmethod
    def _next(waiting: deque[Any]) -> Answer:
        found: Answer = waiting[0].result(timeout=ANSWER_S)
        waiting.popleft().release()
        return found

    def _check(self) -> None:
        """Wait for a worker, and refuse those that would not give the numbers of this process."""
        self._client.wait_for_workers(1, timeout=WORKERS_S)
        facts = (identity(), self._problem.space.technology, self._problem.provenance.get(FACTS))
        for worker, found in self._client.run(fault, *facts, on_error="return").items():
            if isinstance(found, BaseException):
                found = f"what it can run: {type(found).__name__}: {found}"
            if found is not None:
                raise StudyError(_differs(worker, found))

    def _told(self, failure: BaseException) -> BaseException:
        """Put a failure of the cluster into one sentence; return other failures as they are."""
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        again = "what is stored stays, and the same command goes on"
        if isinstance(failure, Refused):
            return StudyError(_differs("that joined", str(failure)))
        if isinstance(failure, KilledWorker):
            return StudyError(
                "Dask workers must live until they have answered, and several in a row died over one batch, the last "
                f"{failure.last_worker.address}; with more memory each {again}"
            )
        if not isinstance(failure, (OSError, CommClosedError, CancelledError, TimeoutError, RuntimeError)):
            return failure
        why = " ".join(str(failure).split()) or type(failure).__name__
        return StudyError(
            f"{self._address}: Dask scheduler and workers must answer until the search ends, and they do not "
            f"({why[:160]}); {again}"
        )


def probe(address: str) -> None:
    """Raise as :func:`_client` where there is no scheduler, before a study is made."""
    _client(address).close(timeout=2)


def _differs(worker: str, what: str) -> str:
    return (
        f"Dask worker {worker} must run the same ternforge on the same technology, and it differs in {what}"
    )


def _client(address: str) -> Any:
    """A client of the scheduler. Raises ``ParamError`` without the package, ``StudyError`` where nobody answers."""
    try:
        from distributed import Client
    except ImportError:
        raise ParamError(
            "Option --dask needs the package distributed, which is not installed: pip install 'ternforge[dask]'"
        ) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # faults are told in one sentence
    try:
        return Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as problem:
        raise StudyError(
            f"{address}: Dask scheduler must answer at tcp://HOST:PORT, and none does "
            f"({' '.join(str(problem).split())[:120]})"
        ) from None
