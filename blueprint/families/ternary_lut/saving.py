"""Carry-save accumulators and registers inside the reduction of a beat: what they add to the inventory."""

from __future__ import annotations

from blueprint.families.ternary_lut.parameters import TernaryLutParameters
from blueprint.numbers import Number, ceil_div, clog2, flag, smaller
from blueprint.unit import ADDER, COMPRESSOR, HALF_ADDER, MUX, REGISTER, Path, Unit

#: Full adders in series by which the rows of a beat enter a sum and a carry word.
ROWS_ADDED = 2


def units(p: TernaryLutParameters, lanes: Number) -> tuple[Unit, ...]:
    """Sum and carry word: the steps that add two rows of a beat, and the pieces of the sum of a finished result."""
    lanes, width, cycles = lanes * p.saves, p.result_width, p.resolve_cycles
    once = 1 / p.most_tiles
    top = smaller(p.entry_width - 1 + clog2(p.lut_count), width)
    both = flag(p.lut_count > 1)
    return (
        COMPRESSOR("lane", lanes, width=width + both * top),
        HALF_ADDER("lane", lanes, width=1 + (1 - both) * top),
        ADDER("lane", lanes * cycles, width=ceil_div(width, cycles), activity=once),
        MUX("lane", lanes, entries=2, width=width, activity=once),
        REGISTER("lane", lanes, width=flag(cycles > 1), enable=1, activity=once),
    )


def inside(p: TernaryLutParameters, lanes: Number) -> tuple[Unit, ...]:
    """Registers between the steps of a carry-save reduction."""
    return (REGISTER("lane", lanes * flag(p.reduction_stages > 0), width=p.offset_sums[1], enable=1),)


def resolved(p: TernaryLutParameters) -> Path:
    """A piece of the adder of a finished result's sum and carry word."""
    piece = ceil_div(p.result_width, p.resolve_cycles)
    return Path("resolve", (ADDER("lane", p.saves, width=piece),))
