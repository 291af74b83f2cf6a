"""Digit counters at the edge of an array whose elements wait for the slowest one."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.processing.digits import places
from generator.arithmetic.processing.serial import ent_digits
from generator.block import Block


class DigitWait(Block):
    """Counts down the digits of an activation that are not zero, for the elements that have queues of their own.

    ``done`` is 1 if no digit is left, except perhaps the current one; with a single digit it is always 1.
    """

    place = "edge"
    latency = "1 cycle"
    throughput = "1 digit per cycle"

    def __init__(self, width: int) -> None:
        self.width = width
        ports = {"a": In(width), "load": In(1), "enable": In(1), "done": Out(1)}
        super().__init__(f"systolic_wait_w{width}", ports, clocked=places(width) > 1)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        if not self.clocked:
            m.d.comb += self.done.eq(1)
            return m
        digits, _ = ent_digits(m, self.a)
        left = Signal(len(digits), name="left", reset_less=True)
        rest = Signal(len(digits), name="rest")
        m.d.comb += [rest.eq(left & (left - 1)[: len(left)]), self.done.eq(~rest.any())]
        with m.If(self.load):
            m.d.sync += left.eq(Cat(*(digit.any() for digit in digits)))
        with m.Elif(self.enable):
            m.d.sync += left.eq(rest)
        return m
