"""The search of a study: which designs are asked for, batch by batch, in an order that space and seed determine."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from dse.batch import Batch, empty
from dse.problem import Problem
from dse.searches import methods
from dse.searches.protocol import Search, Task
from dse.space import Indices, Space


def start(problem: Problem, known: Batch | None = None) -> Search:
    """The search that the space of a problem names, at its beginning, or after ``known`` designs of another."""
    space = problem.space
    kind = methods.load(space.method)
    settings = kind.Options(**methods.resolved(space.method, space.options))
    found: Search = kind(Task.of(problem, known), settings)
    return found


def is_independent(space: Space) -> bool:
    """True if the choices of the space's search do not depend on results, so that all can be made in advance."""
    return bool(methods.load(space.method).independent)


def asked(problem: Problem, known: Batch | None = None) -> Iterator[Indices]:
    """All batches of an independent search, in advance."""
    search = start(problem, known)
    del known  # frees the memory of its metrics
    while len(indices := search.ask()):
        yield indices


def dependent(problem: Problem, known: Batch | None = None) -> Generator[Indices, Batch, None]:
    """Batches of a search that is sent the results of each before it yields the next, and builds on ``known`` ones."""
    search = start(problem, empty(problem.metrics) if known is None else known)
    while len(indices := search.ask()):
        search.tell((yield indices))


def same_order(before: Space, now: Space) -> bool:
    """True if two searches of one space propose the same designs in the same order, independent of results."""
    if before.method == now.method and now.exact:
        return True
    return before.search == now.search and is_independent(now)


def planned(space: Space) -> int:
    """Number of designs that will be evaluated."""
    return space.size if space.exact else min(space.size, space.search.budget)
