"""A scrambled Sobol sequence over the axes (Sobol, 1967; Owen, 1998): even coverage without regard to results."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.stats import qmc

from dse.batch import Batch, Floats
from dse.searches.options import NoSettings
from dse.searches.protocol import NONE, Task
from dse.searches.random import drawn
from dse.space import Indices, Space

#: Points of the sequence that are tried for each design that is wanted, before random ones fill the budget.
_TRIES = 16
#: Bits of a coordinate; axes are far shorter.
_BITS = 53


class Sobol:
    """Designs at the points of a scrambled Sobol sequence, each once; then random ones where it repeats itself.

    The first coordinate is the family, in proportion to its designs; each further one is an axis with several values.
    """

    Options: ClassVar[type[Any]] = NoSettings
    independent: ClassVar[bool] = True

    def __init__(self, task: Task, settings: NoSettings) -> None:
        self.task, self.left = task, task.left
        self.space = task.space
        self.seen = np.sort(task.known.indices)
        dimensions = 1 + max(_varied(self.space, place) for place in range(len(self.space.subspaces)))
        self.sequence = qmc.Sobol(dimensions, seed=np.random.default_rng(task.seed), bits=_BITS)
        self.tries = _TRIES * min(task.budget, self.space.size)

    def ask(self) -> Indices:
        """The next batch."""
        while self.left and self.tries > 0:
            count = 1 << (min(self.task.most, self.left) - 1).bit_length()
            self.tries -= count
            batch = self._fresh(designs(self.space, self.sequence.random(count)))[: self.left]
            if len(batch):
                return self._asked(batch)
        if not self.left:
            return NONE
        rest = drawn(self.space.size, len(self.seen) + self.left, self.task.seed, self.seen)
        return self._asked(rest[: self.task.most])

    def tell(self, batch: Batch) -> None:
        """Results do not matter."""

    def _fresh(self, indices: Indices) -> Indices:
        """Indices that were not asked for yet, each once, in order."""
        _, first = np.unique(indices, return_index=True)
        indices = indices[np.sort(first)]
        return indices[~np.isin(indices, self.seen)]

    def _asked(self, batch: Indices) -> Indices:
        self.left -= len(batch)
        self.seen = np.union1d(self.seen, batch)
        return batch


def _varied(space: Space, place: int) -> int:
    return sum(len(axis.values) > 1 for axis in space.subspaces[place].axes)


def designs(space: Space, points: Floats) -> Indices:
    """The designs at points of the unit cube ``(points, dimensions)``."""
    ends = np.cumsum([sub.size for sub in space.subspaces]) / space.size
    families = np.minimum(np.searchsorted(ends, points[:, 0], side="right"), len(ends) - 1)
    found = np.empty(len(points), dtype=np.int64)
    for place, sub in enumerate(space.subspaces):
        mine = np.flatnonzero(families == place)
        codes = np.zeros((len(mine), len(sub.axes)), dtype=np.int64)
        varied = [number for number, axis in enumerate(sub.axes) if len(axis.values) > 1]
        for dimension, number in enumerate(varied, start=1):
            codes[:, number] = (points[mine, dimension] * len(sub.axes[number].values)).astype(np.int64)
        found[mine] = sub.start + sub.indices(codes)
    return found
