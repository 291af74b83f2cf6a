"""Hypervolume of a search over its evaluations: how fast the search found its front."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dse import pareto
from dse.batch import Floats

#: Points of the curve.
MOST_STEPS = 40
#: Points of a front whose hypervolume is computed, by the number of objectives: it takes n log n time for two, the
#: square of n for three and its cube for four. Of a larger front, this many points are taken, spread evenly.
MOST_POINTS = {1: 1 << 62, 2: 1 << 62, 3: 800, 4: 80}
#: The reference point lies this share of the front's extent beyond its worst value in every objective.
MARGIN = 0.1


@dataclass(frozen=True)
class History:
    """Hypervolume after numbers of ``evaluations``, as a share of the box between the ideal and the reference point.

    ``thinned`` says that only a spread of large fronts was computed: shares are then lower bounds.
    """

    evaluations: tuple[int, ...]
    shares: tuple[float, ...]
    thinned: bool


@dataclass(frozen=True)
class Frame:
    """The box in which hypervolumes are measured; smaller is better in every objective."""

    ideal: Floats
    reference: Floats

    @classmethod
    def of(cls, front: Floats) -> Frame:
        """The box of a front: from its best values to ``MARGIN`` beyond its worst ones."""
        low, high = front.min(axis=0), front.max(axis=0)
        extent = np.where(high > low, high - low, np.where(low != 0, np.abs(low), 1.0))
        return cls(low, high + MARGIN * extent)

    def share(self, points: Floats) -> tuple[float, bool]:
        """Hypervolume of points as a share of the box, and whether only a spread of them was taken.

        Raises ``ValueError`` for more objectives than :data:`MOST_POINTS` knows.
        """
        goals = len(self.ideal)
        if goals not in MOST_POINTS:
            raise ValueError(f"Objectives must be at most {max(MOST_POINTS)} for a hypervolume, not {goals}")
        scaled = (points - self.ideal) / (self.reference - self.ideal)
        scaled, _ = pareto.unique_rows(scaled[(scaled < 1).all(axis=1)])
        thinned = len(scaled) > MOST_POINTS[goals]
        return pareto.hypervolume(_spread(scaled, MOST_POINTS[goals]), np.ones(goals).tolist()), thinned


def history(parts: Iterable[tuple[int, Floats]], front: Floats, total: int) -> History:
    """The curve of a search.

    ``parts`` are its points in order: a number of evaluations, and the objectives of the feasible ones among them;
    ``front`` is what it came to, ``total`` how many evaluations there are.
    """
    steps = _steps(total)
    frame, best, done = Frame.of(front), front[:0], 0
    found: list[tuple[int, float, bool]] = []
    for count, points in parts:
        done += count
        joined = np.concatenate([best, points])
        best = joined[pareto.front_mask(joined)]
        if steps and done >= steps[0]:
            steps = [step for step in steps if step > done]
            found.append((done, *frame.share(best)))
    return History(
        tuple(step for step, _, _ in found),
        tuple(share for _, share, _ in found),
        any(thinned for _, _, thinned in found),
    )


def _steps(total: int) -> list[int]:
    """Numbers of evaluations at which the curve has points: more of the early ones."""
    return sorted({int(step) for step in np.geomspace(1, max(1, total), MOST_STEPS).round()})


def cuts(counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """Batches of these sizes cut where the curve has points: number of the batch, first point, end."""
    total, pieces, start = sum(counts), [], 0
    steps = _steps(total)
    for number, count in enumerate(counts):
        inside = [step - start for step in steps if start < step < start + count]
        edges = [0, *inside, count]
        pieces += [(number, a, b) for a, b in zip(edges, edges[1:], strict=False)]
        start += count
    return pieces


def _spread(points: Floats, most: int) -> Floats:
    """At most so many points, spread evenly in lexicographic order."""
    if len(points) <= most:
        return points
    return points[np.linspace(0, len(points) - 1, most).round().astype(np.int64)]
