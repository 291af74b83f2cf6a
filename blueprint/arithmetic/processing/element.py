"""Description of a processing element: operand encoding, accumulation and all widths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any

import numpy as np

from blueprint.arithmetic import floating
from blueprint.arithmetic.processing import columns
from blueprint.arithmetic.processing.columns import Plan, Row
from blueprint.arithmetic.processing.digits import places
from blueprint.errors import ParamError
from blueprint.numbers import Number, bit_length, choose, clog2, flag, larger, one_of, smaller

#: Every element with the way its operand ``a`` becomes rows of bits.
ENCODINGS = {
    "mac": "binary",
    "ternary": "ternary",
    "opt1": "binary",
    "opt2": "booth",
    "ent": "ent",
    "booth_flex": "flex",
    "opt3": "serial",
    "opt4c": "serial",
    "opt4e": "serial",
    "booth_serial": "serial",
    "float": "float",
}
PES = tuple(ENCODINGS)
SERIAL = tuple(pe for pe, encoding in ENCODINGS.items() if encoding == "serial")
#: Elements that keep sum and carry; the others propagate carries within a cycle.
CARRY_SAVE = ("opt1", "opt2", *SERIAL)
#: Elements that can add floats.
FLOATING = ("ternary", "float")
NUMBERS = ("int", *floating.FORMATS)
#: Bits of an operand at most and at least, lanes at most, and bits of an accumulator at most.
WIDEST, NARROWEST, LANES, WIDEST_TOTAL = 16, 2, 256, 64


@dataclass(frozen=True)
class Element:
    """One kind of processing element. Every field is one value or an array over designs, and so is every property.

    Operand ``a`` is encoded and selects multiples of operand ``b``; both are two's complement. ``lanes`` pairs are
    multiplied and summed at once. ``total_width`` is the width of the accumulator. All floats have the format
    ``number``; products and sums are rounded to ``acc_format``. A ternary ``a`` stays an integer and adds, subtracts or
    skips a float ``b``.
    """

    pe: str
    a_width: int
    b_width: int
    lanes: int = 1
    total_width: int = 32
    number: str = "int"
    acc_format: str = "same"

    def check(self) -> Element:
        """Return the element. Raises ``TypeError`` for a wrong type and ``ParamError`` if it cannot be built."""
        for name, low, high in (
            ("a_width", NARROWEST, WIDEST),
            ("b_width", NARROWEST, WIDEST),
            ("lanes", 1, LANES),
            ("total_width", NARROWEST, WIDEST_TOTAL),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if not low <= value <= high:
                raise ParamError(f"{name} must be from {low} to {high}, not {value}")
        _one_of("pe", self.pe, PES)
        _one_of("number", self.number, NUMBERS)
        _one_of("acc_format", self.acc_format, ("same", *floating.FORMATS))
        if self.floats and self.pe not in FLOATING or self.pe == "float" and not self.floats:
            raise ParamError(f"number must be {_wanted(self.pe)} for element {self.pe}, not {self.number}")
        self._check_pe()
        return self

    def _check_pe(self) -> None:
        if self.pe == "ternary":
            self._check_ternary()
        if self.pe == "booth_flex" and (self.a_width % 2 or self.lanes != 1):
            wrong = f"{self.a_width} and {self.lanes}"
            raise ParamError(f"booth_flex must have an even a_width and 1 lane, not {wrong}")
        if self.pe == "float":
            if not self.a_width == self.b_width == floating.get(self.number).width:
                width = floating.get(self.number).width
                raise ParamError(
                    f"Operands of {self.number} must be {width} bits wide, not {self.a_width} and {self.b_width}"
                )
        if self.floats and self.acc_format != "same" and not exact(self.number, self.acc_format):
            raise ParamError(f"acc_format must hold every {self.number}, and {self.acc_format} does not")

    def _check_ternary(self) -> None:
        if self.a_width != 2:
            raise ParamError(f"a_width must be 2 for ternary weights, not {self.a_width}")
        if self.floats and self.b_width != floating.get(self.number).width:
            width = floating.get(self.number).width
            raise ParamError(f"b_width must be {width} for {self.number}, not {self.b_width}")

    # How the ports look

    @property
    def floats(self) -> Number:
        """1 if sums are float sums."""
        return flag(self.number != "int")

    @property
    def selects(self) -> Number:
        """1 if a ternary operand selects a float: add, subtract or skip."""
        return flag(self.pe == "ternary") * self.floats

    @property
    def serial(self) -> Number:
        """1 if ``a`` arrives digit by digit."""
        return one_of(self.pe, SERIAL)

    @property
    def resolves(self) -> Number:
        """1 if the accumulator has to be resolved into the total (carry-save form)."""
        return one_of(self.pe, CARRY_SAVE)

    @property
    def digits(self) -> Number:
        """Radix-4 digits of one ``a``."""
        return places(self.a_width)

    @property
    def a_bits(self) -> Number:
        """Bits of one lane of ``a``."""
        return self.a_width + flag(self.pe == "ent")

    @property
    def b_bits(self) -> Number:
        """Bits of one lane of ``b``, which is one ``b`` per digit where digits may be ternary weights."""
        return choose(self.pe == "booth_flex", self.digits, 1) * self.b_width

    @property
    def b_words(self) -> Number:
        """Words of ``b`` in one step: one a lane, or one for each digit of ``a``."""
        return self.lanes * choose(self.pe == "booth_flex", self.digits, 1)

    @property
    def digit_bits(self) -> Number:
        """Bits of a digit in transit: shift of ``b``, add enable, and negate."""
        return choose(self.serial, clog2(2 * self.digits) + 2, 0)

    @property
    def most_slots(self) -> Number:
        """Products of one step, in the mode with the most products."""
        return self.lanes * choose(self.pe == "booth_flex", self.digits, 1)

    # How wide results are

    @property
    def largest_product(self) -> Number:
        """The largest magnitude of one product."""
        both = choose(self.pe == "ternary", 1, 1 << (_low(self.a_width) - 1)) << (_low(self.b_width) - 1)
        return choose(self.floats, 1, both)

    def needed_width(self, k: Number) -> Number:
        """Narrowest total that cannot overflow over ``k`` pairs; for floats, the width of the format."""
        whole = bit_length(k * self.largest_product) + 1
        return choose(self.floats, self.total_bits, whole)

    @property
    def total_bits(self) -> Number:
        """Bits of the total; for floats, the width of the format."""
        return _look_up(self, _total_bits)[0] if _any(self.floats) else self.total_width

    @property
    def product_width(self) -> Number:
        """Bits of the sum of one step's products as one integer."""
        most = choose(self.pe == "booth_flex", larger(self.largest_product, self.digits * 2**self.b_width), 0)
        whole = bit_length(larger(self.lanes * self.largest_product, most)) + 1
        return smaller(whole, self.total_width)

    @property
    def product_bits(self) -> Number:
        """Output bits of a Product block."""
        return _look_up(self, _product_bits)[0]

    @property
    def state_bits(self) -> Number:
        """Bits of the accumulator."""
        return _look_up(self, _state_bits)[0]

    @cached_property
    def _kinds(self) -> tuple[list[Element], Any]:
        """For arrays of designs: the distinct elements, and the index of each design's element."""
        arrays = np.broadcast_arrays(*(getattr(self, field.name) for field in fields(self)))
        codes = np.zeros(arrays[0].shape, np.int64)
        for array in arrays:
            kinds, code = np.unique(array, return_inverse=True)
            codes = codes * len(kinds) + code.reshape(codes.shape)
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        return [_plain([array.flat[place] for array in arrays]) for place in first], inverse.reshape(
            codes.shape
        )


