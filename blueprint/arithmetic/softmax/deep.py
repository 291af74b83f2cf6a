"""Scaling of a score and finishing of an output in short steps, for clocks that a whole product is too long for.

A product of integers is an array of carry-save rows, a few rows a step, whose low bits leave one by one; the two words
that are left are added in pieces. A shift is two, a rounding has a step of its own. Floats are cut where the blocks of
:mod:`blueprint.arithmetic.softmax.blocks` are.

What all elements of a row share (a factor, a distance) is delayed once, outside of the blocks: every :class:`Piece` of
it comes in the cycle of the step that reads it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from blueprint.arithmetic.softmax import blocks
from blueprint.arithmetic.softmax.arithmetic import (
    OUTPUT_MULTIPLIER_BITS,
    OUTPUT_SHIFT_BITS,
    SHIFT_BITS,
    Arithmetic,
)
from blueprint.arithmetic.softmax.parts import Part, Step, one, shifter
from blueprint.numbers import Number, choose, flag, larger, possible, smaller

#: Steps of the rows of a product, and of the addition of the two words behind them.
CHUNKS, SEGMENTS = 8, 4
#: The most registers in a block.
CUTS_LIMIT = 16
#: Low bits of a distance that a sum is moved by in a step of their own.
ALIGN_LOW, DOWN_LOW, SCALE_LOW = 2, 2, 3
#: Bits of an INT8 output and one more: a number that needs more is not rounded before it is cut.
NEAR = 9
#: Delays of the steps, relative to each other.
_ROWS, _SUMS = (4,) * CHUNKS, (3,) * SEGMENTS


def bounds(width: Number, pieces: int) -> tuple[tuple[Number, Number], ...]:
    """First bit and the one behind the last of ``pieces`` parts of a word."""
    return tuple((part * width // pieces, (part + 1) * width // pieces) for part in range(pieces))


@dataclass(frozen=True)
class Piece:
    """Bits of a shared operand, and the number of the step that reads them."""

    operand: str
    low: Number
    high: Number
    step: int


@dataclass(frozen=True)
class Steps:
    """The steps of a block where ``there`` is 1: delays, bits behind each, parts of each, shared operands."""

    kind: str
    there: Number
    delays: tuple[int, ...]
    behind: tuple[Number, ...]
    parts: tuple[Step, ...]
    shared: tuple[Piece, ...]

    def cuts(self, count: int) -> list[int]:
        """Number of steps in front of each of ``count`` registers."""
        return blocks.cuts(self.delays, count)

    def held_bits(self, count: int) -> Number:
        """Flip-flops of one block with ``count`` registers."""
        return sum(self.behind[place - 1] for place in self.cuts(count))

    def ends(self, first: int, cuts: Number) -> Number:
        """1 where the steps behind the last of ``cuts`` registers are those from ``first`` on, else 0."""
        counts = (count for count in range(1, CUTS_LIMIT + 1) if self.cuts(count)[-1] == first)
        return sum((flag(cuts == count) for count in counts), 0)

    def late(self, piece: Piece, count: int) -> int:
        """Registers in front of the step that reads a piece."""
        return sum(place <= piece.step for place in self.cuts(count))

    def shared_bits(self, count: int, operand: str) -> Number:
        """Flip-flops that delay a shared operand."""
        return sum(
            (piece.high - piece.low) * self.late(piece, count)
            for piece in self.shared
            if piece.operand == operand
        )


class Deep(ABC):
    """Base of the blocks; with no register a block is the one of the same place in ``BLOCKS``."""

    @abstractmethod
    def kinds(self, a: Arithmetic) -> tuple[Steps, ...]:
        """The steps for every kind of numbers; one of them is there."""

    def of(self, a: Arithmetic) -> Steps:
        """The steps of one design."""
        return next(kind for kind in self.kinds(a) if kind.there)

    def held_bits(self, a: Arithmetic, cuts: Number) -> Number:
        """Flip-flops of one block with ``cuts`` registers."""
        return sum((here * kind.held_bits(count) for kind, count, here in self._cut(a, cuts)), 0)

    def shared_bits(self, a: Arithmetic, cuts: Number, operand: str) -> Number:
        """Flip-flops that delay an operand which blocks side by side share."""
        return sum((here * kind.shared_bits(count, operand) for kind, count, here in self._cut(a, cuts)), 0)

    def _cut(self, a: Arithmetic, cuts: Number) -> Iterator[tuple[Steps, int, Number]]:
        """Kinds and numbers of registers that designs may have, and 1 where they have them."""
        if possible(cuts > 0):
            for kind in self.kinds(a):
                for count in range(1, CUTS_LIMIT + 1):
                    here = kind.there * flag(cuts == count)
                    if possible(here):
                        yield kind, count, here

    def segments(self, a: Arithmetic, cuts: Number) -> Iterator[tuple[Steps, int, int, Number]]:
        """(kind, steps before, steps up to the end, 1 where it is there) of what may lie between two registers."""
        found: dict[tuple[str, int, int], tuple[Steps, Number]] = {}
        for kind, count, here in self._cut(a, cuts):
            edges = sorted({0, len(kind.delays), *kind.cuts(count)})
            for first, last in zip(edges, edges[1:], strict=False):
                before = found.get((kind.kind, first, last), (kind, 0))[1]
                found[kind.kind, first, last] = kind, before + here
        for (_, first, last), (kind, here) in found.items():
            yield kind, first, last, here


@dataclass(frozen=True)
class CarrySave:
    """The product of a signed number and an unsigned ``factor``, of which the lowest ``drop`` bits are not kept.

    The rows of the factor's bits have their sign inverted; that adds a constant, of which one bit stands beside the
    first row and the other inverts the highest bit of the product. A row leaves the lowest bit of the product and two
    words.
    """

    left: Number
    factor: Number
    drop: Number

    @property
    def width(self) -> Number:
        """Bits of the product."""
        return self.left + self.factor - self.drop

    @property
    def behind(self) -> tuple[Number, ...]:
        """Bits behind every step."""
        rows = tuple(
            2 * self.left - 1 + self.left * (number < CHUNKS - 1) + larger(high - self.drop, 0)
            for number, (_, high) in enumerate(bounds(self.factor, CHUNKS))
        )
        sums = tuple(
            larger(self.factor + high - self.drop, 0)
            + (2 * (self.left - high) if number < SEGMENTS - 1 else 0)
            for number, (_, high) in enumerate(bounds(self.left, SEGMENTS))
        )
        return *rows, *sums

    @property
    def parts(self) -> tuple[Step, ...]:
        """Parts of every step; the first row has nothing to be added to."""
        rows = tuple(
            (
                Part("and_row", {"width": self.left}, 1, high - low),
                Part(
                    "compressor",
                    {"width": self.left},
                    high - low - flag(low == 0),
                    high - low - flag(low == 0),
                ),
            )
            for low, high in bounds(self.factor, CHUNKS)
        )
        return *rows, *((one("adder", width=high - low),) for low, high in bounds(self.left, SEGMENTS))

    def shared(self, operand: str, first: int) -> tuple[Piece, ...]:
        """The bits of the factor; ``first`` is the number of the first step."""
        chunks = enumerate(bounds(self.factor, CHUNKS), start=first)
        return tuple(Piece(operand, low, high, step) for step, (low, high) in chunks)


class DeepScale(Deep):
    """A score becomes an exponent of two."""

    def kinds(self, a: Arithmetic) -> tuple[Steps, ...]:
        floats, block = a.sums_are_floats, blocks.BLOCKS["scale"]
        assert isinstance(block, blocks.Scale)
        float_parts = block.steps(a)
        shared = (Piece("multiplier", 0, a.multiplier_width, 0),)
        return (
            Steps("float", floats, block.delays, (a.float_width + 1, a.t_word + 1), float_parts, shared),
            self._integer(a),
        )

    def product(self, a: Arithmetic) -> CarrySave:
        """The multiplication of a score that is no float."""
        return CarrySave(a.score_width, a.multiplier_width, 0)

    def near(self, a: Arithmetic) -> tuple[Number, Number, Number]:
        """Bits that are rounded, those that are rounded first, 1 where there are others above."""
        width = self.product(a).width
        near = smaller(a.t_width + 1, width)
        return near, (near + 1) // 2, flag(width > near)

    def _integer(self, a: Arithmetic) -> Steps:
        product, (near, half, above) = self.product(a), self.near(a)
        width, flags = product.width, 2 * a.nan_bit
        moved, levels = width + 1, SHIFT_BITS - SCALE_LOW
        rounded = near + 1 + 2 * above
        behind = (*product.behind, moved, moved, rounded, rounded)
        parts = (
            *product.parts,
            (shifter(moved, 1 << levels),),
            (shifter(moved, 1 << SCALE_LOW),),
            (one("half_adder", width=half), one("comparator", width=width).times(above).passing(0)),
            (one("half_adder", width=near - half),),
            (one("comparator", width=a.t_width), one("mux", entries=2, width=a.t_width)),
        )
        first = CHUNKS + SEGMENTS
        shared = (
            *product.shared("multiplier", 0),
            Piece("shift", SCALE_LOW, SHIFT_BITS, first),
            Piece("shift", 0, SCALE_LOW, first + 1),
        )
        delays = (*_ROWS, *_SUMS, 3, 3, 3, 3, 3)
        held = (*(bits + flags for bits in behind), a.t_word + 1)
        return Steps("integer", 1 - a.sums_are_floats, delays, held, parts, shared)


class DeepFinish(Deep):
    """An element of the output: the sum moved or made a float, multiplied by a gain or reciprocal, rounded."""

    def kinds(self, a: Arithmetic) -> tuple[Steps, ...]:
        return self._float(a), self._divided_first(a), self._divided_last(a)

    def product(self, a: Arithmetic) -> CarrySave:
        """The multiplication of an integer; one bit below those that stay rounds."""
        left = choose(a.divides_first, a.o_width, blocks.moved_bits(a))
        factor = choose(a.divides_first, OUTPUT_MULTIPLIER_BITS, a.gain_width)
        return CarrySave(left, factor, larger(a.finish_shift - 1, 0))

    def aligned_width(self, a: Arithmetic) -> Number:
        """Bits of a sum that is moved up by the low bits of a distance."""
        return smaller(a.o_width + (1 << ALIGN_LOW) - 1, a.moved_width)

    def _float(self, a: Arithmetic) -> Steps:
        block = blocks.BLOCKS["finish"]
        held = choose(a.sums_are_floats, a.float_width, blocks.rounded_width(a))
        shared = (Piece("r", 0, a.divides_last * a.r_width, 1),)
        return Steps("float", a.is_float, block.delays, (held, held, a.out_width), block.steps(a), shared)

    def _divided_first(self, a: Arithmetic) -> Steps:
        product, there = self.product(a), (1 - a.is_float) * a.divides_first
        delays, behind, parts, shared = self._down(a, product, CHUNKS + SEGMENTS)
        return Steps(
            "first",
            there,
            (*_ROWS, *_SUMS, *delays),
            (*product.behind, *behind),
            (*product.parts, *parts),
            (*product.shared("output_multiplier", 0), *shared),
        )

    def _divided_last(self, a: Arithmetic) -> Steps:
        product, there = self.product(a), (1 - a.is_float) * a.divides_last
        delays, behind, parts, shared = self._down(a, product, 2 + CHUNKS + SEGMENTS)
        moved, high = self.aligned_width(a), a.zeros_width - ALIGN_LOW
        aligned = (
            (shifter(moved, 1 << ALIGN_LOW),),
            (Part("mux", {"entries": 2, "width": a.moved_width}, high, high),),
        )
        zeros = (
            Piece("r", a.gain_width, a.gain_width + ALIGN_LOW, 0),
            Piece("r", a.gain_width + ALIGN_LOW, a.gain_width + a.zeros_width, 1),
        )
        return Steps(
            "last",
            there,
            (2, 3, *_ROWS, *_SUMS, *delays),
            (moved, product.left, *product.behind, *behind),
            (*aligned, *product.parts, *parts),
            (*zeros, *product.shared("r", 2), *shared),
        )

    def _down(
        self, a: Arithmetic, product: CarrySave, first: int
    ) -> tuple[tuple[int, ...], tuple[Number, ...], tuple[Step, ...], tuple[Piece, ...]]:
        """Delays, bits behind, parts and shared operands of the last steps: a shift in two, rounding."""
        width, levels = product.width, OUTPUT_SHIFT_BITS - DOWN_LOW
        parts = (
            (shifter(width, 1 << levels),),
            (shifter(width, 1 << DOWN_LOW),),
            (
                one("comparator", width=width).passing(0),
                one("adder", width=NEAR),
                one("mux", entries=2, width=a.out_width),
            ),
        )
        shared = (
            Piece("output_shift", DOWN_LOW, OUTPUT_SHIFT_BITS, first),
            Piece("output_shift", 0, DOWN_LOW, first + 1),
        )
        return (3, 2, 4), (width, width, a.out_width + 1), parts, shared


SCALE, FINISH = DeepScale(), DeepFinish()
#: Every block by its place in the inventory.
DEEP: Mapping[str, Deep] = {"scale": SCALE, "finish": FINISH}
