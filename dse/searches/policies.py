"""Choices gene by gene: tables with a number for every value of every gene, one table a learner."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.batch import Floats
from dse.searches.coding import Coding, Genomes


def table(coding: Coding, learners: int, value: float) -> Floats:
    """Numbers ``(learners, genes, values)``, minus infinity where a gene has no such value."""
    there = np.arange(coding.sizes.max())[None, :] < coding.sizes[:, None]
    return np.broadcast_to(np.where(there, value, -np.inf), (learners, *there.shape)).copy()


def softmax(numbers: Floats) -> Floats:
    """Probabilities of the values along the last axis."""
    grown = np.exp(numbers - numbers.max(axis=-1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=-1, keepdims=True))


def sampled(probabilities: Floats, random: np.random.Generator) -> Genomes:
    """A genome of every row of probabilities ``(genomes, genes, values)``."""
    ends = probabilities.cumsum(axis=-1)
    ends /= ends[..., -1:]
    return np.asarray((random.random(ends.shape[:-1])[..., None] >= ends).sum(axis=-1), dtype=np.int64)


def chosen(genomes: Genomes, values: int) -> npt.NDArray[np.bool_]:
    """One-hot ``(genomes, genes, values)``."""
    return np.asarray(genomes[..., None] == np.arange(values))
