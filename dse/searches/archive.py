"""The front of a search that walks from it to its neighbors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.pareto import crowding, front_mask
from dse.searches.coding import Coding, Genomes


class Archive:
    """The feasible front so far, and which of its members have been expanded to neighbors."""

    def __init__(self, coding: Coding, objectives: int) -> None:
        self.coding = coding
        self.genomes = np.zeros((0, len(coding.sizes)), dtype=np.int64)
        self.goals = np.zeros((0, objectives))
        self.expanded: set[int] = set()

    def add(self, genomes: Genomes, goals: npt.NDArray[np.float64]) -> None:
        """Insert feasible designs."""
        self.genomes, self.goals = (
            np.concatenate([self.genomes, genomes]),
            np.concatenate([self.goals, goals]),
        )
        mask = front_mask(self.goals)
        self.genomes, self.goals = self.genomes[mask], self.goals[mask]

    def around(self, most: int, seen: set[int]) -> Genomes:
        """At most ``most`` unseen neighbors, of members in sparse regions first."""
        parts = [self.genomes[:0]]
        indices = self.coding.indices(self.genomes).tolist()
        for place in np.argsort(-crowding(self.goals), kind="stable").tolist() if indices else ():
            if most <= 0:
                break
            if indices[place] in self.expanded:
                continue
            near = self.coding.neighbors(self.genomes[place])
            fresh = [index not in seen for index in self.coding.indices(near).tolist()]
            near = near[np.array(fresh, dtype=bool)]
            if len(near) <= most:
                self.expanded.add(indices[place])
            parts.append(near[:most])
            most -= len(near)
        return np.concatenate(parts)
