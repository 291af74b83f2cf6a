"""Where the registers of the blocks stand and how many flip-flops that takes.

A block is a chain of combinational steps; ``stages`` registers stand between steps, spread by their delays, and those
that find no cut stand at the end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from blueprint.arithmetic.floating import cuts as _cuts
from blueprint.arithmetic.pruning import Pruning
from blueprint.arithmetic.softmax.arithmetic import (
    DIVISOR_FRACTION,
    OUTPUT_MULTIPLIER_BITS,
    OUTPUT_SHIFT_BITS,
    SHIFT_BITS,
    Arithmetic,
    format_bits,
)
from blueprint.arithmetic.softmax.exponential import polynomial
from blueprint.numbers import Number, choose, larger, smaller

#: The most registers in a block that formulas are asked about.
STAGES_LIMIT = 8
#: Delays of the steps of a block, relative to each other. A reciprocal has as many rows as its quotient has bits.
DELAYS = {
    "score_beat": (2, 1),
    "surrogate": (1, 2),
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
    total, done = sum(delays), 0
    places: list[int] = []
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


def held_bits(a: Arithmetic, block: str, stages: Number) -> Number:
    """Flip-flops in one ``block`` (its ``place``) with so many stages, at most ``STAGES_LIMIT``."""
    if block == "reciprocal":
        return _division_bits(a, stages)
    behind = BEHIND[block](a)
    total: Number = 0 * a.dim
    for count in range(1, STAGES_LIMIT + 1):
        bits = sum(behind[cut - 1] for cut in cuts(DELAYS[block], count))
        total = total + choose(stages == count, bits, 0)
    return total


def _score_beat(a: Arithmetic) -> tuple[Number, ...]:
    return a.lanes * a.product_width + 2 * a.flag, a.beat_word


def _scale(a: Arithmetic) -> tuple[Number, ...]:
    whole = a.score_width + a.multiplier_width + SHIFT_BITS + 2 * a.flag
    return choose(a.sums_are_floats, a.float_width + 1, whole), a.t_word + 1


def _exp2(a: Arithmetic) -> tuple[Number, ...]:
    exponent = format_bits(a.inputs, a.accumulator, "exponent_bits") - 1
    kept = choose(a.sums_are_floats, exponent, a.amount_width) + a.t_flag
    # A fixed-point weight has no use for more bits of a mantissa than it has itself.
    mantissa = choose(a.sums_are_floats, a.mantissa, smaller(a.mantissa, a.weight_fraction + 1))
    return a.fraction + kept, slope_width(a) + a.fraction + kept, mantissa + kept, a.p_word


def slope_width(a: Arithmetic) -> Number:
    """Bits of the inner sum of a parabola; 0 where a power of two is made of lines."""
    pairs = np.broadcast_arrays(a.fraction, a.mantissa)
    found = np.array([_slope(int(f), int(m)) for f, m in zip(*(p.flat for p in pairs), strict=True)])
    return int(found[0]) if pairs[0].ndim == 0 else found.reshape(pairs[0].shape)


def _slope(fraction: int, mantissa: int) -> int:
    poly = polynomial(fraction, mantissa)
    return poly.sum_widths[1] if len(poly.coefficients) > 2 else 0


def _product(a: Arithmetic) -> tuple[Number, ...]:
    exponent = choose(a.inputs == "fp16", 5, 8)
    fixed = a.p_width + a.in_fraction + 1 + exponent + 2
    return choose(a.flag == 1, fixed, a.term_width), a.term_word


def _normalize(a: Arithmetic) -> tuple[Number, ...]:
    whole = a.l_width - a.align_drop + a.q_width + a.flag
    return choose(a.sums_are_floats, a.p_width, whole), a.p_word


def _finish(a: Arithmetic) -> tuple[Number, ...]:
    moved = a.moved_width - larger(a.l_width - 1 - a.divisor_fraction, 0 * a.l_width)
    integer = choose(a.is_float, 0, 1)
    factor = choose(a.divides_first, 0, choose(a.is_float, a.r_width, a.gain_width))
    held = choose(a.sums_are_floats, a.float_width, choose(a.divides_first, 16, 32))
    first = choose(a.is_float, held, choose(a.divides_first, a.o_width, moved))
    times = choose(a.divides_first, OUTPUT_MULTIPLIER_BITS, a.gain_width)
    registers = OUTPUT_SHIFT_BITS + choose(a.divides_first, OUTPUT_MULTIPLIER_BITS, 0)
    product = first + times - a.finish_shift + 1 + OUTPUT_SHIFT_BITS
    return (
        first + factor + choose(a.is_float, 0, registers),
        choose(a.is_float, held, product),
        a.out_width + integer,
    )


BEHIND: dict[str, Callable[[Arithmetic], tuple[Number, ...]]] = {
    "score_beat": _score_beat,
    "scale": _scale,
    "exp2": _exp2,
    "product": _product,
    "normalize": _normalize,
    "finish": _finish,
}


def _division_bits(a: Arithmetic, stages: Number) -> Number:
    """A divider has as many rows as the format wants, so its cuts differ from design to design."""
    r, held = a.divisor_fraction, 2 * a.divisor_bits
    # Besides the quotient and the rest: divisor, whether the sum is zero, whether the divisor is one, NaN.
    exponent = choose(a.sums_are_floats, format_bits(a.inputs, a.accumulator, "exponent_bits"), a.zeros_width)
    flags = 2 + choose(a.sums_are_floats, 1, 0) + exponent
    total: Number = 0 * a.dim
    for rows in (7, 10, DIVISOR_FRACTION):
        delays = (DIVISION_ENDS[0], *(ROW_DELAY,) * rows, DIVISION_ENDS[1])
        behind = [flags + held, *(flags + held + 1 + row for row in range(1, rows)), flags + r, a.r_width]
        for count in range(1, STAGES_LIMIT + 1):
            bits = sum(behind[cut - 1] for cut in cuts(delays, count))
            total = total + choose((r == rows) & (stages == count), bits, 0)
    return total


def serial_bits(a: Arithmetic) -> Number:
    """Flip-flops in a reciprocal of one bit per cycle."""
    r = a.divisor_fraction
    exponent = choose(a.sums_are_floats, format_bits(a.inputs, a.accumulator, "exponent_bits"), a.zeros_width)
    counter = choose(r == 7, 3, choose(r == 10, 4, 5))
    return 2 + choose(a.sums_are_floats, 1, 0) + exponent + r + 2 * a.divisor_bits + 1 + counter


def surrogate_bits(p: Pruning, stages: Number) -> Number:
    """Flip-flops in an adder of surrogate scores; a product is a place, a sign and whether there is one."""
    return choose(stages > 0, 6 * p.dim, 0) + larger(stages - 1, 0 * stages) * p.score_width


def top_k_bits(p: Pruning) -> Number:
    """Flip-flops in a selector: a counter for every bucket, the bucket it is at, how many keys are missing."""
    return (2 * p.magnitude_buckets + 1) * p.count_width + p.bucket_width + 1
