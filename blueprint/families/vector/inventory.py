"""The hardware inventory of a vector unit; formulas hold for one design and for arrays of them.

Places: ``front`` (the chain of a lane), ``sums`` (reductions of a row), ``factor`` (what follows from them),
``sigmoid`` (that of a lane's gate), ``largest`` (the row with the largest dot product), ``noise`` (that of a row that
may be drawn), ``scores`` (what the noise is added to), ``listed`` (rows with the largest dot products), ``back`` (a row
on its way out), ``float`` (every float unit), ``memory`` (row buffer), ``control``, ``shell``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from blueprint import counting, stalls
from blueprint.arithmetic import float_registers, floating, gumbel, roots, sigmoid
from blueprint.arithmetic.floating import FP32
from blueprint.arithmetic.products import CHOSEN_BITS
from blueprint.families.vector import stages as inside
from blueprint.families.vector.parameters import (
    EPSILONS,
    EXPONENT_BITS,
    INTEGER_WIDTH,
    MOST_LANES,
    SCALE_WIDTH,
    SIGMOID_STAGES,
    STAGES_LIMIT,
    SUM_WIDTH,
    VectorParameters,
    epsilon_factor,
)
from blueprint.numbers import Number, Real, bit_length, ceil_div, clog2, flag, larger, possible, smaller
from blueprint.unit import (
    ADDER,
    AND_ROW,
    BROADCAST,
    COMPARATOR,
    COMPRESSOR,
    FLOAT_ADDER,
    FLOAT_MULTIPLIER,
    HALF_ADDER,
    LOGIC,
    MUX,
    REGISTER,
    SRAM,
    TO_FIXED,
    TO_FLOAT,
    Path,
    Unit,
    memories,
)
from blueprint.workloads.tasks import LARGEST

_LEVELS = clog2(MOST_LANES)
#: Streams whose rows and beats are counted in every design.
_LOOPS = ("x", "gain", "scale")
#: Bits of an FP32 number that is never negative.
_SUM = FP32.width - 1
_FP32 = {"exponent": FP32.exponent_bits, "fraction": FP32.fraction_bits}
#: Flip-flops inside a multiplier of FP32 with one register, which holds the product of the significands.
PRODUCT_BITS = sum(float_registers.product(FP32.exponent_bits, FP32.fraction_bits, 0)[1].values())
#: Bits of the longest length.
_MOST_ROWS = bit_length(LARGEST)
#: Share of an FP32 multiplication on either side of its register.
_HALF = 0.5
#: Registers of the factor of a row that hold a number without sign, and those that each row of the buffer has.
_NUMBERS, _OF_A_ROW = ("norm", "inverse", "scaled_held"), ("factor", "scale")
#: Sums and differences of a digit of the root, and of a digit of the quotient.
_OF_A_DIGIT, _OF_THE_QUOTIENT = ("trial", "left", "grown"), ("left_over",)
#: Sums beside the recurrences: two exponents, and results of both that are rounded.
_BESIDE = ("distance", "quotient_field", "rounded root", "rounded quotient")
#: Comparisons of numbers: the largest with the least, and the two pairs whose quotients have no leading bit.
_COMPARED = ("peak", "root_less", "less")
#: Choices of numbers.
_CHOSEN = ("peak", "norm", "factor", "scaled")
#: What the first value of a root is chosen from: a significand, twice it, four times it.
_FIRST = 3
#: Counters of rows: slots, and rows that are kept, wait for their factor or have it.
_ROW_COUNTERS = ("write_slot", "sum_slot", "factor_slot", "read_slot", "kept", "pending", "ready")
#: Flip-flops beside the data in a stage: one moves, one is the last of a row.
_STAGE_FLAGS = 2
#: Gates of the decisions when to take, to begin and to give; a rough count.
_GATES_OF_THE_SEQUENCER = 60
#: Sums of shifted lengths that the product with epsilon is, by the bits set in it.
_EPSILON_ROWS = 12
#: Most bits below the leading one of a length whose products with epsilon are a table.
TABLE_BITS = 2
#: Bits of three times a significand.
_TRIPLE = FP32.fraction_bits + 3


def units(p: VectorParameters) -> tuple[Unit, ...]:
    """The whole inventory."""
    return (
        *_front(p),
        *sigmoid.units("sigmoid", p.lanes * p.curved, p.fraction),
        *_sums(p),
        *_factor(p),
        *_largest(p),
        *(_scores(p) if possible(p.sampled) else ()),
        *(_listed(p) if possible(p.listed) else ()),
        *_back(p),
        *_floats(p),
        *inside.units(p),
        *memories(1, p.rows_kept * p.beats_max, p.lanes * p.width),
        *_control(p),
        *p.register_file().units(),
    )


def _front(p: VectorParameters) -> Iterator[Unit]:
    """Ports, conversion, product with the scale, gate twice, sum, squares and gains; others go beside."""
    wide, operands = p.width, p.takes_operand
    beside = (1 + operands) * wide
    yield REGISTER("front", 1, width=p.operand_bits + p.element_bits, enable=1)
    # Scales are rounded in front of their registers where registers inside adders make other paths short.
    rounded = 2 * p.sums * p.parted * (SCALE_WIDTH - wide)
    yield REGISTER("front", 1, width=p.x_bits - rounded + p.operand_bits + p.element_bits, enable=1)
    yield REGISTER("front", p.lanes, width=wide * (1 + p.sums) + beside)
    yield REGISTER("front", 1, width=wide * p.sums)
    yield REGISTER("front", p.lanes * p.sums, width=wide + beside)
    yield REGISTER("front", p.lanes * p.curved, width=SIGMOID_STAGES * (wide + beside) + wide - 1)
    yield REGISTER("front", p.lanes * p.gated, width=wide + beside)
    yield REGISTER("front", p.lanes * p.gated, width=wide + (1 + (p.added | p.rotated)) * wide)
    yield REGISTER("front", p.lanes * p.added, width=(2 + p.rotated) * wide)
    # Two products and the gain, then their sum and the gain.
    yield REGISTER("front", p.lanes * p.rotated, width=5 * wide)
    if possible(p.parted):
        # What waits for sums of elements: elements and the gain, and the operand of a rotation that follows.
        waiting = p.added * (2 + p.rotated) + p.rotated * 2
        yield REGISTER("front", p.lanes * p.adder_stages, width=waiting * wide)
        adders = p.lanes * (p.added + p.rotated)
        yield REGISTER("float", adders * p.parted, width=held_bits(p, 1, p.fraction))
    yield REGISTER("front", p.lanes, width=2 * wide - 1 + p.dotted)
    # The factor and the scale of the row that leaves, beside its beats.
    yield REGISTER("front", 1 + p.out_stages, width=p.width - 1, enable=1)
    yield REGISTER("front", p.out_stages * p.dotted, width=p.sum_bits + p.index_bits, enable=1)
    muxes = 2 + p.sums + 2 * p.gated + p.added + 2 * p.rotated + p.dotted
    yield MUX("front", p.lanes * muxes, entries=2, width=wide)


def _tree(p: VectorParameters) -> Iterator[tuple[Number, Number, Number]]:
    """(sums, bits of words that only wait, words) of every level over the lanes; words before a sum are narrow."""
    for level in range(_LEVELS):
        words = ceil_div(p.lanes, 2**level)
        odd = words % 2 * (words > 1)
        single = flag(p.lanes - (words - 1) * 2**level == 1)
        narrow = p.width - 1 + p.dotted
        yield words // 2, odd * (single * narrow + (1 - single) * p.sum_bits), words // 2 + odd


def _sums(p: VectorParameters) -> Iterator[Unit]:
    narrow = p.width - 1
    for level, (sums, waiting, words) in enumerate(_tree(p)):
        yield REGISTER("sums", 1, width=sums * p.sum_bits + waiting + words * narrow)
        if possible(p.parted):
            held = held_bits(p, p.dotted, FP32.fraction_bits, p.short if level == 0 else 0)
            yield REGISTER("float", sums * p.parted, width=held)
            yield REGISTER("sums", p.adder_stages, width=waiting + words * narrow)
        yield COMPARATOR("sums", sums, width=narrow)
        yield MUX("sums", sums, entries=2, width=narrow)
    yield REGISTER("sums", 1, width=p.sum_bits + narrow, enable=1)
    yield COMPARATOR("sums", 1, width=narrow)
    yield MUX("sums", 1, entries=2, width=narrow)
    yield REGISTER("sums", p.rows_kept, width=p.sum_bits + narrow, enable=1, activity=1 / p.beats_max)
    yield MUX("sums", 1, entries=p.rows_kept, width=p.sum_bits + narrow, activity=1 / p.beats_max)
    flat = 1 - p.parted
    yield MUX("sums", p.dotted * flat, entries=p.rows_kept, width=p.sum_bits, activity=1 / p.beats_max)
    if possible(p.parted):
        yield from _parts(p)


def _parts(p: VectorParameters) -> Iterator[Unit]:
    """Several sums of a row: what they need beside one, in the adder of beats and in every row of the buffer."""
    more, rare = p.adder_stages, 1 / p.beats_max
    yield REGISTER("float", p.parted, width=held_bits(p, p.dotted, FP32.fraction_bits))
    yield REGISTER("sums", more, width=p.width - 1)
    yield REGISTER("sums", more, width=p.sum_bits, enable=1, activity=1 / p.parts)
    yield MUX("sums", p.parted, entries=p.parts, width=p.sum_bits)
    yield REGISTER("sums", p.rows_kept * more, width=p.sum_bits, enable=1, activity=1 / p.parts)
    yield AND_ROW("sums", p.rows_kept * p.parted, width=p.sum_bits)
    yield MUX("sums", more, entries=p.rows_kept, width=p.sum_bits, activity=rare)


def _joined(p: VectorParameters) -> Iterator[Unit]:
    """The adders of the sums of a row and of the product of its length with epsilon."""
    rare = 1 / p.beats_max
    yield REGISTER("float", p.parted, width=held_bits(p, p.dotted, FP32.fraction_bits), activity=rare)
    # The sum so far takes the place of one without a sign, which every design has.
    yield REGISTER("factor", p.parted, width=p.sum_bits + epsilon_held_bits(p), activity=rare)
    yield REGISTER("factor", p.parted, width=p.sum_bits - _SUM, enable=1, activity=rare)
    yield REGISTER("factor", p.dotted * p.parted * p.rows_kept, width=p.sum_bits, enable=1, activity=rare)
    yield MUX("factor", p.dotted * p.parted, entries=p.rows_kept, width=p.sum_bits, activity=rare)
    yield MUX("factor", p.parted, entries=p.parts, width=p.sum_bits, activity=rare)
    multiplied = flag(count_bits(p)[1] > TABLE_BITS)
    yield ADDER("factor", p.parted * multiplied * _EPSILON_ROWS, width=FP32.fraction_bits, activity=rare)
    yield COMPARATOR("factor", 2 * p.adder_stages, width=clog2(p.factor_cycles))


def epsilon_bits(p: VectorParameters) -> Number:
    """Bits of the product of the significands of a row's length and of epsilon."""
    factor: Number = 0
    for epsilon in EPSILONS:
        factor = factor + flag(p.epsilon == epsilon) * epsilon_factor(epsilon).bit_length()
    return count_bits(p)[1] + 1 + factor


