"""Partial sums that take turns: what the sums of a lane share, and the cycles behind the last key of a row."""

from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Signal, Value

from blueprint.arithmetic.softmax.arithmetic import Arithmetic
from blueprint.arithmetic.softmax.turns import ending
from generator.arithmetic.integers import zero_extend


class Ending(NamedTuple):
    """Cycles behind the last key of a row: 1 in all of them, in those in which a sum is kept, and in the last one."""

    busy: Value
    keep: Value
    last: Value


def count_ending(m: Module, a: Arithmetic, begin: Value, name: str) -> Ending:
    """Count the cycles behind ``begin``, the last key of a row."""
    found = ending(a.sum_stages)
    left = Signal(range(found.cycles), name=f"{name}_left")
    busy = left.any()
    with m.If(begin):
        m.d.sync += left.eq(found.cycles - 1)
    with m.Elif(busy):
        m.d.sync += left.eq(left - 1)
    keep = Cat(*(left == found.cycles - cycle for cycle in found.keeps)).any()
    return Ending(busy, keep, left == 1)


def take_turns(
    m: Module, a: Arithmetic, name: str, key: Value, sees: Value, begin: Value, rise: Value, ends: Ending
) -> dict[str, Any]:
    """Inputs of the sums of a lane, which ``sees`` a ``key``; its reference is by ``rise`` above that before.

    The first key of a row clears all sums. One that waits for its turn moves down by what the reference rises.
    """
    moves = Signal(name=f"{name}_moves")
    m.d.comb += moves.eq((key & sees) | ends.busy)
    live = Signal(a.sum_stages + 1, name=f"{name}_live", reset_less=True)
    old = Signal(len(live), name=f"{name}_old")
    m.d.comb += old.eq(live & (~(key & begin)).replicate(len(live)))
    m.d.sync += live.eq(old)
    with m.If(moves):
        m.d.sync += live.eq(Cat(Const(1, 1), old)[: len(live)])
    found = {"moves": moves, "alive": old[-1], "keep": ends.keep, "ends": ends.busy, "shift": Const(0, 0)}
    if not a.rescales:
        return found
    more = rise & (~ends.busy).replicate(len(rise))
    total: Value = more
    for stage in range(a.sum_stages):
        held = Signal(len(rise), name=f"{name}_fall{stage}", reset_less=True)
        with m.If(moves):
            m.d.sync += held.eq(total)
        total = _at_most(held, more)
    amount = Signal(len(rise), name=f"{name}_amount")
    m.d.comb += amount.eq(total)
    return found | {"shift": amount}


def _at_most(left: Value, right: Value) -> Value:
    """A sum, or the largest number of so many bits."""
    width = len(left)
    total = (zero_extend(left, width + 1) + right)[: width + 1]
    return total[:width] | total[width].replicate(width)
