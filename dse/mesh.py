"""Designs that lie side by side on the axes of a space, as open meshes.

A box is a range of indices that is a product of values of its axes. Its columns are no flat arrays with a value for
every design, but one array an axis, shaped so that they broadcast against each other (``numpy.ix_``). The formulas are
the same; a term of them is computed once for every combination of the parameters it depends on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from blueprint.numbers import ceil_div
from dse.axis import CLOCK
from dse.space import Columns, Indices, Space, SubSpace

#: The axes that vary fastest share a dimension of a mesh until it has ``_SHORT`` values, as NumPy is slow on short
#: dimensions; it has at most ``_LONG`` values, as each of them computes terms of its own.
_SHORT, _LONG = 16, 128


@dataclass(frozen=True)
class Box:
    """Consecutive designs of a sub-space: some values of the axis at ``place``, all of the axes behind it.

    ``start`` counts from the start of the sub-space, ``values`` are those of the axis at ``place``.
    """

    sub: SubSpace
    start: int
    place: int
    values: int

    @property
    def size(self) -> int:
        """Number of designs."""
        return self.values * prod(len(axis.values) for axis in self.sub.axes[self.place + 1 :])

    @property
    def indices(self) -> Indices:
        """Their indices in the space."""
        first = self.sub.start + self.start
        return np.arange(first, first + self.size, dtype=np.int64)

    def mesh(self) -> tuple[Columns, tuple[int, ...]]:
        """Columns that broadcast to the shape that is given with them; raveled it has the order of the indices.

        A constant of the space stays one plain value, as in :meth:`dse.space.SubSpace.columns`.
        """
        codes = self.sub.codes(np.array([self.start]))[0]
        dims = (
            [1] * self.place + [self.values] + [len(axis.values) for axis in self.sub.axes[self.place + 1 :]]
        )
        groups = _groups([axis.name for axis in self.sub.axes], dims)
        shape = tuple(prod(dims[place] for place in group) for group in groups)
        columns: Columns = {}
        for number, group in enumerate(groups):
            within = np.unravel_index(np.arange(shape[number]), [dims[place] for place in group])
            open_shape = (1,) * number + (-1,) + (1,) * (len(groups) - number - 1)
            for place, code in zip(group, within, strict=True):
                axis = self.sub.axes[place]
                several = len(axis.values) > 1
                columns[axis.name] = (
                    axis.array()[codes[place] + code].reshape(open_shape) if several else axis.values[0]
                )
        return columns, shape


def _groups(names: list[str], dims: list[int]) -> list[list[int]]:
    """Places of the axes that make a dimension of a mesh: the last ones share one, the clock has its own."""
    groups: list[list[int]] = []
    width = 1  # of a last dimension that is not full yet
    for place in range(len(dims) - 1, -1, -1):
        alone = names[place] == CLOCK or (groups and names[groups[0][0]] == CLOCK)
        joined = dims[place] == 1 or (width < _SHORT and width * dims[place] <= _LONG)
        if groups and joined and not alone:
            groups[0].insert(0, place)
        else:
            groups.insert(0, [place])
        width *= 1 if names[place] == CLOCK else dims[place]
    return groups


def boxes(sub: SubSpace, first: int, end: int, most: int) -> Iterator[Box]:
    """The designs from ``first`` to before ``end`` of a sub-space as boxes of at most ``most`` designs, in order."""
    while first < end:
        unit, box = 1, Box(sub, first, len(sub.axes) - 1, 1)
        for place in range(len(sub.axes) - 1, -1, -1):
            count = len(sub.axes[place].values)
            code, fit = first // unit % count, most // unit
            if not fit:
                break
            taken = min(ceil_div(count, ceil_div(count, fit)), count - code, (end - first) // unit)
            if not taken:
                break
            box = Box(sub, first, place, taken)
            if taken < count:
                break
            unit *= count
        yield box
        first += box.size


def of_range(space: Space, first: int, end: int, most: int) -> Iterator[Box]:
    """The designs of a space from ``first`` to before ``end`` as boxes, in order."""
    for sub in space.subspaces:
        low, high = max(first, sub.start), min(end, sub.start + sub.size)
        yield from boxes(sub, low - sub.start, high - sub.start, most)


def consecutive(indices: Indices) -> bool:
    """True if every index is the one before plus 1."""
    return bool(len(indices)) and bool((np.diff(indices) == 1).all())
