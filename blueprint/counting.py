"""Flip-flops of counters whose carry never passes more than a few bits in a cycle.

A long counter is cut into pieces. Beside each piece but the last stands a flag, computed one step ahead: a step of the
counter carries beyond the piece. So the pieces step in the same cycle, and the number is exact in every cycle.
``generator/cells/counter.py`` is the hardware.
"""

from __future__ import annotations

from blueprint.numbers import Number, bit_length, ceil_div, choose, clog2, flag, larger

#: The most bits that a carry passes in a cycle.
REACH = 8


def carries(width: Number, last: Number = 0) -> Number:
    """Flags of a counter that counts up by one; with ``last`` 1 the last piece has one too."""
    return larger(ceil_div(width, REACH) - 1 + last, 0)


def still(step: Number) -> Number:
    """The lowest bits of what is left of a size that do not change when it is counted down by ``step``."""
    return clog2(step & -step)


def first_piece(steps: Number) -> Number:
    """Bits of the lowest piece of a counter down by a step of so many bits: twice the step fits as well."""
    return larger(steps + 1, REACH)


def down(
    name: str, width: Number, step: Number, there: Number = 1, *, shown: Number = 0
) -> dict[str, Number]:
    """Registers by name of a counter from a size of ``width`` bits down by ``step``, where it is ``there``.

    What is left is kept where two steps may not cover it, and where it is ``shown``.
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
    """The flags beside a counter that counts up, at a number: bit i is 1 where the carry of a step passes piece i."""
    ones = (1 << REACH) - 1
    return sum(1 << piece for piece in range(flags) if number >> piece * REACH & ones == ones)
