"""Counters of any width whose carry passes only a few bits in a cycle."""

from itertools import pairwise
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from blueprint import counting
from blueprint.numbers import bit_length
from generator.arithmetic.integers import at_most, below


class Loop(NamedTuple):
    """A counter: the number ``left`` to cover, whether this is the ``last`` step, and whether the next is (``soon``).

    Guarantees: ``last`` is a register; ``soon`` is right while this step is not the last.
    Does not: give ``left``, unless :func:`count_down` was asked for it with ``shown``.
    """

    left: Value
    last: Value
    soon: Value


def _all(flags: Value) -> Value:
    """1 if all flags are set, or if there are none."""
    return flags.all() if len(flags) else Const(1, 1)


def count_up(m: Module, number: Signal, step: Value, restart: Value, *, stops: bool = False) -> None:
    """Count ``number`` up by one with every ``step``; ``restart`` makes it 0.

    Guarantees: the number is exact in every cycle; a carry passes :data:`blueprint.counting.REACH` bits.
    Does not: wrap if it ``stops``, which it does at its largest value.
    """
    width, reach = len(number), counting.REACH
    full = Signal(counting.carries(width, int(stops)), name=f"{number.name}_full")
    if stops:
        step = step & ~full.all()
    for piece, low in enumerate(range(0, width, reach)):
        part = number[low : low + reach]
        with m.If(restart):
            m.d.sync += part.eq(0)
        with m.Elif(step & _all(full[:piece])):
            m.d.sync += part.eq(part + 1)
        if piece < len(full):
            with m.If(restart):
                m.d.sync += full[piece].eq(0)
            with m.Elif(step & _all(full[:piece])):
                m.d.sync += full[piece].eq(part == (1 << len(part)) - 2)


def count_down(
    m: Module,
    name: str,
    size: Value,
    step: int,
    load: Value,
    advance: Value,
    *,
    shown: bool = False,
) -> Loop:
    """Count ``size`` down by ``step`` with every ``advance``; ``load`` and the last step both start again at ``size``.

    Guarantees: ``last`` is a register, 1 while at most one step is left; a borrow passes a few bits in a cycle
    (:func:`blueprint.counting.down`). ``load`` may come in any cycle; no step is taken in that cycle.
    Does not: take a variable step; follow a size that changes after ``load``; give a defined output before the first
    ``load``; keep the number that is left if two steps cover all of it, unless it is ``shown``.
    """
    same = counting.still(step)
    high, nothing_below = size[same:], ~size[:same].any() if same else Const(1, 1)
    by = Const(step >> same, bit_length(step >> same))
    first = counting.first_piece(len(by))
    kept = shown or len(high) > len(by)
    left, last = Signal(len(high) * kept, name=f"{name}_left"), Signal(name=f"{name}_last")
    cuts = [0, *range(min(first, len(high)), len(high), counting.REACH), len(high)]
    pieces = [slice(low, end) for low, end in pairwise(cuts) if low < end]
    borrows = Signal(len(pieces) if len(pieces) > 1 else 0, name=f"{name}_borrows")

    def within(value: Value, most: Value) -> Value:
        """1 if a number with the high bits ``value`` is at most ``most``."""
        return below(value, most) | ((value == most) & nothing_below)

    again, moves = load | last, load | advance
    # If at most two steps are left now, at most one is left after this step.
    soon: Value = Const(1, 1)
    if kept:
        soon = within(left[pieces[0]], Cat(Const(0, 1), by)) & _all(borrows[1:])
    with m.If(moves):
        m.d.sync += last.eq(Mux(again, within(high, by), soon))
    for number, piece in enumerate(pieces if kept else []):
        part, whole, amount = left[piece], high[piece], by if number == 0 else Const(1, 1)
        taken = _all(borrows[:number])
        with m.If(moves):
            m.d.sync += part.eq(Mux(again, whole, Mux(taken, part - amount, part)))
        if len(borrows):
            after = at_most(amount, part) & below(part, Cat(Const(0, 1), amount))
            with m.If(moves & (again | taken)):
                m.d.sync += borrows[number].eq(Mux(again, below(whole, amount), after))
    return Loop(Cat(size[:same], left), last, soon)
