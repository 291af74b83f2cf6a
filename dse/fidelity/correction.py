"""Corrections between two levels: ridge regression on the logarithm of higher over lower, with its own error.

Features are the parameters of a design: numbers by their logarithm, scaled to the values that the space has, others as
one indicator a value. The error is that of every design predicted from the others (leave-one-out), in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.axis import Axis
from dse.batch import Floats
from dse.space import Indices, Space

#: Fewest designs from which a correction is learned.
FEWEST = 5
#: Weight of the penalty on coefficients of scaled features: fixed, so that no error is chosen for being small.
PENALTY = 1.0


@dataclass(frozen=True)
class Correction:
    """Correction of one metric, learned from a level.

    ``before`` and ``after`` are root mean squares of relative errors of the lower level's number against the higher
    one's, as it is and corrected by what the other designs teach. It is used where that is less.
    """

    level: str
    metric: str
    designs: int
    before: float
    after: float
    coefficients: Floats

    @property
    def used(self) -> bool:
        """True if it lowers the error of designs that it has not seen."""
        return self.after < self.before

    def factors(self, found: Floats) -> Floats:
        """Factors on the lower level's numbers of designs with these :func:`features`."""
        factors: Floats = np.exp(_with_one(found) @ self.coefficients)
        return factors


def learn(level: str, metric: str, found: Floats, lower: Floats, higher: Floats) -> Correction | None:
    """The correction of a metric from designs known at both levels; ``None`` where there are too few of them.

    ``found`` are the :func:`features` of the designs. Designs with a number that is not above 0 teach nothing.
    """
    good = (lower > 0) & (higher > 0) & np.isfinite(lower) & np.isfinite(higher)
    if good.sum() < FEWEST:
        return None
    lower, higher, matrix = lower[good], higher[good], _with_one(found[good])
    target = np.log(higher / lower)
    penalty = PENALTY * np.eye(matrix.shape[1])
    penalty[0, 0] = 0.0  # the mean is not penalized
    inverse = np.linalg.inv(matrix.T @ matrix + penalty)
    coefficients = inverse @ matrix.T @ target
    leverage = np.einsum("ij,jk,ik->i", matrix, inverse, matrix)
    unseen = target - (target - matrix @ coefficients) / (1.0 - leverage)
    before, after = _rms(lower / higher - 1), _rms(np.exp(unseen) * lower / higher - 1)
    return Correction(level, metric, int(good.sum()), before, after, coefficients)


def features(space: Space, indices: Indices) -> Floats:
    """Features ``(designs, features)`` of designs: every axis with a choice, and the family where there are several."""
    columns: list[Floats] = []
    for sub in space.subspaces:
        mine = (indices >= sub.start) & (indices < sub.start + sub.size)
        codes = sub.codes(np.where(mine, indices - sub.start, 0))
        several = [np.ones((1, 1))] if len(space.subspaces) > 1 else []
        tables = [(table, np.zeros(len(indices), dtype=np.int64)) for table in several]
        tables += [
            (_table(axis), codes[:, place]) for place, axis in enumerate(sub.axes) if len(axis.values) > 1
        ]
        columns += [table[code] * mine[:, None] for table, code in tables]
    return np.concatenate([np.zeros((len(indices), 0)), *columns], axis=1)


def _table(axis: Axis) -> Floats:
    """Features of every value of an axis: one scaled number, or an indicator for each value."""
    if not all(type(value) in (int, float) for value in axis.values):
        return np.eye(len(axis.values))
    values = np.array(axis.values, dtype=np.float64)
    values = np.log(values) if values.min() > 0 else values
    scaled: Floats = (values - values.mean()) / values.std()
    return scaled[:, None]


def _with_one(found: Floats) -> Floats:
    return np.concatenate([np.ones((len(found), 1)), found], axis=1)


def _rms(errors: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(errors**2)))
