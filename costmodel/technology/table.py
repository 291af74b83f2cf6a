"""Tables of a library: a number by two axes, read between and beyond their points."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """NLDM table: `values[i][j]` at input slew `slews[i]` ps and output load `loads[j]` fF.

    A constraint table has the data slew on the first axis and the clock slew on the second; a table that does
    not depend on an axis has one point there.
    """

    slews: tuple[float, ...]
    loads: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]

    def at(self, slew: float, load: float) -> float:
        """Bilinear interpolation, extended linearly beyond the ends."""
        i, u = place(self.slews, slew)
        j, v = place(self.loads, load)
        low, high = self.values[i], self.values[min(i + 1, len(self.values) - 1)]
        k = min(j + 1, len(low) - 1)
        return (1 - u) * ((1 - v) * low[j] + v * low[k]) + u * ((1 - v) * high[j] + v * high[k])


def place(axis: tuple[float, ...], value: float) -> tuple[int, float]:
    """The interval of an axis that a value stands in, and where in it; the first and the last go on beyond the axis."""
    if len(axis) == 1:
        return 0, 0.0
    index = min(max(bisect_right(axis, value) - 1, 0), len(axis) - 2)
    return index, (value - axis[index]) / (axis[index + 1] - axis[index])
