"""Why a front is empty: the design nearest to each limit, and the limits that exclude each other.

Points go by once, a batch at a time, and only the best so far of each limit and of each pair of limits are kept, so a
study of millions of points takes no memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dse.batch import Batch, Floats
from dse.space import Constraint, Limit, Space


class Points(Protocol):
    """The points to search: those of a study."""

    space: Space

    def batches(self) -> Iterator[Batch]: ...

    def rows(self, batch: Batch) -> Iterator[dict[str, Any]]: ...

    def limited_by(
        self, family: str, parameters: Mapping[str, Any], metric: str, clock_mhz: float | None = None
    ) -> str | None: ...


@dataclass
class Best:
    """The point with the smallest value so far; the first of equals."""

    score: float = np.inf
    point: Batch | None = None

    def offer(self, scores: Floats, batch: Batch) -> None:
        """Replace the point by the best of a batch if that is better."""
        place = int(np.argmin(scores))
        if scores[place] < self.score:
            self.score, self.point = float(scores[place]), batch.pick(np.array([place]))


@dataclass
class Nearest:
    """The points seen so far that are nearest to the limits of a space."""

    space: Space
    limits: tuple[Limit, ...] = field(init=False)
    built: int = 0
    kept: npt.NDArray[np.int64] = field(init=False)
    alone: list[Best] = field(init=False)
    pairs: dict[tuple[int, int], Best] = field(init=False)
    together: Best = field(default_factory=Best)

    def __post_init__(self) -> None:
        self.limits = self.space.limits
        count = len(self.limits)
        self.kept = np.zeros((count, count), dtype=np.int64)
        self.alone = [Best() for _ in self.limits]
        self.pairs = {pair: Best() for pair in combinations(range(count), 2)}

    def add(self, batch: Batch) -> None:
        """Add points; those that cannot be built have no metrics and are ignored."""
        batch = batch.pick(np.flatnonzero(~np.isnan(batch.metrics).all(axis=1)))
        self.built += len(batch)
        if not len(batch) or not self.limits:
            return
        excess = np.stack([limit.excess(batch.column(limit.metric)) for limit in self.limits])
        excess[np.isnan(excess)] = np.inf
        holds = (excess <= 0).astype(np.float64)
        self.kept += np.rint(holds @ holds.T).astype(np.int64)
        for best, scores in zip(self.alone, excess, strict=True):
            best.offer(scores, batch)
        over = np.maximum(excess, 0.0)
        for (one, other), best in self.pairs.items():
            best.offer(over[one] + over[other], batch)
        self.together.offer(over.sum(axis=0), batch)


def of_batches(space: Space, batches: Iterable[Batch]) -> Nearest:
    """The nearest points of all batches."""
    found = Nearest(space)
    for batch in batches:
        found.add(batch)
    return found


def explain(study: Points) -> dict[str, Any]:
    """Explain why a study has no feasible design, as plain values.

    ``limits`` has a row for each limit with the nearest design (``nearest``) and what limits that one (``limited_by``),
    ``conflicts`` the pairs of limits that designs keep alone but none keeps together, ``together`` the design whose
    relative excesses over all limits add up to least.
    """
    found = of_batches(study.space, study.batches())
    return {
        "built": found.built,
        "limits": [_alone(study, found, place) for place in range(len(found.limits))],
        "conflicts": [_conflict(study, found, pair) for pair in _conflicts(found)],
        "together": _point(study, found.together.point, found.limits),
    }


def _conflicts(found: Nearest) -> list[tuple[int, int]]:
    kept = found.kept
    return [(i, j) for i, j in found.pairs if kept[i, i] and kept[j, j] and not kept[i, j]]


def _alone(study: Points, found: Nearest, place: int) -> dict[str, Any]:
    limit = found.limits[place]
    return {
        "constraint": limit.text,
        "metric": limit.metric,
        "limit": limit.bound,
        "kept_by": int(found.kept[place, place]),
        "nearest": _point(study, found.alone[place].point, (limit,)),
    }


def _conflict(study: Points, found: Nearest, pair: tuple[int, int]) -> dict[str, Any]:
    limits = [found.limits[place] for place in pair]
    return {
        "constraints": [limit.text for limit in limits],
        "kept_by": [int(found.kept[place, place]) for place in pair],
        "kept_by_both": int(found.kept[pair]),
        "nearest": _point(study, found.pairs[pair].point, limits),
    }


def _point(study: Points, point: Batch | None, limits: Iterable[Limit]) -> dict[str, Any] | None:
    """A point with its numbers on some limits and what limits each."""
    if point is None:
        return None
    row = next(study.rows(point))
    family, parameters = study.space.design(int(point.indices[0]))
    metrics = list(dict.fromkeys(limit.metric for limit in limits))
    return {
        "id": row["id"],
        "family": family,
        "parameters": parameters,
        "varied": varied_parameters(study.space, family, parameters),
        "values": {name: row[name] for name in metrics},
        "limited_by": {
            name: study.limited_by(family, parameters, name, row.get("clock_mhz")) for name in metrics
        },
    }


def together(study: Points, limits: tuple[Constraint, ...]) -> dict[str, Any] | None:
    """The design whose relative excesses over the study's limits and these add up to least, if any is built."""
    space = dataclasses.replace(study.space, constraints=(*study.space.constraints, *limits))
    return _point(study, of_batches(space, study.batches()).together.point, space.limits)


def varied_parameters(space: Space, family: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a design that the space gives a choice of."""
    axes = next(sub.parameter_axes for sub in space.subspaces if sub.family == family)
    return {axis.name: parameters[axis.name] for axis in axes if len(axis.values) > 1}
