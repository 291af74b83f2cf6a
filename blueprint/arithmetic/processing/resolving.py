"""The addition of two words in pieces, lowest bits first, with registers between the pieces.

A register holds the bits of the sum that are known, the carry into the next piece, and what is left of the two words. A
bit that stands in several columns, as that of a sign, is held once, and a constant not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from blueprint.arithmetic.processing.columns import Plan

#: Most pieces of an addition.
MOST_PIECES = 8
#: What stands in a column of a word: a bit by its name, or nothing.
Bit = tuple[str, int]
#: The bit that is always 1.
ONE: Bit = ("one", 0)


@dataclass(frozen=True)
class Words:
    """Bits of two words, column by column from the lowest."""

    columns: tuple[tuple[Bit, ...], ...]

    def cuts(self, cycles: int) -> tuple[int, ...]:
        """Columns below the end of each of ``cycles`` pieces."""
        return tuple(len(self.columns) * (cycle + 1) // cycles for cycle in range(cycles))

    def carried(self) -> tuple[bool, ...]:
        """By column, and once more above them: whether a carry may come in."""
        found = [False]
        for bits in self.columns:
            free = sum(bit != ONE for bit in bits) + found[-1]
            found.append(free > 0 and len(bits) + found[-1] > 1)
        return tuple(found)

    def known(self, end: int) -> tuple[int, ...]:
        """Columns below ``end`` whose bit of the sum is not a constant."""
        carried = self.carried()
        return tuple(c for c in range(end) if carried[c] or any(bit != ONE for bit in self.columns[c]))

    def left(self, end: int) -> tuple[Bit, ...]:
        """Bits of the two words from column ``end`` on, each once."""
        return tuple(dict.fromkeys(bit for bits in self.columns[end:] for bit in bits if bit != ONE))

    def held(self, cycles: int) -> int:
        """Flip-flops between ``cycles`` pieces."""
        carried = self.carried()
        ends = self.cuts(cycles)[:-1]
        return sum(len(self.known(end)) + carried[end] + len(self.left(end)) for end in ends)


def of_rows(plan: Plan) -> Words:
    """The two words that a plan of all columns leaves: its bits by number."""
    ones = {cell.total for cell in plan.cells if cell.kind == "one"}
    return Words(tuple(tuple(ONE if bit in ones else ("bit", bit) for bit in bits) for bits in plan.left))


def of_state(plan: Plan) -> Words:
    """The two words that an accumulator stands for: its bits, and what its counter is changed by.

    Of every piece of the counter the pending change is ``first`` in its lowest column and ``more`` in all others.
    """
    return Words((*_low(plan), *_high(plan)))


def _low(plan: Plan) -> Iterator[tuple[Bit, ...]]:
    bit = 0
    for count in plan.state:
        yield tuple(("bit", number) for number in range(bit, bit + count))
        bit += count


def _high(plan: Plan) -> Iterator[tuple[Bit, ...]]:
    bit = sum(plan.state)
    for number, (width, pending) in enumerate(zip(plan.segments, plan.pending, strict=True)):
        first = ("first", number)
        # A single pending bit of the lowest piece is the change of all its columns.
        more = ("more", number) if number or pending > 1 else first
        for place in range(width):
            yield ("bit", bit + place), (more if place else first)
        bit += width + pending