def exact(source: str, target: str) -> bool:
    """True if every number of one float format is representable in another."""
    a, b = floating.get(source), floating.get(target)
    lowest_a, lowest_b = (1 - fmt.bias - fmt.fraction_bits for fmt in (a, b))
    return a.fraction_bits <= b.fraction_bits and a.bias <= b.bias and lowest_b <= lowest_a


def _wanted(pe: str) -> str:
    return "a float format" if pe == "float" else "int"


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ParamError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


def _any(condition: Any) -> bool:
    return bool(np.any(condition))


def _low(width: Number) -> Number:
    """Clamp a width to those of elements: columns of designs may hold others, which are refused elsewhere."""
    return smaller(larger(width, 1), 24)


# One design at a time: everything that a plan decides


def _look_up(element: Element, formula: Callable[[Element], tuple[int, ...]]) -> tuple[Number, ...]:
    """Evaluate a function of one element, or of each distinct one of many, as arrays."""
    values = [getattr(element, field.name) for field in fields(element)]
    if not any(isinstance(value, np.ndarray) for value in values):
        return formula(_plain(values))
    kinds, inverse = element._kinds
    table = [formula(kind) for kind in kinds]
    return tuple(np.array(table, np.int64).T[:, inverse])


def _plain(values: list[Any]) -> Element:
    """Make an element that can be planned; values of a column of designs that are illegal become legal ones."""
    pe, a, b, lanes, total, number, acc_format = (
        v.item() if isinstance(v, np.generic) else v for v in values
    )
    a, b = (min(max(width, NARROWEST), WIDEST) for width in (a, b))
    lanes, total = min(max(lanes, 1), LANES), min(max(total, NARROWEST), WIDEST_TOTAL)
    if pe == "ternary":
        a = 2
    if pe == "booth_flex":
        a, lanes = a + a % 2, 1
    if pe == "float" and number == "int":
        number = "fp16"
    if pe not in FLOATING:
        number = "int"
    return Element(pe, a, b, lanes, total, number, acc_format)


