"""Every design, in order of index: the front is exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from dse.batch import Batch
from dse.searches import protocol
from dse.searches.options import NoSettings
from dse.searches.protocol import NONE, Task
from dse.space import Indices


class Exhaustive:
    """Every design of the space that is not known, or as many as the budget of the task allows."""

    Options: ClassVar[type[Any]] = NoSettings
    independent: ClassVar[bool] = True

    def __init__(self, task: Task, settings: NoSettings) -> None:
        self.left, self.batches = task.left, batches(task.space.size, np.sort(task.known.indices))

    def ask(self) -> Indices:
        """The next batch of consecutive indices."""
        batch = next(self.batches, NONE)[: self.left]
        self.left -= len(batch)
        return batch

    def tell(self, batch: Batch) -> None:
        """Results do not matter."""


def batches(size: int, known: Indices = NONE) -> Iterator[Indices]:
    """All indices below ``size`` without the known ones, which are in order."""
    for start in range(0, size, protocol.BATCH):
        batch = np.arange(start, min(start + protocol.BATCH, size), dtype=np.int64)
        first, end = np.searchsorted(known, [start, start + protocol.BATCH])
        batch = np.delete(batch, known[first:end] - start)
        if len(batch):
            yield batch
