"""Sums and accumulators by the column-compression plans of :mod:`blueprint.arithmetic.processing.columns`."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from blueprint.arithmetic.processing.columns import Plan
from generator.arithmetic.columns import build, two_rows
from generator.arithmetic.integers import add


def word_sum(m: Module, plan: Plan, rows: Sequence[Value], name: str = "add") -> Value:
    """Add rows to one word, by a plan that reduces all columns."""
    left, right = two_rows(plan, build(m, plan, rows, name=name))
    return add(left, right, None, plan.width)


def carried_sum(m: Module, plan: Plan, rows: Sequence[Value], total: Value) -> Value:
    """Add rows to an accumulator in one adder; the bits above the rows add the carries, less one."""
    bits = build(m, plan, [*rows, total[: plan.low]])
    left, right = two_rows(plan, bits)
    if not plan.upper:
        return add(left, right, None, plan.width)
    low = Signal(plan.low + 1, name="lower")
    m.d.comb += low.eq(left + right)
    # Which upper bits pass on a change is known before the carry of the adder, so that carry need not ripple.
    arriving = bits[plan.carries[0]] if plan.carries else Const(0, 1)
    upper = total[plan.low :]
    passes = Signal(plan.upper, name="passes")
    m.d.comb += passes.eq(upper ^ ~arriving.replicate(plan.upper))
    changes = Signal(name="changes")
    m.d.comb += changes.eq(~(arriving ^ low[-1]))
    ahead: list[Value] = [Const(1, 1)]
    for place in range(1, plan.upper):
        ahead.append(Signal(name=f"ahead{place}"))
        m.d.comb += ahead[-1].eq(ahead[-2] & passes[place - 1])
    changed = Signal(plan.upper, name="changed")
    m.d.comb += changed.eq(upper ^ Cat(*ahead))
    return Cat(low[:-1], Mux(changes, changed, upper))


def _prefixes(passes: Value, first: Value) -> Value:
    """Bits of a counter that change: the ones below which all bits pass on the change of the first."""
    return Cat(first & passes[:place].all() if place else first for place in range(len(passes)))


def carry_save_sum(m: Module, plan: Plan, rows: Sequence[Value], state: Value) -> Value:
    """Add rows to an accumulator in carry-save form; returns its next state."""
    bits = build(m, plan, rows, list(state[: sum(plan.state)]))
    kept = [bits[number] for column in plan.left for number in column]
    arriving = [bits[number] for number in plan.carries]
    # The counter adds two carries, less one: no carry subtracts one, both together add one.
    changes = ~arriving[0] if len(arriving) == 1 else ~(arriving[0] ^ arriving[1]) if arriving else None
    falls: Value = ~arriving[0] if arriving else Const(1, 1)
    for number, (_, pending, count) in enumerate(_segments(plan, state)):
        kept += [count ^ _flips(m, pending, count, number), changes, falls][: 1 + len(pending)]
        changes = _carry(pending, count)
        falls = pending[1] if len(pending) > 1 else Const(1, 1)
    return Cat(*kept)


def _segments(plan: Plan, state: Value) -> list[tuple[int, Value, Value]]:
    """(width, bits of the pending carry, count) of every piece of the counter."""
    low, found = sum(plan.state), []
    for width, pending in zip(plan.segments, plan.pending, strict=True):
        found.append((width, state[low + width : low + width + pending], state[low : low + width]))
        low += width + pending
    return found


def _passes(pending: Value, count: Value) -> Value:
    """Bits of a count that pass on a change to the next bit: ones if it rises, zeros if it falls."""
    return count ^ pending[1].replicate(len(count)) if len(pending) > 1 else ~count


def _flips(m: Module, pending: Value, count: Value, number: int) -> Value:
    """Bits of a count that change."""
    passes = Signal(len(count), name=f"passes{number}")
    m.d.comb += passes.eq(_passes(pending, count))
    return _prefixes(passes, pending[0])


def _carry(pending: Value, count: Value) -> Value:
    """1 if the next piece of the counter changes too."""
    return pending[0] & _passes(pending, count).all()


def resolved(plan: Plan, state: Value) -> Value:
    """Resolve an accumulator in carry-save form into an integer."""
    rows: list[list[Value]] = [[], []]
    bits = iter(state)
    for count in plan.state:
        found = [next(bits) for _ in range(count)]
        for place in range(2):
            rows[place].append(found[place] if place < count else Const(0, 1))
    upper, high, below = [], [], Const(0, 1)
    for width, pending, count in _segments(plan, state):
        changes, falls = pending[0], pending[1] if len(pending) > 1 else Const(1, 1)
        # The pending change, -1, 0 or +1, less one if the piece below is negative.
        negative = changes & falls | below & ~changes
        upper.append(count)
        high += [changes ^ below, negative.replicate(width - 1)]
        below = negative
    left, right = Cat(*rows[0], *upper), Cat(*rows[1], *high)
    return add(left, right, None, plan.width)
