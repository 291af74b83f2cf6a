"""Sums and accumulators by the column-compression plans of :mod:`blueprint.arithmetic.processing.columns`."""

from collections.abc import Iterator, Mapping, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from blueprint.arithmetic.processing.columns import Plan
from blueprint.arithmetic.processing.resolving import ONE, Bit, Words, of_rows
from generator.arithmetic.columns import build, two_rows
from generator.arithmetic.integers import add
from generator.block import register


def word_sum(m: Module, plan: Plan, rows: Sequence[Value], name: str = "add") -> Value:
    """Add rows to one word, by a plan that reduces all columns."""
    left, right = two_rows(plan, build(m, plan, rows, name=name))
    return add(left, right, None, plan.width)


def word_sum_in_pieces(m: Module, plan: Plan, rows: Sequence[Value], moves: Sequence[Value]) -> Value:
    """The same in pieces, with a register between each and the next."""
    found = build(m, plan, rows)
    return in_pieces(m, of_rows(plan), {("bit", number): bit for number, bit in found.items()}, moves)


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
    upper, high = [], []
    for (width, _, count), (first, more) in zip(_segments(plan, state), _changes(plan, state), strict=True):
        upper.append(count)
        high += [first, more.replicate(width - 1)]
    left, right = Cat(*rows[0], *upper), Cat(*rows[1], *high)
    return add(left, right, None, plan.width)


def _changes(plan: Plan, state: Value) -> Iterator[tuple[Value, Value]]:
    """What is added to every piece of the counter: in its lowest column, and in all others."""
    below: Value = Const(0, 1)
    for _, pending, _ in _segments(plan, state):
        changes, falls = pending[0], pending[1] if len(pending) > 1 else Const(1, 1)
        # The pending change, -1, 0 or +1, less one if the piece below is negative.
        negative = changes & falls | below & ~changes
        yield changes ^ below, negative
        below = negative


def state_bits(m: Module, plan: Plan, state: Value) -> dict[Bit, Value]:
    """The bits that the words of an accumulator in carry-save form name."""
    found: dict[Bit, Value] = {("bit", number): bit for number, bit in enumerate(state)}
    for number, changes in enumerate(_changes(plan, state)):
        for name, change in zip(("first", "more"), changes, strict=True):
            found[name, number] = Signal(name=f"{name}{number}")
            m.d.comb += found[name, number].eq(change)
    return found


def _word(words: Words, bits: Mapping[Bit, Value], place: int, low: int = 0, end: int | None = None) -> Value:
    """Columns ``low`` to ``end`` of one of two words."""
    chosen = [column[place] if place < len(column) else None for column in words.columns[low:end]]
    return Cat(Const(0, 1) if bit is None else Const(1, 1) if bit == ONE else bits[bit] for bit in chosen)


def in_pieces(m: Module, words: Words, bits: Mapping[Bit, Value], moves: Sequence[Value]) -> Value:
    """Add two words in one piece more than there are registers, each of which ``moves`` by a line of its own.

    The result is known in the cycle after the last register has moved.
    """
    ends, carried = words.cuts(len(moves) + 1), words.carried()
    known, carry, low = dict[int, Value](), Const(0, 1), 0
    for stage, end in enumerate(ends):
        left, right = (_word(words, bits, place, low, end) for place in range(2))
        piece = Signal(end - low + 1, name=f"piece{stage}")
        m.d.comb += piece.eq(add(left, right, carry if carried[low] else None, end - low + 1))
        known |= {column: piece[column - low] for column in range(low, end)}
        if stage == len(moves):
            break
        columns, names = words.known(end), words.left(end)
        given = [
            *(known[c] for c in columns),
            *([piece[-1]] if carried[end] else []),
            *(bits[n] for n in names),
        ]
        held = register(m, len(given), f"pieces{stage}", moves[stage], Cat(*given))
        known |= {column: held[place] for place, column in enumerate(columns)}
        first = len(columns) + carried[end]
        carry = held[first - 1]
        bits, low = {name: held[first + place] for place, name in enumerate(names)}, end
    return Cat(known[column] for column in range(ends[-1]))
