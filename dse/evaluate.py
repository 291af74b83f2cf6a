"""The designs of a space judged many at a time: which can be built, and the cost model's numbers of those."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.parameters import Rule
from costmodel.model import breakdown
from costmodel.model.breakdown import Breakdown
from costmodel.model.evaluate import Estimator
from dse import limits
from dse.axis import CLOCK, Axis
from dse.cells import Bounded
from dse.evaluation import Bounds, Cells, Evaluation, Shape

#: On a mesh a design takes less than this share of the time that it takes by itself.
_FEW = 12


@dataclass(frozen=True)
class DesignEvaluator:
    """Judges designs of one family by the numbers of an estimator."""

    estimator: Estimator

    def __call__(self, columns: dict[str, Any], shape: Shape) -> Evaluation:
        """Metrics of designs; those that cannot be built or cannot hold a layer get a reason."""
        kind, columns = self.estimator.kind, dict(columns)
        clock = columns.pop(CLOCK, None)
        designs: Any = kind.columns(columns)
        with np.errstate(all="ignore"):  # formulas may divide by 0 for designs that cannot be built
            _, reason, reasons = designs.feasible()
            reason = np.array(np.broadcast_to(reason, shape))
            reasons = self._limits(designs, reason, list(reasons))
            built = np.asarray(reason == 0)
            if not built.any():
                return Evaluation({}, reason, reasons)
            if _worth_all(built):
                return Evaluation(self.estimator.metrics(designs, clock), reason, reasons)
        kept = {name: _picked(value, built) for name, value in columns.items()}
        metrics = {}
        for name, values in self.estimator.metrics(kind.columns(kept), _picked(clock, built)).items():
            metrics[name] = np.full(shape, np.nan)
            metrics[name][built] = values
        return Evaluation(metrics, reason, reasons)

    def bounds(self, cells: Cells) -> Bounds:
        """What the formulas say of all designs of a cell at once."""
        columns = cells.columns()
        clock = cells.hull(columns.pop(CLOCK, None))
        designs: Any = self.estimator.kind.columns(columns)
        with np.errstate(all="ignore"):
            rules = [*designs.checks(), *((rule.holds, rule.reason) for rule in self._capacity(designs))]
            unbuildable = [(cells.nowhere(holds), reason) for holds, reason in rules]
            return Bounds(self.estimator.metrics(Bounded(designs, cells), clock), unbuildable)

    def limited_by(
        self, axes: Sequence[Axis], parameters: Mapping[str, Any], metric: str, clock_mhz: float | None
    ) -> str | None:
        """The limiting contribution to a metric of a design, see :mod:`dse.limits`."""
        spec = self.estimator.kind.from_mapping(parameters)
        return limits.limited_by(self.estimator, axes, spec, metric, clock_mhz)

    def breakdown(self, columns: dict[str, Any], clock_mhz: npt.NDArray[np.float64]) -> Breakdown:
        """Area, energy and time of designs by place and task."""
        parameters = {name: value for name, value in columns.items() if name != CLOCK}
        return breakdown.of(self.estimator, self.estimator.kind.columns(parameters), clock_mhz)

    def _limits(self, designs: Any, reason: npt.NDArray[np.int64], reasons: list[str]) -> tuple[str, ...]:
        """Rules out designs made for smaller tasks than the workload has."""
        for rule in self._capacity(designs):
            reason[np.broadcast_to(~np.asarray(rule.holds), reason.shape) & (reason == 0)] = len(reasons)
            reasons.append(rule.reason)
        return tuple(reasons)

    def _capacity(self, designs: Any) -> Iterator[Rule]:
        """The rules under which designs can run the work."""
        prompt = self.estimator.prompt
        rules: Iterator[Rule] = designs.capacity(
            (*self.estimator.work.tasks, *(prompt.tasks if prompt else ()))
        )
        return rules


def _worth_all(built: npt.NDArray[np.bool_]) -> bool:
    """True if the numbers of all designs take no longer than those that can be built, one by one."""
    count = int(np.count_nonzero(built))
    return count == built.size or (built.ndim > 1 and _FEW * count > built.size)


def _picked(value: Any, which: npt.NDArray[np.bool_]) -> Any:
    """Some elements of a column, or the plain value that all designs share."""
    return np.broadcast_to(value, which.shape)[which] if isinstance(value, np.ndarray) else value