def epsilon_held_bits(p: VectorParameters) -> Number:
    """Flip-flops that hold the product with epsilon.

    A short length has so few bits that many bits of the product are equal: it is chosen from a table instead, which is
    no longer a path than the rounding behind it, and has no register.
    """
    return epsilon_bits(p) * flag(count_bits(p)[1] > TABLE_BITS)


def held_bits(p: VectorParameters, signed: Number, fraction: Number, short: Number = 0) -> Number:
    """Flip-flops inside an adder of so many fraction bits, whose operands lack so many of the lowest ones.

    Sums of squares have no signs there.
    """
    steps = float_registers.adder(EXPONENT_BITS, fraction, signed=signed, short=short, flushes=1)
    return float_registers.held(steps, floating.ADD_DELAYS, p.adder_stages, STAGES_LIMIT)


def count_bits(p: VectorParameters) -> tuple[Number, Number]:
    """(exponent, fraction) bits of the length of a row as a float."""
    size = bit_length(p.length_max)
    return clog2(size), size - 1


class Recurrences(NamedTuple):
    """Bits of the registers of the two recurrences: remainder, product with the root or trial, and results."""

    root_rest: Number
    root_product: Number
    root: Number
    quotient_rest: Number
    quotient: Number


def recurrences(p: VectorParameters) -> Recurrences:
    """The registers of the recurrences, by their names in the RTL.

    What is left of the root is less than twice the root and one times the divisor. The product is that of the divisor
    and the digits before the last; the next trial, four times as large, is kept in its place where products have
    registers inside. What is left of a quotient is less than its divisor.
    """
    digits, divisor = roots.steps(p.fraction), FP32.fraction_bits + 1
    return Recurrences(
        root_rest=digits + 1 + divisor,
        root_product=digits - 1 + divisor + 2 * p.quick,
        root=digits,
        quotient_rest=p.fraction + 1,
        quotient=digits,
    )


