"""The softmax blocks: steps of each, the pipeline registers between them and the parts they are built of.

A block is a chain of combinational steps with ``stages`` registers between them, placed to balance the delays of the
steps; registers beyond the gaps stand at the end. An accumulator has a register of its own instead. The hardware
(:mod:`generator.arithmetic.softmax`), the inventory and the timing paths all read this description.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import BF16, FP16, FP32
from blueprint.arithmetic.softmax.arithmetic import (
    DIVISOR_FRACTIONS,
    FLOAT_INPUT_WIDTH,
    OUTPUT_MULTIPLIER_BITS,
    OUTPUT_SHIFT_BITS,
    SHIFT_BITS,
    Arithmetic,
)
from blueprint.arithmetic.softmax.exponential import LINE_LIMIT, polynomial
from blueprint.arithmetic.softmax.parts import (
    Part,
    Step,
    float_dims,
    float_product,
    integer_product,
    one,
    shifter,
    times,
    tree,
    widened,
)
from blueprint.numbers import Number, bit_length, choose, flag, larger, possible, smaller

#: Most registers in a block that the formulas cover.
STAGES_LIMIT = 48
#: An estimate: bits of an exponent's fraction that choose a segment of the polynomial of a power of two.
_SEGMENT_BITS = 4
#: An estimate: two-input gates of the table of coefficients, per bit of a mantissa.
TABLE_GATES = 12


@cache
def cuts(delays: tuple[int, ...], stages: int) -> list[int]:
    """Number of steps in front of each register, balanced by delay.

    A chain of more than eight steps is cut in one pass, not by trying every choice.
    """
    if len(delays) <= 8:
        return floating.cuts(delays, stages)
    total, done = sum(delays), 0
    places: list[int] = []
    inner = min(stages, len(delays) - 1)
    for number, delay in enumerate(delays, start=1):
        done += delay
        while len(places) < inner and done * (inner + 1) >= total * (len(places) + 1):
            places.append(number)
            break
    return [*places, *[len(delays)] * (stages - len(places))]


class Block(ABC):
    """Base of the blocks."""

    #: Delays of the steps, relative to each other.
    delays: ClassVar[tuple[int, ...]] = ()
    #: 1 if its registers have an enable, else 0.
    enabled: ClassVar[int] = 0

    @abstractmethod
    def steps(self, a: Arithmetic) -> tuple[Step, ...]:
        """Parts of every step, in order."""

    @abstractmethod
    def held_bits(self, a: Arithmetic, stages: Number) -> Number:
        """Flip-flops of one block with ``stages`` registers, at most ``STAGES_LIMIT``."""


class Pipeline(Block):
    """A block with registers between its steps."""

    @abstractmethod
    def behind(self, a: Arithmetic) -> tuple[Number, ...]:
        """Output bits of every step."""

    def held_bits(self, a: Arithmetic, stages: Number) -> Number:
        behind = self.behind(a)
        total: Number = 0
        for count in range(1, STAGES_LIMIT + 1):
            bits = sum(behind[cut - 1] for cut in cuts(self.delays, count))
            total = total + flag(stages == count) * bits
        return total


class Accumulator(Block):
    """An accumulating block: one step around a register of ``bits``."""

    enabled: ClassVar[int] = 1

    @abstractmethod
    def bits(self, a: Arithmetic) -> Number:
        """Flip-flops of the accumulator register."""

    def held_bits(self, a: Arithmetic, stages: Number) -> Number:
        return self.bits(a)


class ScoreBeat(Pipeline):
    """The product of a query and a key: products of elements, then their sum."""

    delays = (2, 1)

    def behind(self, a: Arithmetic) -> tuple[Number, ...]:
        return a.lanes * a.product_width + 2 * a.nan_bit, a.beat_word

    def steps(self, a: Arithmetic) -> tuple[Step, ...]:
        floats, exact = a.sums_are_floats, a.exact
        query, key = (choose(a.is_float, a.in_fraction + 1, width) for width in (a.in_width, a.element_width))
        multiply = (
            *times(integer_product(query, key), a.lanes * (1 - floats)),
            *times(float_product(query, query, float_dims(a)["exponent"]), a.lanes * floats),
            widened(a).times(2 * a.lanes),
            # In parallel with the product, which takes longer.
            one("adder", width=sum_of_exponents(a)).times(a.lanes * exact).passing(0),
            shifter(a.beat_width, a.beat_width).times(a.lanes * exact),
            one("half_adder", width=a.beat_width).times(a.lanes * exact),
        )
        adders = tree("adder", {"width": a.beat_width}, a.lanes, 1 - floats)
        return multiply, (adders, tree("float_adder", float_dims(a), a.lanes, floats))


class Scale(Pipeline):
    """A score becomes an exponent of two: multiplied, then shifted and kept within its range."""

    delays = (3, 2)

    def behind(self, a: Arithmetic) -> tuple[Number, ...]:
        whole = a.score_width + a.multiplier_width + SHIFT_BITS + 2 * a.nan_bit
        return choose(a.sums_are_floats, a.float_width + 1, whole), a.t_word + 1

    def steps(self, a: Arithmetic) -> tuple[Step, ...]:
        floats = a.sums_are_floats
        significand = float_dims(a)["fraction"] + 1
        product = float_product(significand, significand, float_dims(a)["exponent"])
        integer = integer_product(a.score_width, a.multiplier_width)
        fitted = (shifter(a.t_width, a.score_width), Part("comparator", {"width": a.t_width}, 2, 2))
        return (*times(product, floats), *times(integer, 1 - floats)), fitted


class RunningMax(Accumulator):
    """The largest exponent of a row so far, rounded up."""

    def bits(self, a: Arithmetic) -> Number:
        return a.reference_width

    def steps(self, a: Arithmetic) -> tuple[Step, ...]:
        width = a.reference_width
        added = Part("adder", {"width": width}, 2, 1)  # one rounds up; the other compares and gives the shift
        return ((one("comparator", width=width), added, one("mux", entries=2, width=width)),)


class Exp2(Pipeline):
    """A weight: subtraction of the reference, a polynomial of one or two products, and a shift of the result."""

    delays = (2, 4, 4, 3)

    def behind(self, a: Arithmetic) -> tuple[Number, ...]:
        exponent = a.sum_exponent - 1
        kept = choose(a.sums_are_floats, exponent, a.amount_width) + a.t_nan_bit
        # A fixed-point weight needs no more mantissa bits than it has itself.
        mantissa = choose(a.sums_are_floats, a.mantissa, smaller(a.mantissa, a.weight_fraction + 1))
        return a.fraction + kept, slope_width(a) + a.fraction + kept, mantissa + kept, a.p_word

    def steps(self, a: Arithmetic) -> tuple[Step, ...]:
        product = integer_product(a.mantissa, larger(a.fraction - _SEGMENT_BITS, 1))
        placed = shifter(a.p_width, a.p_width).times(1 - a.sums_are_floats)
        return (
            (one("adder", width=a.t_width),),
            times(product, flag(a.mantissa > LINE_LIMIT)),
            (*product, one("logic", gates=TABLE_GATES * a.mantissa)),
            (placed,),
        )


def slope_width(a: Arithmetic) -> Number:
    """Bits of the inner sum of a quadratic polynomial; 0 where the polynomial is linear."""
    pairs = np.broadcast_arrays(a.fraction, a.mantissa)
    found: Any = np.array([_slope(int(f), int(m)) for f, m in zip(*(p.flat for p in pairs), strict=True)])
    return int(found[0]) if pairs[0].ndim == 0 else found.reshape(pairs[0].shape)


def _slope(fraction: int, mantissa: int) -> int:
    poly = polynomial(fraction, mantissa)
    return poly.sum_widths[1] if len(poly.coefficients) > 2 else 0


class Product(Pipeline):
    """A weight times an element of a value, then shifted to its place in a fixed-point sum."""

    delays = (3, 2)

    def behind(self, a: Arithmetic) -> tuple[Number, ...]:
        fixed = a.p_width + a.in_fraction + 1 + sum_of_exponents(a)
        return choose(a.exact, fixed, a.term_width), a.term_word

    def steps(self, a: Arithmetic) -> tuple[Step, ...]:
        floats, exact = a.sums_are_floats, a.exact
        weight = choose(floats, float_dims(a)["fraction"] + 1, a.p_width)
        value = choose(a.is_float, a.in_fraction + 1, a.element_width)
        multiply = (
            *times(integer_product(weight, value), 1 - floats),
            *times(float_product(weight, value, float_dims(a)["exponent"]), floats),
            widened(a),
            # In parallel with the product, which takes longer.
            one("adder", width=sum_of_exponents(a)).times(exact).passing(0),
        )
        placed = (shifter(a.term_width, a.term_width), one("half_adder", width=a.term_width))
        return multiply, times(placed, exact)


def sum_of_exponents(a: Arithmetic) -> Number:
    """Bits of the sum of two exponents of float inputs, signed."""
    return choose(a.is_fp16, FP16.exponent_bits, BF16.exponent_bits) + 2


class SumWeights(Accumulator):
    """The sum of the weights of a row."""

    def bits(self, a: Arithmetic) -> Number:
        return a.l_width

    def steps(self, a: Arithmetic) -> tuple[Step, ...]:
        return (_sum_step(a, a.l_width),)


class SumValues(Accumulator):
    """The sum of one element of the weighted values of a row."""

    def bits(self, a: Arithmetic) -> Number:
        return a.o_word

    def steps(self, a: Arithmetic) -> tuple[Step, ...]:
        return (_sum_step(a, a.o_width),)


def _sum_step(a: Arithmetic, width: Number) -> Step:
    floats = a.sums_are_floats
    moved = shifter(width, width).times(a.rescales * (1 - floats))
    return one("and_row", width=width), moved, *sum_adder(a, width)


def sum_adder(a: Arithmetic, width: Number) -> Step:
    """Logic in the path of a new term of a sum; the previous sum is shifted in parallel."""
    floats = a.sums_are_floats
    return (
        one("adder", width=width).times(1 - floats),
        one("float_adder", **float_dims(a)).times(floats),
    )


class Reciprocal(Block):
    """The reciprocal of a sum of weights: count of leading zeros, one divider row per quotient bit, packing.

    The number of rows depends on the format, so registers stand in different places in different designs.
    """

    row_delay, ends = 2, (4, 2)

    def chain(self, rows: int) -> tuple[int, ...]:
        """Delays of the steps of a divider with ``rows`` rows."""
        return self.ends[0], *(self.row_delay,) * rows, self.ends[1]

    def _chains(self, a: Arithmetic, stages: Number) -> Iterator[tuple[Number, int, list[int]]]:
        """Every possible divider: 1 where a design has it, its number of rows, and the steps before each register."""
        for rows in DIVISOR_FRACTIONS:
            for count in range(STAGES_LIMIT + 1):
                found = flag((a.divisor_fraction == rows) & (stages == count))
                if possible(found):
                    yield found, rows, cuts(self.chain(rows), count)

    def held_bits(self, a: Arithmetic, stages: Number) -> Number:
        divided, beside = 2 * a.divisor_bits, beside_division(a)
        total: Number = 0
        for there, rows, places in self._chains(a, stages):
            in_rows = (beside + divided + 1 + row for row in range(1, rows))
            behind = (beside + divided, *in_rows, beside + rows, a.r_width)
            total = total + there * sum(behind[place - 1] for place in places)
        return total

    def before_gain(self, a: Arithmetic, stages: Number) -> Number:
        """Registers in front of the last step, which multiplies by the gain."""
        return sum(
            (
                there * sum(place <= rows + 1 for place in places)
                for there, rows, places in self._chains(a, stages)
            ),
            0,
        )

    def rows(self, a: Arithmetic, stages: Number) -> tuple[Number, Number, Number]:
        """Number of rows in the first segment between registers, in the longest middle one, and in the last.

        Without registers all rows are in the first segment.
        """
        first: Number = 0
        middle: Number = 0
        last: Number = 0
        for there, rows, places in self._chains(a, stages):
            edges = sorted({0, rows + 2, *places})
            sizes = [high - low for low, high in zip(edges, edges[1:], strict=False)]
            first = first + there * (sizes[0] - 1 if places else rows)
            middle = middle + there * max(sizes[1:-1], default=0)
            last = last + there * (sizes[-1] - 1 if places else 0)
        return first, middle, last

    def steps(self, a: Arithmetic) -> tuple[Step, ...]:
        """Parts before the rows, parts of all rows (with the delay of one), and parts after the rows."""
        row = Part("adder", {"width": a.divisor_fraction + 1}, 1, a.divisor_fraction + 1)
        gain = integer_product(a.q_width, OUTPUT_MULTIPLIER_BITS)
        # A float is normalized already; the area of its first step is counted like that of others.
        moved = shifter(a.l_width, a.l_width).passing(1 - a.sums_are_floats)
        return (moved,), (row,), times(gain, a.has_gain)


def beside_division(a: Arithmetic) -> Number:
    """Bits that travel with quotient and remainder: "sum is zero", "divisor is one", NaN, and an exponent."""
    exponent = choose(a.sums_are_floats, a.sum_exponent, a.zeros_width)
    return 2 + a.sums_are_floats + exponent


def serial_bits(a: Arithmetic) -> Number:
    """Flip-flops of a reciprocal with one bit per cycle: busy, counter, quotient, remainder, divisor, sideband."""
    counter = bit_length(a.divisor_fraction)
    return beside_division(a) + a.divisor_fraction + 2 * a.divisor_bits + 1 + counter


class Normalize(Pipeline):
    """A weight divided by the sum of its row: a float is multiplied in one step, an integer is shifted first."""

    delays = (1, 3)

    def behind(self, a: Arithmetic) -> tuple[Number, ...]:
        whole = a.l_width - a.align_drop + a.q_width + a.nan_bit
        return choose(a.sums_are_floats, a.p_width, whole), a.p_word

    def steps(self, a: Arithmetic) -> tuple[Step, ...]:
        floats = a.sums_are_floats
        left = choose(floats, float_dims(a)["fraction"] + 1, a.l_width - a.align_drop)
        right = choose(floats, a.divisor_fraction + 1, a.q_width)
        multiplied = (*integer_product(left, right), one("half_adder", width=a.p_width))
        moved = shifter(a.l_width, a.l_width).times(1 - floats)
        product = float_product(left, right, float_dims(a)["exponent"])
        return (moved, *times(product, floats)), times(multiplied, 1 - floats)


class Finish(Pipeline):
    """An element of the output: the sum is shifted or made a float, multiplied by a gain or reciprocal, and rounded."""

    delays = (3, 3, 3)

    def behind(self, a: Arithmetic) -> tuple[Number, ...]:
        integer = 1 - a.is_float
        held = choose(a.sums_are_floats, a.float_width, rounded_width(a))
        first = choose(a.is_float, held, moved_bits(a))
        factor = a.divides_last * choose(a.is_float, a.r_width, a.gain_width)
        multiplier = a.divides_first * OUTPUT_MULTIPLIER_BITS
        product = first + choose(a.divides_first, OUTPUT_MULTIPLIER_BITS, a.gain_width) - a.finish_shift + 1
        return (
            first + factor + integer * (OUTPUT_SHIFT_BITS + multiplier),
            choose(a.is_float, held, product + OUTPUT_SHIFT_BITS),
            a.out_width + integer,
        )

    def steps(self, a: Arithmetic) -> tuple[Step, ...]:
        integer, exact = 1 - a.is_float, a.exact
        # Exact sums are FP32 while they are divided.
        fmt = FP32
        significand = choose(exact, fmt.fraction_bits + 1, float_dims(a)["fraction"] + 1)
        exponent = choose(exact, fmt.exponent_bits, float_dims(a)["exponent"])
        divided = float_product(significand, a.divisor_fraction + 1, exponent)
        factor = choose(a.divides_first, OUTPUT_MULTIPLIER_BITS, a.gain_width)
        product = larger(moved_bits(a) + factor - a.finish_shift + 1, 1)
        converts = a.is_float * flag(significand > a.in_fraction + 1) * (1 - exact * a.divides_first)
        prepared = (
            one("to_float", inputs=a.o_width, outputs=rounded_width(a)).times(exact),
            shifter(a.moved_width, a.l_width).times(integer * a.divides_last),
        )
        multiplied = (
            *times(divided, a.is_float * a.divides_last),
            *times(integer_product(moved_bits(a), factor), integer),
        )
        rounded = (
            shifter(product, 1 << OUTPUT_SHIFT_BITS).times(integer),
            one("adder", width=product).times(integer),
            one("comparator", width=product).times(integer),
            shifter(a.in_fraction + 1, a.in_fraction + 1).times(converts * a.is_fp16),
            one("half_adder", width=a.out_width).times(converts),
        )
        return prepared, multiplied, rounded


def rounded_width(a: Arithmetic) -> Number:
    """Bits of the float that an exact sum becomes: the input format, or FP32 if it is divided afterwards."""
    return choose(a.divides_first, FLOAT_INPUT_WIDTH, FP32.width)


def moved_bits(a: Arithmetic) -> Number:
    """Bits of an integer sum when it is multiplied; it is not shifted up if weights are divided first."""
    moved = a.moved_width - larger(a.l_width - 1 - a.divisor_fraction, 0)
    return choose(a.divides_first, a.o_width, moved)


#: Every block by its place in the inventory.
BLOCKS: Mapping[str, Block] = {
    "score_beat": ScoreBeat(),
    "scale": Scale(),
    "running_max": RunningMax(),
    "exp2": Exp2(),
    "product": Product(),
    "sum_weights": SumWeights(),
    "sum_values": SumValues(),
    "reciprocal": Reciprocal(),
    "normalize": Normalize(),
    "finish": Finish(),
}
