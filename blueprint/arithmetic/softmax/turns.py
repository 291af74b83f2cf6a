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
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic import float_registers, floating
from blueprint.arithmetic.floating import ADD_DELAYS
from blueprint.arithmetic.softmax.arithmetic import Arithmetic
from blueprint.arithmetic.softmax.parts import Part, Step, float_dims, one
from blueprint.numbers import Number, bit_length

Integers = npt.NDArray[np.int64]

#: Relative delays of the steps of an addition; in front of the first one a sum is moved.
DELAYS = (ADD_DELAYS[0] + 4, *ADD_DELAYS[1:])
#: Most registers inside an addition.
SUM_STAGES_LIMIT = len(DELAYS) - 1


@dataclass(frozen=True)
class Ending:
    """The end of a row: cycles after its last key in which a sum is kept, and the cycle in which the last one is there."""

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
    found = table[np.asarray(stages)]
    return found if np.ndim(stages) else int(found)


def joined(fmt: floating.FloatFormat, parts: Integers, count: Integers) -> Integers:
    """The sums of rows of ``count`` keys out of partial sums, (sums, rows, ...): key ``i`` is in number ``i`` mod sums."""
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
    steps = float_registers.adder(a.sum_exponent, a.sum_fraction, signed=signed)
    inside = float_registers.held(steps, DELAYS, stages, SUM_STAGES_LIMIT)
    return inside + 2 * (a.sum_exponent + a.sum_fraction + signed)


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
        for number, share in enumerate(floating.pieces(DELAYS, stages)):
            added = Part("float_adder", float_dims(a), share)
            moved = (one("adder", width=a.sum_exponent + 1).times(a.rescales),) if number == 0 else ()
            found.append((stages, number, (*moved, added)))
    return tuple(found)
