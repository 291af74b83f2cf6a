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


def kept(pattern: Any) -> Number:
    """Weights that travel of each group, by the name of the pattern, one or many."""
    return _of_pattern(pattern, 0)


def group(pattern: Any) -> Number:
    """Weights of a group, travelling or zero, by the name of the pattern, one or many."""
    return _of_pattern(pattern, 1)


def _of_pattern(pattern: Any, which: int) -> Number:
    if isinstance(pattern, str):
        return PATTERNS[pattern][which]
    found: Number = 1
    for known, numbers in PATTERNS.items():
        found = choose(pattern == known, numbers[which], found)
    return found


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
