"""NSGA-II of pymoo and of Optuna on the same objectives, as each is given its axes: positions, the family among them.

Both may ask for a design again; only the first time counts as an evaluation, which favors them.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from benchmarks.searches.spaces import Enumerated
from dse.searches.coding import Coding
from dse.space import Indices

#: Designs that a peer may propose for one new one, before its run ends.
_REPEATS = 5


class _Asked:
    """Designs in the order in which they were first asked for."""

    def __init__(self, known: Enumerated, budget: int) -> None:
        self.known, self.budget = known, budget
        self.coding = Coding(known.problem.space)
        self.excess = np.where(known.every.feasible, 0.0, _excess(known))
        self.goals = np.nan_to_num(known.problem.objectives(known.every), nan=1e30)
        self.order: dict[int, None] = {}
        self.proposed = 0
        self.met: set[int] = {-1}

    def see(self, genomes: Any) -> Indices:
        """Indices of what is proposed."""
        indices = self.coding.indices(np.asarray(genomes, dtype=np.int64).reshape(-1, len(self.coding.sizes)))
        self.proposed += len(indices)
        self.met.update(self.known.members[indices].tolist())
        self.order.update(dict.fromkeys(indices.tolist()))
        return indices

    @property
    def over(self) -> bool:
        """True if the exact front is there, the budget is used up, or hardly anything new comes."""
        spent = len(self.order) >= self.budget or self.proposed >= _REPEATS * self.budget
        return spent or len(self.met) > self.known.front

    def indices(self) -> Indices:
        """The designs that count as evaluated."""
        return np.array(list(self.order)[: self.budget], dtype=np.int64)


def _excess(known: Enumerated) -> Any:
    """Violation of infeasible designs; large for those that cannot be built, which have no numbers."""
    excess = known.problem.space.violation(known.every.columns())
    return np.where(np.isnan(excess), 1e3, np.maximum(excess, 1e-9))


def pymoo(known: Enumerated, seed: int, budget: int, population: int = 100) -> Indices:
    """NSGA-II of pymoo with its operators for integers (as its documentation has it)."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    asked = _Asked(known, budget)
    sizes = asked.coding.sizes
    problem = Problem(
        n_var=len(sizes), n_obj=asked.goals.shape[1], n_ieq_constr=1, xl=0, xu=sizes - 1, vtype=int
    )
    repair = RoundingRepair()
    algorithm = NSGA2(
        pop_size=population,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=repair),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=repair),
        eliminate_duplicates=True,
    )
    algorithm.setup(problem, termination=("n_gen", 10**6), seed=seed, verbose=False)
    while not asked.over:
        born = algorithm.ask()
        if born is None or not len(born):  # nothing but duplicates
            break
        indices = asked.see(born.get("X"))
        born.set("F", asked.goals[indices])
        born.set("G", asked.excess[indices][:, None])
        algorithm.tell(infills=born)
    return asked.indices()


def optuna(known: Enumerated, seed: int, budget: int, population: int = 50) -> Indices:
    """NSGA-II of Optuna, with its defaults, the constraints given as it takes them."""
    import optuna as package

    package.logging.set_verbosity(package.logging.ERROR)
    asked = _Asked(known, budget)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constraints are called experimental
        sampler = package.samplers.NSGAIISampler(
            seed=seed, population_size=population, constraints_func=lambda trial: trial.user_attrs["excess"]
        )
        study = package.create_study(directions=["minimize"] * asked.goals.shape[1], sampler=sampler)
        while not asked.over:
            trial = study.ask()
            genome = [
                trial.suggest_int(f"gene {gene}", 0, int(size) - 1)
                if asked.coding.ordered[gene]
                else trial.suggest_categorical(f"gene {gene}", list(range(size)))
                for gene, size in enumerate(asked.coding.sizes)
            ]
            index = int(asked.see(genome)[0])
            trial.set_user_attr("excess", [float(asked.excess[index])])
            study.tell(trial, asked.goals[index].tolist())
    return asked.indices()
