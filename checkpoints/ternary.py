"""Ternary matrices: codes, scales and what a scale means; statistics; and matrices out of floats.

A weight is its code times its multiplier. Files state the multiplier, or its reciprocal by which a product is divided:
``divides`` says which, and the value stays as it is stored, so that it is rounded only where the model rounds it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8]
Floats = NDArray[np.float32]

#: Least mean magnitude that weights are divided by (BitNet b1.58, ``clamp(min=1e-5)``).
LEAST_MEAN = np.float32(1e-5)
#: Columns that share a scale, where a row has several; from many to few.
_GROUPS = (256, 128, 64, 32)


@dataclass(frozen=True)
class Ternary:
    """A ternary matrix (outputs x inputs) with its scales.

    ``scale`` has shape (1, 1) where the matrix has one, (outputs, 1) for one per row, (outputs, groups) for one per
    group of columns. ``divides`` says that a product is divided by it, not multiplied. ``encoding`` is the form it was
    found in.
    """

    codes: Codes
    scale: Floats
    divides: bool
    encoding: str

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        return self.codes.shape[0], self.codes.shape[1]

    @property
    def single(self) -> bool:
        """True if one scale serves the whole matrix."""
        return self.scale.size == 1

    @property
    def multiplier(self) -> NDArray[np.float64]:
        """Factor of each code, in the shape of ``scale``."""
        exact = self.scale.astype(np.float64)
        return 1.0 / exact if self.divides else exact

    def weights(self) -> Floats:
        """The weights as floats, each rounded once."""
        times = np.repeat(self.multiplier, self.shape[1] // self.scale.shape[1], axis=1)
        return (self.codes * times).astype(np.float32)

    def statistics(self) -> Statistics:
        """Frequency of each code."""
        return Statistics(*(int(np.count_nonzero(self.codes == code)) for code in (-1, 0, 1)))


@dataclass(frozen=True)
class Statistics:
    """Frequencies of the codes -1, 0 and +1."""

    negative: int
    zero: int
    positive: int

    @property
    def total(self) -> int:
        """Number of codes."""
        return self.negative + self.zero + self.positive

    @property
    def zero_share(self) -> float:
        """Share of zeros."""
        return self.zero / self.total

    @property
    def positive_share(self) -> float:
        """Share of +1 among the codes that are not zero; 0.5 where signs are in balance."""
        return self.positive / max(1, self.positive + self.negative)

    @property
    def entropy(self) -> float:
        """Bits per code of an ideal code of these frequencies; at most log2 of three, 1.585."""
        shares = [count / self.total for count in (self.negative, self.zero, self.positive) if count]
        return -sum(share * math.log2(share) for share in shares) + 0.0

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.negative + other.negative, self.zero + other.zero, self.positive + other.positive
        )


def absmean(weights: Floats) -> Ternary:
    """The ternary matrix of master weights: rounded to -1, 0, +1 after division by their mean magnitude.

    Ma et al., "The Era of 1-bit LLMs", 2024, equations 1 to 3. The mean is taken in FP64 and rounded to FP32; codes are
    rounded half to even.
    """
    mean = max(np.float32(np.abs(weights, dtype=np.float64).mean()), LEAST_MEAN)
    codes = np.clip(np.rint(weights * (np.float32(1) / mean)), -1, 1).astype(np.int8)
    return Ternary(codes, np.full((1, 1), mean, np.float32), False, "master weights, absmean")


def from_floats(weights: Floats) -> Ternary | None:
    """The matrix whose weights are exactly 0 or plus or minus one scale; per matrix, per row or per group of columns.

    ``None`` where they are not ternary. The scale of a group of zeros is 0, that of a matrix of zeros 1.
    """
    magnitude = np.abs(weights)
    codes = np.sign(weights).astype(np.int8)
    if not codes.any():
        return Ternary(codes, np.ones((1, 1), np.float32), False, "ternary floats")
    for groups in _divisions(weights.shape[1]):
        scale = magnitude.max(keepdims=True) if groups == 0 else _largest(magnitude, groups)
        spread = np.repeat(scale, weights.shape[1] // scale.shape[1], axis=1)
        if np.array_equal(magnitude, np.where(codes == 0, np.float32(0), spread)):
            return Ternary(codes, scale, False, "ternary floats")
    return None


def _divisions(columns: int) -> list[int]:
    """Groups per row to try; 0 is the whole matrix."""
    return [0, 1, *(columns // size for size in _GROUPS if columns % size == 0 and columns > size)]


def _largest(magnitude: Floats, groups: int) -> Floats:
    found: Floats = magnitude.reshape(len(magnitude), groups, -1).max(axis=2)
    return found
