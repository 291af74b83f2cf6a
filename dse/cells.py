"""Boxes of a space as cells: runs of neighboring values of some axes, single values of the others.

Formulas are evaluated on the values themselves, as open meshes; what depends on an axis with runs becomes a range, of
the numbers in each run. So a range has the numbers of designs at its ends, and an array of ranges is as short as the
cells are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.unit import Path, Unit
from dse.axis import Axis
from dse.evaluation import Cells
from dse.interval import Interval
from dse.mesh import Box
from dse.pareto import Bools
from dse.space import Columns, Indices

#: Values of a run are within this factor of each other.
RATIO = 1.25
#: On a mesh a design takes less than this share of the time that it takes by itself.
_WORTH = 8


def runs(axis: Axis) -> list[int]:
    """Places at which runs of an axis begin; every value is a run of its own where values are in no order."""
    if not axis.ordered:
        return list(range(len(axis.values)))
    starts, least, most = [0], axis.values[0], axis.values[0]
    for place, value in enumerate(axis.values[1:], start=1):
        least, most = min(least, value), max(most, value)
        if not 0 < most <= RATIO * least:
            starts.append(place)
            least = most = value
    return starts


def has_runs(axis: Axis) -> bool:
    """True if runs have several values on the average."""
    return 2 * len(runs(axis)) <= len(axis.values)


class Grid:
    """The cells of a box; designs and cells are arrays with a dimension for every axis.

    So a term has no dimension that it does not depend on; axes that share one, as in a mesh of designs, would bring it
    the values of all of them.
    """

    def __init__(self, box: Box) -> None:
        self.box = box
        first = box.sub.codes(np.array([box.start]))[0].tolist()
        axes = box.sub.axes
        counts = [1] * box.place + [box.values] + [len(axis.values) for axis in axes[box.place + 1 :]]
        self._within = [
            Axis(axis.name, axis.values[code : code + count])
            for axis, code, count in zip(axes, first, counts, strict=True)
        ]
        #: Numbers of designs, and for each dimension where its runs begin.
        self.shape = tuple(counts)
        self._starts = [
            np.array(runs(axis)) if has_runs(axis) else np.arange(len(axis.values)) for axis in self._within
        ]
        #: Numbers of cells.
        self.cells = tuple(len(starts) for starts in self._starts)

    def columns(self) -> Columns:
        """Columns of the designs, which broadcast to their shape."""
        found: Columns = {}
        for number, (axis, whole) in enumerate(zip(self._within, self.box.sub.axes, strict=True)):
            shape = (1,) * number + (-1,) + (1,) * (len(self.shape) - number - 1)
            several = len(whole.values) > 1  # in the space: one value of them stays an array
            found[axis.name] = axis.array().reshape(shape) if several else axis.values[0]
        return found

    def hull(self, value: Any) -> Any:
        """The ranges of numbers of the designs of each cell; numbers where no axis with runs matters."""
        places = self._reduced(value)
        if not places:
            return value
        low = high = np.asarray(value)
        for place in places:
            low = np.minimum.reduceat(low, self._starts[place], axis=place)
            high = np.maximum.reduceat(high, self._starts[place], axis=place)
        return Interval(low.astype(np.float64), high.astype(np.float64))

    def nowhere(self, holds: Any) -> Bools:
        """Mask of cells in which a condition holds for no design."""
        some = np.asarray(holds)
        for place in self._reduced(holds):
            some = np.maximum.reduceat(some, self._starts[place], axis=place)
        return np.broadcast_to(~some.astype(bool), self.cells)

    def _reduced(self, value: Any) -> list[int]:
        """Dimensions of an array along which cells have several designs."""
        shape = np.shape(value)
        return [
            place
            for place, starts in enumerate(self._starts)
            if shape and shape[place] > 1 and len(starts) < shape[place]
        ]

    def part(self, cells: tuple[slice, ...]) -> tuple[Columns, tuple[int, ...], Indices]:
        """Columns, shape and indices of the designs in a block of cells, as of :meth:`dse.mesh.Box.mesh`."""
        ends = [np.append(starts, size) for starts, size in zip(self._starts, self.shape, strict=True)]
        designs = tuple(
            slice(int(end[cell.start]), int(end[cell.stop])) for end, cell in zip(ends, cells, strict=True)
        )
        columns = {
            name: value[tuple(self._open(value, designs))] if isinstance(value, np.ndarray) else value
            for name, value in self.columns().items()
        }
        places = np.ix_(*(np.arange(some.start, some.stop) for some in designs))
        local = np.ravel_multi_index(places, self.shape).reshape(-1)
        shape = tuple(some.stop - some.start for some in designs)
        return columns, shape, local + (self.box.sub.start + self.box.start)

    @staticmethod
    def _open(value: npt.NDArray[Any], designs: tuple[slice, ...]) -> Iterator[slice]:
        """The part of an open array that some designs have."""
        return (some if size > 1 else slice(None) for size, some in zip(value.shape, designs, strict=True))

    def blocks(self, cells: Bools, least: int, most: int) -> Iterator[tuple[slice, ...]]:
        """Blocks of at most ``most`` designs that are quicker to evaluate as meshes than their cells one by one.

        Each has at least ``least`` designs of these cells; those that lie apart are in none.
        """
        weights = np.ones(self.cells)
        for place, (starts, size) in enumerate(zip(self._starts, self.shape, strict=True)):
            lengths = np.diff(np.append(starts, size))
            weights = weights * lengths.reshape((-1,) + (1,) * (len(self.cells) - place - 1))
        waiting = [tuple(slice(0, size) for size in self.cells)]
        while waiting:
            block = _shrunk(cells, waiting.pop())
            whole = float(weights[block].sum())
            asked = float(weights[block][cells[block]].sum())
            if asked < least:
                continue
            if whole <= most and asked * _WORTH >= whole:
                yield block
                continue
            sizes = [some.stop - some.start for some in block]
            place = int(np.argmax(sizes))
            if sizes[place] == 1:
                continue
            middle = block[place].start + sizes[place] // 2
            for half in (slice(block[place].start, middle), slice(middle, block[place].stop)):
                waiting.append((*block[:place], half, *block[place + 1 :]))

    def spread(self, cells: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is said of cells as said of their designs, in the order of indices."""
        for place, (starts, size) in enumerate(zip(self._starts, self.shape, strict=True)):
            if len(starts) < size:
                cells = np.repeat(cells, np.diff(np.append(starts, size)), axis=place)
        return cells.reshape(-1)


