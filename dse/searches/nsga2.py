"""NSGA-II over the axes of a space (Deb et al., IEEE TEC 2002), in integers.

Half of each generation steps from the front found so far to its untried neighbors (Pareto local search, Paquete et al.,
2004): on the discrete and mostly monotone axes of hardware that closes the gaps crossover leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dse.batch import Batch
from dse.searches.archive import Archive
from dse.searches.coding import Coding, Genomes
from dse.searches.options import option
from dse.searches.protocol import Task
from dse.searches.standing import Population, ranked
from dse.searches.unseen import Unseen
from dse.space import Indices


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of NSGA-II."""

    population: int = option(128, 8, 65_536, "designs of a generation; a sixteenth of a small budget")
    crossover: float = option(
        0.9, 0, 1, "share of children that mix two parents, the others are mutated copies"
    )
    local: float = option(0.5, 0, 1, "most of a generation that steps from the front to its neighbors")


class Nsga2:
    """NSGA-II with constraint domination and Pareto local search; no design twice.

    The front of known designs and those that break constraints least are the first parents.
    """

    Options: ClassVar[type[Any]] = Settings
    independent: ClassVar[bool] = False

    def __init__(self, task: Task, settings: Settings) -> None:
        self.task, self.settings = task, settings
        self.random = np.random.default_rng(task.seed)
        self.coding = Coding(task.space)
        self.archive = Archive(self.coding, len(task.space.objectives))
        self.unseen = Unseen(self.coding, task.known.indices, task.budget, self.random)
        # A small budget still pays for some generations.
        self.count = max(8, min(settings.population, task.budget // 16))
        self.population: Population | None = None
        parents = task.promising(self.count)
        if len(parents):
            self.asked = self.coding.genomes(parents.indices)
            self.tell(parents)
        else:
            self.asked = self.unseen.fresh(self.coding.random(self.count, self.random))

    def ask(self) -> Indices:
        """The next generation."""
        return self.coding.indices(self.asked)

    def tell(self, batch: Batch) -> None:
        """Select survivors, and breed the next generation of them."""
        genomes = self.asked
        goals, violation = self.task.goals(batch), self.task.violations(batch)
        self.archive.add(genomes[batch.feasible], goals[batch.feasible])
        if self.population is not None:
            genomes = np.concatenate([self.population.genomes, genomes])
            goals = np.concatenate([self.population.goals, goals])
            violation = np.concatenate([self.population.violation, violation])
        everyone = ranked(genomes, goals, violation)
        self.population = everyone.take(everyone.order()[: self.count])
        near = self.archive.around(int(self.count * self.settings.local), self.unseen.seen)
        born = children(
            self.coding, self.population, self.count - len(near), self.settings.crossover, self.random
        )
        self.asked = self.unseen.fresh(np.concatenate([near, born]))


def children(
    coding: Coding, parents: Population, count: int, crossover: float, random: np.random.Generator
) -> Genomes:
    """Winners of binary tournaments, gene by gene from two of them, then mutated."""
    standing = np.empty(len(parents.genomes), dtype=np.int64)
    standing[parents.order()] = np.arange(len(standing))
    rivals = random.integers(0, len(standing), (2, count, 2))
    winners = np.where(standing[rivals[..., 0]] <= standing[rivals[..., 1]], rivals[..., 0], rivals[..., 1])
    one, two = parents.genomes[winners[0]], parents.genomes[winners[1]]
    cross = (random.random((count, 1)) < crossover) & (random.random(one.shape) < 0.5)
    return coding.mutated(np.where(cross, two, one), random)
