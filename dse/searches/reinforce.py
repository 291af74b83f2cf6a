"""Reinforcement learning by policy gradient: REINFORCE (Williams, Machine Learning 1992) with a baseline and entropy.

An episode builds a design gene by gene, each value from a categorical distribution. Several policies share the work,
each with weights of the objectives of its own (decomposition as in MOEA/D, Zhang and Li, IEEE TEC 2007); the reward
falls from 1 to -1 with the rank of the cost under these weights (:mod:`dse.searches.scalar`) among the designs of the
batch, as in natural evolution strategies (Wierstra et al., JMLR 2014): so its mean is the baseline 0, and the step
does not depend on units or on how far infeasible designs are off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.stats import rankdata

from dse.batch import Floats
from dse.searches import policies, scalar
from dse.searches.coding import Genomes
from dse.searches.genomes import GenomeSearch
from dse.searches.options import option
from dse.searches.protocol import Task


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of the policy gradient."""

    policies: int = option(6, 1, 1024, "policies, each with weights of the objectives of its own")
    episodes: int = option(8, 2, 4096, "designs of each policy between two updates")
    rate: float = option(1.0, 1e-4, 10, "step of the logits along the gradient")
    entropy: float = option(0.3, 0, 1, "weight of the policy's entropy beside the reward")


class Reinforce(GenomeSearch):
    """Policies that are trained on what they propose, and on what was known."""

    Options: ClassVar[type[Any]] = Settings

    def __init__(self, task: Task, settings: Settings) -> None:
        super().__init__(task, settings)
        self.settings = settings
        objectives = len(task.space.objectives)
        self.scale = scalar.Scale(objectives)
        self.weights = scalar.spread(settings.policies, objectives, self.random)
        self.logits = policies.table(self.coding, settings.policies, 0.0)
        self.begin()

    def propose(self) -> Genomes:
        """Episodes of every policy."""
        chances = policies.softmax(self.logits)
        return policies.sampled(np.repeat(chances, self.settings.episodes, axis=0), self.random)

    def learn(self, genomes: Genomes, goals: Floats, violations: Floats) -> None:
        """A step of every policy along its gradient, over all designs of the batch."""
        self.scale.widen(goals, violations)
        cost = scalar.costs(self.scale, goals, violations, self.weights)
        reward = 1.0 - 2.0 * (rankdata(cost, axis=1) - 0.5) / max(1, len(genomes))
        chances = policies.softmax(self.logits)
        active = self.coding.active(genomes)[..., None]
        hit = policies.chosen(genomes, chances.shape[-1])
        # The gradient of a logit is the advantage times (chosen - probability), over genes that the design has.
        toward = np.einsum("pd,dgv->pgv", reward, hit & active)
        away = np.einsum("pd,dg->pg", reward, active[..., 0].astype(float))[..., None] * chances
        surprise = np.log(np.maximum(chances, 1e-12))
        entropy = -chances * (surprise - (chances * surprise).sum(axis=-1, keepdims=True))
        step = (toward - away) / max(1, len(genomes)) * len(self.weights) + self.settings.entropy * entropy
        self.logits = self.logits + self.settings.rate * step
