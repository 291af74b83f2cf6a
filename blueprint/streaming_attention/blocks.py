"""The softmax blocks inside the nodes, as lines of the inventory; every formula holds for one design and for arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from blueprint.numbers import Number, choose, clog2, larger, smaller
from blueprint.softmax.arithmetic import OUTPUT_MULTIPLIER_BITS, Arithmetic, format_bits
from blueprint.softmax.inventory import held_bits
from blueprint.unit import Unit


def blocks(a: Arithmetic, place: str, count: Number, stages: Number) -> tuple[Unit, ...]:
    """``count`` blocks of one kind with ``stages`` registers each."""
    fixed = {
        "running_max": a.reference_width,
        "sum_weights": a.l_width,
        "sum_values": a.o_word,
    }
    bits = fixed[place] if place in fixed else held_bits(a, place, stages)
    held = Unit("register", place, count, {"width": bits, "enable": int(place in fixed), "reset": 0})
    logic = (
        Unit(unit.kind, place, count * unit.count, unit.dims, unit.activity) for unit in _LOGIC[place](a)
    )
    return (held, *logic)


def series(a: Arithmetic, place: str, share: Number) -> tuple[Unit, ...]:
    """What a signal passes in a block, of which ``share`` lies between two registers.

    Rows of an array multiplier follow each other in a tree; so do the words of a sum. Those of a divider are a chain.
    """
    found = []
    for unit in _LOGIC[place](a):
        depth = unit.count
        chained = place == "reciprocal" and unit.kind == "adder"
        if unit.kind in ("compressor", "and_row", "adder", "float_adder") and not chained:
            depth = larger(clog2(larger(unit.count, 1 + 0 * unit.count)), choose(unit.count > 0, 1, 0))
        found.append(Unit(unit.kind, place, depth * share, unit.dims))
    return tuple(found)


def integer_product(left: Number, right: Number) -> Iterator[Unit]:
    """An array multiplier: rows of partial products, carry-save rows, one adder."""
    rows, width = smaller(left, right), larger(left, right)
    yield Unit("and_row", "", rows, {"width": width})
    yield Unit("compressor", "", larger(rows - 2, 0 * rows), {"width": width})
    yield Unit("adder", "", choose(rows > 1, 1, 0), {"width": width})


def shifter(width: Number, distances: Number) -> Unit:
    """A logarithmic shifter: a row of two-way choices for every bit of the distance."""
    return Unit("mux", "", clog2(distances), {"entries": 2, "width": width})


def _float(a: Arithmetic) -> dict[str, Number]:
    """Exponent and fraction of float sums; of a small float where there are none."""
    exponent = format_bits(a.inputs, a.accumulator, "exponent_bits")
    fraction = format_bits(a.inputs, a.accumulator, "fraction_bits")
    return {
        "exponent": larger(exponent, 2 + 0 * exponent),
        "fraction": larger(fraction, 1 + 0 * fraction),
        "stages": 0,
    }


def _float_add(a: Arithmetic, count: Number) -> Unit:
    return Unit("float_adder", "", count * choose(a.sums_are_floats, 1, 0), _float(a))


def _scaled(unit: Unit, by: Number) -> Unit:
    return Unit(unit.kind, unit.place, unit.count * by, unit.dims, unit.activity)


def _score_beat(a: Arithmetic) -> Iterator[Unit]:
    significand = choose(a.is_float, choose(a.sums_are_floats, _float(a)["fraction"], a.in_fraction) + 1, 8)
    for unit in integer_product(significand, significand):
        yield _scaled(unit, a.lanes)
    fixed = choose(a.flag == 1, 1, 0)
    yield _scaled(shifter(a.beat_width, a.beat_width), fixed * a.lanes)
    yield Unit("adder", "", (a.lanes - 1) * choose(a.sums_are_floats, 0, 1), {"width": a.beat_width})
    yield _float_add(a, a.lanes - 1)


def _scale(a: Arithmetic) -> Iterator[Unit]:
    significand = choose(a.sums_are_floats, _float(a)["fraction"] + 1, a.score_width)
    factor = choose(a.sums_are_floats, _float(a)["fraction"] + 1, a.multiplier_width)
    yield from integer_product(significand, factor)
    yield shifter(a.t_width, a.score_width)
    yield Unit("comparator", "", 2, {"width": a.t_width})


def _running_max(a: Arithmetic) -> Iterator[Unit]:
    yield Unit("comparator", "", 1, {"width": a.reference_width})
    yield Unit("adder", "", 2, {"width": a.reference_width})
    yield Unit("mux", "", 1, {"entries": 2, "width": a.reference_width})


def _exp2(a: Arithmetic) -> Iterator[Unit]:
    yield Unit("adder", "", 1, {"width": a.t_width})
    for unit in integer_product(a.mantissa, larger(a.fraction - 4, 1 + 0 * a.fraction)):
        yield _scaled(unit, 1 + choose(a.mantissa > 12, 1, 0))
    yield Unit("logic", "", 1, {"gates": 12 * a.mantissa})
    yield _scaled(shifter(a.p_width, a.p_width), choose(a.sums_are_floats, 0, 1))


def _product(a: Arithmetic) -> Iterator[Unit]:
    fraction = _float(a)["fraction"] + 1
    weight = choose(a.sums_are_floats, fraction, a.p_width)
    value = choose(a.sums_are_floats, fraction, choose(a.is_float, a.in_fraction + 1, 8))
    yield from integer_product(weight, value)
    yield _scaled(shifter(a.term_width, a.term_width), choose(a.flag == 1, 1, 0))


def _sum_of(width: Number, a: Arithmetic) -> Iterator[Unit]:
    moves = choose(a.rescales, 1, 0)
    whole = choose(a.sums_are_floats, 0, 1)
    yield Unit("adder", "", whole, {"width": width})
    yield _float_add(a, 1)
    yield Unit("and_row", "", 1, {"width": width})
    yield _scaled(shifter(width, width), moves * whole)


def _sum_weights(a: Arithmetic) -> Iterator[Unit]:
    return _sum_of(a.l_width, a)


def _sum_values(a: Arithmetic) -> Iterator[Unit]:
    return _sum_of(a.o_width, a)


def _reciprocal(a: Arithmetic) -> Iterator[Unit]:
    yield shifter(a.l_width, a.l_width)
    yield Unit("adder", "", a.divisor_fraction + 1, {"width": a.divisor_fraction + 1})
    for unit in integer_product(a.q_width, OUTPUT_MULTIPLIER_BITS + 0 * a.q_width):
        yield _scaled(unit, choose(a.has_gain, 1, 0))


def _normalize(a: Arithmetic) -> Iterator[Unit]:
    fraction = _float(a)["fraction"] + 1
    yield from integer_product(
        choose(a.sums_are_floats, fraction, a.p_width), choose(a.sums_are_floats, fraction, a.q_width)
    )
    yield shifter(a.p_width, a.l_width)


def _finish(a: Arithmetic) -> Iterator[Unit]:
    significand = larger(_float(a)["fraction"] + 1, 8 + 0 * a.dim)
    total = choose(a.is_float, significand, smaller(a.o_width, 32 + 0 * a.dim))
    factor = choose(a.is_float, significand, choose(a.divides_first, OUTPUT_MULTIPLIER_BITS, a.gain_width))
    whole = choose(a.is_float, 0, 1)
    yield _scaled(shifter(a.o_width, a.o_width), whole)
    yield from integer_product(total, factor)
    yield shifter(a.o_width, a.o_width)
    yield Unit("adder", "", whole, {"width": a.o_width})
    yield Unit("comparator", "", whole, {"width": a.o_width})
    yield Unit("adder", "", 1, {"width": a.out_width})


_LOGIC: dict[str, Callable[[Arithmetic], Iterator[Unit]]] = {
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
