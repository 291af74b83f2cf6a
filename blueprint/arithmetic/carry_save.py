"""Multi-operand addition: a plan of carry-save steps that the generator builds and the cost model counts.

Every row starts at column 0. A step reduces three rows to two: by a full adder in each column where all three rows have
a bit, a half adder where two have one, and a wire where one has. The carry row is empty in column 0, so a single bit
(the +1 of a negated operand) is added there at no cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from blueprint.numbers import Number


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
    depth: int  # full adders in series

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
    rows = tuple(number for _, _, number in sorted(live, key=lambda r: r[2]))
    return Plan(tuple(steps), rows, tuple(all_widths), max((row[1] for row in live), default=0))


def _cost(rows: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    """(level, half adders, width) of a step on three rows sorted by width."""
    return max(row[1] for row in rows), rows[1][0] - rows[0][0], rows[2][0]


def counts(rows: Number, width: Number, extra: Number) -> tuple[Number, Number, Number]:
    """(full adders, half adders, depth) of adding ``rows`` words of ``width`` bits and, if any, one of ``extra`` bits.

    Takes the numbers of one design, or arrays over designs that broadcast.
    """
    if not any(isinstance(value, np.ndarray) for value in (rows, width, extra)):
        return _counts(rows, width, extra)
    # One number per combination: sorting numbers is much faster than sorting rows of a table.
    packed = (np.asarray(rows, dtype=np.int64) << 32) + (np.asarray(width) << 16) + extra
    unique, inverse = np.unique(packed, return_inverse=True)
    answers = np.array(
        [_counts(value >> 32, (value >> 16) & 0xFFFF, value & 0xFFFF) for value in unique.tolist()]
    )
    full, half, depth = answers.T[:, inverse.reshape(packed.shape)]
    return full, half, depth


@cache
def _counts(rows: int, width: int, extra: int) -> tuple[int, int, int]:
    words = (width,) * rows + ((extra,) if extra else ())
    done = plan(words, 64, rows)
    return done.full_adders, done.half_adders, done.depth
