"""Non-negative coefficients of least relative error, robust against a few bad rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDS = 12
#: Weight of a prior against that of a row.
TRUST = 0.03
_FAR = 2.0  # a row whose error exceeds this many weighted medians of the errors counts less


@dataclass(frozen=True)
class Errors:
    """Relative errors: mean and worst of the fit, and the mean and worst of rows left out of it."""

    mean: float
    worst: float
    held_out_mean: float
    held_out_worst: float
    rows: int

    def plain(self) -> dict[str, float]:
        """Convert to plain values for a file, rounded to three digits."""
        return {key: float(f"{value:.3g}") for key, value in vars(self).items()}


def fit(
    rows: Floats,
    values: Floats,
    prior: Floats | None = None,
    *,
    shares: Floats | None = None,
    trust: float = TRUST,
    known: Floats | None = None,
) -> Floats:
    """Fit non-negative coefficients of the columns of `rows` to positive `values`; returns shape (columns,).

    `rows` has shape (rows, columns) and `values` (rows,). The squared relative errors are minimized by non-negative
    least squares, which is repeated with Huber's weights so that outliers count less. A coefficient about which the
    rows say little stays near its `prior`, shape (columns,), if that is positive; `trust` is the weight of a prior
    against that of a row. `shares`, shape (rows,), are the shares of the values in their totals; a row counts in
    proportion to its share. `known`, shape (rows,), is what of the values no coefficient has to explain.
    """
    from scipy.optimize import nnls

    relative = rows / values[:, None]
    scale = np.abs(relative).max(axis=0)
    live = np.flatnonzero(scale > 0)
    found = np.zeros(rows.shape[1])
    if not len(live):
        return found
    scaled = relative[:, live] / scale[live]
    near, pull = _pull(prior, live, scale, trust)
    even = np.ones(len(values)) if shares is None else np.sqrt(shares / shares.mean())
    wanted = _unexplained(values, known)
    weight = even
    for _ in range(_ROUNDS):
        weighted = np.vstack([scaled * weight[:, None], near])
        solution, _ = nnls(weighted, np.concatenate([weight * wanted, pull]), maxiter=100 * len(live))
        miss = np.abs(scaled @ solution - wanted)
        far = max(_FAR * _median(miss, even**2), 1e-3)
        weight = even * np.sqrt(np.minimum(1.0, far / np.maximum(miss, 1e-12)))
    found[live] = solution / scale[live]
    return found


def _unexplained(values: Floats, known: Floats | None) -> Floats:
    """The share of each value that coefficients have to explain."""
    return np.ones(len(values)) if known is None else 1 - known / values


def _median(values: Floats, weights: Floats) -> float:
    """The weighted median: the value up to which half of the weight lies."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _pull(
    prior: Floats | None, live: NDArray[np.int64], scale: Floats, trust: float
) -> tuple[Floats, Floats]:
    """Regularization rows and targets that pull scaled coefficients to their priors."""
    if prior is None:
        return np.zeros((0, len(live))), np.zeros(0)
    known = np.flatnonzero(prior[live] > 0)
    rows = np.zeros((len(known), len(live)))
    rows[np.arange(len(known)), known] = trust / (prior[live] * scale[live])[known]
    return rows, np.full(len(known), trust)


def errors(
    rows: Floats,
    values: Floats,
    found: Floats,
    prior: Floats | None = None,
    folds: int = 5,
    *,
    shares: Floats | None = None,
    trust: float = TRUST,
    known: Floats | None = None,
) -> Errors:
    """Relative errors of the coefficients `found`, and of `folds` fits, each tested on the rows that it left out."""
    wanted = _unexplained(values, known)
    miss = np.abs(rows @ found / values - wanted)
    unseen = np.zeros(len(values))
    groups = np.arange(len(values)) % folds
    for fold in range(folds):
        out = groups == fold
        if out.any() and not out.all():
            rest = None if shares is None else shares[~out]
            stay = None if known is None else known[~out]
            again = fit(rows[~out], values[~out], prior, shares=rest, trust=trust, known=stay)
            unseen[out] = np.abs(rows[out] @ again / values[out] - wanted[out])
    return Errors(
        float(miss.mean()), float(miss.max()), float(unseen.mean()), float(unseen.max()), len(values)
    )


def matrix(tables: Sequence[Mapping[tuple[str, str], float]]) -> tuple[list[tuple[str, str]], Floats]:
    """Column names in order of appearance, and one row per table; a name that a table lacks counts 0."""
    names = list(dict.fromkeys(name for table in tables for name in table))
    return names, np.array([[float(table.get(name, 0.0)) for name in names] for table in tables])
