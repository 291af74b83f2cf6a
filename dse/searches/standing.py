"""Standing of designs in a population: constraint domination, fronts and crowding (Deb et al., IEEE TEC 2002)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.pareto import crowding, sort_fronts
from dse.searches.coding import Genomes


@dataclass(frozen=True)
class Population:
    """Genomes with their standing: ``level`` is the front they are in, ``spread`` their crowding distance."""

    genomes: Genomes
    goals: npt.NDArray[np.float64]
    violation: npt.NDArray[np.float64]
    level: npt.NDArray[np.int64]
    spread: npt.NDArray[np.float64]

    def order(self) -> npt.NDArray[np.int64]:
        """Indices from best to worst."""
        return np.lexsort((-self.spread, self.level))

    def take(self, which: npt.NDArray[np.int64]) -> Population:
        """Select members, with their level and spread."""
        standing = (self.level[which], self.spread[which])
        return Population(self.genomes[which], self.goals[which], self.violation[which], *standing)


def ranked(
    genomes: Genomes, goals: npt.NDArray[np.float64], violation: npt.NDArray[np.float64]
) -> Population:
    """A population in constraint-domination order: feasible by front and crowding, then the rest by violation."""
    level = np.zeros(len(genomes), dtype=np.int64)
    spread = np.zeros(len(genomes))
    good = np.flatnonzero(violation == 0)
    level[good] = sort_fronts(goals[good])
    for number in np.unique(level[good]):
        same = good[level[good] == number]
        spread[same] = crowding(goals[same])
    bad = np.flatnonzero(violation > 0)
    level[bad] = (
        level[good].max(initial=-1) + 1 + np.unique(violation[bad], return_inverse=True)[1].reshape(-1)
    )
    return Population(genomes, goals, violation, level, spread)
