"""Distinct designs, evenly drawn: what every other search has to beat."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dse.batch import Batch
from dse.searches.options import NoSettings
from dse.searches.protocol import NONE, Task
from dse.space import Indices


class Random:
    """Distinct designs, evenly drawn, that make the budget with the known ones."""

    Options: ClassVar[type[Any]] = NoSettings
    independent: ClassVar[bool] = True

    def __init__(self, task: Task, settings: NoSettings) -> None:
        self.most = task.most
        self.chosen = drawn(task.space.size, task.budget, task.seed, task.known.indices)

    def ask(self) -> Indices:
        """The next batch."""
        batch, self.chosen = self.chosen[: self.most], self.chosen[self.most :]
        return batch

    def tell(self, batch: Batch) -> None:
        """Results do not matter."""


def drawn(size: int, budget: int, seed: int, known: Indices = NONE) -> Indices:
    """Distinct indices below ``size`` that make ``budget`` with the known ones."""
    random = np.random.default_rng([seed, len(known)] if len(known) else seed)
    if size <= 4 * budget:
        every = random.permutation(size).astype(np.int64)
        return every[~np.isin(every, known)][: max(0, budget - len(known))]
    chosen: Indices = known
    while len(chosen) < budget:
        tried = np.concatenate([chosen, random.integers(0, size, budget - len(chosen) + 64)])
        _, first = np.unique(tried, return_index=True)
        chosen = tried[np.sort(first)]
    return chosen[len(known) : budget]
