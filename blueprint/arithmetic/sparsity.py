"""N:M structured sparsity: at most ``n`` of each ``m`` weights are nonzero, and only ``n`` are stored.

A group is stored as ``n`` slots of a value and its index within the group, lowest index first. Groups with fewer
weights fill the slots with zeros at the lowest free indices: indices always rise and each names another weight.
Groups lie along the first axis (``k``) of a weight matrix ``[k, ...]``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.errors import ParamError
from blueprint.numbers import Number, ceil_div, choose, clog2

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Pattern:
    """At most ``n`` of each ``m`` weights; ``n == m`` is dense. Numbers of one design, or arrays over designs."""

    n: int
    m: int

    def check(self) -> Pattern:
        """Return the pattern. Raises ``TypeError`` for a wrong type and ``ParamError`` for an illegal pattern."""
        for name, value in (("n", self.n), ("m", self.m)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an integer, not {value!r}")
        if not 1 <= self.n <= self.m:
            raise ParamError(f"Sparsity must be N:M with 1 <= N <= M, not {self.n}:{self.m}")
        return self

    @property
    def index_bits(self) -> Number:
        """Bits of one index; none for a dense pattern."""
        return choose(self.n == self.m, 0, clog2(self.m))

    def slots(self, k: Number) -> Number:
        """Stored weights of a column of ``k`` weights; a short last group is filled up with zeros."""
        return ceil_div(k, self.m) * self.n

    def bits(self, k: Number, weight_width: Number) -> Number:
        """Bits of a stored column of ``k`` weights."""
        return self.slots(k) * (weight_width + self.index_bits)


def parse(text: str) -> Pattern:
    """Parse ``N:M``. Raises ``ParamError`` for any other text and for an illegal pattern."""
    found = re.fullmatch("([0-9]{1,18}):([0-9]{1,18})", str(text))
    if not found:
        raise ParamError(f"Sparsity must be written N:M, such as 2:4, not {str(text)[:60]!r}")
    return Pattern(int(found[1]), int(found[2])).check()


def prune(weights: npt.ArrayLike, pattern: Pattern) -> Array:
    """Keep the ``n`` weights of largest magnitude in each group of ``[k, ...]``; ties go to the lower index."""
    groups = _groups(weights, pattern)
    # A stable sort of negated magnitudes keeps the lower index first.
    order = np.argsort(-np.abs(groups), axis=1, kind="stable")
    kept = np.zeros(groups.shape, bool)
    np.put_along_axis(kept, order[:, : pattern.n], True, axis=1)
    return _ungroup(np.where(kept, groups, 0), weights)


def is_sparse(weights: npt.ArrayLike, pattern: Pattern) -> bool:
    """True if no group has more than ``n`` nonzero weights."""
    return bool((np.count_nonzero(_groups(weights, pattern), axis=1) <= pattern.n).all())


def encode(weights: npt.ArrayLike, pattern: Pattern) -> tuple[Array, npt.NDArray[np.int64]]:
    """Values and indices of sparse weights ``[k, ...]``, each ``[groups * n, ...]``.

    Raises ``ParamError`` if a group has more than ``n`` nonzero weights.
    """
    if not is_sparse(weights, pattern):
        most = int(np.count_nonzero(_groups(weights, pattern), axis=1).max())
        raise ParamError(
            f"Weights must be {pattern.n}:{pattern.m} sparse, not have groups with {most} non-zeros"
        )
    groups = _groups(weights, pattern)
    # Nonzero weights come before zeros, both by index; the chosen ones are then sorted by index.
    chosen = np.argsort(groups == 0, axis=1, kind="stable")[:, : pattern.n]
    indices = np.sort(chosen, axis=1).astype(np.int64)
    values = np.take_along_axis(groups, indices, axis=1)
    shape = (-1, *groups.shape[2:])
    return values.reshape(shape), indices.reshape(shape)


def decode(values: npt.ArrayLike, indices: npt.ArrayLike, pattern: Pattern, k: int) -> Array:
    """Weights ``[k, ...]`` from values and indices, the inverse of :func:`encode`.

    Raises ``ParamError`` for a wrong number of slots and for an index outside a group.
    """
    stored, places = np.asarray(values), np.asarray(indices, np.int64)
    if stored.shape != places.shape or stored.shape[0] != pattern.slots(k):
        raise ParamError(
            f"Stored weights of k = {k} must be {pattern.slots(k)} values and indices, "
            f"not {stored.shape[0]} and {places.shape[0]}"
        )
    if places.size and not 0 <= places.min() <= places.max() < pattern.m:
        raise ParamError(f"Indices must be from 0 to {pattern.m - 1}, not {places.min()} to {places.max()}")
    shape = (-1, pattern.n, *stored.shape[1:])
    groups = np.zeros((ceil_div(k, pattern.m), pattern.m, *stored.shape[1:]), stored.dtype)
    np.put_along_axis(groups, places.reshape(shape), stored.reshape(shape), axis=1)
    return groups.reshape(-1, *stored.shape[1:])[:k]


def select(activations: npt.ArrayLike, indices: npt.ArrayLike, pattern: Pattern) -> Array:
    """The activation that every slot multiplies: ``[..., k]`` and indices ``[slots]`` to ``[..., slots]``."""
    acts = np.asarray(activations)
    missing = -acts.shape[-1] % pattern.m
    padded = np.pad(acts, [(0, 0)] * (acts.ndim - 1) + [(0, missing)])
    places = np.asarray(indices, np.int64)
    found: Array = padded[..., np.arange(len(places)) // pattern.n * pattern.m + places]
    return found


def _groups(weights: npt.ArrayLike, pattern: Pattern) -> Array:
    """Weights as ``[groups, m, ...]``, zeros at the end of a short last group."""
    array = np.asarray(weights)
    missing = -array.shape[0] % pattern.m
    padded = np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))
    return padded.reshape(-1, pattern.m, *array.shape[1:])


def _ungroup(groups: Array, like: npt.ArrayLike) -> Array:
    array = np.asarray(like)
    found: Array = groups.reshape(-1, *array.shape[1:])[: array.shape[0]]
    return found
