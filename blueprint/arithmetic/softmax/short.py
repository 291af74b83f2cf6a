"""Score, exponential, reciprocal, product and normalization in short steps, with registers between them.

A product is cut into parts of one factor, and the partial products are added pairwise, a level of adders in a step.
Words lose what no result needs: low bits that are dropped at once, and a highest bit that is known to repeat. Float
sums have the steps of :mod:`blueprint.arithmetic.softmax.float_steps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic.floating import BF16, FP16
from blueprint.arithmetic.softmax import blocks, float_steps
from blueprint.arithmetic.softmax.arithmetic import (
    DIVISOR_FRACTIONS,
    OUTPUT_MULTIPLIER_BITS,
    SCORE_FRACTION,
    SCORE_WHOLE,
    Arithmetic,
)
from blueprint.arithmetic.softmax.deep import MOST_REGISTERS, Deep, Steps
from blueprint.arithmetic.softmax.exponential import Polynomial, polynomial
from blueprint.arithmetic.softmax.parts import Part, Step, integer_product, one, shifter
from blueprint.numbers import Number, bit_length, choose, clog2, flag, larger, smaller

#: Parts of the factors of the products: an element of a score, the two of a polynomial, a gain, a value that is an
#: integer or a float, and a share.
SCORE_PARTS, POWER_PARTS, GAIN_PARTS, VALUE_PARTS, FLOAT_PARTS, SHARE_PARTS = 2, 3, 4, 4, 3, 4
#: Parts of the factor of a share with so many registers and more: pairs of bits.
FINE_PARTS, FINE_SHARE = 9, 7
#: Registers with which the factors of a polynomial, and fractions of values that are floats, are cut into such too.
FINE_POWER, FINE_PRODUCT, FINE_FLOAT_PARTS = 13, 8, 6
#: Low bits of a shift distance that have their own step where a weight is moved up like the sum of its row.
ALIGN_LOW = 2
#: Most levels of the tree that adds the products of a score.
LEVELS = 8
#: Relative delays: of partial products, an addition, a shift, a row of the division, a search for the leading one.
_PARTIAL, _ADD, _SHIFT, _ROW, _COUNT = 5, 5, 3, 4, 4


def balanced(delays: tuple[int, ...], registers: int) -> list[int]:
    """Number of steps in front of each register: the slowest segment is halved as long as there are registers."""
    places = [0, len(delays)]
    while len(places) < registers + 2:
        slowest = max(
            pairwise(places),
            key=lambda ends: (ends[1] - ends[0] > 1, sum(delays[ends[0] : ends[1]])),
        )
        low, high = slowest
        if high - low < 2:
            break
        halves = ((max(sum(delays[low:at]), sum(delays[at:high])), at) for at in range(low + 1, high))
        places = sorted([*places, min(halves)[1]])
    inner = places[1:-1]
    return [*inner, *[len(delays)] * (registers - len(inner))]


@dataclass(frozen=True)
class _Steps(Steps):
    """Steps whose registers halve what is slowest."""

    def cuts(self, count: int) -> list[int]:
        return balanced(self.delays, count)


@dataclass(frozen=True)
class Parts:
    """The product of two words of ``left`` and ``factor`` bits without its lowest ``drop`` and highest ``top`` bits.

    The factor is cut into ``count`` parts. A word covers some bits of the factor, from ``low`` to ``high``, and stands
    at the weight of its lowest.
    """

    left: Number
    factor: Number
    count: int
    drop: Number = 0
    top: int = 0

    @property
    def width(self) -> Number:
        """Bits of the product."""
        return self.left + self.factor - self.drop - self.top

    @property
    def levels(self) -> tuple[tuple[tuple[Number, Number], ...], ...]:
        """The words after every step, as (low, high): the partial products, then those that are left of them."""
        edges = [self.factor * part // self.count for part in range(self.count + 1)]
        words = tuple(zip(edges, edges[1:], strict=False))
        found = [words]
        while len(words) > 1:
            pairs = tuple((a[0], b[1]) for a, b in zip(words[::2], words[1::2], strict=False))
            words = pairs + words[len(words) & ~1 :]
            found.append(words)
        return tuple(found)

    def lost(self, words: tuple[tuple[Number, Number], ...]) -> Number:
        """Low bits of the first word that are dropped at once."""
        return smaller(self.drop, words[0][1]) if len(words) > 1 else self.drop

    @property
    def behind(self) -> tuple[Number, ...]:
        """Bits after every step."""
        return tuple(
            sum((self.left + high - low for low, high in words), 0) - self.lost(words) - self.top
            for words in self.levels
        )

    @property
    def parts(self) -> tuple[Step, ...]:
        """Parts of every step."""
        first = tuple(part for low, high in self.levels[0] for part in integer_product(self.left, high - low))
        slowest = integer_product(self.left, self.levels[0][-1][1] - self.levels[0][-1][0])
        passed = (*slowest, *(part.passing(0) for part in first[len(slowest) :]))
        return passed, *(self._adders(before) for before in self.levels[:-1])

    def _adders(self, words: tuple[tuple[Number, Number], ...]) -> Step:
        widths = [self.left + high - low for low, high in words[1::2]]
        return tuple(
            one("adder", width=width).passing(int(number == 0)) for number, width in enumerate(widths)
        )

    @property
    def delays(self) -> tuple[int, ...]:
        """Relative delays of the steps."""
        return _PARTIAL, *(_ADD,) * (len(self.levels) - 1)


@cache
def _trees() -> npt.NDArray[np.int64]:
    """(words, bits that they are wider than one product) of a tree of adders, by level and number of products."""
    most = 1 << LEVELS
    found = np.zeros((LEVELS + 1, most + 1, 2), dtype=np.int64)
    for count in range(1, most + 1):
        grown = [0] * count
        for level in range(LEVELS + 1):
            found[level, count] = len(grown), sum(grown)
            pairs = [max(a, b) + 1 for a, b in zip(grown[::2], grown[1::2], strict=False)]
            grown = pairs + grown[len(grown) & ~1 :]
    return found


def tree_bits(a: Arithmetic, level: int) -> Number:
    """Bits of all sums of products after a level of the tree of a score that is not the last."""
    words, grown = np.moveaxis(_trees()[level][np.minimum(a.lanes, 1 << LEVELS)], -1, 0)
    found: Any = words * a.product_width + grown
    return found if np.ndim(found) else int(found)


class ShortScoreBeat(Deep):
    """The product of a query and a key: partial products, their sum, then a level of adders in a step.

    Products of floats are moved to their place and take their sign in steps of their own.
    """

    def kinds(self, a: Arithmetic) -> tuple[Steps, ...]:
        levels = range(1, LEVELS + 1)
        return (
            *(self._float(a, count) for count in levels),
            *(self._integer(a, count) for count in levels),
            *(self._exact(a, count) for count in levels),
        )

    def product(self, a: Arithmetic) -> Parts:
        """The multiplication of integer elements, or of the significands of floats."""
        query, key = (choose(a.is_float, a.in_fraction + 1, width) for width in (a.in_width, a.element_width))
        return Parts(query, key, SCORE_PARTS)

    def _float(self, a: Arithmetic, count: int) -> Steps:
        """The steps of float sums whose tree has ``count`` levels."""
        there, significand = a.sums_are_floats * flag(clog2(a.lanes) == count), a.in_fraction + 1
        product = float_steps.product(a.sum_exponent, a.sum_fraction, significand, significand, signed=1)
        chain = (
            float_steps.widen(a).copies(2 * a.lanes),
            *(step.copies(a.lanes) for step in product),
            *float_steps.tree(a, count),
        )
        return Steps.chained(f"float{count}", there, chain)

    def _integer(self, a: Arithmetic, count: int) -> Steps:
        """The steps of integers whose tree has ``count`` levels."""
        product, there = self.product(a), (1 - a.is_float) * flag(clog2(a.lanes) == count)
        delays, behind, parts = self._tree(a, count)
        return _Steps(
            f"integer{count}",
            there,
            (*product.delays, *delays),
            (*(a.lanes * bits for bits in product.behind), *behind),
            (*_each(product.parts, a.lanes), *parts),
            (),
        )

    def _exact(self, a: Arithmetic, count: int) -> Steps:
        """The steps of floats in fixed point whose tree has ``count`` levels."""
        product, there = self.product(a), a.exact * flag(clog2(a.lanes) == count)
        frame, exponent = SCORE_FRACTION + SCORE_WHOLE, blocks.sum_of_exponents(a)
        delays, sums, parts = self._tree(a, count)
        partial, whole = product.behind
        behind = (
            a.lanes * (partial + exponent + 2),  # distance, sign, and whether a factor is infinite or NaN
            a.lanes * (whole + bit_length(frame) + 3),  # its move, whether it is too large, sign and factors
            a.lanes * (frame + 1) + 2,
            a.lanes * a.product_width + 2,
            *(bits + 2 for bits in sums),
        )
        multiply, add = product.parts
        distance = one("adder", width=exponent).times(2).passing(0)
        moved, negated = shifter(frame, frame), one("half_adder", width=a.product_width)
        each = _each(((*multiply, distance), add, (moved,), (negated,)), a.lanes)
        return _Steps(
            f"exact{count}",
            there,
            (*product.delays, _SHIFT, _SHIFT, *delays),
            behind,
            (*each, *parts),
            (),
        )

    def _tree(
        self, a: Arithmetic, count: int
    ) -> tuple[tuple[int, ...], tuple[Number, ...], tuple[Step, ...]]:
        """Delays, output bits and parts of the levels of a tree."""
        behind = (*(tree_bits(a, level) for level in range(1, count)), a.beat_width)
        adders = tuple(
            (one("adder", width=a.product_width + level - 1).times(a.lanes >> level),)
            for level in range(1, count + 1)
        )
        return (_ADD,) * count, behind, adders


class ShortExp2(Deep):
    """A weight: subtraction of the reference, a polynomial, and a shift of the result; sums have steps of their own."""

    def kinds(self, a: Arithmetic) -> tuple[Steps, ...]:
        pairs = np.broadcast_arrays(a.fraction, a.mantissa)
        known = sorted({(int(f), int(m)) for f, m in zip(*(p.flat for p in pairs), strict=True)})
        return tuple(self._of(a, polynomial(f, m), fine) for f, m in known for fine in (False, True))

    def _of(self, a: Arithmetic, poly: Polynomial, fine: bool) -> Steps:
        there = flag(a.fraction == poly.fraction) * flag(a.mantissa == poly.mantissa)
        floats = a.sums_are_floats
        kept = choose(floats, a.sum_exponent - 1, a.amount_width) + a.t_nan_bit
        mantissa = choose(floats, poly.mantissa, smaller(poly.mantissa, a.weight_fraction + 1))
        delays: list[int] = [_ADD]
        behind: list[Number] = [poly.fraction + kept]
        parts: list[Step] = [(one("adder", width=a.t_width),)]
        for number, product in enumerate(products(poly, fine)):
            inner = number < len(poly.coefficients) - 2
            table = one("logic", gates=blocks.TABLE_GATES * product.left).passing(0)
            # The first factor of the last product is the fraction itself, of which then only the segment is asked.
            beside = kept + (poly.fraction if inner else poly.segment_bits)
            delays += [*product.delays, _ADD]
            behind += [*(bits + beside for bits in product.behind)]
            parts += [(*product.parts[0], table), *product.parts[1:]]
            total = poly.sum_widths[len(poly.coefficients) - 2 - number]
            behind.append(total + beside if inner else mantissa + kept)
            parts.append((one("adder", width=total),))
        if len(poly.coefficients) == 1:
            delays, behind, parts = [*delays, _ADD], [*behind, mantissa + kept], [*parts, ()]
        exact = 1 - floats
        delays += [_SHIFT, _SHIFT]
        behind += [choose(floats, a.p_word, a.p_word + 1), a.p_word]  # one more bit rounds a weight
        parts += [
            (shifter(a.p_width, a.p_width).times(exact),),
            (one("half_adder", width=a.p_width).times(exact),),
        ]
        name, fewest, most = f"f{poly.fraction}m{poly.mantissa}", 0, FINE_POWER - 1
        if fine:
            name, fewest, most = f"{name}_fine", FINE_POWER, MOST_REGISTERS
        return _Steps(name, there, tuple(delays), tuple(behind), tuple(parts), (), fewest, most)


def products(poly: Polynomial, fine: bool) -> tuple[Parts, ...]:
    """The products of Horner's rule, innermost first: a coefficient or sum, times the position in the segment."""
    top, most = len(poly.coefficients) - 1, poly.u_bits if fine else POWER_PARTS
    lefts = [poly.sum_widths[power] for power in range(top, 0, -1)]
    return tuple(Parts(left, poly.u_bits, min(most, poly.u_bits // 2), poly.u_bits) for left in lefts)


class ShortReciprocal(Deep):
    """The reciprocal of a sum of weights: search for the leading one, move, rows of a divider, packing."""

    def kinds(self, a: Arithmetic) -> tuple[Steps, ...]:
        return tuple(
            self._of(a, rows, kind, there)
            for rows in DIVISOR_FRACTIONS
            for kind, there in (
                ("float", a.sums_are_floats),
                ("gain", a.has_gain),
                ("whole", (1 - a.sums_are_floats) * (1 - a.has_gain)),
            )
        )

    def before_gain(self, a: Arithmetic, stages: Number) -> Number:
        """Registers in front of the step that multiplies by the gain: a search, a move, a remainder, rows, a mask."""
        found: Number = 0
        for kind, count, here in self._cut(a, stages):
            if kind.kind.startswith("gain"):
                step = len(kind.delays) - len(self.gain(a).delays)
                found = found + here * sum(place <= step for place in kind.cuts(count))
        return found

    def gain(self, a: Arithmetic) -> Parts:
        """The product of a quotient and the multiplier of the output."""
        return Parts(a.q_width, OUTPUT_MULTIPLIER_BITS, GAIN_PARTS, OUTPUT_MULTIPLIER_BITS - 1)

    def _of(self, a: Arithmetic, rows: int, kind: str, there: Number) -> Steps:
        divided, beside = 2 * a.divisor_bits, blocks.beside_division(a)
        begin: tuple[tuple[int, Number, Step], ...] = (
            (_COUNT, a.l_width + a.zeros_width, (one("logic", gates=3 * a.l_width),)),
            (_SHIFT, a.divisor_bits + a.zeros_width + 1, (shifter(a.l_width, a.l_width),)),
        )
        found = list(begin) if kind != "float" else []
        left = one("adder", width=a.divisor_bits)
        row = (one("adder", width=a.divisor_fraction + 1),)
        found.append((_ADD, beside + divided, (left,)))
        found += [(_ROW, beside + divided + 1 + number, row) for number in range(1, rows)]
        found.append((_ROW, beside + rows, row))
        if kind == "gain":
            product, first = self.gain(a), (2, a.q_width + a.zeros_width, (one("and_row", width=a.q_width),))
            found.append(first)
            steps = zip(product.delays, product.behind, product.parts, strict=True)
            found += [(delay, bits + a.zeros_width, parts) for delay, bits, parts in steps]
        else:
            found.append((_SHIFT, a.r_width, (one("adder", width=8),)))
        delays, behind, parts = zip(*found, strict=True)
        return _Steps(f"{kind}{rows}", there * flag(a.divisor_fraction == rows), delays, behind, parts, ())


class ShortProduct(Deep):
    """A weight times an element of a value, then shifted to its place in a fixed-point sum."""

    def kinds(self, a: Arithmetic) -> tuple[Steps, ...]:
        significand = a.sum_fraction + 1
        multiply = float_steps.product(
            a.sum_exponent, a.sum_fraction, significand, a.in_fraction + 1, signed=1
        )
        return (
            Steps.chained("float", a.sums_are_floats, (float_steps.widen(a).beside(a.p_width), *multiply)),
            self._integer(a, 8),
            self._integer(a, 4),
            self._exact(a, FLOAT_PARTS),
            self._exact(a, FINE_FLOAT_PARTS),
        )

    def product(self, a: Arithmetic, value: int) -> Parts:
        """The multiplication by a ``value`` of so many bits.

        A whole weight is at most a power of two, so the highest bit only repeats the sign.
        """
        return Parts(a.p_width, value, min(VALUE_PARTS, value // 2), top=1)

    def fraction(self, a: Arithmetic, count: int) -> Parts:
        """The multiplication by the significand of a float, in ``count`` parts."""
        return Parts(a.p_width, a.in_fraction + 1, count)

    def _integer(self, a: Arithmetic, value: int) -> Steps:
        product, there = self.product(a, value), (1 - a.is_float) * flag(a.element_width == value)
        return _Steps(f"integer{value}", there, product.delays, product.behind, product.parts, ())

    def _exact(self, a: Arithmetic, count: int) -> Steps:
        product, frame = self.fraction(a, count), a.term_width
        *multiply, last = product.behind
        exponent = choose(a.is_fp16, FP16.exponent_bits, BF16.exponent_bits)
        behind = (
            *(bits + exponent + 2 for bits in multiply),
            last + smaller(bit_length(frame), exponent) + 2,  # its move, sign, and whether a factor is NaN
            frame + 2,
            a.term_word,
        )
        hidden = one("logic", gates=a.p_width).passing(0)
        first, *joins = product.parts
        parts = (
            (*first, hidden),
            *joins,
            (shifter(frame, frame),),
            (one("half_adder", width=frame),),
        )
        delays = (*product.delays, _SHIFT, _ADD)
        if count == FLOAT_PARTS:
            return _Steps("exact", a.exact, delays, behind, parts, (), most=FINE_PRODUCT - 1)
        return _Steps("fine", a.exact, delays, behind, parts, (), FINE_PRODUCT)


class ShortNormalize(Deep):
    """A weight divided by the sum of its row: moved in two steps, multiplied, rounded."""

    def kinds(self, a: Arithmetic) -> tuple[Steps, ...]:
        significand = a.sum_fraction + 1
        multiply = float_steps.product(
            a.sum_exponent, a.sum_fraction, significand, a.divisor_fraction + 1, signed=0
        )
        return (
            Steps.chained("float", a.sums_are_floats, multiply),
            self._whole(a, SHARE_PARTS),
            self._whole(a, FINE_PARTS),
        )

    def product(self, a: Arithmetic, count: int) -> Parts:
        """The multiplication, in ``count`` parts; one bit below the share rounds it, and none above it is asked."""
        right = a.divisor_fraction + a.l_width - a.weight_fraction - a.align_drop
        return Parts(a.l_width - a.align_drop, a.q_width, count, right - 1, top=1)

    def near_width(self, a: Arithmetic) -> Number:
        """Bits of a weight after it is moved by the low bits of the distance."""
        return smaller(a.p_width + (1 << ALIGN_LOW) - 1, a.l_width)

    def _whole(self, a: Arithmetic, count: int) -> Steps:
        product, flags = self.product(a, count), a.nan_bit
        high = larger(a.zeros_width - ALIGN_LOW, 0)
        behind = (
            self.near_width(a) + high + a.q_width + flags,
            product.left + a.q_width + flags,
            *(bits + flags for bits in product.behind),
            a.p_word,
        )
        parts = (
            (shifter(self.near_width(a), 1 << ALIGN_LOW),),
            (Part("mux", {"entries": 2, "width": a.l_width}, high, high),),
            *product.parts,
            (one("half_adder", width=a.p_width),),
        )
        delays, there = (_SHIFT, _SHIFT, *product.delays, _ADD), 1 - a.sums_are_floats
        if count == SHARE_PARTS:
            return _Steps("whole", there, delays, behind, parts, (), most=FINE_SHARE - 1)
        return _Steps("fine", there, delays, behind, parts, (), FINE_SHARE)


def _each(steps: tuple[Step, ...], copies: Number) -> tuple[Step, ...]:
    """The steps, ``copies`` times in parallel."""
    return tuple(tuple(part.times(copies) for part in step) for step in steps)


#: Every block by its place in the inventory.
SHORT: Mapping[str, Deep] = {
    "score_beat": ShortScoreBeat(),
    "exp2": ShortExp2(),
    "reciprocal": ShortReciprocal(),
    "product": ShortProduct(),
    "normalize": ShortNormalize(),
}
