"""Bayesian optimization: a Gaussian process for every metric that objectives and constraints name.

Candidates are the neighbors of the front, mutated members of it and random designs. Each is worth how far the lower
confidence bounds of its objectives reach beyond the front: the additive epsilon indicator (Zitzler and Künzli, PPSN
2004) of the front against it, as in SMS-EGO (Ponweiser et al., PPSN 2008), any number of objectives alike. A chosen
candidate counts as part of the front when the next of the batch is chosen. Candidates that should break a constraint
or cannot be built, in the mean of their processes, come last.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dse.batch import Batch, Floats, join
from dse.pareto import oriented
from dse.searches.coding import Genomes
from dse.searches.gaussian import Features, Process
from dse.searches.genomes import GenomeSearch
from dse.searches.nsga2 import Nsga2
from dse.searches.nsga2 import Settings as Nsga2Settings
from dse.searches.options import option
from dse.searches.protocol import Task
from dse.space import Indices

#: A batch is at least this share of the known designs: models of many designs cost more and change less.
_SHARE = 12


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of Bayesian optimization."""

    first: int = option(24, 2, 4096, "random designs before the first model; a quarter of a small budget")
    batch: int = option(
        8, 1, 1024, "designs chosen from one model; a twelfth of those that it knows, if more"
    )
    candidates: int = option(1024, 16, 65_536, "designs that the model compares")
    bound: float = option(0.5, 0, 10, "standard deviations by which the lower bound is below the mean")
    modelled: int = option(512, 16, 2048, "designs after which NSGA-II goes on, as a model costs their cube")
    population: int = option(128, 8, 65_536, "population of that NSGA-II")


