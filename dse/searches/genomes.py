"""The common base of searches over genomes: ask, tell, the front so far, and no design twice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from dse.batch import Batch, Floats
from dse.searches.archive import Archive
from dse.searches.coding import Coding, Genomes
from dse.searches.protocol import Task
from dse.searches.unseen import Unseen
from dse.space import Indices


class GenomeSearch(ABC):
    """A search that proposes genomes and learns from their objectives and violations."""

    independent: ClassVar[bool] = False
    #: Known designs from which a search learns; all of them are not asked for again.
    most_known: ClassVar[int] = 10_000

    def __init__(self, task: Task, settings: Any) -> None:
        self.task = task
        self.random = np.random.default_rng(task.seed)
        self.coding = Coding(task.space)
        self.front = Archive(self.coding, len(task.space.objectives))
        self.unseen = Unseen(self.coding, task.known.indices, task.budget, self.random)
        self.asked: Genomes | None = None

    def begin(self) -> None:
        """Learn from the latest known designs, and from the front of those before; the last step of construction."""
        known, places = self.task.known, np.arange(len(self.task.known))
        if len(known):
            best = self.task.problem.front(known.pick(places[: -self.most_known]))
            self.front.add(self.coding.genomes(best.indices), self.task.goals(best))
            latest = known.pick(places[-self.most_known :])
            self._told(self.coding.genomes(latest.indices), latest)

    @abstractmethod
    def propose(self) -> Genomes:
        """Genomes to evaluate next; those of known designs are replaced."""

    @abstractmethod
    def learn(self, genomes: Genomes, goals: Floats, violations: Floats) -> None:
        """Learn from evaluated genomes; goals are only numbers where the violation is finite."""

    def ask(self) -> Indices:
        """The next designs."""
        if self.asked is None:
            self.asked = (
                self.unseen.fresh(self.propose()) if self.unseen.left else self.coding.random(0, self.random)
            )
        return self.coding.indices(self.asked)

    def tell(self, batch: Batch) -> None:
        """Learn from the designs that were asked for."""
        assert self.asked is not None, "told before it asked"
        self._told(self.asked, batch)
        self.asked = None

    def _told(self, genomes: Genomes, batch: Batch) -> None:
        goals, violations = self.task.goals(batch), self.task.violations(batch)
        self.front.add(genomes[batch.feasible], goals[batch.feasible])
        self.learn(genomes, goals, violations)
