"""Searching a space: the public functions behind ``explore``, ``apply`` and the front."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from blueprint.version import VERSION
from costmodel.model import estimate
from costmodel.technology import technology
from dse import prune, search, store
from dse import shard as shards
from dse.batch import Batch, decode, drawn, empty, join
from dse.problem import FACTS, Problem
from dse.progress import Progress, Silent
from dse.resume import amend
from dse.shard import Shard
from dse.space import Indices, Space
from dse.space_file import read_space
from dse.store import Store, StudyError
from dse.study import Study
from dse.subject import Described
from dse.worker import Answer, Workers, answer, feasible
from toolchain import files

#: A search of fewer batches is over before another process has started.
_FEWEST_FOR_WORKERS = 2
_NOTHING: Indices = np.zeros(0, dtype=np.int64)


def explore(
    space_path: str | Path,
    out: str | Path,
    *,
    method: str | None = None,
    budget: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    points_csv: bool | None = None,
    progress: Progress | None = None,
    shard: Shard | None = None,
    dask: str | None = None,
) -> Study:
    """Search the space in a file and keep everything in the folder ``out``.

    The same call continues a study that was interrupted, and one with another search, other constraints or objectives
    goes on from what is stored. ``method``, ``budget`` and ``seed`` replace what the file says. With ``shard`` this is
    one part of the search, which :func:`dse.merge.merge` puts together with the others; ``dask`` is the address of a
    scheduler whose workers evaluate. Raises ``ParamError`` for one of these that cannot be, ``SpecError`` for a bad
    file, ``StudyError`` for a folder that holds another study, a damaged one or one that somebody is writing.
    ``KeyboardInterrupt`` passes through and leaves the study to be continued.
    """
    space = read_space(space_path)
    problem = problem_of(space.searched(method=method, budget=budget, seed=seed))
    return run(
        problem, out, workers=workers, points_csv=points_csv, progress=progress, shard=shard, dask=dask
    )


def problem_of(space: Space) -> Problem:
    """The space under the analytical cost model.

    Raises ``ParamError`` for a technology that is unknown or was not calibrated.
    """
    facts = technology.load(space.technology)
    for group in ("area", "delay", "energy"):
        estimate.group(facts, group)  # before a folder is made
    provenance = {"version": VERSION, FACTS: facts.digest}
    judges = space.subject.evaluators(space.groups, space.clock is not None, facts)
    return Problem(space, judges, space.metric_names, provenance)


def run(
    problem: Problem,
    out: str | Path,
    *,
    workers: int | None = None,
    points_csv: bool | None = None,
    progress: Progress | None = None,
    shard: Shard | None = None,
    dask: str | None = None,
) -> Study:
    """Search a problem, or continue; see :func:`explore`. ``workers`` are processes: they never change the result.

    Raises as :func:`explore`.
    """
    folder, progress = Path(out), progress or Silent()
    if shard is not None:
        shards.check(problem.space, shard)
    if dask is not None and not search.is_independent(problem.space):
        raise ParamError(
            "Search with --dask must not depend on answers, as exhaustive and random do not, and "
            f"{problem.space.method} does; give another --method or a higher --budget, or search without --dask"
        )
    crew = _Crew(_worker_count(problem.space, workers), dask)
    crew.probe()
    _make(folder)
    with closing(store.lock(folder)) as _:
        kept = _open(folder, problem, shard)
        try:
            front = _search(problem, kept, crew, progress, shard)
            progress.stop()
            kept.remember_front(front)
            study = Study(folder, kept, problem.space, problem.metrics, problem.evaluators)
            study.write_tables(points=points_csv)
        except BaseException:
            progress.stop()
            with suppress(Exception):  # report what ended the search
                kept.close()
            raise
    return study


def front(study: Study) -> list[dict[str, Any]]:
    """The Pareto front of a study as plain rows."""
    return list(study.rows(study.front))


def apply_point(study: Study, point: str) -> Described:
    """The design behind a point's name. Raises ``ParamError`` where there is none or it cannot be built."""
    return study.design(point)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StudyError(
            f"{folder}: study folder must be writable, and it is not: {problem.strerror}"
        ) from None


def _open(folder: Path, problem: Problem, shard: Shard | None) -> Store:
    """The store of this problem in ``folder``, new or to be continued. Raises ``StudyError`` for another problem's."""
    space = problem.space
    facts: dict[str, Any] = {
        "content": space.content(),
        "metrics": list(problem.metrics),
        "provenance": dict(problem.provenance),
        "text": space.text,
        **({} if shard is None else {"shard": str(shard)}),
    }
    files.sweep(folder)
    if not (folder / store.NAME).exists():
        kept = store.create(folder, facts)
    else:
        kept = store.load(folder)
        try:
            amend(kept, problem, facts)
        except BaseException:
            kept.close()
            raise
    files.write(folder / "space.yaml", space.text)
    return kept


def _worker_count(space: Space, wanted: int | None) -> int:
    most = wanted if wanted is not None else min(2, os.cpu_count() or 1)
    if most < 1:
        raise ValueError(f"Workers must be at least 1, not {most}")
    few = wanted is None and search.planned(space) < _FEWEST_FOR_WORKERS * space.subject.batch
    return 1 if few or not search.is_independent(space) else most


