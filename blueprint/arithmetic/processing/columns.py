"""Column compression: which bits enter which adder, and which bits remain.

Bits of the same weight form a column. An adder reduces three bits of a column (or two, or two and a constant one) to
one bit there and one in the next column. Bits are combined in the order in which they arrive.

An accumulator in carry-save form keeps one or two bits per column. One bit saves a register; two are kept where one bit
would lengthen the critical path. Above the columns that operands reach the accumulator is a counter: the carries out of
the highest column, less a constant, change it by -1, 0 or +1, one step later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from heapq import heapify, heappop, heappush
from typing import Literal

from blueprint.numbers import ceil_div

Kind = Literal["full", "half", "half_one", "invert", "one"]
#: A row of bits in neighboring columns: lowest column and number of bits.
Row = tuple[int, int]

#: Most bits that a counter's carry passes in one step.
SEGMENT = 6
#: Bits an adder takes and its delay in units of one full adder.
_TAKES: dict[Kind, int] = {"full": 3, "half": 2, "half_one": 2, "invert": 1, "one": 0}
_DELAY: dict[Kind, float] = {"full": 1.0, "half": 0.5, "half_one": 0.5, "invert": 0.0, "one": 0.0}
#: The adder that adds a constant one to no bit, to one bit, and to two or more bits.
_WITH_ONE: tuple[Kind, ...] = ("one", "invert", "half_one")


@dataclass(frozen=True)
class Cell:
    """One adder: it reduces ``bits`` to bit ``total`` of ``column`` and bit ``carry`` of the next, all by number."""

    kind: Kind
    column: int
    bits: tuple[int, ...]
    total: int
    carry: int


@dataclass(frozen=True)
class Plan:
    """Adders in the order in which they can be built.

    Bits are numbered: those of the rows, row by row, then those of the accumulator by column, then results of adders.
    """

    low: int  # columns that are added
    width: int  # bits of the sum
    cells: tuple[Cell, ...]
    state: tuple[int, ...]  # accumulator bits per column below `low`
    left: tuple[tuple[int, ...], ...]  # bits by number that remain in every column below `low`
    carries: tuple[int, ...]  # bits by number that leave the highest column
    depth: float  # full adders in series

    def count(self, *kinds: Kind) -> int:
        """Number of adders of the given kinds."""
        return sum(cell.kind in kinds for cell in self.cells)

    @property
    def upper(self) -> int:
        """Bits of the counter above."""
        return self.width - self.low

    @property
    def segments(self) -> tuple[int, ...]:
        """Widths of the pieces of the counter; each piece passes its carry to the next one step later."""
        if not self.upper:
            return ()
        count = ceil_div(self.upper, SEGMENT)
        return tuple((self.upper + place) // count for place in range(count))

    @property
    def pending(self) -> tuple[int, ...]:
        """Bits of the pending carry in front of every piece: one if the piece only decreases, two if it also increases.

        A piece of one bit needs only one, because increasing and decreasing change it alike.
        """
        return tuple(min(len(self.carries), width) for width in self.segments)

    @property
    def left_bits(self) -> int:
        """Bits that remain below the counter."""
        return sum(len(bits) for bits in self.left)

    @property
    def state_bits(self) -> int:
        """Bits of the whole accumulator."""
        return sum(self.state) + self.upper + sum(self.pending)


@cache
def carry_save(rows: tuple[Row, ...], constant: int, width: int, instead: tuple[Row, ...] = ()) -> Plan:
    """Plan that adds rows and a constant to an accumulator of ``width`` bits that stays in carry-save form.

    The form of the accumulator also fits the rows ``instead``, which stand for the same sum in another block.
    """
    for low in range(min(_top((*rows, *instead)), width), width + 1):
        plan = _accumulate(rows, constant % (1 << low), low, width)
        other = onto(instead, constant, plan) if instead else plan
        if _fits(plan, constant, 2) and len(other.carries) == len(plan.carries):
            return plan
    raise AssertionError("a plan without a counter always fits")


@cache
def onto(rows: tuple[Row, ...], constant: int, other: Plan) -> Plan:
    """Add rows and a constant to an accumulator of the same shape as that of ``other``."""
    return _build(rows, constant % (1 << other.low), other.low, other.width, other.state)


@cache
def carried(rows: tuple[Row, ...], constant: int, width: int) -> Plan:
    """Plan that adds rows, a constant and an accumulator of ``width`` bits, reduced to two rows for one final adder.

    The lower bits of the accumulator are the last row. The bits from ``low`` on add the carry, and subtract one for the
    constant, which is negative.
    """
    return next(
        plan
        for low in range(min(_top(rows), width), width + 1)
        if _fits(plan := _reduce((*rows, (0, low)), constant % (1 << low), low, width), constant, 1)
    )


@cache
def reduced(rows: tuple[Row, ...], constant: int, width: int) -> Plan:
    """Reduce rows and a constant to at most two bits per column, modulo ``2**width``, with the fewest adders."""
    return _reduce(rows, constant % (1 << width), width, width)


@cache
def compressed(rows: tuple[Row, ...], width: int) -> Plan:
    """Reduce rows to at most two bits per column, modulo ``2**width``, in a tree of minimum depth."""
    limit = _reduce(rows, 0, width, width, -1.0).depth
    return _reduce(rows, 0, width, width, limit)


@cache
def passed(rows: tuple[Row, ...], above: tuple[Row, ...], width: int) -> Plan:
    """Plan that adds rows to the bits from ``above``, without a counter.

    Every column keeps as many bits as that of an accumulator. This number depends on rows and width alone, so after
    a few rows all plans of one width are equal.
    """
    kept = _accumulate(rows, 0, width, width).state
    table = _Table((*rows, *above), width)
    for column, count in enumerate(kept):
        table.reduce(column, 0, max(count, 1))
    return _plan(table, width, width, (0,) * width)


def _top(rows: tuple[Row, ...]) -> int:
    return max(low + count for low, count in rows)


def _fits(plan: Plan, constant: int, most: int) -> bool:
    """True if the columns above need no adders: at most ``most`` carries arrive, and the constant subtracts one."""
    return not plan.upper or (len(plan.carries) <= most and -(1 << plan.low) <= constant < 0)


class _Table:
    """Bits by column, when each arrives, and the adders so far."""

    def __init__(self, rows: tuple[Row, ...], low: int) -> None:
        self.arrival: list[float] = []
        self.columns: list[list[int]] = [[] for _ in range(low + 1)]
        self.cells: list[Cell] = []
        for start, count in rows:
            for column in range(start, start + count):
                number = self.bit(0.0)
                if column < low:
                    self.columns[column].append(number)

    def bit(self, arrival: float) -> int:
        self.arrival.append(arrival)
        return len(self.arrival) - 1

    def reduce(self, column: int, one: int, target: int) -> float:
        """Reduce a column, with a constant ``one`` if it is 1, to ``target`` bits; returns the latest arrival."""
        live = [(self.arrival[bit], bit) for bit in self.columns[column]]
        heapify(live)
        while (excess := len(live) + one - target) > 0 or one:
            if one:
                kind = _WITH_ONE[min(len(live), 2)]
                one = 0
            else:
                kind = "full" if excess > 1 else "half"
            taken = [heappop(live) for _ in range(_TAKES[kind])]
            arrival = max(taken, default=(0.0,))[0] + _DELAY[kind]
            total, carry = self.bit(arrival), self.bit(arrival)
            self.cells.append(Cell(kind, column, tuple(bit for _, bit in taken), total, carry))
            heappush(live, (arrival, total))
            if taken:
                self.columns[column + 1].append(carry)
        self.columns[column] = [bit for _, bit in sorted(live)]
        above = self.columns[column + 1]
        return max((self.arrival[bit] for bit in (*self.columns[column], *above)), default=0.0)

    def mark(self, column: int) -> tuple[int, int, list[int], list[int]]:
        """A checkpoint of a column, for :meth:`back`."""
        return len(self.arrival), len(self.cells), list(self.columns[column]), list(self.columns[column + 1])

    def back(self, column: int, mark: tuple[int, int, list[int], list[int]]) -> None:
        """Undo everything done to a column since its checkpoint."""
        bits, cells, self.columns[column], self.columns[column + 1] = mark
        del self.arrival[bits:], self.cells[cells:]

    def latest(self) -> float:
        return max((self.arrival[bit] for bits in self.columns for bit in bits), default=0.0)


def _accumulate(rows: tuple[Row, ...], constant: int, low: int, width: int) -> Plan:
    # First with two bits in every column, which gives the least delay; then with one bit wherever that is as fast.
    limit = _build(rows, constant, low, width, _chosen(rows, constant, low, -1.0)).depth
    return _build(rows, constant, low, width, _chosen(rows, constant, low, limit))


def _chosen(rows: tuple[Row, ...], constant: int, low: int, limit: float) -> tuple[int, ...]:
    """Accumulator bits per column."""
    table = _Table(rows, low)
    found: list[int] = []
    for column in range(low):
        one = (constant >> column) & 1
        if not table.columns[column] and not one:
            found.append(0)
            continue
        before = table.mark(column)
        table.columns[column].append(table.bit(0.0))
        found.append(1)
        if table.reduce(column, one, 1) > limit and any(found[:-1]):
            table.back(column, before)
            table.columns[column] += [table.bit(0.0), table.bit(0.0)]
            found[-1] = 2
            table.reduce(column, one, 2)
    return tuple(found)


def _build(rows: tuple[Row, ...], constant: int, low: int, width: int, state: tuple[int, ...]) -> Plan:
    table = _Table(rows, low)
    for column, count in enumerate(state):
        table.columns[column] += [table.bit(0.0) for _ in range(count)]
    for column, count in enumerate(state):
        table.reduce(column, (constant >> column) & 1, count)
    return _plan(table, low, width, state)


def _reduce(rows: tuple[Row, ...], constant: int, low: int, width: int, limit: float = float("inf")) -> Plan:
    table = _Table(rows, low)
    for column in range(low):
        one = (constant >> column) & 1
        bits = len(table.columns[column]) + one
        before = table.mark(column)
        # Full adders alone reduce an odd number of bits to one bit; stopping at two bits is faster.
        if table.reduce(column, one, min(bits, 2 - bits % 2)) > limit and bits % 2 and bits > 1:
            table.back(column, before)
            table.reduce(column, one, 2)
    return _plan(table, low, width, (0,) * low)


def _plan(table: _Table, low: int, width: int, state: tuple[int, ...]) -> Plan:
    left = tuple(tuple(bits) for bits in table.columns[:low])
    carries = tuple(table.columns[low]) if low < width else ()
    return Plan(low, width, tuple(table.cells), state, left, carries, table.latest())
