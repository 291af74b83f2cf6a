"""Samplers of Optuna (Akiba et al., KDD 2019) as searches: the extra ``ternforge[optuna]``.

Optuna proposes positions on the axes, the family first, then those of its axes. A design that it proposes again is told
at once and another is asked for. When it only repeats itself, random designs take their place and become trials.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dse.batch import Floats
from dse.searches.coding import Genomes
from dse.searches.genomes import GenomeSearch
from dse.searches.options import option
from dse.searches.protocol import Task

#: Proposals for one new design, before a random one takes its place.
_RETRIES = 16
_EXCESS = "excess"


@dataclass(frozen=True)
class Settings:
    """Settings that every sampler of Optuna has here."""

    batch: int = option(1, 1, 4096, "designs proposed before their results are known")


@dataclass(frozen=True)
class Nsga2Settings(Settings):
    """Hyperparameters of Optuna's NSGA-II."""

    population: int = option(50, 2, 65_536, "trials of a generation")


@dataclass(frozen=True)
class TpeSettings(Settings):
    """Hyperparameters of Optuna's tree-structured Parzen estimator."""

    first: int = option(10, 1, 4096, "random trials before the first estimate")
    candidates: int = option(24, 1, 4096, "samples of which the best is proposed")


class _Adapter(GenomeSearch):
    """A study of Optuna behind ask and tell; ``sampler`` makes what proposes."""

    most_known: ClassVar[int] = 1000

    def __init__(self, task: Task, settings: Any) -> None:
        super().__init__(task, settings)
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.optuna, self.settings = optuna, settings
        self.results: dict[int, tuple[Floats, float]] = {}
        self.trials: dict[int, Any] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna warns of arguments that it calls experimental
            directions = ["minimize"] * len(task.space.objectives)
            sampler = self.sampler(task.seed % 2**32)
            self.study = optuna.create_study(directions=directions, sampler=sampler)
        self.begin()

    @abstractmethod
    def sampler(self, seed: int) -> Any:
        """The sampler of Optuna."""

    def propose(self) -> Genomes:
        """Designs that are new, as Optuna proposes them."""
        found: dict[int, Genomes] = {}
        for _ in range(_RETRIES * self.settings.batch):
            if len(found) >= min(self.settings.batch, self.unseen.left):
                break
            trial = self.study.ask()
            genome = self._suggested(trial)
            index = int(self.coding.indices(genome)[0])
            if index in self.unseen.seen or index in found:
                self._finish(trial, *self.results.get(index, (None, np.inf)))
            else:
                found[index], self.trials[index] = genome, trial
        missing = min(self.settings.batch, self.unseen.left) - len(found)
        return np.concatenate([*found.values(), self.coding.random(missing, self.random)])

    def learn(self, genomes: Genomes, goals: Floats, violations: Floats) -> None:
        """Tell the trials their results; designs without one become trials."""
        for genome, index, goal, excess in zip(
            genomes, self.coding.indices(genomes).tolist(), goals, violations.tolist(), strict=True
        ):
            self.results[index] = (goal, excess)
            trial = self.trials.pop(index, None)
            if trial is None:
                self.study.enqueue_trial(self._named(genome))
                trial = self.study.ask()
                self._suggested(trial)
            self._finish(trial, goal, excess)

    def _genes(self, family: int) -> range:
        return range(self.coding.genes[family].start, self.coding.genes[family].stop)

    def _named(self, genome: Genomes) -> dict[str, int]:
        return {_name(gene): int(genome[gene]) for gene in (0, *self._genes(int(genome[0])))}

    def _suggested(self, trial: Any) -> Genomes:
        """The genome that a trial stands for."""
        genome = np.zeros((1, len(self.coding.sizes)), dtype=np.int64)
        genome[0, 0] = self._value(trial, 0)
        for gene in self._genes(int(genome[0, 0])):
            genome[0, gene] = self._value(trial, gene)
        return genome

    def _value(self, trial: Any, gene: int) -> int:
        size = int(self.coding.sizes[gene])
        if size == 1:
            return 0
        if self.coding.ordered[gene]:
            return int(trial.suggest_int(_name(gene), 0, size - 1))
        return int(trial.suggest_categorical(_name(gene), list(range(size))))

    def _finish(self, trial: Any, goal: Floats | None, excess: float) -> None:
        """End a trial; designs that cannot be built have failed."""
        if goal is None or not np.isfinite(excess):
            self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
            return
        trial.set_user_attr(_EXCESS, [excess])
        self.study.tell(trial, goal.tolist())


def _name(gene: int) -> str:
    return f"gene {gene}"


def _constraints(trial: Any) -> Any:
    return trial.user_attrs[_EXCESS]


class Tpe(_Adapter):
    """Optuna's tree-structured Parzen estimator."""

    Options: ClassVar[type[Any]] = TpeSettings

    def sampler(self, seed: int) -> Any:
        """Sampler with constraints, and with many trials at a time where the batch has several."""
        return self.optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=self.settings.first,
            n_ei_candidates=self.settings.candidates,
            constraints_func=_constraints,
            constant_liar=self.settings.batch > 1,
        )


class Nsga2(_Adapter):
    """Optuna's NSGA-II."""

    Options: ClassVar[type[Any]] = Nsga2Settings

    def sampler(self, seed: int) -> Any:
        """Sampler with constraints."""
        return self.optuna.samplers.NSGAIISampler(
            seed=seed, population_size=self.settings.population, constraints_func=_constraints
        )


class Random(_Adapter):
    """Optuna's random sampler."""

    Options: ClassVar[type[Any]] = Settings

    def sampler(self, seed: int) -> Any:
        """Evenly drawn."""
        return self.optuna.samplers.RandomSampler(seed=seed)