@dataclass(frozen=True)
class _Crew:
    """The evaluating workers: this process, ``workers`` processes of this machine, or those of a Dask scheduler."""

    workers: int = 1
    dask: str | None = None

    def probe(self) -> None:
        """Raise where no worker can be reached, before a study is made."""
        if self.dask is not None:
            from dse import dask_pool

            dask_pool.probe(self.dask)

    def hired(self, problem: Problem, log: Path) -> AbstractContextManager[Any]:
        """The pool that maps batches to answers; ``None`` for this process."""
        if self.dask is not None:
            from dse.dask_pool import DaskWorkers  # an extra, which takes a second to load

            return DaskWorkers(problem, self.dask)
        return Workers(problem, self.workers, log) if self.workers > 1 else nullcontext()


class Tally:
    """Points, feasible ones and the front so far."""

    def __init__(self, problem: Problem, progress: Progress) -> None:
        self.problem, self.progress = problem, progress
        self.done = self.feasible = 0
        self.front = empty(problem.metrics)

    def add(self, points: int, feasible: int, best: Batch) -> None:
        """Count a batch; ``best`` are those of its points that may be on the front."""
        self.done += points
        self.feasible += feasible
        self.front = self.problem.merged(self.front, best)

    def report(self) -> None:
        self.progress.advance(self.done, self.feasible, len(self.front))


def _search(
    problem: Problem, kept: Store, crew: _Crew, progress: Progress, shard: Shard | None = None
) -> Batch:
    tally = Tally(problem, progress)
    facts, stored = kept.facts(), kept.count()
    start, thinned = facts.get("start", 0), kept.thinned
    known = []
    for batch in map(kept.get, range(start)):
        known.append(batch)
        tally.add(len(batch), int(batch.feasible.sum()), problem.front(batch))
    before = join([empty(problem.metrics), *known])
    if not search.is_independent(problem.space):
        _dependent(problem, kept, range(start, stored), tally, before)
        return tally.front
    ahead = _ahead(problem, before, facts, shard)
    del known, before
    if thinned:
        _skip(problem, kept, range(start, stored), ahead, tally)
    for sequence in () if thinned else range(start, stored):
        batch = kept.get(sequence)
        _same(kept, batch, next(ahead, None))
        tally.add(len(batch), int(batch.feasible.sum()), problem.front(batch))
    if problem.space.pruned:
        problem = dataclasses.replace(problem, scouted=prune.scout(problem))
    with crew.hired(problem, kept.path.with_name("workers.log")) as pool:
        progress.start(shards.planned(problem.space, shard), tally.done)  # which may start a thread
        answers = pool.map(ahead) if pool else (answer(problem, indices, tally.front) for indices in ahead)
        for sequence, found in enumerate(answers, start=stored):
            _commit(kept, sequence, found, tally)
    return tally.front


def _ahead(problem: Problem, before: Batch, facts: dict[str, Any], shard: Shard | None) -> Iterator[Indices]:
    """The batches of an independent search, without the points that were there ``before`` it."""
    if facts.get("partial"):  # merged without some shards: ask for what they lack, and nothing else
        return shards.without(before.indices, search.asked(problem))
    batches = search.asked(problem, before)
    return batches if shard is None else shards.dealt(problem.space, shard, batches)


def _skip(problem: Problem, kept: Store, stored: range, ahead: Iterator[Indices], tally: Tally) -> None:
    """Continue a search that keeps a sample behind its stored batches, from their counts and their front."""
    share = problem.space.share
    for sequence, header in zip(stored, itertools.islice(kept.headers(), stored.start, None), strict=True):
        indices = next(ahead, _NOTHING)
        batch = kept.get(sequence)
        _same(kept, batch, indices[drawn(indices, share)] if len(indices) == header["points"] else None)
        tally.add(header["points"], feasible(header), empty(problem.metrics))
    tally.front = kept.only_front()


def _dependent(problem: Problem, kept: Store, stored: range, tally: Tally, known: Batch) -> None:
    """Replays the search on what is stored, then goes on with it."""
    steps = search.dependent(problem, known)
    indices = next(steps, None)
    sequence = stored.start
    while indices is not None:
        if sequence in stored:
            batch = kept.get(sequence)
            _same(kept, batch, indices)
            tally.add(len(batch), int(batch.feasible.sum()), problem.front(batch))
        else:
            if sequence == stored.stop:
                tally.progress.start(search.planned(problem.space), tally.done)
            found = answer(problem, indices)
            _commit(kept, sequence, found, tally)
            batch = decode(found.header, found.payload)
        sequence += 1
        indices = _next(steps, batch)


def _next(steps: Any, batch: Batch) -> Any:
    try:
        return steps.send(batch)
    except StopIteration:
        return None


def _commit(kept: Store, sequence: int, found: Answer, tally: Tally) -> None:
    points, feasible = found.counts()
    tally.add(points, feasible, found.front)
    thin = tally.problem.space.share < 1
    kept.append(sequence, found.header, found.payload, tally.front if thin else None)
    tally.report()


def _same(kept: Store, batch: Batch, indices: Any) -> None:
    """Raise ``StudyError`` where a stored batch is not the one that this search would ask for now."""
    if indices is None or not np.array_equal(batch.indices, indices):
        raise StudyError(
            f"{kept.path}: study must hold the points its search asks for, and it holds others; "
            "explore into another folder"
        )
