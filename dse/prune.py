"""Designs that are certainly not on the front, found by bounds and left out.

A box of the space is cut into cells (:mod:`dse.cells`), and the cost model bounds the numbers of each. A cell is left
out where none of its designs can be built, where all break one constraint, or where one design that is known dominates
the best that its bounds allow. What is known is the front of a few designs that the space alone determines
(:func:`scout`), so the same cells are left out whoever evaluates. The front is that of the whole space, to the bit: a
cell with a design of the front is none of these three.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.batch import Batch, Floats, drawn, empty, encode, join
from dse.cells import Grid, has_runs
from dse.evaluation import Bounds
from dse.interval import high, low
from dse.mesh import consecutive, of_range
from dse.pareto import Bools
from dse.problem import CHUNK, FEWEST, MESH, Problem
from dse.space import Indices, Space

#: Designs of a box that is cut into cells.
BOX = 1 << 22
#: The reason of a cell whose designs are worse than one that is known.
DOMINATED = "dominated by a design of the front"
#: Designs that a scout draws, rounds in which it looks around the best of them, and of how many at most.
_DRAWN, _ROUNDS, _CENTERS = 1 << 15, 12, 256


def most(space: Space) -> int:
    """Designs in a batch of a search that leaves some out."""
    runs = any(has_runs(axis) for sub in space.subspaces for axis in sub.axes)
    return BOX if runs and space.subject.batch == MESH else min(MESH, space.subject.batch)


def scout(problem: Problem) -> Floats:
    """Objectives of good designs: the front of some drawn at random and of what lies around them, always the same."""
    space = problem.space
    random = np.random.default_rng(0)
    fresh = np.unique(random.integers(0, space.size, _DRAWN)) if problem.bounded else np.zeros(0, np.int64)
    seen, front = fresh, empty(problem.metrics)
    for _ in range(_ROUNDS):
        if not len(fresh):
            break
        before = front.indices
        front = problem.merged(front, problem.front(problem.evaluate(fresh), front))
        new = np.setdiff1d(front.indices, before)
        fresh = np.setdiff1d(_around(space, new[:: max(1, len(new) // _CENTERS)]), seen)
        seen = np.union1d(seen, fresh)
    return problem.objectives(front)


def _around(space: Space, indices: Indices) -> Indices:
    """Designs that differ from some in one axis: by a step, by a few steps, or by any value of a short axis."""
    found = [indices]
    for sub, _, local in space.parts(indices):
        codes = sub.codes(local)
        for place, axis in enumerate(sub.axes):
            count = len(axis.values)
            steps = range(-count, count) if count <= 8 else (-16, -4, -2, -1, 1, 2, 4, 16)
            for step in steps:
                moved = codes.copy()
                moved[:, place] += step
                inside = (moved[:, place] >= 0) & (moved[:, place] < count)
                found.append(sub.indices(moved[inside]) + sub.start)
    return np.unique(np.concatenate(found))


def answer(problem: Problem, indices: Indices, known: Batch | None = None) -> tuple[str, bytes, Batch]:
    """Header, payload and front of a batch; see :func:`dse.worker.answer`.

    Designs of the sample that a study keeps are evaluated wherever they are.
    """
    share = problem.space.share
    front = empty(problem.metrics) if known is None else known
    counts: Counter[str] = Counter()
    kept, best = [empty(problem.metrics)], empty(problem.metrics)
    pruned: Counter[str] = Counter()
    for batch in _evaluated(problem, indices, pruned):
        counts.update(batch.reason_counts())
        best = problem.merged(best, problem.front(batch, front))
        kept.append(batch.pick(drawn(batch.indices, share)))
    sample = join(kept)
    text, payload = encode(sample.pick(np.argsort(sample.indices)))
    facts = {**json.loads(text), "points": len(indices), "counts": dict(counts)}
    return json.dumps(facts | ({"pruned": dict(pruned)} if pruned else {})), payload, best


def _evaluated(problem: Problem, indices: Indices, pruned: Counter[str]) -> Iterator[Batch]:
    """The designs that are not left out, evaluated a part at a time; the others are counted by reason."""
    if not (consecutive(indices) and problem.bounded):
        for part in _parts(indices, MESH):
            yield problem.evaluate(part)
        return
    alone = []
    for box in of_range(problem.space, int(indices[0]), int(indices[-1]) + 1, BOX):
        grid = Grid(box)
        cells, reasons = _judged(problem, grid)
        codes = grid.spread(cells)
        todo = (codes == 0) | drawn(box.indices, problem.space.share)
        for block in grid.blocks(cells == 0, 2 * FEWEST, MESH):
            columns, shape, where = grid.part(block)
            yield problem.meshed(box.sub.family, columns, shape, where)
            codes[where - box.indices[0]] = 0
            todo[where - box.indices[0]] = False
        alone.append(box.indices[todo])
        codes[todo] = 0
        numbers = np.bincount(codes, minlength=len(reasons)).tolist()
        pruned.update(
            {reason: number for reason, number in zip(reasons, numbers, strict=True) if reason and number}
        )
    for part in _parts(np.concatenate(alone), CHUNK):
        yield problem.evaluate(part)


def _parts(indices: Indices, most: int) -> Iterator[Indices]:
    return (indices[start : start + most] for start in range(0, len(indices), most))


def _judged(problem: Problem, grid: Grid) -> tuple[npt.NDArray[np.uint16], list[str]]:
    """For every cell 0, or the number of the reason why its designs are left out, and the reasons."""
    reasons = [""]
    if grid.cells == grid.shape:
        return np.zeros(grid.cells, dtype=np.uint16), reasons
    judge: Any = problem.evaluators[grid.box.sub.family]
    found: Bounds = judge.bounds(grid)
    codes = np.zeros(grid.cells, dtype=np.uint16)
    for mask, reason in [
        *found.unbuildable,
        *_broken(problem, found),
        (_beaten(problem, found, grid), DOMINATED),
    ]:
        codes[(codes == 0) & mask] = len(reasons)
        reasons.append(reason)
    return codes, reasons


def _broken(problem: Problem, found: Bounds) -> Iterator[tuple[Bools, str]]:
    """Masks of cells all of whose designs break a constraint."""
    for limit in problem.space.limits:
        value = found.metrics[limit.metric]
        best = high(value) if limit.sign > 0 else low(value)
        yield np.asarray(limit.excess(np.asarray(best)) > 0), limit.text


def _beaten(problem: Problem, found: Bounds, grid: Grid) -> Bools:
    """Mask of cells whose best numbers, all at once, a known design dominates."""
    goals = problem.space.objectives.items()
    best = [-high(found.metrics[name]) if way == "max" else low(found.metrics[name]) for name, way in goals]
    columns = [np.ascontiguousarray(np.broadcast_to(value, grid.cells)).reshape(-1) for value in best]
    mask, left = np.zeros(columns[0].size, dtype=bool), np.arange(columns[0].size)
    for point in problem.scouted if problem.scouted is not None else ():
        worse, equal = np.ones(len(left), dtype=bool), np.ones(len(left), dtype=bool)
        for column, value in zip(columns, point, strict=True):
            worse &= column >= value
            equal &= column == value
        gone = worse & ~equal
        if gone.any():
            mask[left[gone]] = True
            left, columns = left[~gone], [column[~gone] for column in columns]
    return mask.reshape(grid.cells)
