"""The softmax blocks inside the nodes, as lines of the inventory; every formula holds for one design and for arrays.

A block is a list of steps between which registers may stand, a step one of parts
(:mod:`blueprint.arithmetic.softmax.inventory`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from blueprint.arithmetic.softmax.arithmetic import (
    DIVISOR_FRACTION,
    OUTPUT_MULTIPLIER_BITS,
    OUTPUT_SHIFT_BITS,
    Arithmetic,
    format_bits,
)
from blueprint.arithmetic.softmax.inventory import (
    DELAYS,
    DIVISION_ENDS,
    ROW_DELAY,
    STAGES_LIMIT,
    cuts,
    held_bits,
)
from blueprint.numbers import Number, choose, clog2, larger, smaller
from blueprint.unit import Path, Unit

#: Whose delays all blocks share: a row of a multiplier takes as long in one as in another.
PATHS = "softmax"


@dataclass(frozen=True)
class Part:
    """``total`` units of one kind and size, of which a signal passes ``passed`` one after the other."""

    unit: Unit
    passed: Number
    total: Number

    def times(self, copies: Number) -> Part:
        """So many of them side by side."""
        return Part(self.unit, self.passed * choose(copies > 0, 1, 0), self.total * copies)


Step = tuple[Part, ...]


def blocks(
    a: Arithmetic, place: str, count: Number, stages: Number, activity: Number = 1.0
) -> tuple[Unit, ...]:
    """``count`` blocks of one kind with ``stages`` registers each, used ``activity`` times in a cycle."""
    fixed = {
        "running_max": a.reference_width,
        "sum_weights": a.l_width,
        "sum_values": a.o_word,
    }
    bits = fixed[place] if place in fixed else held_bits(a, place, stages)
    held = Unit(
        "register", place, count, {"width": bits, "enable": int(place in fixed), "reset": 0}, activity
    )
    parts = (part for step in _STEPS[place](a) for part in step)
    lines = (Unit(x.unit.kind, place, count * x.total, x.unit.dims, activity) for x in parts)
    return (held, *lines)


def whole(a: Arithmetic, place: str, share: Number) -> tuple[Unit, ...]:
    """What a signal passes in a block without registers, ``share`` times."""
    return _passed(_STEPS[place](a), share)


def tail(a: Arithmetic, place: str, stages: Number, share: Number) -> tuple[Unit, ...]:
    """What a signal passes behind the last register of a block of two steps, of which at most one is there."""
    first, last = _STEPS[place](a)
    return (*_passed((first,), share * choose(stages == 0, 1, 0)), *_passed((last,), share))


def segments(
    a: Arithmetic,
    place: str,
    share: Number,
    stages: Number,
    before: tuple[Unit, ...] = (),
) -> Iterator[Path]:
    """What a signal passes between two registers of a block, ``share`` times; ``before`` is in front of the first."""
    steps = _STEPS[place](a)
    ends: dict[tuple[int, int], list[int]] = {}
    for count in range(STAGES_LIMIT + 1):
        edges = sorted({0, len(steps), *cuts(DELAYS[place], count)})
        for segment in zip(edges, edges[1:], strict=False):
            ends.setdefault(segment, []).append(count)
    for (first, last), counts in ends.items():
        here = sum(choose(stages == count, 1, 0) for count in counts)
        passed = _passed(steps[first:last], share * here)
        yield Path(f"{place}-{first}-{last}", (*(before if first == 0 else ()), *passed))


def division(a: Arithmetic, stages: Number) -> Iterator[Path]:
    """The segments of a reciprocal: its first, which without registers is all of it, its last, the longest between."""
    begin, row, pack = _STEPS["reciprocal"](a)
    alone = choose(stages == 0, 1, 0)
    for number, (name, ending) in enumerate((("first", begin), ("middle", ()), ("last", pack))):
        rows = _rows(a, stages, number)
        chain = _passed((row,), rows, "reciprocal")
        rest = _passed((pack,), alone) if name == "first" else ()
        yield Path(f"reciprocal-{name}", (*_passed((ending,), 1), *chain, *rest))


def _rows(a: Arithmetic, stages: Number, which: int) -> Number:
    """Rows of a divider in its first segment, in the longest in between, in the last."""
    found: Number = 0 * a.dim
    for rows in (7, 10, DIVISOR_FRACTION):
        delays = (DIVISION_ENDS[0], *(ROW_DELAY,) * rows, DIVISION_ENDS[1])
        for count in range(STAGES_LIMIT + 1):
            edges = sorted({0, len(delays), *cuts(delays, count)})
            sizes = [last - first for first, last in zip(edges, edges[1:], strict=False)]
            several = (sizes[0] - 1, max(sizes[1:-1], default=0), sizes[-1] - 1) if count else (rows, 0, 0)
            found = found + choose((a.divisor_fraction == rows) & (stages == count), several[which], 0)
    return found


def _passed(steps: Iterable[Step], share: Number, place: str = PATHS) -> tuple[Unit, ...]:
    parts = (part for step in steps for part in step)
    return tuple(Unit(part.unit.kind, place, part.passed * share, part.unit.dims) for part in parts)


# Parts ------------------------------------------------------------------------------------------------------------


def _one(kind: str, **dims: Number) -> Part:
    return Part(Unit(kind, "", 1, dims), 1, 1)


def _integer_product(left: Number, right: Number) -> Step:
    """An array multiplier: rows of partial products, carry-save rows that form a tree, one adder."""
    rows, width = smaller(left, right), larger(left, right)
    several = choose(rows > 1, 1, 0)
    between = larger(rows - 2, 0 * rows)
    return (
        Part(Unit("and_row", "", 1, {"width": width}), choose(rows > 0, 1, 0), rows),
        Part(Unit("compressor", "", 1, {"width": width}), clog2(between + 1), between),
        _one("adder", width=width).times(several),
    )


def _shifter(width: Number, distances: Number) -> Part:
    """A logarithmic shifter: a row of two-way choices for every bit of the distance."""
    levels = clog2(distances)
    return Part(Unit("mux", "", 1, {"entries": 2, "width": width}), levels, levels)


def _float(a: Arithmetic) -> dict[str, Number]:
    """Exponent and fraction of float sums; of a small float where there are none."""
    exponent = format_bits(a.inputs, a.accumulator, "exponent_bits")
    fraction = format_bits(a.inputs, a.accumulator, "fraction_bits")
    return {
        "exponent": larger(exponent, 2 + 0 * exponent),
        "fraction": larger(fraction, 1 + 0 * fraction),
        "stages": 0,
    }


def _float_product(left: Number, right: Number, exponent: Number) -> Step:
    """Significands multiplied, exponents added, the result moved up to its leading one and rounded."""
    rounded = _one("to_float", inputs=left + right, outputs=larger(left, right) + exponent)
    return (*_integer_product(left, right), _one("adder", width=exponent + 2), rounded)


def _times(step: Step, copies: Number) -> Step:
    return tuple(part.times(copies) for part in step)


def _widened(a: Arithmetic) -> Part:
    """An FP16 input becomes FP32: its subnormals are normalized."""
    wanted = choose((a.inputs == "fp16") & (a.accumulator == "fp32"), 1, 0)
    return _one("to_float", inputs=a.in_fraction + 1, outputs=a.in_fraction + 9).times(wanted)


def _tree(unit: Unit, words: Number, there: Number) -> Part:
    """Words added pairwise."""
    return Part(unit, clog2(words) * there, (words - 1) * there)


# Blocks -----------------------------------------------------------------------------------------------------------


def _flag(condition: Number) -> Number:
    return choose(condition, 1, 0)


def _score_beat(a: Arithmetic) -> tuple[Step, ...]:
    significand, other = (
        choose(a.is_float, a.in_fraction + 1, width) for width in (a.in_width, a.element_width)
    )
    floats, fixed = _flag(a.sums_are_floats), _flag(a.flag == 1)
    exponent = choose(a.inputs == "fp16", 5, 8) + 2
    product = _integer_product(significand, other)
    multiply = (
        *_times(product, a.lanes * (1 - floats)),
        *_times(_float_product(significand, significand, _float(a)["exponent"]), a.lanes * floats),
        _widened(a).times(2 * a.lanes),
        _one("adder", width=exponent).times(a.lanes * fixed),
        _shifter(a.beat_width, a.beat_width).times(fixed * a.lanes),
        _one("half_adder", width=a.beat_width).times(fixed * a.lanes),
    )
    adder, float_adder = Unit("adder", "", 1, {"width": a.beat_width}), Unit("float_adder", "", 1, _float(a))
    return multiply, (_tree(adder, a.lanes, 1 - floats), _tree(float_adder, a.lanes, floats))


def _scale(a: Arithmetic) -> tuple[Step, ...]:
    floats = _flag(a.sums_are_floats)
    significand = _float(a)["fraction"] + 1
    product = _float_product(significand, significand, _float(a)["exponent"])
    fitted = (_shifter(a.t_width, a.score_width), Part(Unit("comparator", "", 1, {"width": a.t_width}), 2, 2))
    integer = _integer_product(a.score_width, a.multiplier_width)
    return (*_times(product, floats), *_times(integer, 1 - floats)), fitted


def _running_max(a: Arithmetic) -> tuple[Step, ...]:
    width = a.reference_width
    added = Part(Unit("adder", "", 1, {"width": width}), 2, 2)
    return ((_one("comparator", width=width), added, _one("mux", entries=2, width=width)),)


def _exp2(a: Arithmetic) -> tuple[Step, ...]:
    fraction = larger(a.fraction - 4, 1 + 0 * a.fraction)
    product = _integer_product(a.mantissa, fraction)
    placed = _shifter(a.p_width, a.p_width).times(1 - _flag(a.sums_are_floats))
    return (
        (_one("adder", width=a.t_width),),
        _times(product, _flag(a.mantissa > 12)),
        (*product, _one("logic", gates=12 * a.mantissa)),
        (placed,),
    )


def _product(a: Arithmetic) -> tuple[Step, ...]:
    floats, fixed = _flag(a.sums_are_floats), _flag(a.flag == 1)
    weight = choose(a.sums_are_floats, _float(a)["fraction"] + 1, a.p_width)
    value = choose(a.is_float, a.in_fraction + 1, a.element_width)
    exponent = choose(a.inputs == "fp16", 5, 8) + 2
    multiply = (
        *_times(_integer_product(weight, value), 1 - floats),
        *_times(_float_product(weight, value, _float(a)["exponent"]), floats),
        _widened(a),
        _one("adder", width=exponent).times(fixed),
    )
    placed = (_shifter(a.term_width, a.term_width), _one("half_adder", width=a.term_width))
    return multiply, _times(placed, fixed)


def _sum_of(width: Number, a: Arithmetic) -> tuple[Step, ...]:
    floats, moves = _flag(a.sums_are_floats), _flag(a.rescales)
    return (
        (
            _one("and_row", width=width),
            _shifter(width, width).times(moves * (1 - floats)),
            _one("adder", width=width).times(1 - floats),
            Part(Unit("float_adder", "", 1, _float(a)), floats, floats),
        ),
    )


def _sum_weights(a: Arithmetic) -> tuple[Step, ...]:
    return _sum_of(a.l_width, a)


def _sum_values(a: Arithmetic) -> tuple[Step, ...]:
    return _sum_of(a.o_width, a)


def _reciprocal(a: Arithmetic) -> tuple[Step, ...]:
    """Before the rows, one row, and behind them; see :func:`division`."""
    row = Part(Unit("adder", "", 1, {"width": a.divisor_fraction + 1}), 1, a.divisor_fraction + 1)
    gain = _integer_product(a.q_width, OUTPUT_MULTIPLIER_BITS + 0 * a.q_width)
    return (_shifter(a.l_width, a.l_width),), (row,), _times(gain, _flag(a.has_gain))


def _normalize(a: Arithmetic) -> tuple[Step, ...]:
    floats = _flag(a.sums_are_floats)
    left = choose(a.sums_are_floats, _float(a)["fraction"] + 1, a.l_width - a.align_drop)
    right = choose(a.sums_are_floats, a.divisor_fraction + 1, a.q_width)
    multiplied = (*_integer_product(left, right), _one("half_adder", width=a.p_width))
    moved = _shifter(a.l_width, a.l_width).times(1 - floats)
    product = _float_product(left, right, _float(a)["exponent"])
    # A float is multiplied in the first step, an integer moved there and multiplied in the second.
    return (moved, *_times(product, floats)), _times(multiplied, 1 - floats)


def _finish(a: Arithmetic) -> tuple[Step, ...]:
    first, integer, exact = _flag(a.divides_first), 1 - _flag(a.is_float), _flag(a.flag == 1)
    # Exact sums are FP32 while they are divided.
    significand = choose(a.flag == 1, 24, _float(a)["fraction"] + 1)
    exponent = choose(a.flag == 1, 8, _float(a)["exponent"])
    divided = _float_product(significand, a.divisor_fraction + 1, exponent)
    outputs = choose(a.divides_first, 16, 32)
    left = a.moved_width - larger(a.l_width - 1 - a.divisor_fraction, 0 * a.l_width)
    left, factor = choose(a.divides_first, a.o_width, left), choose(a.divides_first, 16, a.gain_width)
    product = larger(left + factor - a.finish_shift + 1, 1 + 0 * left)
    converts = (1 - integer) * _flag(significand > a.in_fraction + 1) * (1 - exact * first)
    narrow = _flag(a.inputs == "fp16")
    prepared = (
        _one("to_float", inputs=a.o_width, outputs=outputs).times(exact),
        _shifter(a.moved_width, a.l_width).times(integer * (1 - first)),
    )
    multiplied = (
        *_times(divided, (1 - integer) * (1 - first)),
        *_times(_integer_product(left, factor), integer),
    )
    rounded = (
        _shifter(product, 1 << OUTPUT_SHIFT_BITS).times(integer),
        _one("adder", width=product).times(integer),
        _one("comparator", width=product).times(integer),
        _shifter(a.in_fraction + 1, a.in_fraction + 1).times(converts * narrow),
        _one("half_adder", width=a.out_width).times(converts),
    )
    return prepared, multiplied, rounded


_STEPS: dict[str, Callable[[Arithmetic], tuple[Step, ...]]] = {
    "score_beat": _score_beat,
    "scale": _scale,
    "running_max": _running_max,
    "exp2": _exp2,
    "product": _product,
    "sum_weights": _sum_weights,
    "sum_values": _sum_values,
    "reciprocal": _reciprocal,
    "normalize": _normalize,
    "finish": _finish,
}
