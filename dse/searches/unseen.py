"""No design twice: genomes of known designs give way to others."""

from __future__ import annotations

import numpy as np

from dse.searches.coding import Coding, Genomes
from dse.space import Indices

#: Rounds of further mutation for genomes of designs that are known, then random designs take their place.
_RETRIES = 4


class Unseen:
    """The designs that a search knows, ``limit`` of them at most; it hands out others."""

    def __init__(self, coding: Coding, known: Indices, limit: int, random: np.random.Generator) -> None:
        self.coding, self.limit, self.random = coding, limit, random
        self.seen: set[int] = set(known.tolist())

    @property
    def left(self) -> int:
        """Designs that may still be asked for."""
        return max(0, self.limit - len(self.seen))

    def fresh(self, genomes: Genomes) -> Genomes:
        """The genomes, those of known designs replaced by further mutation, then by random ones.

        All are known from now on. Fewer where the limit allows no more.
        """
        kept: list[Genomes] = []
        wanted = min(len(genomes), self.left)
        for attempt in range(_RETRIES + 64):
            places = self._new(genomes, wanted)
            kept.append(genomes[places])
            wanted -= len(places)
            if wanted <= 0:
                break
            stale = np.delete(genomes, places, axis=0)
            again = attempt < _RETRIES and len(stale)
            genomes = (
                self.coding.mutated(stale, self.random)
                if again
                else self.coding.random(4 * wanted, self.random)
            )
        if wanted > 0:  # nearly everything is known: list what is left
            kept.append(self._remaining(wanted))
        return np.concatenate(kept)

    def _new(self, genomes: Genomes, wanted: int) -> list[int]:
        """Places of the first ``wanted`` unknown designs, which are known from now on."""
        places: list[int] = []
        for place, index in enumerate(self.coding.indices(genomes).tolist()):
            if index not in self.seen and len(places) < wanted:
                self.seen.add(index)
                places.append(place)
        return places

    def _remaining(self, wanted: int) -> Genomes:
        """Genomes of designs not seen yet, in order of index from a random start."""
        size = self.coding.space.size
        index = int(self.random.integers(size))
        found: list[int] = []
        while len(found) < wanted:
            if index not in self.seen:
                self.seen.add(index)
                found.append(index)
            index = (index + 1) % size
        return self.coding.genomes(np.array(found, dtype=np.int64))
