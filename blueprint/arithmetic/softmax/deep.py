"""Scaling of a score and finishing of an output in short steps, for clock periods shorter than a whole product.

A product of integers is an array of carry-save rows, a few rows per step. Each row completes one low bit of the
product; the two words that remain are added in pieces. A shift takes two steps, and rounding has its own. With few
registers floats are cut at the same places as the blocks of :mod:`blueprint.arithmetic.softmax.blocks`, with more they
have the steps of :mod:`blueprint.arithmetic.softmax.float_steps`.

Operands that all elements of a row share (a factor, a shift distance) are delayed once, outside of the blocks: every
:class:`Piece` arrives in the cycle of the step that reads it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from blueprint.arithmetic.floating import FP32
from blueprint.arithmetic.softmax import blocks
from blueprint.arithmetic.softmax.arithmetic import (
    OUTPUT_MULTIPLIER_BITS,
    OUTPUT_SHIFT_BITS,
    SHIFT_BITS,
    Arithmetic,
)
from blueprint.arithmetic.softmax.float_steps import (
    Chain,
    from_fixed,
    narrow,
    product,
    to_integer,
)
from blueprint.arithmetic.softmax.parts import Part, Step, one, shifter
from blueprint.numbers import Number, choose, flag, larger, possible, smaller

#: Number of steps of the rows of a product, and of the addition of the two words that remain.
CHUNKS, SEGMENTS = 8, 4
#: Most registers in a block.
CUTS_LIMIT = 16
#: Most registers that the formulas cover.
MOST_REGISTERS = max(CUTS_LIMIT, blocks.STAGES_LIMIT)
#: Low bits of a shift distance that have their own step: for aligning a sum, the shift of an output, that of a score.
ALIGN_LOW, DOWN_LOW, SCALE_LOW = 2, 2, 3
#: Bits of an INT8 output and one more: a number that needs more bits saturates and is not rounded.
NEAR = 9
#: Fewest registers with which floats have fine steps, in the scaling of a score and in the finishing of an output: with
#: fewer they are cut between whole operations.
FINE_SCALE, FINE_FINISH = 7, 4
#: Relative delays of the steps.
_ROWS, _SUMS = (4,) * CHUNKS, (3,) * SEGMENTS


def bounds(width: Number, pieces: int) -> tuple[tuple[Number, Number], ...]:
    """(first bit, bit after the last) of each of ``pieces`` parts of a word of ``width`` bits."""
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
    """The steps of a block, which has them where ``there`` is 1: delays, output bits, parts, shared operands.

    It has them with ``fewest`` to ``most`` registers.
    """

    kind: str
    there: Number
    delays: tuple[int, ...]
    behind: tuple[Number, ...]
    parts: tuple[Step, ...]
    shared: tuple[Piece, ...]
    fewest: int = 0
    most: int = MOST_REGISTERS

    @classmethod
    def chained(
        cls, kind: str, there: Number, chain: Chain, shared: tuple[Piece, ...] = (), fewest: int = 0
    ) -> Self:
        """The fine steps of floats."""
        delays, behind, parts = (
            tuple(step.delay for step in chain),
            tuple(step.bits for step in chain),
            tuple(step.parts for step in chain),
        )
        return cls(kind, there, delays, behind, parts, shared, fewest)

    def has(self, count: int) -> bool:
        """True if a block with ``count`` registers has these steps."""
        return self.fewest <= count <= self.most

    def used(self, registers: Number) -> Number:
        """1 where a design has these steps, else 0."""
        return self.there * flag((registers >= self.fewest) & (registers <= self.most))

    def cuts(self, count: int) -> list[int]:
        """Number of steps in front of each of ``count`` registers."""
        return blocks.cuts(self.delays, count)

    def held_bits(self, count: int) -> Number:
        """Flip-flops of one block with ``count`` registers."""
        return sum(self.behind[place - 1] for place in self.cuts(count))

    def ends(self, first: int, cuts: Number) -> Number:
        """1 where the steps after the last of ``cuts`` registers begin with step ``first``, else 0."""
        counts = (count for count in range(1, MOST_REGISTERS + 1) if self.cuts(count)[-1] == first)
        return sum((flag(cuts == count) for count in counts), 0)

    def late(self, piece: Piece, count: int) -> int:
        """Number of registers in front of the step that reads a piece, of ``count`` registers in all."""
        return sum(place <= piece.step for place in self.cuts(count))

    def shared_bits(self, count: int, operand: str) -> Number:
        """Flip-flops that delay a shared operand for blocks with ``count`` registers."""
        return sum(
            (piece.high - piece.low) * self.late(piece, count)
            for piece in self.shared
            if piece.operand == operand
        )


class Deep(ABC):
    """Base of the blocks; a block without registers is the one of the same place in ``BLOCKS``."""

    @abstractmethod
    def kinds(self, a: Arithmetic) -> tuple[Steps, ...]:
        """The steps for every kind of numbers; exactly one of them is there in a design with so many registers."""

    def of(self, a: Arithmetic, count: int) -> Steps:
        """The steps of one design with ``count`` registers."""
        return next(kind for kind in self.kinds(a) if kind.there and kind.has(count))

    def held_bits(self, a: Arithmetic, cuts: Number) -> Number:
        """Flip-flops of one block with ``cuts`` registers."""
        return sum((here * kind.held_bits(count) for kind, count, here in self._cut(a, cuts)), 0)

    def shared_bits(self, a: Arithmetic, cuts: Number, operand: str) -> Number:
        """Flip-flops that delay an operand that the blocks of a row share."""
        return sum((here * kind.shared_bits(count, operand) for kind, count, here in self._cut(a, cuts)), 0)

    def _cut(self, a: Arithmetic, cuts: Number, fewest: int = 1) -> Iterator[tuple[Steps, int, Number]]:
        """(kind, number of registers, 1 where a design has both) for every combination that occurs."""
        if possible(cuts >= fewest):
            for kind in self.kinds(a):
                for count in range(max(fewest, kind.fewest), kind.most + 1):
                    here = kind.there * flag(cuts == count)
                    if possible(here):
                        yield kind, count, here

    def segments(
        self, a: Arithmetic, cuts: Number, whole: bool = False
    ) -> Iterator[tuple[Steps, int, int, Number]]:
        """(kind, first step, step after the last, 1 where a design has it) of all segments between two registers.

        A block without registers is one segment where ``whole`` is true, else it has none.
        """
        found: dict[tuple[str, int, int], tuple[Steps, Number]] = {}
        for kind, count, here in self._cut(a, cuts, 0 if whole else 1):
            edges = sorted({0, len(kind.delays), *kind.cuts(count)})
            for first, last in zip(edges, edges[1:], strict=False):
                before = found.get((kind.kind, first, last), (kind, 0))[1]
                found[kind.kind, first, last] = kind, before + here
        for (_, first, last), (kind, here) in found.items():
            yield kind, first, last, here


@dataclass(frozen=True)
class CarrySave:
    """The product of a signed number and an unsigned ``factor``, without its lowest ``drop`` bits. Fields are widths.

    There is one row for each bit of the factor. The sign of every row is inverted, which adds a constant of two bits:
    one stands beside the first row, the other inverts the highest bit of the product. Each row leaves the next bit of
    the product and two words.
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
        """Bits after every step."""
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
        """Parts of every step; the first row needs no adder."""
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
        """The pieces of the factor, which is ``operand``; ``first`` is the number of the step that reads the first."""
        chunks = enumerate(bounds(self.factor, CHUNKS), start=first)
        return tuple(Piece(operand, low, high, step) for step, (low, high) in chunks)


