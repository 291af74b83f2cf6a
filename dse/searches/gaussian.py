"""A Gaussian process over genomes (Rasmussen and Williams, 2006): the sum of an additive and a Matérn 5/2 kernel.

The additive kernel counts equal genes: metrics of hardware are nearly products of what each parameter contributes, so
their logarithms are nearly sums. Long axes are left out of it, as it does not see neighbors. The Matérn kernel has a
length for each gene: ordered values are numbers from 0 to 1, by their logarithm where they are positive; other values
are all equally far apart. Lengths and the weight of the additive part maximize the marginal likelihood (L-BFGS), the
variance is its maximum in closed form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize

from dse.batch import Floats
from dse.searches.coding import Coding, Genomes

#: Most designs from which lengths are learned; more cost time and change little.
_MOST_FOR_LENGTHS = 128
_NOISE = 1e-5
_ROOT5 = np.sqrt(5.0)
#: Limits of the logarithms of lengths, and of the weight of the additive kernel.
_LIMITS, _WEIGHTS = (-2.0, 3.5), (-4.0, 4.0)
_STEPS = 12
#: Longer ordered axes are no part of the additive kernel.
_LONGEST = 32
#: Digits kept of lengths and of predictions, in units of the spread: machines whose sums of floats differ in their last
#: bits choose the same designs.
_DIGITS_OF_LENGTHS, _DIGITS = 2, 5


class Features:
    """Genomes as points: a column for each ordered gene, one for each value of the others."""

    def __init__(self, coding: Coding) -> None:
        self.coding = coding
        self.genes = np.flatnonzero(coding.sizes > 1)
        axes = [axis for sub in coding.space.subspaces for axis in sub.axes]
        self.places = {gene: _places(axes[gene - 1].array()) for gene in self.genes if coding.ordered[gene]}
        self.short = [
            gene for gene in self.genes if coding.sizes[gene] <= _LONGEST or not coding.ordered[gene]
        ]
        spans = [1 if coding.ordered[gene] else int(coding.sizes[gene]) for gene in self.genes]
        self.owner = np.repeat(np.arange(len(self.genes)), spans)

    def __call__(self, genomes: Genomes) -> Floats:
        """Points ``(genomes, columns)``, in which the genes of other families do not count."""
        genomes = self.coding.genomes(self.coding.indices(genomes))
        columns = [np.zeros((len(genomes), 0))]
        for gene in self.genes:
            values, size = genomes[:, gene], int(self.coding.sizes[gene])
            if self.coding.ordered[gene]:
                columns.append(self.places[gene][values][:, None])
            else:
                columns.append((values[:, None] == np.arange(size)) / np.sqrt(2.0))
        return np.concatenate(columns, axis=1)

    def equal(self, one: Genomes, other: Genomes) -> Floats:
        """Share of equal genes, of every pair; those of long axes do not count."""
        one, other = (self.coding.genomes(self.coding.indices(genomes)) for genomes in (one, other))
        total = np.zeros((len(one), len(other)))
        for gene in self.short:
            total += one[:, gene, None] == other[None, :, gene]
        return np.asarray(total / max(1, len(self.short)))


def _places(values: npt.NDArray[Any]) -> Floats:
    """The values of an ordered axis as numbers from 0 to 1."""
    numbers = values.astype(np.float64)
    numbers = np.log(numbers) if (numbers > 0).all() else numbers
    return np.asarray((numbers - numbers.min()) / np.ptp(numbers))


def _distances(one: Floats, other: Floats) -> Floats:
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2.0 * one @ other.T
    return np.asarray(np.maximum(squares, 0.0))


def _matern(squares: Floats) -> Floats:
    root = _ROOT5 * np.sqrt(squares)
    return np.asarray((1.0 + root + root**2 / 3.0) * np.exp(-root))


class Process:
    """A Gaussian process of one number; ``fit`` it before ``predict``."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self.parameters = np.zeros(len(features.genes) + 1)
        self.learned = 0

    def fit(self, points: Floats, equal: Floats, values: Floats) -> None:
        """Take in values at points; lengths are learned again when there are half as many points more."""
        self.mean, self.spread = float(values.mean()), float(values.std()) or 1.0
        scaled = (values - self.mean) / self.spread
        more = len(values) >= 1.5 * self.learned and self.learned < _MOST_FOR_LENGTHS
        if more and scaled.any():
            self.learned = len(values)
            self._learn(points[-_MOST_FOR_LENGTHS:], equal[-_MOST_FOR_LENGTHS:, -_MOST_FOR_LENGTHS:], scaled)
        self.points = self._scaled(points)
        kernel = self._kernel(_distances(self.points, self.points), equal)
        self.factor = linalg.cholesky(kernel + _NOISE * np.eye(len(kernel)), lower=True)
        self.solved = linalg.cho_solve((self.factor, True), scaled)
        self.variance = max(1e-12, float(scaled @ self.solved) / len(scaled))

    def predict(self, points: Floats, equal: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation at points, whose ``equal`` genes with those of the fit are given."""
        cross = self._kernel(_distances(self._scaled(points), self.points), equal)
        mean = self.mean + self.spread * np.round(cross @ self.solved, _DIGITS)
        half = linalg.solve_triangular(self.factor, cross.T, lower=True)
        own = 1.0 + np.exp(self.parameters[-1])
        left = np.maximum(own - (half**2).sum(axis=0), 0.0)
        return mean, self.spread * np.round(np.sqrt(self.variance * left), _DIGITS)

    def _scaled(self, points: Floats) -> Floats:
        return np.asarray(points * np.exp(-self.parameters[:-1])[self.features.owner])

    def _kernel(self, squares: Floats, equal: Floats) -> Floats:
        return np.asarray(_matern(squares) + np.exp(self.parameters[-1]) * equal)

    def _learn(self, points: Floats, equal: Floats, values: Floats) -> None:
        values = values[-len(points) :]
        owner, count = self.features.owner, len(self.parameters) - 1
        apart = np.stack(
            [_distances(points[:, owner == gene], points[:, owner == gene]) for gene in range(count)]
        )

        def loss(parameters: Floats) -> tuple[float, Floats]:
            squares = np.tensordot(np.exp(-2 * parameters[:-1]), apart, axes=1)
            root = _ROOT5 * np.sqrt(squares)
            additive = np.exp(parameters[-1]) * equal
            kernel = _matern(squares) + additive + _NOISE * np.eye(len(values))
            try:
                factor = linalg.cholesky(kernel, lower=True)
            except linalg.LinAlgError:
                return 1e10, np.zeros_like(parameters)
            inverse = linalg.cho_solve((factor, True), np.eye(len(values)))
            solved = inverse @ values
            fit = float(values @ solved)
            worth = 0.5 * len(values) * np.log(fit) + np.log(np.diag(factor)).sum()
            slope = 0.5 * inverse - 0.5 * len(values) / fit * np.outer(solved, solved)
            steep = (
                slope * (5.0 / 3.0) * (1.0 + root) * np.exp(-root)
            )  # dMatern/dlog(length), less the distance
            lengths = np.tensordot(apart, steep, axes=([1, 2], [0, 1])) * np.exp(-2 * parameters[:-1])
            return worth, np.append(lengths, (slope * additive).sum())

        bounds = [_LIMITS] * count + [_WEIGHTS]
        found = optimize.minimize(
            loss, self.parameters, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
        )
        self.parameters = np.round(found.x, _DIGITS_OF_LENGTHS)
