"""Operands as rows of bits: every way an operand ``a`` can select multiples of ``b``.

The order of rows, their columns and the constant that belongs to them:
:func:`blueprint.arithmetic.processing.element.operand_rows`.
"""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from blueprint.arithmetic.processing.element import ENCODINGS, Element
from generator.arithmetic.integers import sign_extend, zero_extend


class Lines(NamedTuple):
    """Select lines of a digit: ``b``, twice ``b``, and inversion of all bits."""

    once: Value
    twice: Value
    inverted: Value


def operand_rows(
    m: Module, element: Element, a: list[Value], b: list[Value], ternary: Value, met: bool = False
) -> list[Value]:
    """Rows of bits whose highest bits are inverted, of operands by lane. For a serial element ``a`` are digits.

    With ``met`` the sign of a Booth digit is already added to the lowest bit of its row; the carry of that remains.
    """
    width = element.b_width
    if ENCODINGS[element.pe] == "flex":
        return _flexible(m, element, a[0], b, ternary)
    lanes = list(zip(a, b, strict=True))
    match ENCODINGS[element.pe]:
        case "binary":
            return [row for x, y in lanes for row in _binary(x, y)]
        case "ternary":
            rows = [(y & x[0].replicate(width)) ^ x[1].replicate(width) for x, y in lanes]
            return [_offset(row) for row in rows] + [x[1] for x, _ in lanes]
        case "serial":
            return [_shifted(m, x, y, element, lane) for lane, (x, y) in enumerate(lanes)] + [
                x[-1] for x, _ in lanes
            ]
        case encoding:
            decode = _booth if encoding == "booth" else _ent
            chosen = [(_named(m, decode(x, place), lane, place), y) for lane, (x, y) in enumerate(lanes)
                      for place in range(element.digits)]  # fmt: skip
            rows = [_offset(_multiple(lines, y) ^ lines.inverted.replicate(width + 1)) for lines, y in chosen]
            signs = [lines.inverted for lines, _ in chosen]
            if not met:
                return rows + signs
            pairs = list(zip(rows, signs, strict=True))
            return [Cat(row[0] ^ sign, row[1:]) for row, sign in pairs] + [
                row[0] & sign for row, sign in pairs
            ]


def _offset(row: Value) -> Value:
    return Cat(row[:-1], ~row[-1])


def _binary(a: Value, b: Value) -> list[Value]:
    """One row for every bit of ``a``; products of exactly one sign bit are inverted."""
    rows = []
    for place, bit in enumerate(a):
        row = b & bit.replicate(len(b))
        last = place == len(a) - 1
        rows.append(Cat(~row[:-1], row[-1]) if last else _offset(row))
    return rows


def _booth(a: Value, place: int, below: Value | None = None) -> Lines:
    """Select lines of a radix-4 Booth digit. Minus zero is a row of inverted zeros, to which one is added."""
    low = 2 * place
    middle, high = a[low], a[min(low + 1, len(a) - 1)]
    if below is None:
        below = a[low - 1] if place else Const(0, 1)
    return Lines(middle ^ below, (high ^ middle) & ~(middle ^ below), high)


def _ent(code: Value, place: int) -> Lines:
    """Select lines of a digit of an EN-T code: 0, 1, 2 or -1, negated if the sign is set."""
    low, high = zero_extend(code[:-1][2 * place : 2 * place + 2], 2)
    return Lines(low, high & ~low, (high & low) ^ code[-1])


def _named(m: Module, lines: Lines, lane: int, place: int) -> Lines:
    """Bind the lines to signals, so that their expressions are not repeated for every bit of a row."""
    found = []
    for name, value in lines._asdict().items():
        line = Signal(name=f"{name}{lane}_{place}")
        m.d.comb += line.eq(value)
        found.append(line)
    return Lines(*found)


def _multiple(lines: Lines, b: Value) -> Value:
    """The selected multiple, 0, ``b`` or twice ``b``; one bit wider than ``b``."""
    width = len(b) + 1
    once, twice = sign_extend(b, width), Cat(Const(0, 1), b)
    return (once & lines.once.replicate(width)) | (twice & lines.twice.replicate(width))


def _shifted(m: Module, digit: Value, b: Value, element: Element, lane: int) -> Value:
    """``b`` times a digit and its weight: the word is gated, shifted and inverted."""
    reach = element.b_width + 2 * element.digits - 1
    amount, active, inverted = digit[:-2], digit[-2], digit[-1]
    word = b & active.replicate(len(b))
    for level, bit in enumerate(amount):
        by = 1 << level
        wide = min(len(word) + by, reach)
        moved = Cat(Const(0, by), word)[:wide]
        shifted = Signal(wide, name=f"shifted{lane}_{level}")  # named, or every use would write it out again
        m.d.comb += shifted.eq(Mux(bit, sign_extend(moved, wide), sign_extend(word, wide)))
        word = shifted
    return _offset(sign_extend(word, reach) ^ inverted.replicate(reach))


def _flexible(m: Module, element: Element, a: Value, words: list[Value], ternary: Value) -> list[Value]:
    """Rows of the Booth digits of one integer, all with the same ``b``, or of independent digits, each with its own.

    A ternary weight is a digit that ignores the bit below it and is not shifted.
    """
    rows, signs = [], []
    for place in range(element.digits):
        below = a[2 * place - 1] & ~ternary if place else None
        lines = _named(m, _booth(a, place, below), 0, place)
        b = Mux(ternary, words[place], words[0]) if place else words[0]
        word = _multiple(lines, b)
        width = len(word) + 2 * place
        if place:
            alone, weighted = sign_extend(word, width), Cat(Const(0, 2 * place), word)
            word = Cat(Mux(ternary, alone[:-1], weighted[:-1]), word[-1])
        rows.append(_offset(word ^ lines.inverted.replicate(width)))
        signs.append(lines.inverted)
    return rows + signs