def _factor(p: VectorParameters) -> Iterator[Unit]:
    narrow, rare = p.width - 1, 1 / p.beats_max
    rests = recurrences(p)
    yield REGISTER("factor", 1, width=sum(count_bits(p)), enable=1, activity=0.0)
    yield REGISTER("factor", 1, width=_SUM + narrow, enable=1, activity=rare)
    yield REGISTER("factor", 1, width=sum(rests), enable=1, activity=0.5)
    yield REGISTER("factor", len(_NUMBERS), width=narrow, enable=1, activity=rare)
    # Three times the divisor, both exponents, and the leading zeros of the length.
    yield REGISTER("factor", p.quick, width=_TRIPLE + 2 * EXPONENT_BITS, enable=1, activity=rare)
    yield REGISTER("factor", p.quick, width=count_bits(p)[0], activity=0.0)
    yield REGISTER("factor", len(_OF_A_ROW) * p.rows_kept, width=narrow, enable=1, activity=rare)
    yield MUX("factor", 1, entries=p.rows_kept, width=len(_OF_A_ROW) * narrow, activity=rare)
    yield ADDER("factor", len(_OF_A_DIGIT), width=rests.root_rest, activity=0.5)
    yield ADDER("factor", len(_OF_THE_QUOTIENT), width=rests.quotient_rest, activity=0.5)
    yield ADDER("factor", len(_BESIDE), width=narrow, activity=rare)
    yield COMPARATOR("factor", len(_COMPARED), width=narrow, activity=rare)
    yield MUX("factor", 1, entries=_FIRST, width=rests.root_rest, activity=0.5)
    yield MUX("factor", len(_CHOSEN), entries=2, width=narrow, activity=rare)
    if possible(p.parted):
        yield from _joined(p)


