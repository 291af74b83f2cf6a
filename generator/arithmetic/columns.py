"""Builds the column-compression plans of :mod:`blueprint.arithmetic.processing.columns`."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value

from blueprint.arithmetic.processing.columns import Cell, Plan


def _cell(m: Module, cell: Cell, bits: dict[int, Value], name: str) -> None:
    """Build one adder and add its two results to ``bits``."""
    total, carry = Signal(name=f"{name}_sum"), Signal(name=f"{name}_carry")
    taken = [bits[number] for number in cell.bits]
    match cell.kind:
        case "full":
            x, y, z = taken
            odd = Signal(name=f"{name}_odd")
            m.d.comb += [odd.eq(x ^ y), total.eq(odd ^ z), carry.eq((x & y) | (z & odd))]
        case "half":
            x, y = taken
            m.d.comb += [total.eq(x ^ y), carry.eq(x & y)]
        case "half_one":
            x, y = taken
            m.d.comb += [total.eq(~(x ^ y)), carry.eq(x | y)]
        case "invert":
            m.d.comb += [total.eq(~taken[0]), carry.eq(taken[0])]
        case "one":
            m.d.comb += total.eq(1)
    bits[cell.total], bits[cell.carry] = total, carry


def build(
    m: Module, plan: Plan, rows: Sequence[Value], state: Sequence[Value] = (), name: str = "add"
) -> dict[int, Value]:
    """Build all adders of a plan for these ``rows`` and accumulator bits; returns all bits by number."""
    given = [bit for number, row in enumerate(rows) for bit in _named(m, row, f"{name}_row{number}")] + list(
        state
    )
    bits: dict[int, Value] = dict(enumerate(given))
    for number, cell in enumerate(plan.cells):
        _cell(m, cell, bits, f"{name}{number}")
    return bits


def _named(m: Module, row: Value, name: str) -> Signal:
    """Bind the row to a signal; otherwise its expression would be repeated for each of its bits."""
    found = Signal(len(row), name=name)
    m.d.comb += found.eq(row)
    return found


def two_rows(plan: Plan, bits: dict[int, Value]) -> tuple[Value, Value]:
    """The remaining bits of a plan below its counter, as two words."""
    left = [[bits[number] for number in column] for column in plan.left]
    zero = Const(0, 1)
    return tuple(Cat(*((*column, zero, zero)[place] for column in left)) for place in range(2))
