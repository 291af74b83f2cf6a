"""Measures many designs in parallel: one process per core, one estimate of the remaining time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, NamedTuple

from blueprint.spec import Spec
from costmodel.calibration.measuring import Generate, Sample, measure
from costmodel.calibration.sampling import gates
from costmodel.groundtruth import synthesis
from costmodel.technology.technology import Technology
from toolchain.process import ToolError
from toolchain.remaining import Remaining

Note = Callable[[str], None]

#: The fixed time of measuring any design, as the number of gates whose synthesis takes as long.
_OVERHEAD_GATES = 10_000
_PATIENCE_S = 5.0
#: A measurement that takes less comes from the cache and says nothing of the others.
_CACHED_S = 1.0
#: Seconds between two checks that the parent process still exists.
_LOOK_S = 1.0


class _Work(NamedTuple):
    technology: Technology
    generate: Generate
    recipe: str | None


class _Worker:
    """State of a worker process."""

    work: _Work
    ended = False


def measure_all(
    specs: Sequence[Spec],
    technology: Technology,
    generate: Generate,
    note: Note = lambda _: None,
    recipe: str | None = None,
    *,
    processes: int | None = None,
) -> list[Sample]:
    """Measure designs in parallel, the largest first; returns the samples in the order of ``specs``.

    ``processes`` is by default one per core, ``recipe`` that of the technology.
    Raises what :func:`costmodel.calibration.measuring.measure` raises, and ``ToolError`` if a process was killed.
    Measurements are cached, so the same call continues after an interruption.
    """
    several = min(processes or len(os.sched_getaffinity(0)), len(specs))
    left = _Left(specs, technology.name, note)
    if several < 2:
        work = _Work(technology, generate, recipe)
        return [left.told(spec, *_timed(spec, work)) for spec in specs]
    order = sorted(range(len(specs)), key=lambda number: -_weight(specs[number]))
    found: dict[int, Sample] = {}
    with _pool(several, _Work(technology, generate, recipe)) as pool:
        waiting: dict[Future[tuple[Sample, float]], int] = {
            pool.submit(_measure, specs[number]): number for number in order
        }
        for future in as_completed(waiting):
            number = waiting[future]
            found[number] = left.told(specs[number], *future.result())
    return [found[number] for number in range(len(specs))]


class _Left:
    """Reports after each design how long the rest will take, in proportion to the sizes of the designs.

    What the cache held took no time, so a run that goes on after an interruption estimates by what it measures itself.
    """

    def __init__(self, specs: Sequence[Spec], name: str, note: Note) -> None:
        self._left, self._count, self._name, self._note = sum(map(_weight, specs)), len(specs), name, note
        self._done, self._number, self._remaining = 0.0, 0, Remaining()

    def told(self, spec: Spec, sample: Sample, seconds: float) -> Sample:
        weight = _weight(spec)
        self._left -= weight
        self._number += 1
        if seconds > _CACHED_S:
            self._done += weight
        left = self._remaining.seconds(self._done, self._done + self._left)
        rest = f", {_duration(left)} to go" if self._done else ""
        self._note(f"measured {self._number} of {self._count} designs in {self._name}{rest}")
        return sample


def _duration(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {seconds:.0f} s"


def _weight(spec: Spec) -> float:
    return _OVERHEAD_GATES + float(gates(spec))


@contextmanager
def _pool(processes: int, work: _Work) -> Iterator[ProcessPoolExecutor]:
    """Give a pool whose processes, and the tools that they run, end with the block.

    The processes are forked, so the main module of the caller need not be importable.
    """
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(processes, context, _begin, (work,))
    before = set(multiprocessing.active_children())
    try:
        yield pool
    except BaseException as problem:
        pool.shutdown(wait=False, cancel_futures=True)
        _stop(set(multiprocessing.active_children()) - before)
        if isinstance(problem, BrokenProcessPool):
            raise ToolError(
                "A process that measures designs",
                "was killed, as happens where memory runs out; what was measured is kept, and the same command goes on",
            ) from None
        raise
    pool.shutdown()


def _stop(processes: Collection[BaseProcess]) -> None:
    """End processes; each has some seconds to end the tool that it runs."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_PATIENCE_S)
        if process.is_alive():
            process.kill()
            process.join()


def _begin(work: _Work) -> None:
    _Worker.work = work
    synthesis.PROCESSES = 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles interrupts
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    """End this process, and the tool that it runs, after its parent has ended for any reason."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE_S)
    os._exit(1)


def _end(_: int, __: FrameType | None) -> Any:
    """Abandon the current measurement, so that its tool is killed, and start no other."""
    _Worker.ended = True
    raise SystemExit(1)


def _measure(spec: Spec) -> tuple[Sample, float]:
    if _Worker.ended:
        raise SystemExit(1)
    return _timed(spec, _Worker.work)


def _timed(spec: Spec, work: _Work) -> tuple[Sample, float]:
    """A measurement, and the seconds that it took."""
    begin = time.monotonic()
    return measure(spec, *work), time.monotonic() - begin