def _largest(p: VectorParameters) -> Iterator[Unit]:
    """The largest sum, its row, and what that was when each row of the buffer was added."""
    rare = 1 / p.beats_max
    kept = 1 + p.rows_kept
    yield REGISTER("largest", p.dotted, width=FP32.width + kept * p.index_bits, enable=1, activity=rare)
    yield COMPARATOR("largest", p.dotted, width=FP32.width, activity=rare)
    yield MUX("largest", p.dotted, entries=2, width=p.index_bits, activity=rare)
    yield MUX("largest", p.dotted, entries=p.rows_kept, width=p.index_bits, activity=rare)


def _scores(p: VectorParameters) -> Iterator[Unit]:
    """Noise of rows, their sums times the inverse temperature, and the sum of both."""
    there, rare = p.sampled, 1 / p.beats_max
    yield from gumbel.units("noise", there)
    yield REGISTER("scores", there, width=FP32.width, enable=1, activity=rare)
    yield REGISTER("scores", there, width=FP32.width, activity=rare)
    yield MUX("scores", there, entries=2, width=FP32.width, activity=rare)
    yield FLOAT_MULTIPLIER("float", there, **_FP32, stages=p.parted, activity=rare)
    yield FLOAT_ADDER("float", there, **_FP32, stages=p.adder_stages, activity=rare)
    if possible(p.parted):
        yield REGISTER("float", there * p.parted, width=PRODUCT_BITS, activity=rare)
        held = held_bits(p, 1, FP32.fraction_bits)
        yield REGISTER("float", there * p.parted, width=held, activity=rare)


