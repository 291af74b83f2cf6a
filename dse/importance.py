"""Importance of parameters: how much of a metric's variance over designs each of them explains.

Functional analysis of variance (as in Hutter et al., ICML 2014) on the designs themselves, without a model between:
designs are grouped by the value of a parameter, and its *main effect* is the variance between the groups as a share of
all variance, less the variance that groups of that size have by chance (epsilon squared, Kelley 1935). The
same of a pair of parameters, less both main effects, is their *interaction*. On a full grid whose designs can all be
built, the shares before that correction are exact. The correction counts part of the interactions as chance, which
hardly shows where groups are large. A search evaluates some values more often than others: then parameters that
changed together share the variance that either explains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from dse.batch import Floats

Codes = npt.NDArray[np.int64]
#: A metric is measured by its logarithm where its largest value is this many times its smallest.
WIDE = 8.0


@dataclass(frozen=True)
class Importance:
    """Shares of the variance of one metric: ``main`` by parameter, ``pairs`` by two of them; ``logarithmic`` values.

    ``total`` of a parameter is its main effect and all its interactions.
    """

    main: Mapping[str, float]
    pairs: Mapping[tuple[str, str], float]
    logarithmic: bool

    def total(self, name: str) -> float:
        """Share that falls to a parameter, alone or with another one."""
        return self.main[name] + sum(share for pair, share in self.pairs.items() if name in pair)


def importance(codes: Mapping[str, Codes], values: Floats) -> Importance:
    """Importance of parameters, given as a number of each value by design, for the values of a metric.

    Values that are no number are left out. All shares are 0 for a constant metric.
    """
    known = np.isfinite(values)
    values = values[known]
    codes = {name: np.unique(code[known], return_inverse=True)[1] for name, code in codes.items()}
    logarithmic = bool(len(values) and values.min() > 0 and values.max() > WIDE * values.min())
    values = np.log(values) if logarithmic else values
    main = {name: _explained(code, values) for name, code in codes.items()}
    pairs = {}
    for one, other in combinations(codes, 2):
        both = codes[one] * (int(codes[other].max(initial=0)) + 1) + codes[other]
        share = _explained(both, values) - main[one] - main[other]
        pairs[one, other] = max(0.0, share)
    return Importance(main, pairs, logarithmic)


def _explained(code: Codes, values: Floats) -> float:
    """Share of the variance that groups explain beyond chance, from 0 to 1."""
    if len(values) < 2:
        return 0.0
    centered = values - values.mean()
    whole = float(centered @ centered)
    if whole <= len(values) * (1e-12 * float(np.abs(values).max(initial=0.0))) ** 2:
        return 0.0  # constant but for rounding
    counts = np.bincount(code)
    sums = np.bincount(code, centered)
    between = float((sums**2 / np.maximum(counts, 1)).sum())
    groups, left = int((counts > 0).sum()), len(values) - int((counts > 0).sum())
    chance = (groups - 1) * (whole - between) / left if left else 0.0
    return min(1.0, max(0.0, (between - chance) / whole))
