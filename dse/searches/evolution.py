"""Regularized evolution (Real et al., AAAI 2019): tournaments, mutation alone, and the oldest die.

The paper has one objective. Here every tournament draws weights of its own and is won by the member of least cost
(:mod:`dse.searches.scalar`), so that the population spreads along the front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dse.batch import Floats
from dse.searches import scalar
from dse.searches.coding import Genomes
from dse.searches.genomes import GenomeSearch
from dse.searches.options import option
from dse.searches.protocol import Task


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of regularized evolution."""

    population: int = option(64, 2, 65_536, "members; the oldest die when more are born")
    tournament: int = option(16, 1, 65_536, "members drawn for each child, of which the best is its parent")
    children: int = option(16, 1, 65_536, "children bred at a time")


class Evolution(GenomeSearch):
    """Regularized evolution: the youngest designs are the population, whatever they are worth."""

    Options: ClassVar[type[Any]] = Settings

    def __init__(self, task: Task, settings: Settings) -> None:
        super().__init__(task, settings)
        self.settings = settings
        self.scale = scalar.Scale(len(task.space.objectives))
        self.genomes = self.coding.random(0, self.random)
        self.goals, self.violations = np.zeros((0, len(task.space.objectives))), np.zeros(0)
        self.begin()

    def propose(self) -> Genomes:
        """Random designs until there is a population, then children of winners."""
        missing = self.settings.population - len(self.genomes)
        if missing > 0:
            return self.coding.random(missing, self.random)
        count = self.settings.children
        rivals = self.random.integers(0, len(self.genomes), (count, self.settings.tournament))
        weights = scalar.drawn(count, self.goals.shape[1], self.random)
        cost = scalar.costs(self.scale, self.goals, self.violations, weights)
        best = np.take_along_axis(cost, rivals, axis=1).argmin(axis=1)
        return self.coding.mutated(self.genomes[rivals[np.arange(count), best]], self.random)

    def learn(self, genomes: Genomes, goals: Floats, violations: Floats) -> None:
        """Add the new designs to the population, and drop the oldest."""
        self.scale.widen(goals, violations)
        most = self.settings.population
        self.genomes = np.concatenate([self.genomes, genomes])[-most:]
        self.goals = np.concatenate([self.goals, goals])[-most:]
        self.violations = np.concatenate([self.violations, violations])[-most:]
