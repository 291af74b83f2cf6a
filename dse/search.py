"""Searches: the designs to evaluate, batch by batch, in an order that space and seed determine.

A search depends on nothing but the problem and the answers it is given, so replaying it against stored answers brings
it to where it stopped: that is how a study resumes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np

from dse import genetic
from dse.batch import Batch, empty
from dse.problem import Problem
from dse.space import Indices, Space

#: Designs in a batch of a search that needs no answers: what is evaluated, committed and reported at a time.
BATCH = 65_536
#: Methods whose choices do not depend on results.
INDEPENDENT = ("exhaustive", "random")
_NONE: Indices = np.zeros(0, dtype=np.int64)


def independent(space: Space, known: Indices = _NONE) -> Iterator[Indices] | None:
    """All batches in advance, for a search whose choices do not depend on results; else ``None``.

    ``known`` are designs that an earlier search looked at.
    """
    if space.method == "exhaustive":
        return _exhaustive(space.size, np.sort(known))
    if space.method == "random":
        return _random(space.size, space.search.budget, space.search.seed, known)
    return None


def is_independent(space: Space) -> bool:
    """True if the choices of the space's search do not depend on results, so that all can be made in advance."""
    return space.method in INDEPENDENT


def asked(problem: Problem, known: Batch | None = None) -> Iterator[Indices]:
    """All batches of an independent search, in advance."""
    found = independent(problem.space, _NONE if known is None else known.indices)
    assert found is not None, "a search that needs answers is asked step by step"
    return found


def dependent(problem: Problem, known: Batch | None = None) -> Generator[Indices, Batch, None]:
    """Batches of a search that is sent the results of each before it yields the next, and builds on ``known`` ones."""
    return genetic.search(problem, empty(problem.metrics) if known is None else known)


def same_order(before: Space, now: Space) -> bool:
    """True if two searches of one space propose the same designs in the same order, independent of results."""
    if before.method == now.method == "exhaustive":
        return True
    return before.method == now.method == "random" and before.search == now.search


def planned(space: Space) -> int:
    """Number of designs that will be evaluated."""
    return space.size if space.method == "exhaustive" else min(space.size, space.search.budget)


def _exhaustive(size: int, known: Indices = _NONE) -> Iterator[Indices]:
    for start in range(0, size, BATCH):
        batch = np.arange(start, min(start + BATCH, size), dtype=np.int64)
        first, end = np.searchsorted(known, [start, start + BATCH])
        batch = np.delete(batch, known[first:end] - start)
        if len(batch):
            yield batch


def _random(size: int, budget: int, seed: int, known: Indices = _NONE) -> Iterator[Indices]:
    """Distinct indices, evenly drawn from ``size``, that make ``budget`` with the known ones."""
    random = np.random.default_rng([seed, len(known)] if len(known) else seed)
    if size <= 4 * budget:
        chosen = random.permutation(size).astype(np.int64)
        chosen = chosen[~np.isin(chosen, known)][: max(0, budget - len(known))]
    else:
        chosen = known
        while len(chosen) < budget:
            drawn = np.concatenate([chosen, random.integers(0, size, budget - len(chosen) + 64)])
            _, first = np.unique(drawn, return_index=True)
            chosen = drawn[np.sort(first)]
        chosen = chosen[len(known) : budget]
    for start in range(0, len(chosen), BATCH):
        yield chosen[start : start + BATCH]
