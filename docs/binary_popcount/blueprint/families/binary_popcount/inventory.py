"""The hardware inventory of a popcount core.

Places: ``tile`` (activation register), ``column`` (count and result), ``control``, ``shell``.
"""

from __future__ import annotations

from collections.abc import Iterator

from blueprint import counting
from blueprint.families.binary_popcount.parameters import MOST_LANES, BinaryPopcountParameters
from blueprint.numbers import Number, ceil_div, clog2, flag, larger, smaller
from blueprint.unit import ADDER, AND_ROW, BROADCAST, COMPARATOR, HALF_ADDER, REGISTER, XOR_ROW, Path, Unit

_LEVELS = clog2(MOST_LANES)


def units(p: BinaryPopcountParameters) -> tuple[Unit, ...]:
    """The whole inventory."""
    return (
        REGISTER("tile", 1, width=p.lanes, enable=1),
        *_column(p),
        *_control(p),
        *p.register_file().units(),
    )


def _column(p: BinaryPopcountParameters) -> Iterator[Unit]:
    sums, width = p.cols * p.accumulates, p.count_width
    yield XOR_ROW("column", p.cols, width=p.lanes)
    for level in range(_LEVELS):
        pairs = (ceil_div(p.lanes, 2**level)) // 2
        yield ADDER("column", p.cols * pairs, width=level + 1)
    yield AND_ROW("column", sums, width=width)
    yield ADDER("column", sums, width=width)
    yield COMPARATOR("column", p.cols * p.compares, width=width)
    yield REGISTER("column", sums, width=width, enable=1)
    yield REGISTER("column", p.cols, width=p.result_width, enable=1, activity=p.lanes / p.k_max)


def _control(p: BinaryPopcountParameters) -> Iterator[Unit]:
    steps = {"k": p.lanes, "n": p.cols, "tokens": 1}
    sizes = [(size.name, size.bits, size.bits > 0) for size in p.register_file().sizes]
    for name, bits, counted in sizes:
        registers = counting.down(name, bits, steps[name], flag(counted))
        yield REGISTER("control", 1, width=sum(registers.values()), enable=1, reset=1)
        yield ADDER("control", flag(counted), width=bits)
        yield COMPARATOR("control", flag(counted), width=bits)
    # Loading and counting go on; activations and a result are there, and the result is the last.
    yield REGISTER("control", 1, width=5, enable=1, reset=1)
    # First and last beat of a column, last of the run.
    yield REGISTER("control", 1, width=2 * p.accumulates + p.continues, enable=1, reset=1)
    yield BROADCAST("control", 1, fanout=p.cols * p.count_width)


def paths(p: BinaryPopcountParameters) -> tuple[Path, ...]:
    """From an activation through all columns into a count or result; and the longest counter."""
    levels: list[Unit] = [
        ADDER("column", flag(p.lanes > 2**level), width=level + 1) for level in range(_LEVELS)
    ]
    counted = (
        BROADCAST("column", 1, fanout=p.cols),
        XOR_ROW("column", 1, width=1),
        *levels,
        ADDER("column", p.accumulates, width=p.count_width),
        COMPARATOR("column", p.compares, width=p.count_width),
    )
    widest: Number = 0
    for size in p.register_file().sizes:
        widest = larger(widest, size.bits)
    stepped = (
        HALF_ADDER("control", 1, width=smaller(widest, counting.REACH)),
        BROADCAST("control", 1, fanout=p.cols * p.count_width),
    )
    return Path("count", counted), Path("sequence", stepped), p.register_file().path()
