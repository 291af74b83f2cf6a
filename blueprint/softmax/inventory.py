"""Where the registers of the blocks stand and how many flip-flops that takes.

A block is a chain of combinational steps; ``stages`` registers stand between steps, spread by their delays, and those
that find no cut stand at the end.
"""

from __future__ import annotations

from typing import Any

from blueprint.floating import cuts as _cuts
from blueprint.numbers import Number, bit_length, choose, clog2
from blueprint.softmax.arithmetic import (
    DIVISOR_FRACTION,
    SHIFT_BITS,
    VALUE_WHOLE,
    Arithmetic,
    format_bits,
)
from blueprint.softmax.exponential import GUARD, polynomial

#: The most registers in a block that formulas are asked about.
STAGES_LIMIT = 8
#: Delays of the steps of a block, relative to each other. A reciprocal has as many rows as its quotient has bits.
DELAYS = {
    "score_beat": (2, 1),
    "scale": (3, 2),
    "exp2": (2, 4, 4, 3),
    "product": (3, 2),
    "normalize": (1, 3),
    "finish": (3, 3, 3),
}
ROW_DELAY, DIVISION_ENDS = 2, (4, 2)


def cuts(delays: tuple[int, ...], stages: int) -> list[int]:
    """After how many steps each of the registers stands; every step of a long chain is cut evenly."""
    if len(delays) <= 8:
        return _cuts(delays, stages)
    total, done, places = sum(delays), 0, []
    inner = min(stages, len(delays) - 1)
    for number, delay in enumerate(delays, start=1):
        done += delay
        while len(places) < inner and done * (inner + 1) >= total * (len(places) + 1):
            places.append(number)
            break
    return [*places, *[len(delays)] * (stages - len(places))]


def division_delays(a: Arithmetic) -> tuple[int, ...]:
    """Of the steps of a reciprocal: leading zeros, a row for every bit, packing."""
    return DIVISION_ENDS[0], *(ROW_DELAY,) * a.divisor_fraction, DIVISION_ENDS[1]
