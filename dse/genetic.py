"""NSGA-II over the axes of a space (Deb et al., IEEE TEC 2002), in integers, never asking for a design twice.

A genome is the family and the position on every axis of every family; the genes of other families ride along. Half of
each generation steps from the front found so far to its untried neighbors (Pareto local search, Paquete et al., 2004):
on the discrete and mostly monotone axes of hardware that closes the gaps crossover leaves.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.batch import Batch, join
from dse.pareto import crowding, front_mask, sort_fronts
from dse.problem import Problem
from dse.space import Indices, Space

Genomes = npt.NDArray[np.int64]
#: Share of children that mix two parents, the others are mutated copies.
_CROSSOVER = 0.9
#: Rounds of further mutation for children that were evaluated before, then random designs take their place.
_RETRIES = 4


class Coding:
    """Genomes of a space and the indices they stand for."""

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


def violations(problem: Problem, batch: Batch) -> npt.NDArray[np.float64]:
    """0 for feasible points, relative excess for broken constraints, infinite for what cannot be built."""
    excess = problem.space.violation(batch.columns())
    return np.where(np.isnan(excess), np.inf, np.where(batch.feasible, 0.0, np.maximum(excess, 1e-300)))


def search(problem: Problem, known: Batch) -> Generator[Indices, Batch, None]:
    """Yields indices to evaluate, none twice, and is sent their batch; ends when the budget or the space is used up.

    ``known`` designs of an earlier search count against the budget; the best of them are the first parents.
    """
    space, settings = problem.space, problem.space.search
    random = np.random.default_rng(settings.seed)
    coding = Coding(space)
    archive = Archive(coding, len(space.objectives))
    seen: set[int] = set(known.indices.tolist())
    limit = min(settings.budget, space.size)
    count = max(8, min(settings.population, limit // 16))  # a small budget still pays for some generations
    batch = _parents(problem, known, count)
    genomes = coding.genomes(batch.indices)
    population: Population | None = None
    if not len(batch):
        genomes = _unseen(coding, coding.random(count, random), seen, limit, random)
        batch = yield coding.indices(genomes)
    while len(genomes):
        goals, violation = problem.objectives(batch), violations(problem, batch)
        archive.add(genomes[batch.feasible], goals[batch.feasible])
        if population is not None:
            genomes = np.concatenate([population.genomes, genomes])
            goals = np.concatenate([population.goals, goals])
            violation = np.concatenate([population.violation, violation])
        everyone = ranked(genomes, goals, violation)
        population = everyone.take(everyone.order()[:count])
        near = archive.around(count // 2, seen)
        children = _children(coding, population, count - len(near), random)
        genomes = _unseen(coding, np.concatenate([near, children]), seen, limit, random)
        if len(genomes):
            batch = yield coding.indices(genomes)


def _parents(problem: Problem, known: Batch, count: int) -> Batch:
    """The front of known designs, and the ``count`` that break constraints least."""
    excess = violations(problem, known)
    near = np.argsort(excess, kind="stable")[:count]
    return join([problem.front(known), known.pick(near[excess[near] > 0])])


def _children(coding: Coding, parents: Population, count: int, random: np.random.Generator) -> Genomes:
    """Winners of binary tournaments, gene by gene from two of them, then mutated."""
    standing = np.empty(len(parents.genomes), dtype=np.int64)
    standing[parents.order()] = np.arange(len(standing))
    rivals = random.integers(0, len(standing), (2, count, 2))
    winners = np.where(standing[rivals[..., 0]] <= standing[rivals[..., 1]], rivals[..., 0], rivals[..., 1])
    one, two = parents.genomes[winners[0]], parents.genomes[winners[1]]
    cross = (random.random((count, 1)) < _CROSSOVER) & (random.random(one.shape) < 0.5)
    return coding.mutated(np.where(cross, two, one), random)


def _unseen(
    coding: Coding, genomes: Genomes, seen: set[int], limit: int, random: np.random.Generator
) -> Genomes:
    """The genomes with those of known designs replaced: by further mutation, then by random ones; marks all as seen."""
    kept: list[Genomes] = []
    wanted = min(len(genomes), limit - len(seen))
    for attempt in range(_RETRIES + 64):
        fresh: list[int] = []
        for place, index in enumerate(coding.indices(genomes).tolist()):
            if index not in seen and len(fresh) < wanted:
                seen.add(index)
                fresh.append(place)
        kept.append(genomes[fresh])
        wanted -= len(fresh)
        if wanted <= 0:
            break
        stale = np.delete(genomes, fresh, axis=0)
        again = attempt < _RETRIES and len(stale)
        genomes = coding.mutated(stale, random) if again else coding.random(4 * wanted, random)
    if wanted > 0:  # nearly everything is known: list what is left
        kept.append(_remaining(coding, seen, wanted, random))
    return np.concatenate(kept)


def _remaining(coding: Coding, seen: set[int], wanted: int, random: np.random.Generator) -> Genomes:
    """Genomes of designs not seen yet, in order of index from a random start."""
    size = coding.space.size
    index = int(random.integers(size))
    found: list[int] = []
    while len(found) < wanted:
        if index not in seen:
            seen.add(index)
            found.append(index)
        index = (index + 1) % size
    return coding.genomes(np.array(found, dtype=np.int64))
