"""Delay tables of a library (NLDM: input slew by output load), many of them read in one NumPy expression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from costmodel.groundtruth.flatten import Ints
from costmodel.technology.table import Table

Floats = NDArray[np.float64]


class Tables:
    """Delay tables padded to one shape, so that one NumPy expression reads thousands of them."""

    def __init__(self) -> None:
        self._rows: dict[Table, int] = {}

    def add(self, table: Table | None) -> int:
        """Row of a table; -1 for none."""
        return -1 if table is None else self._rows.setdefault(table, len(self._rows))

    def seal(self) -> None:
        """Build the arrays after every table was added."""
        tables = list(self._rows) or [Table((0.0,), (0.0,), ((0.0,),))]
        shape = (max(2, *(len(t.slews) for t in tables)), max(2, *(len(t.loads) for t in tables)))
        self.slews = np.stack([_axis(t.slews, shape[0]) for t in tables])
        self.loads = np.stack([_axis(t.loads, shape[1]) for t in tables])
        self.values = np.stack([_grid(t, shape) for t in tables])
        self.last = np.array([[max(len(t.slews) - 2, 0), max(len(t.loads) - 2, 0)] for t in tables])

    def read(self, rows: Ints, slews: Floats, loads: Floats) -> Floats:
        """Bilinear interpolation in each row's table, extended linearly beyond its ends; 0 for row -1."""
        i, u = _place(self.slews[rows], slews, self.last[rows, 0])
        j, v = _place(self.loads[rows], loads, self.last[rows, 1])
        v00, v01 = self.values[rows, i, j], self.values[rows, i, j + 1]
        v10, v11 = self.values[rows, i + 1, j], self.values[rows, i + 1, j + 1]
        found: Floats = (1 - u) * ((1 - v) * v00 + v * v01) + u * ((1 - v) * v10 + v * v11)
        return np.where(rows < 0, 0.0, found)


def _axis(points: Sequence[float], size: int) -> Floats:
    # A single point gets a second one with the same values; padding beyond is never reached.
    known = [*points, points[0] + 1.0] if len(points) == 1 else list(points)
    return np.array(known + [np.inf] * (size - len(known)))


def _grid(table: Table, shape: tuple[int, int]) -> Floats:
    known = np.array(table.values)
    return np.pad(
        known, [(0, size - have) for size, have in zip(shape, known.shape, strict=True)], mode="edge"
    )


def _place(axes: Floats, values: Floats, last: Ints) -> tuple[Ints, Floats]:
    index = np.clip((axes <= values[:, None]).sum(axis=1) - 1, 0, last)
    rows = np.arange(len(values))
    low, high = axes[rows, index], axes[rows, index + 1]
    return index, (values - low) / (high - low)