def _shrunk(cells: Bools, block: tuple[slice, ...]) -> tuple[slice, ...]:
    """The least block that has the same of the cells."""
    some = cells[block]
    for place in range(some.ndim):
        others = tuple(each for each in range(some.ndim) if each != place)
        there = np.flatnonzero(cells[block].any(axis=others))
        if not len(there):
            return block
        start = block[place].start
        near = slice(start + int(there[0]), start + int(there[-1]) + 1)
        block = (*block[:place], near, *block[place + 1 :])
    return block


@dataclass(frozen=True)
class Bounded:
    """What the cost model asks of designs, with the ranges of cells in place of numbers."""

    designs: Any
    cells: Cells

    def units(self) -> tuple[Unit, ...]:
        """The inventory."""
        return self._units

    def paths(self) -> tuple[Path, ...]:
        """The paths between two registers."""
        return self._paths

    def cycles(self, task: Any) -> Any:
        """Cycles of a task."""
        return self.cells.hull(self.designs.cycles(task))

    def occupied(self, task: Any) -> Any:
        """Cycles of a task in which registers take operands."""
        return self.cells.hull(self.designs.occupied(task))

    def dram_bits(self, task: Any) -> dict[str, Any]:
        """Traffic of a task."""
        return {name: self.cells.hull(bits) for name, bits in self.designs.dram_bits(task).items()}

    @cached_property
    def peak_macs(self) -> Any:
        """Multiply-accumulates of a cycle."""
        return self.cells.hull(self.designs.peak_macs)

    @cached_property
    def _units(self) -> tuple[Unit, ...]:
        return tuple(map(self._unit, self.designs.units()))

    @cached_property
    def _paths(self) -> tuple[Path, ...]:
        return tuple(replace(path, steps=tuple(map(self._unit, path.steps))) for path in self.designs.paths())

    def _unit(self, unit: Unit) -> Unit:
        hull = self.cells.hull
        dims = {name: hull(value) for name, value in unit.dims.items()}
        return replace(unit, count=hull(unit.count), dims=dims, activity=hull(unit.activity))
