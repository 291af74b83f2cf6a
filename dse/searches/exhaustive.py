"""Every design, in order of index: the front is exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from dse import prune
from dse.batch import Batch
from dse.mesh import of_range
from dse.problem import MESH
from dse.searches.options import NoSettings
from dse.searches.protocol import NONE, Task
from dse.space import Indices, Space


class Exhaustive:
    """Every design of the space that is not known, or as many as the budget of the task allows."""

    Options: ClassVar[type[Any]] = NoSettings
    independent: ClassVar[bool] = True

    def __init__(self, task: Task, settings: NoSettings) -> None:
        self.left, self.batches = task.left, batches(task.space, np.sort(task.known.indices))

    def ask(self) -> Indices:
        """The next box of designs that lie side by side."""
        batch = next(self.batches, NONE)[: self.left]
        self.left -= len(batch)
        return batch

    def tell(self, batch: Batch) -> None:
        """Results do not matter."""


class Pruned(Exhaustive):
    """Every design of the space, in boxes of which designs that are certainly not on the front are left out."""


def batches(space: Space, known: Indices = NONE) -> Iterator[Indices]:
    """Boxes of the space, one after the other, without the known designs, which are in order."""
    most = prune.most(space) if space.pruned and not len(known) else min(MESH, space.subject.batch)
    for box in of_range(space, 0, space.size, most):
        batch = box.indices
        first, end = np.searchsorted(known, [batch[0], batch[-1] + 1])
        if first < end:
            batch = np.delete(batch, known[first:end] - batch[0])
        if len(batch):
            yield batch
