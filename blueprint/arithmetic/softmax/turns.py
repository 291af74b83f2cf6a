"""Running sums of floats whose adders have registers: partial sums of a row take turns, and are added at its end.

With ``stages`` registers in the adder there are ``stages + 1`` partial sums, each in another one of the registers of a
loop, and the next key is added to the one that leaves it. Behind the last key of a row the sums leave the loop one by
one, the oldest first: a first one is kept, the next one is added to it, and what they give enters the loop behind the
others, until a single one is left.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic import float_registers, floating
from blueprint.arithmetic.floating import ADD_DELAYS
from blueprint.arithmetic.softmax.arithmetic import Arithmetic
from blueprint.arithmetic.softmax.parts import Part, Step, float_dims, one
from blueprint.numbers import Number, bit_length, choose

Integers = npt.NDArray[np.int64]

#: Relative delays of the steps of an addition with sums that are not moved, and with sums that are, in the first one.
DELAYS = ((1, *ADD_DELAYS), (4, *ADD_DELAYS))
#: Most registers inside an addition.
SUM_STAGES_LIMIT = len(ADD_DELAYS)


@dataclass(frozen=True)
class Ending:
    """The end of a row: cycles after its last key in which a sum is kept, and that in which the last one is there."""

    keeps: tuple[int, ...]
    cycles: int


@cache
def ending(stages: int) -> Ending:
    """The end of a row with ``stages`` registers inside the addition."""
    sums = stages + 1
    leaving, keeps = deque(range(1, sums + 1)), []
    while len(leaving) > 1:
        keeps.append(leaving.popleft())
        leaving.append(leaving.popleft() + sums)
    return Ending(tuple(keeps), leaving[0])


def ending_cycles(stages: Number) -> Number:
    """Cycles from the last key of a row to its sum."""
    table: Any = np.array([ending(count).cycles for count in range(SUM_STAGES_LIMIT + 1)])
    # Columns of designs may hold what no design can have.
    found = table[np.clip(stages, 0, SUM_STAGES_LIMIT)]
    return found if np.ndim(stages) else int(found)


def joined(fmt: floating.FloatFormat, parts: Integers, count: Integers) -> Integers:
    """The sums of rows of ``count`` keys out of partial sums (sums, rows, ...); key ``i`` is in ``i`` mod sums."""
    sums = len(parts)
    queue: deque[Integers] = deque()
    for number in range(sums):
        place = (count + number) % sums
        place = place.reshape(1, -1, *(1,) * (parts.ndim - 2))
        queue.append(np.take_along_axis(parts, place, axis=0)[0])
    while len(queue) > 1:
        first = queue.popleft()
        queue.append(floating.add(fmt, first, queue.popleft()))
    return queue[0]


# Flip-flops and paths ---------------------------------------------------------------------------------------------


def held_bits(a: Arithmetic, stages: Number, signed: int) -> Number:
    """Flip-flops of one sum with registers inside its addition, at least one: those, the sum, and the one kept."""
    word = a.sum_exponent + a.sum_fraction + signed
    moved = {"left": word, "right": word}
    steps = (moved, *float_registers.adder(a.sum_exponent, a.sum_fraction, signed=signed))
    kept, moves = (float_registers.held(steps, delays, stages, SUM_STAGES_LIMIT) for delays in DELAYS)
    return choose(a.rescales, moves, kept) + 2 * word


def shared_bits(a: Arithmetic, stages: Number) -> Number:
    """Flip-flops of a lane, at least one register inside: which sums are alive, and how far they still move."""
    return stages + 1 + a.rescales * stages * a.shift_width


def counter_bits(stages: Number) -> Number:
    """Bits of the counter of the cycles after the last key of a row."""
    return bit_length(ending_cycles(stages) - 1)


def pieces(a: Arithmetic) -> tuple[tuple[int, int, Step], ...]:
    """(registers inside, number of the piece, what it passes) of the pieces of an addition between two registers."""
    found = []
    for stages in range(1, SUM_STAGES_LIMIT + 1):
        both = zip(*(pieces_of(delays, stages) for delays in DELAYS), strict=True)
        for number, (kept, moves) in enumerate(both):
            added = Part("float_adder", float_dims(a), choose(a.rescales, moves, kept))
            moved = (one("adder", width=a.sum_exponent + 1).times(a.rescales),) if number == 0 else ()
            found.append((stages, number, (*moved, added)))
    return tuple(found)


def pieces_of(delays: tuple[int, ...], stages: int) -> list[float]:
    """Shares of an adder between the registers; the first step is in front of it."""
    edges = [0, *floating.cuts(delays, stages), len(delays)]
    sums = [sum(delays[max(low, 1) : high]) for low, high in pairwise(edges)]
    return [part / sum(delays[1:]) for part in sums]
