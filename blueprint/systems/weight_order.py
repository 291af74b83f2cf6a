"""The order in which units of products take weights: that of two is the same if codes become the same beats of both."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np
from numpy.typing import NDArray

from blueprint.spec import Spec
from blueprint.systems.staging import WEIGHTS

#: Groups of columns, and beats of a vector, of a small trial, so that it sees which of them come first.
_GROUPS = 2


def beats(spec: Spec, codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """The beats (beats x bytes) of the weights of some outputs, ``codes`` (outputs x inputs)."""
    act = np.zeros((1, codes.shape[1]), np.int64)
    found: NDArray[np.uint8] = spec.stimulus({"act": act, WEIGHTS: codes.T.astype(np.int64)})[WEIGHTS]
    return found


def columns(spec: Spec) -> int:
    """Outputs of a beat of results."""
    return int(prod(spec.stream("out").field.shape))


def same_order(one: Spec, other: Spec, lengths: Iterable[int]) -> bool:
    """True if two units of ternary products take the weights of products of these lengths in the same order and words.

    Then one image in memory serves both, where both cut a product into the same tiles. Tried are all lengths with few
    outputs, and as many outputs as both run at a time with few inputs.
    """
    if one == other:
        return True
    step, few = columns(one), _GROUPS * columns(one)
    most = min(int(getattr(spec, spec.bounds().get("n", ""), few)) for spec in (one, other)) // step * step
    if step != columns(other) or few > most or one.stream(WEIGHTS).width != other.stream(WEIGHTS).width:
        return False
    known = set(lengths)
    short = _GROUPS * max(int(prod(spec.stream("act").field.shape)) for spec in (one, other))
    sizes = [(few, length) for length in sorted(known)] + [(most, min(short, *known))]
    return all(_alike(one, other, *size) for size in sizes)


def _alike(one: Spec, other: Spec, outputs: int, length: int) -> bool:
    codes = np.random.default_rng(0).integers(-1, 2, (outputs, length)).astype(np.int8)
    return np.array_equal(beats(one, codes), beats(other, codes))