class Bayesian(GenomeSearch):
    """Bayesian optimization of the first designs; NSGA-II goes on from them."""

    Options: ClassVar[type[Any]] = Settings

    def __init__(self, task: Task, settings: Settings) -> None:
        super().__init__(task, settings)
        self.settings = settings
        self.features = Features(self.coding)
        goals = task.space.objectives
        self.names = tuple(dict.fromkeys([*goals, *(limit.metric for limit in task.space.limits)]))
        self.processes = {name: Process(self.features) for name in (*self.names, "")}
        self.told = task.known
        self.after: Nsga2 | None = None
        self.begin()

    def propose(self) -> Genomes:
        """Random designs, then those of the highest promise."""
        first = min(self.settings.first, max(2, self.task.budget // 4)) - len(self.told)
        if first > 0:
            return self.coding.random(first, self.random)
        candidates = self._candidates()
        low, unlikely = self._predicted(candidates)
        count = max(self.settings.batch, len(self.told) // _SHARE)
        chosen = self._greedy(low, unlikely, min(count, len(candidates)))
        return candidates[chosen]

    def ask(self) -> Indices:
        """The next designs, of NSGA-II once there are too many for a model."""
        if self.after is None and self.asked is None and len(self.told) >= self.settings.modelled:
            task = dataclasses.replace(self.task, known=self.told)
            self.after = Nsga2(task, Nsga2Settings(population=self.settings.population))
        return self.after.ask() if self.after else super().ask()

    def tell(self, batch: Batch) -> None:
        """Take the results into the models."""
        if self.after:
            self.after.tell(batch)
            return
        self.told = join([self.told, batch])
        super().tell(batch)

    def learn(self, genomes: Genomes, goals: Floats, violations: Floats) -> None:
        """Do nothing: the model is fitted when designs are proposed."""

    def _candidates(self) -> Genomes:
        """Distinct unknown designs around the front, or around those that break least; and random ones."""
        most = self.settings.candidates
        known = self.task.promising(8) if not len(self.front.genomes) else None
        centers = self.front.genomes if known is None else self.coding.genomes(known.indices)
        near = [self.coding.neighbors(center) for center in centers[:most]]
        parts = [*near, self.coding.random(most // 4, self.random)]
        if len(centers):
            copies = centers[self.random.integers(0, len(centers), most // 2)]
            parts.append(self.coding.mutated(self.coding.mutated(copies, self.random), self.random))
            parts.append(self._leaps(copies[: most // 4]))
        genomes = np.concatenate(parts)
        _, first = np.unique(self.coding.indices(genomes), return_index=True)
        genomes = genomes[np.sort(first)]
        fresh = [index not in self.unseen.seen for index in self.coding.indices(genomes).tolist()]
        genomes = genomes[np.array(fresh, dtype=bool)]
        if len(genomes) > most:
            genomes = genomes[np.sort(self.random.permutation(len(genomes))[:most])]
        return genomes if len(genomes) else self.coding.random(1, self.random)

    def _leaps(self, genomes: Genomes) -> Genomes:
        """Copies in which one gene moves by a power of two along its axis, or takes any value of an unordered axis."""
        chance = np.where(self.coding.active(genomes), self.random.random(genomes.shape), -1.0)
        moved, rows = chance.argmax(axis=1), np.arange(len(genomes))
        sizes, here = self.coding.sizes[moved], genomes[rows, moved]
        far = 1 << (self.random.random(len(genomes)) * np.log2(sizes)).astype(np.int64)
        step = np.clip(here + far * self.random.choice(np.array([-1, 1]), len(genomes)), 0, sizes - 1)
        found = genomes.copy()
        found[rows, moved] = np.where(self.coding.ordered[moved], step, self.random.integers(0, sizes))
        return found

    def _predicted(self, candidates: Genomes) -> tuple[Floats, Floats]:
        """Lower bounds of the objectives, and how unlikely the candidates are to be feasible: 0 if they should be."""
        told, space = self.told, self.task.space
        built = ~np.isnan(told.metrics).all(axis=1)
        genomes = self.coding.genomes(told.indices)
        points, equal = self.features(genomes), self.features.equal(genomes, genomes)
        asked, shared = self.features(candidates), self.features.equal(candidates, genomes)
        mean: dict[str, Floats] = {name: np.zeros(len(candidates)) for name in self.names}
        low = dict(mean)
        unlikely = np.zeros(len(candidates))
        if not built.all():
            self.processes[""].fit(points, equal, np.where(built, 1.0, -1.0))
            unlikely += np.maximum(0.0, -self.processes[""].predict(asked, shared)[0])
        if not built.any():
            return oriented(
                [low[name] for name in space.objectives], list(space.objectives.values())
            ), unlikely
        inside = np.ix_(built, built)
        for name in self.names:
            values = told.column(name)[built]
            sign = np.sign(values[0]) if (values * values[0] > 0).all() else 0.0
            process = self.processes[name]
            process.fit(points[built], equal[inside], np.log(values * sign) if sign else values)
            middle, deviation = process.predict(asked, shared[:, built])
            toward = -1.0 if space.objectives.get(name) == "max" else 1.0
            bound = middle - toward * (sign or 1.0) * self.settings.bound * deviation
            mean[name], low[name] = (sign * np.exp(x) if sign else x for x in (middle, bound))
        unlikely += space.violation(mean) if space.limits else 0.0
        return oriented([low[name] for name in space.objectives], list(space.objectives.values())), unlikely

    def _greedy(self, low: Floats, unlikely: Floats, count: int) -> Indices:
        """The candidates that reach furthest beyond the front and the chosen ones."""
        if not len(self.front.goals):
            return np.argsort(unlikely, kind="stable")[:count]
        span = np.ptp(self.front.goals, axis=0)
        span = np.where(span > 0, span, np.maximum(np.abs(self.front.goals[0]), 1e-300))
        reach = np.full(len(low), np.inf)
        for member in self.front.goals:
            reach = np.minimum(reach, ((member - low) / span).max(axis=1))
        chosen: list[int] = []
        for _ in range(count):
            worth = np.where(unlikely > 0, -1e6 - unlikely, reach)
            worth[chosen] = -np.inf
            chosen.append(int(worth.argmax()))
            reach = np.minimum(reach, ((low[chosen[-1]] - low) / span).max(axis=1))
        return np.array(chosen, dtype=np.int64)
