"""The protocol of a search: it is asked for designs, told their metrics, and asked again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from dse.batch import Batch, Floats, empty, join
from dse.problem import Problem
from dse.space import Indices, Space

#: Designs in a batch of a search that needs no answers: what is evaluated, committed and reported at a time.
BATCH = 65_536
NONE: Indices = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Task:
    """Task of a search: a problem, the most designs to evaluate, a seed, and designs that are known already.

    ``known`` designs, those of an earlier search of the study, count against the budget and are not asked for again.
    """

    problem: Problem
    budget: int
    seed: int
    known: Batch

    @classmethod
    def of(cls, problem: Problem, known: Batch | None = None) -> Task:
        """The task that the space of a problem states."""
        space = problem.space
        known = empty(problem.metrics) if known is None else known
        budget = space.size if space.exact else min(space.search.budget, space.size)
        return cls(problem, budget, space.search.seed, known)

    @property
    def space(self) -> Space:
        """The space to be searched."""
        return self.problem.space

    @property
    def most(self) -> int:
        """Designs in a batch of a search that needs no answers."""
        return min(BATCH, self.space.subject.batch)

    @property
    def left(self) -> int:
        """Designs that may still be asked for."""
        return max(0, self.budget - len(self.known))

    def goals(self, batch: Batch) -> Floats:
        """The objectives of designs, ``(designs, objectives)``, signed so that smaller is better."""
        return self.problem.objectives(batch)

    def violations(self, batch: Batch) -> Floats:
        """0 for feasible designs, relative excess for broken constraints, infinite for what cannot be built."""
        excess = self.space.violation(batch.columns())
        excess = np.where(batch.feasible, 0.0, np.maximum(excess, 1e-300))
        return np.where(np.isnan(batch.metrics).all(axis=1), np.inf, excess)

    def promising(self, count: int) -> Batch:
        """The front of the known designs, and the ``count`` others that break constraints least."""
        excess = self.violations(self.known)
        near = np.argsort(excess, kind="stable")[:count]
        return join([self.problem.front(self.known), self.known.pick(near[excess[near] > 0])])


class Search(Protocol):
    """A search of a space by asking and telling.

    It depends on nothing but its task, its settings and what it is told, so replaying stored answers brings it to where
    it stopped: that is how a study resumes. It asks for designs of the space that are neither known nor were asked for
    before, ``task.left`` at most in all. :mod:`dse.searches.conformance` checks all of this.

    ``Options`` is a frozen dataclass of hyperparameters (:func:`dse.searches.options.option`). ``independent``
    searches do not listen: they are asked for everything and told nothing, so workers share the evaluation.
    """

    Options: ClassVar[type[Any]]
    independent: ClassVar[bool]

    def __init__(self, task: Task, settings: Any) -> None: ...

    def ask(self) -> Indices:
        """The designs to evaluate next, in order; none when the search is over."""

    def tell(self, batch: Batch) -> None:
        """Learn from the designs of the last ``ask``, in its order."""