class DeepScale(Deep):
    """A score becomes an exponent of two."""

    def kinds(self, a: Arithmetic) -> tuple[Steps, ...]:
        floats, block = a.sums_are_floats, blocks.BLOCKS["scale"]
        assert isinstance(block, blocks.Scale)
        whole, behind = block.steps(a), (a.float_width + 1, a.t_word + 1)
        shared = (Piece("multiplier", 0, a.multiplier_width, 0),)
        significand = a.sum_fraction + 1
        multiply = product(a.sum_exponent, a.sum_fraction, significand, significand, signed=1)
        # Whether the score is infinite passes the product.
        fine = (*(step.beside(1) for step in multiply), *to_integer(a))
        return (
            Steps("float", floats, block.delays, behind, whole, shared, most=FINE_SCALE - 1),
            Steps.chained("fine", floats, fine, shared, FINE_SCALE),
            self._integer(a),
        )

    def product(self, a: Arithmetic) -> CarrySave:
        """The multiplication of a score that is not a float."""
        return CarrySave(a.score_width, a.multiplier_width, 0)

    def near(self, a: Arithmetic) -> tuple[Number, Number, Number]:
        """(bits that are rounded, those of the half that is rounded first, 1 where the product has more bits above)."""
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
    """An element of the output: the sum is shifted or made a float, multiplied by a gain or reciprocal, and rounded."""

    def kinds(self, a: Arithmetic) -> tuple[Steps, ...]:
        return self._float(a), *self._fine(a), self._divided_first(a), self._divided_last(a)

    def product(self, a: Arithmetic) -> CarrySave:
        """The multiplication of an integer; the product keeps one bit below the result, by which it is rounded."""
        left = choose(a.divides_first, a.o_width, blocks.moved_bits(a))
        factor = choose(a.divides_first, OUTPUT_MULTIPLIER_BITS, a.gain_width)
        return CarrySave(left, factor, larger(a.finish_shift - 1, 0))

    def aligned_width(self, a: Arithmetic) -> Number:
        """Bits of a sum after it is shifted up by the low bits of the distance."""
        return smaller(a.o_width + (1 << ALIGN_LOW) - 1, a.moved_width)

    def _float(self, a: Arithmetic) -> Steps:
        block = blocks.BLOCKS["finish"]
        held = choose(a.sums_are_floats, a.float_width, blocks.rounded_width(a))
        shared = (Piece("r", 0, a.divides_last * a.r_width, 1),)
        behind, most = (held, held, a.out_width), FINE_FINISH - 1
        return Steps("float", a.is_float, block.delays, behind, block.steps(a), shared, most=most)

    def _fine(self, a: Arithmetic) -> tuple[Steps, ...]:
        """Fine steps of floats: a fixed-point sum becomes one, is divided if that is left, and becomes the output."""
        exponent = choose(a.exact, FP32.exponent_bits, a.sum_exponent)
        fraction = choose(a.exact, FP32.fraction_bits, a.sum_fraction)
        divide = product(exponent, fraction, fraction + 1, a.divisor_fraction + 1, signed=1)
        converted, rounded = from_fixed(a), narrow(a)
        floats, last = a.sums_are_floats, a.divides_last
        kinds = (
            ("fixed_first", a.exact * a.divides_first, converted, None),
            ("fixed_last", a.exact * last, (*converted, *divide, *rounded), len(converted)),
            ("float_first", floats * a.divides_first, rounded, None),
            ("float_last", floats * last, (*divide, *rounded), 0),
        )
        return tuple(
            Steps.chained(kind, there, chain, self._reciprocal(a, step), FINE_FINISH)
            for kind, there, chain, step in kinds
        )

    def _reciprocal(self, a: Arithmetic, step: int | None) -> tuple[Piece, ...]:
        """The reciprocal, where a step reads it."""
        return () if step is None else (Piece("r", 0, a.r_width, step),)

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
        """Delays, output bits, parts and shared operands of the last steps: a shift in two steps, then rounding."""
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
