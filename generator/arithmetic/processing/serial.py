"""Digit-serial operands."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.processing.digits import places
from blueprint.arithmetic.processing.element import Element
from blueprint.errors import ParamError
from blueprint.numbers import clog2
from generator.arithmetic.integers import one_of, sign_extend, zero_extend
from generator.block import Block, drive


def ent_digits(m: Module, a: Value) -> tuple[list[Value], Value]:
    """The digits (0, 1, 2, and 3 for -1) of a magnitude, lowest first, and the sign.

    The highest digit of an odd width is one bit.
    """
    width = len(a)
    magnitude = Signal(width, name="magnitude")
    # The most negative number keeps its pattern, which as an unsigned number is its magnitude.
    m.d.comb += magnitude.eq((a ^ a[-1].replicate(width)) + a[-1])
    found: list[Value] = []
    carry: Value = Const(0, 1)
    for place in range(places(width)):
        pair = magnitude[2 * place : 2 * place + 2]
        if len(pair) == 1:
            found.append(pair | carry)
            break
        digit, above = Signal(2, name=f"digit{place}"), Signal(name=f"carry{place}")
        m.d.comb += digit.eq(Cat(pair[0] ^ carry, pair[1] ^ (pair[0] & carry)))
        m.d.comb += above.eq(pair[1] & (pair[0] | carry))
        found.append(digit)
        carry = above
    return found, a[-1]


class DigitEncode(Block):
    """An integer as EN-T code: two bits per digit, lowest first, and the sign."""

    place = "encode"

    def __init__(self, width: int) -> None:
        self.width = width
        ports = {"a": In(width), "code": Out(width + 1)}
        super().__init__(f"pe_encode_w{width}", ports, clocked=False)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        digits, sign = ent_digits(m, self.a)
        drive(m, self.code, Cat(*digits, sign))
        return m


class DigitQueue(Block):
    """Hands out the digits of an operand that are not zero, lowest first, one per ``enable``.

    ``load`` takes a new operand and drops what is left of the old one. ``done`` is 1 if no digit is left, except
    perhaps the one at the output. If none is left, the output is a digit that adds nothing. An element of dense digits
    hands out every digit of its ``mask``, zero or not. Raises ``ParamError`` for an element that is not serial.
    """

    place = "queue"
    latency = "1 cycle"
    throughput = "1 digit per cycle"

    def __init__(self, element: Element) -> None:
        if not element.serial:
            raise ParamError(f"A queue of digits must be that of a serial element, not {element.pe}")
        self.element, self.dense = element.check(), element.pe == "booth_serial"
        ports = {
            "a": In(element.a_width),
            "mask": In(element.digits if self.dense else 0),
            "load": In(1),
            "enable": In(1),
            "digit": Out(element.digit_bits),
            "done": Out(1),
        }
        kind = "booth" if self.dense else "ent"
        super().__init__(f"pe_queue_{kind}_w{element.a_width}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        code, waits = self._dense() if self.dense else self._sparse(m)
        held = Signal(len(code), name="held", reset_less=True)
        left = Signal(len(waits), name="left", reset_less=True)
        rest = Signal(len(waits), name="rest")
        m.d.comb += rest.eq(left & (left - 1)[: len(left)])
        m.d.sync += held.eq(Mux(self.load, code, held))
        m.d.sync += left.eq(Mux(self.load, waits, Mux(self.enable, rest, left)))
        lowest = [bit & ~left[:place].any() if place else bit for place, bit in enumerate(left)]
        numbers = range(1, len(lowest))
        levels = range(clog2(len(lowest)))
        position = [Cat(*(lowest[n] for n in numbers if n >> level & 1)).any() for level in levels]
        twice, active, inverted = self._shown(held, lowest, left.any())
        m.d.comb += self.done.eq(~rest.any())
        drive(m, self.digit, Cat(twice, *position, active, inverted))
        return m

    def _sparse(self, m: Module) -> tuple[Value, Value]:
        """State of an operand, and the mask of its remaining digits."""
        digits, sign = ent_digits(m, self.a)
        return Cat(*digits, sign), Cat(*(digit.any() for digit in digits))

    def _dense(self) -> tuple[Value, Value]:
        return self.a, self.mask

    def _shown(self, held: Value, lowest: list[Value], active: Value) -> tuple[Value, Value, Value]:
        """Lines that select a multiple of the other operand: doubled, nonzero, inverted."""
        if self.dense:
            word = sign_extend(held, 2 * len(lowest))
            triples = [
                Cat(word[2 * p - 1] if p else Const(0, 1), word[2 * p : 2 * p + 2])
                for p in range(len(lowest))
            ]
            below, middle, high = one_of(lowest, triples)
            once, twice = middle ^ below, (high ^ middle) & ~(middle ^ below)
            return twice, once | twice, high
        pairs = [zero_extend(held[2 * p : min(2 * p + 2, len(held) - 1)], 2) for p in range(len(lowest))]
        low, high = one_of(lowest, pairs)
        return high & ~low, active, (high & low) ^ held[-1]
