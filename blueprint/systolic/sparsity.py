"""N:M structured sparsity: of every ``M`` weights along the reduction at most ``N`` are not zero.

Only those travel, each with its place in the group; an element selects the activation that belongs to it. A matrix
without zeros runs on the same array as ``M / N`` groups one after the other that see the same activations
(:func:`densely`): dense mode is a way to feed the array, not a switch inside it.
Source: N:M sparse training and its accelerator SAT (2309.13015).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.numbers import Number, choose

Integers = npt.NDArray[np.int64]

#: Weights that travel and weights of a group, by the pattern's name.
PATTERNS = {
    "dense": (1, 1),
    "1:2": (1, 2),
    "1:4": (1, 4),
    "2:4": (2, 4),
    "1:8": (1, 8),
    "2:8": (2, 8),
    "4:8": (4, 8),
    "2:16": (2, 16),
}


def look_up(name: Any, which: int) -> Number:
    """The first or second number of the pattern called ``name``, one or many."""
    if isinstance(name, str):
        return PATTERNS[name][which]
    found: Number = 1
    for known, numbers in PATTERNS.items():
        found = choose(name == known, numbers[which], found)
    return found


def prune(weights: npt.NDArray[Any], kept: int, group: int) -> npt.NDArray[Any]:
    """The ``kept`` largest magnitudes of every ``group`` weights along the first axis, zeros for the others.

    Of equal magnitudes the first stays. The last group may be short.
    """
    rows = len(weights)
    padded = np.pad(weights, ((0, -rows % group), *((0, 0),) * (weights.ndim - 1)))
    grouped = padded.reshape(-1, group, *weights.shape[1:])
    order = np.argsort(-np.abs(grouped), axis=1, kind="stable")
    keep = np.zeros(grouped.shape, dtype=bool)
    np.put_along_axis(keep, order[:, :kept], True, axis=1)
    return np.where(keep, grouped, 0).reshape(padded.shape)[:rows]


def encode(weights: Integers, kept: int, group: int, absent: int = 0) -> tuple[Integers, Integers]:
    """(values, places) of what travels: ``(k, n)`` weights to ``(k / group * kept, n)`` each, ``k`` a multiple.

    Places rise within a group; where it has fewer weights than may travel, zeros are added at places not taken.
    A weight counts as zero where it equals ``absent``. Raises ``ValueError`` for a group with too many weights.
    """
    grouped = weights.reshape(-1, group, weights.shape[1])
    taken = grouped != absent
    if taken.size and taken.sum(axis=1).max() > kept:
        raise ValueError(f"Weights must be {kept}:{group} sparse, and one group has {taken.sum(axis=1).max()}")
    # A stable sort puts those that are there in front, in order; the rest follow.
    places = np.sort(np.argsort(~taken, axis=1, kind="stable")[:, :kept], axis=1)
    values = np.take_along_axis(grouped, places, axis=1)
    size = (-1, weights.shape[1])
    return values.reshape(size), places.reshape(size).astype(np.int64)


def decode(values: Integers, places: Integers, kept: int, group: int, absent: int = 0) -> Integers:
    """The weights of what travelled: the inverse of :func:`encode`."""
    columns = values.shape[1]
    weights = np.full((len(values) // kept, group, columns), absent, dtype=np.int64)
    np.put_along_axis(weights, places.reshape(-1, kept, columns), values.reshape(-1, kept, columns), axis=1)
    return weights.reshape(-1, columns)


def densely(act: Integers, wgt: Integers, kept: int, group: int) -> tuple[Integers, Integers]:
    """Operands that compute the product of any ``wgt`` on an array for ``kept`` of ``group`` weights.

    Every group of activations comes ``group / kept`` times, each time with the next ``kept`` of its weights.
    """
    times, (k, n) = group // kept, wgt.shape
    act = np.pad(act, ((0, 0), (0, -k % group))).reshape(len(act), -1, 1, group)
    wgt = np.pad(wgt, ((0, -k % group), (0, 0))).reshape(-1, 1, group, n)
    turn = np.arange(group) // kept == np.arange(times)[:, None]
    spread = np.where(turn[None, :, :, None], wgt, 0).reshape(-1, n)
    again = np.repeat(act, times, axis=2).reshape(len(act), -1)
    return again, spread
