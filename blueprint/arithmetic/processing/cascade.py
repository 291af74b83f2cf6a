"""Cascades in carry-save form: each row of elements adds to the two words from above; one adder follows the last row.

The highest bit of every row of bits is inverted, so all rows are added as unsigned numbers and no sign is extended. The
two words are therefore only as wide as the largest sum so far. The offsets of all rows together are one constant of the
final addition.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from blueprint.arithmetic.processing import columns
from blueprint.arithmetic.processing.columns import Plan, Row
from blueprint.arithmetic.processing.element import Element, _plain, merge_rows, operand_rows
from blueprint.arithmetic.processing.inventory import Units, product_plans, row_units
from blueprint.arithmetic.processing.resolving import MOST_PIECES, of_rows
from blueprint.numbers import Number, Real, choose, flag
from blueprint.unit import COMPRESSOR, HALF_ADDER

#: Elements that can pass on their sums as two words in every cycle.
PASSING = ("opt1", "opt2")
#: The most elements in a column.
MOST_ROWS = 256


@dataclass(frozen=True)
class Plans:
    """Reduction plans of a cascade."""

    element: Element  # the element of every row; its total is as wide as the products of one row need
    rows: tuple[
        Plan, ...
    ]  # by row: its bits (or those of its registered products) and those from above, to two words
    last: Plan  # the two words and the constant, to the operands of one addition


@cache
def plans(element: Element, rows: int, registered: bool) -> Plans:
    """Plans of a cascade of ``rows`` elements whose sum has the element's total width."""
    made, constant = operand_rows(element)
    largest = sum((1 << width) - 1 << low for low, width in made)
    reaches = [min((count * largest).bit_length(), element.total_width) for count in range(1, rows + 1)]
    one = replace(element, total_width=reaches[0])
    given = merge_rows(one, True)[0] if has_product(one, registered) else made
    found: list[Plan] = []
    for reach in reaches:
        found.append(columns.passed(given, _left(found[-1]) if found else (), reach))
    last = columns.reduced(_left(found[-1]), rows * constant, element.total_width)
    return Plans(one, tuple(found), last)


def has_product(element: Element, registered: bool) -> bool:
    """True if products are reduced before they are added to the incoming sum."""
    return registered or element.pe == "opt2"


def _left(plan: Plan) -> tuple[Row, ...]:
    """The bits that a row passes on, as rows of one bit, column by column."""
    return tuple((column, 1) for column, bits in enumerate(plan.left) for _ in bits)


@dataclass(frozen=True)
class Counts:
    """Adder and bit counts of a cascade, for one design or many; all zero for 0 ``rows``."""

    element: Element
    rows: Number
    registered: Number

    @property
    def bits(self) -> Number:
        """Bits that all rows of one column pass on."""
        return self._found[0]

    @property
    def product_bits(self) -> Number:
        """Bits of one element's products."""
        return self._found[1]

    @property
    def full(self) -> Number:
        """Full adders in all rows of one column."""
        return self._found[2]

    @property
    def half(self) -> Number:
        """Half adders in all rows of one column."""
        return self._found[3]

    @property
    def last_half(self) -> Number:
        """Half adders in front of the last addition."""
        return self._found[4]

    @property
    def product_depth(self) -> Number:
        """Adders in series up to a product."""
        return self._found[5]

    @property
    def depth(self) -> Number:
        """Adders in series from a product, or from an element's operands, to two words."""
        return self._found[6]

    @property
    def last_full(self) -> Number:
        """Full adders in front of the last addition."""
        return self._found[7]

    @property
    def last_depth(self) -> Number:
        """Adders in series in front of the last addition."""
        return self._found[8]

    def piece_bits(self, cycles: Number) -> Number:
        """Flip-flops between ``cycles`` pieces of the last addition."""
        found: Number = 0
        for count, bits in enumerate(self._found[9:], start=1):
            found = found + bits * flag(cycles == count)
        return found

    def units(self, place: str, count: Number, activity: Real = 1.0) -> Units:
        """Inventory of the logic of all rows, for ``count`` columns."""
        there = choose(self.rows > 0, count, 0)
        return (
            *row_units(self.element, place, there * self.rows, activity),
            COMPRESSOR(place, there, width=self.full, activity=activity),
            HALF_ADDER(place, there, width=self.half, activity=activity),
            HALF_ADDER(place, there * self.rows * self._signs, width=1, activity=activity),
        )

    @property
    def _signs(self) -> Number:
        """Digits whose signs meet the lowest bits of their rows."""
        return choose(self.element.pe == "opt2", self.element.lanes * self.element.digits, 0)

    @cached_property
    def _found(self) -> tuple[Number, ...]:
        values = [
            *(getattr(self.element, field.name) for field in fields(self.element)),
            self.rows,
            self.registered,
        ]
        if not any(isinstance(value, np.ndarray) for value in values):
            return _numbers(values)
        arrays = np.broadcast_arrays(*values)
        table: dict[tuple[Any, ...], tuple[int, ...]] = {}
        designs = list(zip(*(array.ravel().tolist() for array in arrays), strict=True))
        for design in designs:
            if design not in table:
                table[design] = _numbers(list(design))
        found = np.array([table[design] for design in designs], np.int64).reshape(*arrays[0].shape, -1)
        return tuple(np.moveaxis(found, -1, 0))


def _numbers(values: list[Any]) -> tuple[int, ...]:
    *fields_of, rows, registered = values
    element = _plain(fields_of)
    if rows < 1 or element.pe not in PASSING:
        return (0,) * (9 + MOST_PIECES)
    found = plans(element, min(rows, MOST_ROWS), bool(registered))
    made = product_plans(found.element, True) if has_product(element, bool(registered)) else ()
    adders = [sum(plan.count(*kinds) for plan in found.rows) + len(found.rows) * sum(p.count(*kinds) for p in made)
              for kinds in (("full",), ("half", "half_one"))]  # fmt: skip
    before = max((plan.depth for plan in made), default=0.0)
    after = max(plan.depth for plan in found.rows)
    product = sum(width for _, width in merge_rows(found.element, True)[0])
    last, last_full = found.last.count("half", "half_one"), found.last.count("full")
    if not registered:
        before, after = 0.0, before + after
    return (
        sum(plan.left_bits for plan in found.rows),
        product,
        *adders,
        last,
        int(before),
        int(after),
        last_full,
        int(found.last.depth),
        *(of_rows(found.last).held(cycles) for cycles in range(1, MOST_PIECES + 1)),
    )
