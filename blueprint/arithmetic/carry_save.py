"""Multi-operand addition: a plan of carry-save steps that the generator builds and the cost model counts.

Every row starts at column 0. A step reduces three rows to two: by a full adder in each column where all three rows have
a bit, a half adder where two have one, and a wire where one has. The carry row is empty in column 0, so a single bit
(the +1 of a negated operand) is added there at no cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from blueprint.numbers import Number, clog2


@dataclass(frozen=True)
class Step:
    """Reduces rows ``a``, ``b``, ``c`` (numbers, narrowest first) to a sum and a carry row, numbered next."""

    a: int
    b: int
    c: int
    full: int  # columns 0 .. full-1 hold full adders
    half: int  # columns full .. half-1 hold half adders
    carry_in: bool  # a free bit takes column 0 of the carry row


@dataclass(frozen=True)
class Plan:
    """All steps of a reduction, the at most two rows that remain, and the adders of the steps."""

    steps: tuple[Step, ...]
    rows: tuple[int, ...]
    widths: tuple[int, ...]  # bits of every row, by number
    levels: tuple[int, ...]  # full adders in series in front of every row, by number

    @property
    def depth(self) -> int:
        """Full adders in series."""
        return max((self.levels[row] for row in self.rows), default=0)

    def level(self, number: int) -> int:
        """Full adders in series up to the end of a step."""
        return self.levels[len(self.levels) - 2 * (len(self.steps) - number)]

    @property
    def full_adders(self) -> int:
        """Number of full adders in all steps."""
        return sum(step.full for step in self.steps)

    @property
    def half_adders(self) -> int:
        """Number of half adders in all steps."""
        return sum(step.half - step.full for step in self.steps)


@cache
def plan(widths: tuple[int, ...], limit: int, free_bits: int) -> Plan:
    """Reduce rows of the given ``widths`` to two, modulo ``2**limit``, placing up to ``free_bits`` single bits."""
    all_widths = [min(width, limit) for width in widths]
    live = [(width, 0, number) for number, width in enumerate(all_widths)]
    levels = [0] * len(all_widths)
    steps: list[Step] = []
    while len(live) > 2:
        # Rows that are ready first are added first, as in a Wallace tree; among those, the ones with fewer half adders.
        live.sort(key=lambda row: (row[1], row[0], row[2]))
        best = min((sorted(live[i : i + 3]) for i in range(len(live) - 2)), key=_cost)
        (low, _, a), (middle, _, b), (high, _, c) = best
        steps.append(Step(a, b, c, low, middle, len(steps) < free_bits))
        level = 1 + max(row[1] for row in best)
        live = [row for row in live if row not in best]
        for width in (high, min(middle + 1, limit)):
            live.append((width, level, len(all_widths)))
            all_widths.append(width)
            levels.append(level)
    rows = tuple(number for _, _, number in sorted(live, key=lambda r: r[2]))
    return Plan(tuple(steps), rows, tuple(all_widths), tuple(levels))


def _cost(rows: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    """(level, half adders, width) of a step on three rows sorted by width."""
    return max(row[1] for row in rows), rows[1][0] - rows[0][0], rows[2][0]


def counts(rows: Number, width: Number, extra: Number) -> tuple[Number, Number, Number]:
    """(full adders, half adders, depth) of adding ``rows`` words of ``width`` bits and, if any, one of ``extra`` bits.

    Takes the numbers of one design, or arrays over designs that broadcast.
    """
    full, half, depth = _each(_counts, rows, width, extra)
    return full, half, depth


@cache
def _counts(rows: int, width: int, extra: int) -> tuple[int, int, int]:
    words = (width,) * rows + ((extra,) if extra else ())
    done = plan(words, 64, rows)
    return done.full_adders, done.half_adders, done.depth


#: Bits of each number in the key of a combination.
_PACKED = 12
#: Places that are always affordable.
_FEW = 1 << 16


def _each(function: Callable[..., tuple[int, ...]], *numbers: Number) -> tuple[Number, ...]:
    """The answers of a function of small numbers for one design, or for arrays over designs that broadcast."""
    if not any(isinstance(value, np.ndarray) for value in numbers):
        return function(*numbers)
    # One number per combination: sorting numbers is much faster than sorting rows of a table.
    packed: Any = _joined(numbers)
    unique, inverse = _distinct(numbers) or np.unique(packed, return_inverse=True)
    shifts = range(_PACKED * (len(numbers) - 1), -1, -_PACKED)
    mask = (1 << _PACKED) - 1
    answers = np.array(
        [function(*((value >> shift) & mask for shift in shifts)) for value in unique.tolist()]
    )
    return tuple(answers.T[:, inverse.reshape(packed.shape)])


def _joined(numbers: Sequence[Number]) -> Any:
    """The key of each combination of numbers."""
    packed: Any = np.zeros((), np.int64)
    for value in numbers:
        packed = (packed << _PACKED) + value
    return packed


def _distinct(numbers: Sequence[Number]) -> tuple[Any, Any] | None:
    """What ``np.unique`` gives of the keys, without sorting: combinations are few, and so are places for all of them.

    ``None`` where numbers are out of the range of a key, or too many combinations are possible.
    """
    places: Any = np.zeros((), np.int64)
    axes: list[Any] = []
    for value in map(np.asarray, numbers):
        if not value.size:
            return None
        low, high = int(value.min()), int(value.max())
        if low < 0 or high >> _PACKED:
            return None
        places = places * (high - low + 1) + (value - low)
        axes.append(np.arange(low, high + 1))
    size = math.prod(map(len, axes))
    if size > max(_FEW, places.size):
        return None
    seen = np.zeros(size, dtype=bool)
    seen[places.reshape(-1)] = True
    known = _joined(np.ix_(*axes)).reshape(-1)[seen]  # in rising order, as places are
    return known, (np.cumsum(seen) - 1)[places]


@dataclass(frozen=True)
class Offset:
    """``count`` words of ``word`` bits whose top bit is inverted, added modulo ``2**width``.

    So every word is unsigned, and no sign is extended. The offsets of all words, and a constant row where their number
    is no power of two, add up to ``2**top``. ``singles`` bits of weight 1 are added in columns that are free.
    """

    count: int
    word: int
    width: int
    singles: int

    @property
    def top(self) -> int:
        """The column of the one bit that all offsets add up to."""
        return self.word - 1 + clog2(self.count)

    @property
    def missing(self) -> int:
        """The constant row, with which all offsets add up to a power of two."""
        return ((1 << clog2(self.count)) - self.count) << (self.word - 1)

    @property
    def widths(self) -> tuple[int, ...]:
        """Bits of the rows, the constant one last."""
        rows = (self.word,) * self.count + (self.top,) * (self.missing > 0)
        return tuple(min(width, self.width) for width in rows)

    @property
    def plan(self) -> Plan:
        """The plan that reduces the words, as they leave the fetch, to at most two rows."""
        return plan(self.widths, self.width, self.singles)

    @property
    def left(self) -> int:
        """Single bits that find no free column."""
        return max(self.singles - len(self.plan.steps), 0)

    def cuts(self, stages: int) -> tuple[int, ...]:
        """The levels behind which registers stand, spaced as evenly as possible."""
        depth = self.plan.depth
        return tuple(depth * number // (stages + 1) for number in range(1, stages + 1))

    def alive(self, level: int) -> list[int]:
        """Rows that are there behind a level and are added, or left, later."""
        done = self.plan
        later = {
            row
            for number, step in enumerate(done.steps)
            if done.level(number) > level
            for row in (step.a, step.b, step.c)
        }
        return [row for row, own in enumerate(done.levels) if own <= level and row in {*later, *done.rows}]

    def waiting(self, level: int) -> int:
        """Single bits that are not added yet behind a level."""
        added = sum(done <= level for done in map(self.plan.level, range(len(self.plan.steps))))
        return max(self.singles - added, 0)

    def known(self) -> list[tuple[int | None, ...]]:
        """The bits of every row, lowest first: 0 or 1 where they are the same for all words, else ``None``."""
        constant = tuple(self.missing >> bit & 1 for bit in range(self.top))
        rows: list[tuple[int | None, ...]] = [(None,) * width for width in self.widths[: self.count]]
        rows += [constant[: self.width]] * (self.missing > 0)
        for number, step in enumerate(self.plan.steps):
            a, b, c = rows[step.a], rows[step.b], rows[step.c]
            sums: list[int | None] = []
            carries: list[int | None] = [None if step.carry_in else 0]
            for bit, high in enumerate(c):
                column = [high, *(row[bit] for row in (a, b) if bit < len(row))]
                sums.append(None if None in column else sum(bit or 0 for bit in column) & 1)
                if bit < step.half:
                    carries.append(_carry(column))
            width = self.plan.widths[len(self.widths) + 2 * number + 1]
            rows += [tuple(sums), tuple(carries[:width])]
        return rows


def _carry(column: list[int | None]) -> int | None:
    """The carry of three or two bits of which some are known; no two of them are known to be 1."""
    return 0 if column.count(0) >= len(column) - 1 else None


@cache
def _held(count: int, word: int, width: int, singles: int, stages: int) -> tuple[int, int, int]:
    """:func:`held` for one design."""
    rows = Offset(count, word, min(width, word + clog2(count)), singles)
    known = rows.known()
    inside = sum(
        sum(known[row].count(None) for row in rows.alive(level)) + rows.waiting(level)
        for level in rows.cuts(stages)
    )
    left = [known[row] for row in rows.plan.rows]
    after = sum(row[: rows.top].count(None) for row in left)
    return rows.plan.depth, inside, after + any(None in row[rows.top :] for row in left)


def held(
    count: Number, word: Number, width: Number, singles: Number, stages: Number
) -> tuple[Number, Number, Number]:
    """(depth, bits of ``stages`` registers inside, bits of the rows that are left) of :class:`Offset` words.

    Takes the numbers of one design, or arrays over designs that broadcast.
    """
    depth, inside, after = _each(_held, count, word, width, singles, stages)
    return depth, inside, after
