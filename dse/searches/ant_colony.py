"""Ant colony optimization: ants choose value by value where others left pheromone.

Pareto ant colonies (Doerner et al., Annals of Operations Research 2004): each objective has pheromone of its own, every
ant draws weights of the objectives and follows the weighted sum, and the best and second best design of each objective
leave pheromone, with the members of the front that the ants of this round found. Limits of the pheromone are those of
MAX-MIN ant systems (Stützle and Hoos, FGCS 2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dse.batch import Floats
from dse.pareto import front_mask
from dse.searches import policies, scalar
from dse.searches.coding import Genomes
from dse.searches.genomes import GenomeSearch
from dse.searches.options import option
from dse.searches.protocol import Task


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of the ant colony."""

    ants: int = option(32, 1, 65_536, "designs of a round")
    evaporation: float = option(0.1, 0.001, 1, "share of the pheromone that evaporates in a round")
    alpha: float = option(1.0, 0, 10, "power of the pheromone in the choice of a value")
    least: float = option(0.02, 1e-6, 1, "least pheromone, as a share of the most")


class AntColony(GenomeSearch):
    """An ant colony with a pheromone for each objective."""

    Options: ClassVar[type[Any]] = Settings

    def __init__(self, task: Task, settings: Settings) -> None:
        super().__init__(task, settings)
        self.settings = settings
        self.objectives = len(task.space.objectives)
        self.pheromone = np.exp(policies.table(self.coding, self.objectives, 0.0))
        self.there = self.pheromone[0] > 0
        self.begin()

    def propose(self) -> Genomes:
        """A genome of every ant."""
        weights = scalar.drawn(self.settings.ants, self.objectives, self.random)
        smell = np.einsum("ao,ogv->agv", weights, self.pheromone) ** self.settings.alpha * self.there
        return policies.sampled(smell / smell.sum(axis=-1, keepdims=True), self.random)

    def learn(self, genomes: Genomes, goals: Floats, violations: Floats) -> None:
        """Pheromone evaporates, and good designs leave new one."""
        trail = np.zeros_like(self.pheromone)
        for objective in range(self.objectives):
            for genome in self._leaders(genomes, goals, violations, objective):
                hit = policies.chosen(genome[None], trail.shape[-1])[0] & self.coding.active(genome[None]).T
                trail[objective] += hit
        kept, most = 1 - self.settings.evaporation, trail.max(axis=-1, keepdims=True, initial=0.0)
        marked = (most > 0) & self.there
        gain = np.divide(trail, most, out=np.zeros_like(trail), where=most > 0)
        self.pheromone = np.where(marked, kept * self.pheromone + (1 - kept) * gain, self.pheromone)
        self.pheromone = np.where(self.there, np.maximum(self.pheromone, self.settings.least), 0.0)

    def _leaders(self, genomes: Genomes, goals: Floats, violations: Floats, objective: int) -> Genomes:
        """The two best designs so far of an objective, and the front of this round; else those nearest to feasible."""
        good = np.flatnonzero(violations == 0)
        if not len(self.front.genomes):
            return genomes[np.argsort(violations, kind="stable")[:2]]
        best = np.argsort(self.front.goals[:, objective], kind="stable")[:2]
        return np.concatenate([self.front.genomes[best], genomes[good[front_mask(goals[good])]]])