def _listed(p: VectorParameters) -> Iterator[Unit]:
    """Places of rows with the largest sums, each with the best score down to it and the row that has it.

    Nothing is compared with the score of the last place, so it has none.
    """
    places, behind, rare = p.top_k, larger(p.top_k - 1, 0), 1 / p.beats_max
    best = FP32.width + p.index_bits
    yield REGISTER("listed", p.listed, width=FP32.width, enable=1, activity=rare)
    yield REGISTER("listed", behind, width=FP32.width + best, enable=1, activity=rare)
    yield REGISTER("listed", p.listed, width=FP32.width + p.index_bits, enable=1, activity=rare)
    yield COMPARATOR("listed", places + behind, width=FP32.width, activity=rare)
    yield MUX("listed", behind, entries=2, width=FP32.width + best, activity=rare)
    # The row down to a place after this one, then that of the place of the run, or of all rows.
    yield MUX("listed", places, entries=2, width=p.index_bits, activity=rare)
    yield MUX("listed", p.listed, entries=larger(places, 1), width=p.index_bits, activity=rare)
    yield MUX("largest", p.listed, entries=2, width=p.index_bits, activity=rare)


def _back(p: VectorParameters) -> Iterator[Unit]:
    yield REGISTER("back", p.lanes, width=p.width + p.element_width + INTEGER_WIDTH, enable=1)


def _floats(p: VectorParameters) -> Iterator[Unit]:
    narrow, wide = _inside(p), {**_FP32, "stages": p.adder_stages}
    products = p.lanes * (3 + p.sums + 2 * p.gated + 2 * p.rotated) + p.sums + 2 - p.quick
    yield FLOAT_MULTIPLIER("float", products, **{**narrow, "stages": p.product_stages})
    yield FLOAT_MULTIPLIER("float", 1 - p.parted, **_FP32, stages=0, activity=1 / p.beats_max)
    yield FLOAT_ADDER("float", p.lanes * (p.added + p.rotated), **{**narrow, "stages": p.adder_stages})
    yield FLOAT_ADDER("float", p.lanes, **wide)
    yield FLOAT_ADDER("float", 1, **wide, activity=1 / p.beats_max)
    other = p.element_width * (p.width > p.element_width)
    yield TO_FLOAT("float", p.lanes * (2 + p.takes_operand), inputs=other, outputs=other)
    yield TO_FLOAT("float", p.lanes * p.sums + 1, inputs=SUM_WIDTH, outputs=p.width)
    yield TO_FIXED("float", p.lanes, inputs=p.fraction, outputs=INTEGER_WIDTH)
    yield TO_FIXED("float", p.lanes, inputs=other, outputs=other)


def _inside(p: VectorParameters) -> dict[str, Number]:
    return {"exponent": EXPONENT_BITS + 0 * p.fraction, "fraction": p.fraction, "stages": 0 * p.fraction}


def loops(p: VectorParameters) -> dict[str, Number]:
    """Registers of the loops over rows and beats, named as in the RTL: active flags and remaining counts."""
    found: dict[str, Number] = {}
    rows, length = bit_length(p.rows_max), bit_length(p.length_max)
    for name, there in (*((name, 1) for name in _LOOPS), ("operand", p.takes_operand)):
        found |= {f"{name}_active": 1 * there}
        found |= counting.down(f"{name}_rows", rows, 1, there)
        found |= counting.down(f"{name}_beats", length, p.lanes, there)
    return found


def steering(p: VectorParameters) -> dict[str, Number]:
    """Registers beside the loops, named as in the RTL: held values, row slots and progress of the factor."""
    beat = clog2(p.beats_max)
    slots = ("write_slot", "sum_slot_held", "factor_slot_held", "read_slot_held")
    return {
        "operand_full": p.takes_operand,
        "gain_full": 1,
        "first_beat": 1,
        "first_sum_held": 1,
        "write_beat": beat,
        "read_beat": beat,
        **dict.fromkeys(slots, p.slot_bits),
        "kept": p.count_bits,
        "pending": p.count_bits,
        "ready": p.count_bits,
        "busy": 1,
        "step": clog2(p.factor_cycles),
        "row_number": p.index_bits,
        "row_number_full": p.dotted * counting.carries(p.index_bits),
        "first_factor": p.dotted,
        "entering_held": clog2(p.parts),
        "opens_held": p.parted,
        "part_held": clog2(p.parts),
    }


