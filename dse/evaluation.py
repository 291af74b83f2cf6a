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


class Cells(Protocol):
    """Groups of designs, each with a range of values of some parameters (:class:`dse.cells.Grid`)."""

    def columns(self) -> dict[str, Any]:
        """Columns of the designs, which broadcast to their shape."""

    def hull(self, value: Any) -> Any:
        """The ranges of numbers of the designs of each cell (:class:`dse.interval.Interval`), where there are any."""

    def nowhere(self, holds: Any) -> npt.NDArray[np.bool_]:
        """Mask of cells in which a condition holds for no design."""


@dataclass(frozen=True)
class Bounds:
    """What is certain of cells: ranges of metrics by name, and masks of cells where nothing can be built, by reason."""

    metrics: Mapping[str, Any]
    unbuildable: Sequence[tuple[npt.NDArray[np.bool_], str]]


@runtime_checkable
class Bounder(Protocol):
    """An evaluator that can bound the numbers of cells."""

    def bounds(self, cells: Cells) -> Bounds:
        """What is certain of cells: no design of one has a number outside its range."""


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
