"""Several objectives as one number, for searches that follow one: the augmented Chebyshev norm under weights.

As in ParEGO (Knowles, IEEE TEC 2006): every objective is scaled to its range so far, weights are drawn evenly from the
simplex, and the cost is the largest weighted objective plus a twentieth of their weighted sum. Every point of a front,
convex or not, is the best one under some weights.
"""

from __future__ import annotations

import numpy as np

from dse.batch import Floats

_SUM = 0.05
#: Cost of an infeasible design: beyond that of every feasible one, growing with its violation.
_INFEASIBLE = 2.0


class Scale:
    """Ranges of the objectives of feasible designs so far."""

    def __init__(self, objectives: int) -> None:
        self.low = np.full(objectives, np.inf)
        self.high = np.full(objectives, -np.inf)

    def widen(self, goals: Floats, violations: Floats) -> bool:
        """Widen the ranges by evaluated designs; True if one became wider."""
        good = goals[violations == 0]
        low, high = (
            np.minimum(self.low, good.min(axis=0, initial=np.inf)),
            np.maximum(self.high, good.max(axis=0, initial=-np.inf)),
        )
        changed = bool((low < self.low).any() or (high > self.high).any())
        self.low, self.high = low, high
        return changed

    def unit(self, goals: Floats) -> Floats:
        """Objectives as shares of their ranges; 0 is the best so far."""
        with np.errstate(invalid="ignore"):
            return np.asarray((goals - self.low) / np.where(self.high > self.low, self.high - self.low, 1.0))


def drawn(count: int, objectives: int, random: np.random.Generator) -> Floats:
    """Weights ``(count, objectives)``, drawn evenly from the simplex."""
    return random.dirichlet(np.ones(objectives), count)


def spread(count: int, objectives: int, random: np.random.Generator) -> Floats:
    """Weights of ``count`` learners: one for each objective alone, the others drawn from the simplex."""
    corners = np.eye(objectives)[:count] * (1 - 1e-3) + 1e-3 / objectives
    return np.concatenate([corners, drawn(max(0, count - objectives), objectives, random)])


def costs(scale: Scale, goals: Floats, violations: Floats, weights: Floats) -> Floats:
    """Costs ``(weights, designs)`` of evaluated designs; smaller is better; infeasible ones cost 2 to 3."""
    weighted = weights[:, None, :] * np.nan_to_num(scale.unit(goals), nan=0.0, posinf=0.0, neginf=0.0)[None]
    cost = weighted.max(axis=2, initial=0.0) + _SUM * weighted.sum(axis=2)
    penalty = _INFEASIBLE + 1.0 - 1.0 / (1.0 + violations)
    return np.where(violations == 0, cost, penalty)