def _control(p: VectorParameters) -> Iterator[Unit]:
    rows, length, beat = bit_length(p.rows_max), bit_length(p.length_max), clog2(p.beats_max)
    count = len(_LOOPS) + p.takes_operand
    yield REGISTER("control", 1, width=sum(loops(p).values()), enable=1, reset=1)
    yield REGISTER("control", 1, width=sum(steering(p).values()), enable=1, reset=1)
    yield REGISTER("control", p.front_stages, width=_STAGE_FLAGS, reset=1)
    yield REGISTER("control", p.out_stages, width=_STAGE_FLAGS, reset=1)
    for width in (rows, length):
        yield ADDER("control", count, width=width)
        yield COMPARATOR("control", count, width=width)
    yield HALF_ADDER("control", 2, width=beat)
    yield HALF_ADDER("control", p.dotted, width=p.index_bits)
    yield ADDER("control", 2, width=p.address_bits)
    yield HALF_ADDER("control", len(_ROW_COUNTERS), width=p.count_bits)
    yield LOGIC("control", 1, gates=_GATES_OF_THE_SEQUENCER)
    yield BROADCAST("control", 1, fanout=p.lanes * p.width)


def paths(p: VectorParameters) -> tuple[Path, ...]:
    """Paths of one float operation between two registers, and those of sums, factor and counters."""
    narrow, flat, slow = _inside(p), 1 - p.parted, 1 - p.quick
    wide = {**_FP32, "stages": 0}
    chosen = MUX("front", 1, entries=2, width=p.width)
    rests = recurrences(p)
    length = larger(bit_length(p.length_max), bit_length(p.rows_max))
    return (
        Path("product", (FLOAT_MULTIPLIER("float", slow, **narrow), chosen.times(slow))),
        Path("sum", (FLOAT_ADDER("float", (p.added | p.rotated) * flat, **narrow), chosen)),
        Path("squares", (FLOAT_ADDER("float", flat, **wide),)),
        Path("shift", (FLOAT_MULTIPLIER("float", flat, **wide),)),
        Path(
            "read", (MUX("sums", flat, entries=p.rows_kept, width=_SUM), FLOAT_ADDER("float", flat, **wide))
        ),
        *(_split(p) if possible(p.parted) else ()),
        Path(
            "root",
            (
                ADDER("factor", 2 * slow, width=rests.root_rest),
                MUX("factor", slow, entries=3, width=rests.root_rest),
            ),
        ),
        Path("from-integer", (TO_FLOAT("float", p.sums * slow, inputs=SUM_WIDTH, outputs=p.width),)),
        Path("length", (TO_FLOAT("float", slow, inputs=SUM_WIDTH, outputs=FP32.width),)),
        Path(
            "buffer",
            (
                SRAM("memory", slow, words=p.rows_kept * p.beats_max, width=p.lanes * p.width),
                FLOAT_MULTIPLIER("float", slow, **narrow),
            ),
        ),
        *inside.paths(p),
        *sigmoid.paths("sigmoid", p.curved, p.fraction),
        Path(
            "largest",
            (
                MUX("sums", p.dotted * flat * (1 - p.sampled), entries=p.rows_kept, width=p.sum_bits),
                COMPARATOR("largest", p.dotted, width=FP32.width),
                MUX("largest", p.dotted, entries=2, width=p.index_bits),
            ),
        ),
        *(_drawn(p) if possible(p.sampled) else ()),
        *(_among(p) if possible(p.listed) else ()),
        Path("to-integer", (TO_FIXED("float", slow, inputs=p.fraction, outputs=INTEGER_WIDTH),)),
        Path(
            "sequence",
            (
                HALF_ADDER("control", 1, width=smaller(length, counting.REACH)),
                BROADCAST("control", 1, fanout=p.x_bits + SCALE_WIDTH),
            ),
        ),
        *_stall_paths(p),
        p.register_file().path(),
    )


#: Gates from a beat's place to the beat that is taken; gates and nested loops of beats and rows.
_TAKEN, _NESTED = 3, 2


def _stall_paths(p: VectorParameters) -> tuple[Path, ...]:
    """A beat leaves the row buffer if all behind it move; a beat enters if what goes with it is there."""
    width = larger(bit_length(p.length_max), bit_length(p.rows_max))
    out = stalls.ready("control", p.out_stages)
    counted = stalls.counted("control", _NESTED, width)
    return (
        Path("stall-out", (out, stalls.gates("control", 1), *counted)),
        Path("stall-back", (out, BROADCAST("control", 1, fanout=p.lanes * p.width))),
        Path("stall-in", (stalls.gates("control", _TAKEN), stalls.ready("control", 1), *counted)),
    )


