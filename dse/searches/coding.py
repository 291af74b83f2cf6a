"""Genomes: designs as integers that can be mixed and mutated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.space import Indices, Space

Genomes = npt.NDArray[np.int64]


class Coding:
    """Genomes of a space and the indices they stand for.

    A genome is the family and the position on every axis of every family; the genes of other families have no effect.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        axes = [axis for sub in space.subspaces for axis in sub.axes]
        self.sizes = np.array([len(space.subspaces), *(len(axis.values) for axis in axes)], dtype=np.int64)
        self.ordered = np.array([False, *(axis.ordered for axis in axes)])
        ends = np.cumsum([1, *(len(sub.axes) for sub in space.subspaces)])
        self.genes = [slice(int(a), int(b)) for a, b in zip(ends[:-1], ends[1:], strict=True)]

    def random(self, count: int, random: np.random.Generator) -> Genomes:
        """Random genomes, every gene uniform."""
        return random.integers(0, self.sizes, (count, len(self.sizes)))

    def indices(self, genomes: Genomes) -> Indices:
        """Index of each genome's design."""
        found = np.empty(len(genomes), dtype=np.int64)
        for family, sub in enumerate(self.space.subspaces):
            mine = genomes[:, 0] == family
            found[mine] = sub.start + sub.indices(genomes[mine, self.genes[family]])
        return found

    def genomes(self, indices: Indices) -> Genomes:
        """A genome of each design; the genes of other families are 0."""
        genomes = np.zeros((len(indices), len(self.sizes)), dtype=np.int64)
        for family, (sub, genes) in enumerate(zip(self.space.subspaces, self.genes, strict=True)):
            mine = (indices >= sub.start) & (indices < sub.start + sub.size)
            genomes[mine, 0] = family
            genomes[mine, genes] = sub.codes(indices[mine] - sub.start)
        return genomes

    def active(self, genomes: Genomes) -> npt.NDArray[np.bool_]:
        """Mask of genes that belong to a genome's family and have more than one value."""
        mask = np.zeros(genomes.shape, dtype=bool)
        mask[:, 0] = True
        for family, genes in enumerate(self.genes):
            mask[:, genes] = (genomes[:, 0] == family)[:, None]
        return mask & (self.sizes > 1)

    def mutated(self, genomes: Genomes, random: np.random.Generator) -> Genomes:
        """Copies in which about one active gene, at least one, has another value; small steps on ordered axes."""
        active = self.active(genomes)
        shape = genomes.shape
        rate = 1.0 / np.maximum(active.sum(axis=1, keepdims=True), 1)
        hit = (random.random(shape) < rate) & active
        scores = np.where(active, random.random(shape), -1.0)
        missing = ~hit.any(axis=1)
        hit[missing, scores[missing].argmax(axis=1)] = True
        jump = (genomes + random.integers(1, np.maximum(self.sizes, 2), shape)) % self.sizes
        step = random.geometric(0.6, shape) * random.choice(np.array([-1, 1]), shape)
        near = np.clip(genomes + step, 0, self.sizes - 1)
        small = self.ordered & (random.random(shape) < 0.7) & (near != genomes)
        return np.where(hit, np.where(small, near, jump), genomes)

    def neighbors(self, genome: npt.NDArray[np.int64]) -> Genomes:
        """Genomes that differ in one active gene: by one step on an ordered axis, by any value on another."""
        found = []
        for gene in np.flatnonzero(self.active(genome[None])[0]):
            here = int(genome[gene])
            steps = (here - 1, here + 1) if self.ordered[gene] else range(int(self.sizes[gene]))
            for value in steps:
                if value != here and 0 <= value < self.sizes[gene]:
                    found.append(genome.copy())
                    found[-1][gene] = value
        return np.array(found, dtype=np.int64).reshape(-1, len(genome))