@cache
def operand_rows(element: Element, met: bool = False) -> tuple[tuple[Row, ...], int]:
    """The rows of bits that add up to ``a`` times ``b``, and the constant that must be added to them.

    Rows are ordered by lane and then by digit; single bits follow, one for every row that may be negated. The highest
    bit of every row is inverted, so that no sign is extended; the constant corrects this. With ``met`` the signs of
    Booth digits are already added to the lowest bits of their rows and the single bits are the carries of these
    additions, so no bit depends on weights alone.
    """
    wide, digits, lanes = element.b_width, element.digits, range(element.lanes)
    match ENCODINGS[element.pe]:
        case "binary":
            high = element.a_width - 1
            rows = tuple((place, wide) for _ in lanes for place in range(element.a_width))
            # Products of exactly one sign bit are negative; each of them, inverted, is one too small.
            inverted = [(1 << wide - 1) - 1 << high, (1 << high) - 1 << wide - 1]
            return rows, -sum(inverted) * element.lanes
        case "ternary":
            return ((0, wide),) * element.lanes + ((0, 1),) * element.lanes, -element.lanes << wide - 1
        case "booth" | "ent":
            rows = tuple((2 * place, wide + 1) for _ in lanes for place in range(digits))
            signs = tuple((low + met, 1) for low, _ in rows)
            return rows + signs, -sum(1 << low + wide for low, _ in rows)
        case "flex":
            rows = tuple((0, wide + 1 + 2 * place) for place in range(digits))
            return rows + ((0, 1),) * digits, -sum(1 << width - 1 for _, width in rows)
        case _:
            reach = wide + 2 * digits - 1
            return ((0, reach),) * element.lanes + ((0, 1),) * element.lanes, -element.lanes << reach - 1


@cache
def groups(element: Element, met: bool = False) -> tuple[tuple[int, tuple[int, ...], Plan], ...]:
    """(column, numbers of the rows in :func:`operand_rows`, plan that reduces them) for the rows of each weight."""
    rows, _ = operand_rows(element, met)
    digits = [low for low, _ in rows[: len(rows) // 2]]
    found = []
    for low in sorted({low for low in digits if low < element.total_width}):
        numbers = tuple(number for number, digit in enumerate(digits * 2) if digit == low)
        members = tuple((rows[number][0] - low, rows[number][1]) for number in numbers)
        largest = sum((1 << width) - 1 for _, width in members)
        width = min(largest.bit_length(), element.total_width - low)
        found.append((low, numbers, columns.compressed(members, width)))
    return tuple(found)


@cache
def product_plan(element: Element) -> Plan:
    """Plan that reduces rows to the output of a Product block; the constant is left out in carry-save form."""
    rows, constant = operand_rows(element)
    if element.resolves:
        return columns.compressed(rows, element.total_width)
    return columns.reduced(rows, constant, element.product_width)


@cache
def merge_rows(element: Element, met: bool = False) -> tuple[tuple[Row, ...], int]:
    """The rows of bits in the output of a Product block, and the constant that must be added to them."""
    if element.serial:
        return operand_rows(element)
    if element.pe == "opt2":
        found = [(low, plan.left) for low, _, plan in groups(element, met)]
        rows = [(low + column, 1) for low, left in found for column, bits in enumerate(left) for _ in bits]
        return tuple(rows), operand_rows(element)[1]
    if element.resolves:
        left = product_plan(element).left
        return tuple((column, 1) for column, bits in enumerate(left) for _ in bits), operand_rows(element)[1]
    return ((0, element.product_width),), -(1 << element.product_width - 1)


@cache
def step_plan(element: Element) -> Plan:
    """Plan of a step: add rows to the accumulator."""
    rows, constant = operand_rows(element)
    if not element.resolves:
        return columns.carried(rows, constant, element.total_width)
    instead, _ = merge_rows(element)
    if element.pe == "opt2":
        return columns.carry_save(instead, constant, element.total_width)
    return columns.carry_save(rows, constant, element.total_width, instead)


@cache
def merge_plan(element: Element) -> Plan:
    """Plan that adds a product to an accumulator of the form that it has in :func:`step_plan`."""
    rows, constant = merge_rows(element)
    if element.resolves:
        return columns.onto(rows, constant, step_plan(element))
    return columns.carried(rows, constant, element.total_width)


def _total_bits(element: Element) -> tuple[int]:
    return (sum_format(element).width if element.floats else element.total_width,)


def _product_bits(element: Element) -> tuple[int]:
    if element.floats:
        return (product_format(element).width,)
    return (sum(width for _, width in merge_rows(element)[0]),)


def _state_bits(element: Element) -> tuple[int]:
    if element.floats or not element.resolves:
        return _total_bits(element)
    return (step_plan(element).state_bits,)


def sum_format(element: Element) -> floating.FloatFormat:
    """The format that products and sums are rounded to."""
    return floating.get(element.number if element.acc_format == "same" else element.acc_format)


def product_format(element: Element) -> floating.FloatFormat:
    """The format of a step's products. A single selected operand keeps its own format until it is added."""
    return floating.get(element.number) if element.selects and element.lanes == 1 else sum_format(element)
