"""The protocol of everything that evaluates the designs of a space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from blueprint.numbers import Real
from costmodel.model.breakdown import Breakdown
from dse.axis import Axis


@dataclass(frozen=True)
class Evaluation:
    """Result of an evaluator for many designs: metrics by name, and reasons why some cannot be built.

    ``reason`` is 0 for what can be built, else a number into ``reasons``; metrics of the rest are ignored.
    """

    metrics: Mapping[str, Real]
    reason: npt.NDArray[np.int64]
    reasons: tuple[str, ...]


#: The shape of designs: their number, or that of a mesh (:class:`dse.mesh.Box`).
Shape = int | tuple[int, ...]
#: Parameter columns (arrays that broadcast to the shape, or plain values where constant) and the shape of the designs,
#: to their evaluation, whose numbers broadcast to it too.
Evaluator = Callable[[dict[str, Any], Shape], Evaluation]


@runtime_checkable
class Explainer(Protocol):
    """An evaluator that can say more of one design than its metrics."""

    def limited_by(
        self, axes: Sequence[Axis], parameters: Mapping[str, Any], metric: str, clock_mhz: float | None
    ) -> str | None:
        """The limiting contribution to a metric of a design, in words; ``None`` if there is none.

        ``axes`` are the parameters of its space, ``clock_mhz`` is the clock it runs at, without it its highest.
        """

    def breakdown(self, columns: dict[str, Any], clock_mhz: npt.NDArray[np.float64]) -> Breakdown | None:
        """Area, energy and time of designs at their clocks by place and task; ``None`` where that takes too long."""
