"""A problem: a space and the evaluators of its designs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from blueprint.numbers import Real
from dse.batch import Batch, Floats, join
from dse.pareto import front_mask, oriented
from dse.space import Columns, Indices, Space

#: Designs evaluated at a time: their intermediate arrays fit a core's cache.
CHUNK = 8192


#: What a study is bound to by the numbers of its technology.
FACTS = "technology facts"


@dataclass(frozen=True)
class Evaluation:
    """Result of an evaluator for many designs: metrics by name, and reasons why some cannot be built.

    ``reason`` is 0 for what can be built, else a number into ``reasons``; metrics of the rest are ignored.
    """

    metrics: Mapping[str, Real]
    reason: npt.NDArray[np.int64]
    reasons: tuple[str, ...]


#: Parameter columns (arrays, or plain values where constant) and the number of designs, to their evaluation.
Evaluator = Callable[[Columns, int], Evaluation]


@dataclass(frozen=True)
class Problem:
    """A space and the evaluator of each family; picklable, so that workers can have it.

    ``provenance`` states what the numbers depend on beyond the space (versions, hashes): a study is bound to it.
    """

    space: Space
    evaluators: Mapping[str, Evaluator]
    metrics: tuple[str, ...]
    provenance: Mapping[str, str] = field(default_factory=dict)

    def evaluate(self, indices: Indices) -> Batch:
        """Metrics, and the reason where infeasible, of the designs at these indices."""
        chunks = [indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK)] or [indices]
        return join([self._chunk(chunk) for chunk in chunks])

    def objectives(self, batch: Batch) -> Floats:
        """The objectives of all points of a batch, to be minimized."""
        goals = self.space.objectives
        return oriented([batch.column(name) for name in goals], list(goals.values()))

    def front(self, batch: Batch) -> Batch:
        """The feasible, non-dominated points of a batch, by index."""
        best = batch.pick(batch.feasible)
        best = best.pick(front_mask(self.objectives(best)))
        return best.pick(np.argsort(best.indices))

    def _chunk(self, indices: Indices) -> Batch:
        metrics = np.full((len(indices), len(self.metrics)), np.nan)
        reason = np.zeros(len(indices), dtype=np.uint16)
        reasons = [""]
        for sub, mine, local in self.space.parts(indices):
            found = self.evaluators[sub.family](sub.columns(local), len(local))
            built = found.reason == 0
            table = [np.broadcast_to(found.metrics.get(name, np.nan), len(local)) for name in self.metrics]
            metrics[mine] = np.where(built, np.stack(table), np.nan).T
            shift = len(reasons) - 1
            reason[mine] = np.where(built, 0, found.reason + shift)
            reasons += found.reasons[1:]
        return self._constrained(Batch(self.metrics, indices, metrics, reason, tuple(reasons)))

    def judged(self, batch: Batch) -> Batch:
        """Apply the problem's constraints to points that were evaluated under others."""
        built = ~np.isnan(batch.metrics).all(axis=1)
        reason = np.where(built, 0, batch.reason).astype(np.uint16)
        return join([self._constrained(dataclasses.replace(batch, reason=reason))])

    def _constrained(self, batch: Batch) -> Batch:
        reason, reasons = batch.reason.copy(), list(batch.reasons)
        for limit in self.space.limits:
            broken = limit.excess(batch.column(limit.metric)) > 0
            reason[broken & (reason == 0)] = len(reasons)
            reasons.append(limit.text)
        return dataclasses.replace(batch, reason=reason, reasons=tuple(reasons))
