"""Flip-flops of counters whose carry never passes more than a few bits in a cycle.

A long counter is cut into pieces. Each piece but the last has a flag, computed one step ahead, which says that the next
step carries beyond the piece. So all pieces step in the same cycle, and the number is exact in every cycle.
``generator/cells/counter.py`` is the hardware.
"""

from __future__ import annotations

from blueprint.numbers import Number, bit_length, ceil_div, choose, clog2, flag, larger

#: Most bits that a carry passes in a cycle.
REACH = 8


def carries(width: Number, last: Number = 0) -> Number:
    """Number of flags of a counter that counts up by one; with ``last`` 1 the last piece also has a flag."""
    return larger(ceil_div(width, REACH) - 1 + last, 0)


def still(step: Number) -> Number:
    """Number of low bits of a size that counting down by ``step`` leaves unchanged."""
    return clog2(step & -step)


def first_piece(steps: Number) -> Number:
    """Bits of the lowest piece of a counter that counts down by steps of ``steps`` bits; it holds twice the step."""
    return larger(steps + 1, REACH)


def down(
    name: str, width: Number, step: Number, there: Number = 1, *, shown: Number = 0
) -> dict[str, Number]:
    """Registers by name of a counter from a size of ``width`` bits down by ``step``, where it is ``there``.

    The remaining count is kept where two steps may not cover it, and where it is ``shown``.
    """
    same = still(step)
    steps, high = bit_length(step) - same, width - same
    kept = there * larger(flag(high > steps), shown)
    above = ceil_div(larger(high - first_piece(steps), 0), REACH)
    return {
        f"{name}_left": kept * high,
        f"{name}_last": there,
        f"{name}_borrows": kept * choose(above > 0, above + 1, 0),
    }


def full(number: int, flags: int) -> int:
    """The flags of a counter that counts up, at a value: bit i is 1 if the carry of the next step passes piece i."""
    ones = (1 << REACH) - 1
    return sum(1 << piece for piece in range(flags) if number >> piece * REACH & ones == ones)
