"""Sums as they are planned column by column (:mod:`blueprint.processing.columns`)."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value

from blueprint.processing.columns import Cell, Plan
from generator.arithmetic import add, zero_extend

#: Bits of a counter that pass a carry on together.
_GROUP = 4


def _cell(m: Module, cell: Cell, bits: dict[int, Value], name: str) -> None:
    """One adder: its two results join the bits."""
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
    """All bits of a plan by number."""
    given = [bit for number, row in enumerate(rows) for bit in _named(m, row, f"{name}_row{number}")] + list(state)
    bits: dict[int, Value] = dict(enumerate(given))
    for number, cell in enumerate(plan.cells):
        _cell(m, cell, bits, f"{name}{number}")
    return bits


def _named(m: Module, row: Value, name: str) -> Signal:
    """The row as a signal of its own: every bit of it is used, and would be written out as often."""
    found = Signal(len(row), name=name)
    m.d.comb += found.eq(row)
    return found


def two_rows(plan: Plan, bits: dict[int, Value]) -> tuple[Value, Value]:
    """What a plan leaves below its counter, as two words."""
    left = [[bits[number] for number in column] for column in plan.left]
    zero = Const(0, 1)
    return tuple(Cat(*((*column, zero, zero)[place] for column in left)) for place in range(2))  # type: ignore[return-value]


def word_sum(m: Module, plan: Plan, rows: Sequence[Value], name: str = "add") -> Value:
    """Rows added up to one word, for a plan that reduces all columns."""
    left, right = two_rows(plan, build(m, plan, rows, name=name))
    return add(left, right, None, plan.width)


def carried_sum(m: Module, plan: Plan, rows: Sequence[Value], total: Value) -> Value:
    """Rows added to an accumulator in one adder; above the rows it takes a carry, less one."""
    bits = build(m, plan, [*rows, total[: plan.low]])
    left, right = two_rows(plan, bits)
    # x - 1 is x plus all ones, and so is x + 0 with x's own carry inverted: the only one that arrives.
    fill = ~bits[plan.carries[0]] if plan.carries else Const(1, 1)
    high = fill.replicate(plan.upper)
    return add(Cat(left, total[plan.low :]), Cat(right, high), None, plan.width)


def carry_save_sum(m: Module, plan: Plan, rows: Sequence[Value], state: Value) -> Value:
    """Rows added to an accumulator in carry-save form; gives its next state."""
    low = sum(plan.state)
    upper, pending = state[low : low + plan.upper], state[low + plan.upper :]
    bits = build(m, plan, rows, list(state[:low]))
    kept = [bits[number] for column in plan.left for number in column]
    if not plan.upper:
        return Cat(*kept)
    counted = _count(m, upper, pending)
    arriving = [bits[number] for number in plan.carries]
    # Of two carries and less one: neither takes one off, both add one.
    waiting = [~arriving[0]] if plan.pending == 1 else [~(arriving[0] ^ arriving[1]), ~arriving[0]]
    return Cat(*kept, counted, *waiting)


def _count(m: Module, upper: Value, pending: Value) -> Value:
    """The counter with what was pending: the first bit says whether, the second, if there is one, that it falls."""
    passes = Signal(len(upper), name="passes")
    falls = pending[1] if len(pending) > 1 else Const(1, 1)
    m.d.comb += passes.eq(upper ^ falls.replicate(len(upper)))
    flips, flip = [], pending[0]
    for low in range(0, len(upper), _GROUP):
        group = passes[low : low + _GROUP]
        flips += [flip & group[:place].all() if place else flip for place in range(len(group))]
        if low + _GROUP < len(upper):
            following = Signal(name=f"flip{low + _GROUP}")
            m.d.comb += following.eq(flip & group.all())
            flip = following
    return upper ^ Cat(*flips)


def resolved(plan: Plan, state: Value) -> Value:
    """The integer that an accumulator in carry-save form stands for."""
    rows: list[list[Value]] = [[], []]
    bits = iter(state)
    for count in plan.state:
        found = [next(bits) for _ in range(count)]
        for place in range(2):
            rows[place].append(found[place] if place < count else Const(0, 1))
    upper = Cat(*(next(bits) for _ in range(plan.upper)))
    pending = list(bits)
    high: Value = Const(0, 0)
    if plan.upper:
        falls = pending[0] & pending[1] if len(pending) > 1 else pending[0]
        high = Cat(pending[0], falls.replicate(plan.upper - 1))
    return add(Cat(*rows[0], upper), zero_extend(Cat(*rows[1], high), plan.width), None, plan.width)
