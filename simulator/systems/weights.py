"""Ternary weights out of their beats, for any unit of products.

An element of a beat is decoded by its encoding. Which weight it is follows from the unit: its own packing of matrices
whose weights are the digits of their places tells where each of them went.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from blueprint.arithmetic import ternary
from blueprint.record import Integers
from blueprint.spec import Spec

Octets = NDArray[np.uint8]


class Weights:
    """Decodes beats of weights; what came from the same place is decoded once."""

    def __init__(self, spec: Spec) -> None:
        self.spec: Any = spec
        self.stream = spec.stream("wgt")
        self._orders: dict[tuple[int, int], Integers] = {}
        self._read: dict[tuple[Any, ...], NDArray[np.float64]] = {}

    def _packed(self, weights: Integers) -> Octets:
        act = np.zeros((1, len(weights)), np.int64)
        found: Octets = self.spec.stimulus({"act": act, "wgt": weights})["wgt"]
        return found

    def beats(self, k: int, n: int) -> int:
        """Beats of a product of one token."""
        return len(self.order(k, n))

    def order(self, k: int, n: int) -> Integers:
        """Number ``row * n + column`` of the weight in every place of every beat, -1 where there is none."""
        if (k, n) not in self._orders:
            there = self.decoded(self._packed(np.ones((k, n), np.int64))) == 1
            number, found, power = np.arange(k * n).reshape(k, n), np.zeros(there.shape, np.int64), 1
            while power < k * n:
                found += (1 + self.decoded(self._packed(number // power % 3 - 1))) * power
                power *= 3
            self._orders[k, n] = np.where(there, found, -1)
        return self._orders[k, n]

    def decoded(self, beats: Octets) -> Integers:
        """The weights of beats in the order of their bits, (beats, places)."""
        field = self.stream.field
        values = self.stream.unpack(beats[:, : self.stream.width // 8]).reshape(len(beats), -1)
        if field.code == "five_trits":
            return ternary.raw_weights(5)[np.minimum(values, 3**5 - 1)].reshape(len(beats), -1)
        if field.code == "twos_complement":
            return values
        assert field.holds is not None and field.holds.members is not None
        group = field.holds.members[1]
        found: Integers = ternary.decode(values.reshape(-1, 1, 1), field.code, group, 1, 1).astype(np.int64)
        return found.reshape(len(beats), -1)

    def read(self, beats: Octets, sources: tuple[Any, ...], k: int, n: int) -> NDArray[np.float64]:
        """The matrix (k, n) of the beats of one run, (1, beats, bytes), which came from ``sources``."""
        key = (*sources, k, n)
        if None in sources or key not in self._read:
            order = self.order(k, n)
            found = np.zeros(k * n)
            places = order >= 0
            found[order[places]] = self.decoded(beats[0])[places]
            self._read[key] = found.reshape(k, n)
        return self._read[key]
