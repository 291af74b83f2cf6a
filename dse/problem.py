"""A problem: a space and the evaluators of its designs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dse.batch import Batch, Floats, empty, join
from dse.evaluation import Bounder, Evaluation, Evaluator
from dse.mesh import Box, consecutive, of_range
from dse.pareto import front_mask, oriented, sieve
from dse.space import Columns, Indices, Space

#: Scattered designs evaluated at a time: their intermediate arrays fit a core's cache.
CHUNK = 8192
#: Designs of a mesh, whose terms are computed once for many of them: the more, the better. A mesh of fewer than
#: ``FEWEST`` does not pay.
MESH, FEWEST = 1 << 17, 2048


#: What a study is bound to by the numbers of its technology.
FACTS = "technology facts"


@dataclass(frozen=True)
class Problem:
    """A space and the evaluator of each family; picklable, so that workers can have it.

    ``provenance`` states what the numbers depend on beyond the space (versions, hashes): a study is bound to it.
    ``scouted`` are objectives of designs that a search knows from its start (:mod:`dse.prune`).
    """

    space: Space
    evaluators: Mapping[str, Evaluator]
    metrics: tuple[str, ...]
    provenance: Mapping[str, str] = field(default_factory=dict)
    scouted: Floats | None = field(default=None, compare=False)

    @property
    def bounded(self) -> bool:
        """True if the numbers of designs can be bounded."""
        return all(isinstance(evaluator, Bounder) for evaluator in self.evaluators.values())

    def evaluate(self, indices: Indices) -> Batch:
        """Metrics, and the reason where infeasible, of the designs at these indices."""
        if not consecutive(indices):
            return join(self._scattered(indices) or [self._chunk(indices)])
        parts: list[Batch] = []
        done, first = 0, int(indices[0])
        for box in of_range(self.space, first, first + len(indices), MESH):
            if box.size >= FEWEST:
                start = box.sub.start + box.start - first
                parts += [*self._scattered(indices[done:start]), self._box(box)]
                done = start + box.size
        return join([*parts, *self._scattered(indices[done:])])

    def objectives(self, batch: Batch) -> Floats:
        """The objectives of all points of a batch, ``(points, objectives)``, signed so that smaller is better."""
        goals = self.space.objectives
        return oriented([batch.column(name) for name in goals], list(goals.values()))

    def front(self, batch: Batch, known: Batch | None = None) -> Batch:
        """The feasible, non-dominated points of a batch, by index.

        Points that one of ``known`` dominates, a front, may be left out: those left make the same front with it.
        """
        strong = empty(self.metrics) if known is None else known
        which = np.flatnonzero(batch.feasible)
        points = self.objectives(batch)[which]
        some = sieve(points, self.objectives(strong))
        which = which[some[front_mask(points[some])]]
        return batch.pick(which[np.argsort(batch.indices[which])])

    def merged(self, front: Batch, more: Batch) -> Batch:
        """The front of a front and more points."""
        return self.front(join([front, more])) if len(more) else front

    def _scattered(self, indices: Indices) -> list[Batch]:
        return [self._chunk(indices[start : start + CHUNK]) for start in range(0, len(indices), CHUNK)]

    def _chunk(self, indices: Indices) -> Batch:
        """Designs at any indices, as flat columns."""
        table = np.empty((len(self.metrics), len(indices)))
        reason = np.zeros(len(indices), dtype=np.uint16)
        reasons = [""]
        for sub, mine, local in self.space.parts(indices):
            found = self.evaluators[sub.family](sub.columns(local), len(local))
            table[:, mine] = self._table(found, (len(local),))
            reason[mine] = np.where(found.reason == 0, 0, found.reason + len(reasons) - 1)
            reasons += found.reasons[1:]
        return self._constrained(Batch(self.metrics, indices, table.T, reason, tuple(reasons)))

    def _box(self, box: Box) -> Batch:
        """Designs of a box, as a mesh."""
        return self.meshed(box.sub.family, *box.mesh(), box.indices)

    def meshed(self, family: str, columns: Columns, shape: tuple[int, ...], indices: Indices) -> Batch:
        """Designs whose columns broadcast to a shape, which raveled has the order of their indices."""
        found = self.evaluators[family](columns, shape)
        table = self._table(found, shape).reshape(len(self.metrics), -1)
        reason = found.reason.astype(np.uint16).reshape(-1)
        return self._constrained(Batch(self.metrics, indices, table.T, reason, found.reasons))

    def _table(self, found: Evaluation, shape: tuple[int, ...]) -> Floats:
        """The metrics one after the other; NaN where a design cannot be built."""
        table = np.empty((len(self.metrics), *shape))
        for row, name in zip(table, self.metrics, strict=True):
            row[...] = found.metrics.get(name, np.nan)
        np.copyto(table, np.nan, where=found.reason != 0)
        return table

    def judged(self, batch: Batch) -> Batch:
        """Apply the problem's constraints to points that were evaluated under others."""
        built = batch.built
        reason = np.where(built, 0, batch.reason).astype(np.uint16)
        return join([self._constrained(dataclasses.replace(batch, reason=reason))])

    def _constrained(self, batch: Batch) -> Batch:
        reason, reasons = batch.reason.copy(), list(batch.reasons)
        for limit in self.space.limits:
            broken = limit.excess(batch.column(limit.metric)) > 0
            reason[broken & (reason == 0)] = len(reasons)
            reasons.append(limit.text)
        return dataclasses.replace(batch, reason=reason, reasons=tuple(reasons))
