"""One description of a checkpoint in memory, whatever files it came from.

Nothing is read before it is asked for: a matrix when :meth:`Matrix.read` is called, so a model of billions of weights
takes the memory of its largest tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blueprint.errors import ParamError
from checkpoints.decoder import Decoder
from checkpoints.names import LINEAR, Place
from checkpoints.stored import Stored
from checkpoints.ternary import Floats, Statistics, Ternary
from checkpoints.vocabulary import Vocabulary


@dataclass(frozen=True)
class Matrix:
    """A linear layer: ``shape`` is (outputs, inputs); ``read`` gives ``None`` where the weights are not ternary.

    ``kind`` is the type of the stored elements in the words of the file.
    """

    name: str
    shape: tuple[int, int]
    kind: str
    read: Callable[[], Ternary | None]


@dataclass(frozen=True)
class Dense:
    """A tensor that is no ternary matrix: a norm, the embedding, the head. ``rows`` gives some rows as ``float32``."""

    name: str
    shape: tuple[int, ...]
    kind: str
    rows: Callable[[int, int], Floats]

    def read(self) -> Floats:
        """The whole tensor as ``float32``."""
        return self.rows(0, self.shape[0])


@dataclass(frozen=True)
class Checkpoint:
    """A trained decoder: what it computes, its tensors by layer and role, and its vocabulary.

    A head that shares the weights of the embedding has no tensor of its own.
    """

    decoder: Decoder
    matrices: Mapping[Place, Matrix]
    dense: Mapping[Place, Dense]
    vocabulary: Vocabulary | None
    source: Path

    def layers(self) -> list[tuple[int, str]]:
        """Layer and role of every matrix."""
        return [(layer or 0, role) for layer, role in self.matrices]

    def matrix(self, layer: int, role: str) -> Ternary:
        """The ternary matrix of a layer. Raises ``SpecError``; ``ParamError`` for one of full precision."""
        stored = self.matrices[layer, role]
        found = stored.read()
        if found is None:
            raise ParamError(f"{self.source}: tensor {stored.name!r} must be ternary, not of full precision")
        return found

    def survey(self, told: Callable[[int, int], None] = lambda done, total: None) -> Iterator[Finding]:
        """Survey every tensor, layer by layer; reads all of them. Raises ``SpecError``.

        ``told`` is called after each matrix with the number of matrices read and their total.
        """
        for done, place in enumerate(sorted(self.matrices, key=_order), start=1):
            yield _of_matrix(place, self.matrices[place])
            told(done, len(self.matrices))
        for place in sorted(self.dense, key=_order):
            yield _of_dense(place, self.dense[place])


@dataclass(frozen=True)
class Finding:
    """Properties of a tensor: storage, encoding, scales (as stored) and frequencies of its codes."""

    place: Place
    name: str
    shape: tuple[int, ...]
    kind: str
    encoding: str
    scales: int = 0
    scale_min: float | None = None
    scale_max: float | None = None
    divides: bool = False
    statistics: Statistics | None = None


def _order(place: Place) -> tuple[int, int, str]:
    layer, role = place
    return (-1 if layer is None else layer, LINEAR.index(role) if role in LINEAR else len(LINEAR), role)


def _of_matrix(place: Place, matrix: Matrix) -> Finding:
    found = matrix.read()
    if found is None:
        return Finding(place, matrix.name, matrix.shape, matrix.kind, "full precision")
    low, high = float(found.scale.min()), float(found.scale.max())
    facts = (found.encoding, found.scale.size, low, high, found.divides, found.statistics())
    return Finding(place, matrix.name, matrix.shape, matrix.kind, *facts)


def _of_dense(place: Place, dense: Dense) -> Finding:
    step = max(1, (1 << 24) // max(1, int(np.prod(dense.shape[1:]))))
    for first in range(0, dense.shape[0], step):
        dense.rows(first, min(first + step, dense.shape[0]))  # refuses what is not finite
    return Finding(place, dense.name, dense.shape, dense.kind, "floats")


def of_stored(stored: Stored) -> Dense:
    """A tensor of a file whose rows are checked to be finite as they are read."""

    def rows(first: int, last: int) -> Floats:
        found: NDArray[np.float32] = stored.float_rows(first, last)
        if not np.isfinite(found).all():
            at = [int(i) for i in np.unravel_index(int(np.argmin(np.isfinite(found))), found.shape)]
            value, at[0] = found[tuple(at)], at[0] + first
            raise stored.error(f"must hold finite numbers, not {value} at {at}")
        return found

    return Dense(stored.name, stored.shape, stored.kind, rows)


def of_arrays(
    decoder: Decoder,
    matrices: Mapping[Place, Ternary],
    dense: Mapping[Place, Floats],
    vocabulary: Vocabulary | None = None,
) -> Checkpoint:
    """A checkpoint whose tensors are in memory, as training and tests make them."""

    def held(found: Ternary) -> Callable[[], Ternary]:
        return lambda: found

    def rows(found: Floats) -> Callable[[int, int], Floats]:
        return lambda first, last: found[first:last]

    def name(place: Place) -> str:
        return place[1] if place[0] is None else f"{place[0]}.{place[1]}"

    return Checkpoint(
        decoder,
        {place: Matrix(name(place), each.shape, "memory", held(each)) for place, each in matrices.items()},
        {place: Dense(name(place), each.shape, "F32", rows(each)) for place, each in dense.items()},
        vocabulary,
        Path(decoder.model.source),
    )
