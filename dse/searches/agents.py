"""Multi-agent search: one agent a parameter, all with the same reward (Krishnan et al., MARL for DSE, 2022).

Agents learn by distributed Q-learning (Lauer and Riedmiller, ICML 2000): an agent values an action by the best reward
that it ever brought, whatever the others did; this is sound because a design always has the same numbers. Each team
of agents has its own weights of the objectives (:mod:`dse.searches.scalar`): it starts from its best design, and
every agent keeps its value or, with a small chance, takes another, by a softmax over its values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dse.batch import Floats
from dse.searches import policies, scalar
from dse.searches.coding import Genomes
from dse.searches.genomes import GenomeSearch
from dse.searches.options import option
from dse.searches.protocol import Task


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of the agents."""

    teams: int = option(8, 1, 1024, "teams of agents, each with weights of the objectives of its own")
    designs: int = option(4, 1, 4096, "designs of each team in a round")
    explore: float = option(0.25, 0, 1, "chance that an agent looks for another value")
    temperature: float = option(0.1, 1e-3, 10, "of the softmax over an agent's values, in units of cost")
    memory: int = option(
        4096, 16, 1_000_000, "latest designs from which values are learned when ranges change"
    )


class Agents(GenomeSearch):
    """Teams of agents, one agent for each parameter."""

    Options: ClassVar[type[Any]] = Settings

    def __init__(self, task: Task, settings: Settings) -> None:
        super().__init__(task, settings)
        self.settings = settings
        objectives = len(task.space.objectives)
        self.scale = scalar.Scale(objectives)
        self.weights = scalar.spread(settings.teams, objectives, self.random)
        self.genomes = self.coding.random(0, self.random)
        self.goals, self.violations = np.zeros((0, objectives)), np.zeros(0)
        self._forget()
        self.begin()

    def _forget(self) -> None:
        """Values that are optimistic where nothing was tried, and no best design."""
        self.values = policies.table(self.coding, self.settings.teams, 0.0)
        self.tried = np.zeros(self.values.shape, dtype=bool)
        self.best = np.zeros((self.settings.teams, len(self.coding.sizes)), dtype=np.int64)
        self.least = np.full(self.settings.teams, np.inf)

    def propose(self) -> Genomes:
        """Designs of every team around its best one; random ones before there is any."""
        if not len(self.genomes):
            return self.coding.random(self.settings.teams * self.settings.designs, self.random)
        start = np.repeat(self.best, self.settings.designs, axis=0)
        chances = policies.softmax(self.values / self.settings.temperature)
        other = policies.sampled(np.repeat(chances, self.settings.designs, axis=0), self.random)
        return np.where(self.random.random(start.shape) < self.settings.explore, other, start)

    def learn(self, genomes: Genomes, goals: Floats, violations: Floats) -> None:
        """Raise the values of actions to the rewards they brought."""
        most = self.settings.memory
        self.genomes = np.concatenate([self.genomes, genomes])[-most:]
        self.goals = np.concatenate([self.goals, goals])[-most:]
        self.violations = np.concatenate([self.violations, violations])[-most:]
        if self.scale.widen(goals, violations):  # every reward has changed with them
            self._forget()
            genomes, goals, violations = self.genomes, self.goals, self.violations
        cost = scalar.costs(self.scale, goals, violations, self.weights)
        active = self.coding.active(genomes)
        places, genes = np.nonzero(active)
        taken = genomes[places, genes]
        for team in range(len(self.weights)):
            fresh = np.full(self.values.shape[1:], -np.inf)
            np.maximum.at(fresh, (genes, taken), -cost[team, places])
            known = np.isfinite(fresh)
            better = known & (~self.tried[team] | (fresh > self.values[team]))
            self.values[team][better] = fresh[better]
            self.tried[team] |= known
            best = int(cost[team].argmin()) if len(genomes) else 0
            if len(genomes) and cost[team, best] < self.least[team]:
                self.least[team], self.best[team] = cost[team, best], genomes[best]