def _drawn(p: VectorParameters) -> tuple[Path, ...]:
    """Paths of noise and scores; inside pipelined adders they are those of sums."""
    there, flat = p.sampled, p.sampled * (1 - p.parted)
    wide = {**_FP32, "stages": 0}
    half = {**_FP32, "stages": p.parted}
    return (
        *gumbel.paths("noise", there),
        Path(
            "score",
            (
                MUX("sums", flat, entries=p.rows_kept, width=p.sum_bits),
                FLOAT_MULTIPLIER("float", flat, **wide),
            ),
        ),
        Path("score-part", (FLOAT_MULTIPLIER("float", there * p.parted * _HALF, **half),)),
        Path("noise-sum", (FLOAT_ADDER("float", flat, **wide),)),
    )


def _among(p: VectorParameters) -> tuple[Path, ...]:
    """From a sum or score to the row that is chosen among those with the largest sums."""
    there = p.listed
    return (
        Path(
            "listed",
            (
                COMPARATOR("listed", there, width=FP32.width),
                MUX("listed", there, entries=2, width=p.index_bits),
                MUX("listed", there, entries=2, width=p.index_bits),
                MUX("listed", there, entries=larger(p.top_k, 1), width=p.index_bits),
                MUX("largest", there, entries=2, width=p.index_bits),
            ),
        ),
    )


def _split(p: VectorParameters) -> tuple[Path, ...]:
    """Paths between the registers inside adders of FP32 sums, and between those around them."""
    there = p.parted
    begin: Real = 0.0
    middle: Real = 0.0
    end: Real = 0.0
    for stages in range(1, STAGES_LIMIT + 1):
        first, *rest = floating.pieces(floating.ADD_DELAYS, stages)
        here = flag(p.adder_stages == stages)
        begin, end = begin + here * first, end + here * rest[-1]
        middle = middle + here * max(rest[:-1], default=0.0)

    def part(share: Real) -> Unit:
        return FLOAT_ADDER("float", share, **_FP32, stages=p.adder_stages)

    def element(share: Real) -> Unit:
        return FLOAT_ADDER("float", summed * share, **{**_inside(p), "stages": p.adder_stages})

    summed = (p.added | p.rotated) * there
    chosen = MUX("front", summed, entries=2, width=p.width)

    return (
        Path("sum-begin", (element(begin),)),
        Path("sum-inside", (element(middle),)),
        Path("sum-end", (element(end), chosen)),
        Path("sums-begin", (MUX("sums", there, entries=p.parts, width=p.sum_bits), part(begin))),
        Path("sums-inside", (part(middle),)),
        Path("sums-end", (part(end),)),
        *_epsilon(p),
        Path(
            "part",
            (
                MUX("sums", there, entries=p.rows_kept, width=p.sum_bits),
                MUX("factor", there, entries=p.parts, width=p.sum_bits),
            ),
        ),
    )


def _epsilon(p: VectorParameters) -> tuple[Path, ...]:
    """Paths of the product of a row's length with epsilon."""
    there, rows = p.parted, count_bits(p)[1] + 1
    # With registers inside products carries pass networks of prefixes, or blocks that choose between both.
    ripples = p.parted * (1 - p.quick)
    product = {"width": rows + FP32.fraction_bits}
    # The product of a short length is chosen from a table, in front of the rounding.
    chosen = flag(rows <= TABLE_BITS + 1)
    held = 1 - chosen
    tree: Number = 0
    for reach in range(bit_length(_MOST_ROWS)):
        tree = tree + flag(rows - 2 >= 2**reach)
    return (
        Path(
            "epsilon",
            (
                AND_ROW("factor", there * held, **product),
                COMPRESSOR("factor", there * held * tree, **product),
                ADDER("factor", ripples * held, **product),
                MUX("factor", p.quick * held * (2 + clog2(rows + FP32.fraction_bits)), entries=2, **product),
            ),
        ),
        Path(
            "epsilon-round",
            (
                MUX("factor", there * (1 + chosen * (rows - 1)), entries=2, width=_SUM),
                ADDER("factor", ripples, width=_SUM),
                ADDER("factor", p.quick, width=CHOSEN_BITS),
                MUX("factor", p.quick * ceil_div(_SUM, CHOSEN_BITS), entries=2, width=_SUM),
                MUX("factor", there, entries=p.parts, width=p.sum_bits),
            ),
        ),
    )
