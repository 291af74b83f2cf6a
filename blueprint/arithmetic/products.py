"""Quick sums: how the product of two significands is compressed to two rows, and in which blocks carries are chosen."""

from __future__ import annotations

from blueprint.arithmetic.processing.columns import Plan, compressed

#: Most bits of a block of an adder that chooses between both carries of each block.
CHOSEN_BITS = 12


def plan(fraction_bits: int) -> Plan:
    """The plan of a product of significands with so many fraction bits and a leading one each."""
    return plan_of(fraction_bits + 1, fraction_bits + 1)


def plan_of(left: int, right: int) -> Plan:
    """The plan of a product of words of so many bits; every bit of the right one makes a row."""
    return compressed(tuple((row, left) for row in range(right)), left + right)
