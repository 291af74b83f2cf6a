"""Which designs to look at, batch by batch, always in the same order for the same space and seed.

A search depends on nothing but the problem and the answers it is given, so replaying it against stored answers brings
it to where it stopped: that is how a study resumes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np

from dse import genetic
from dse.batch import Batch
from dse.problem import Problem
from dse.space import Indices, Space

#: Designs in a batch of a search that needs no answers: what is evaluated, committed and reported at a time.
BATCH = 65_536


def independent(space: Space) -> Iterator[Indices] | None:
    """All batches in advance, for a search whose choices do not depend on results; else ``None``."""
    if space.method == "exhaustive":
        return _exhaustive(space.size)
    if space.method == "random":
        return _random(space.size, space.search.budget, space.search.seed)
    return None


def dependent(problem: Problem) -> Generator[Indices, Batch, None]:
    """Batches of a search that is sent the results of each before it yields the next."""
    return genetic.search(problem)


def planned(space: Space) -> int:
    """Number of designs that will be evaluated."""
    return space.size if space.method == "exhaustive" else min(space.size, space.search.budget)


def _exhaustive(size: int) -> Iterator[Indices]:
    for start in range(0, size, BATCH):
        yield np.arange(start, min(start + BATCH, size), dtype=np.int64)


def _random(size: int, budget: int, seed: int) -> Iterator[Indices]:
    """``budget`` distinct indices, evenly drawn from ``size``."""
    random = np.random.default_rng(seed)
    if size <= 4 * budget:
        chosen = random.permutation(size)[:budget].astype(np.int64)
    else:
        chosen = np.zeros(0, dtype=np.int64)
        while len(chosen) < budget:
            drawn = np.concatenate([chosen, random.integers(0, size, budget - len(chosen) + 64)])
            _, first = np.unique(drawn, return_index=True)
            chosen = drawn[np.sort(first)]
        chosen = chosen[:budget]
    for start in range(0, budget, BATCH):
        yield chosen[start : start + BATCH]
