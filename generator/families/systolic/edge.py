"""Delays at the edges of an array, so that a beat crosses it as a wave."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.processing.digits import places
from generator.arithmetic.processing.serial import ent_digits
from generator.block import Block, word


class DigitWait(Block):
    """Counts down the digits of an activation that are not zero, for the elements that have queues of their own.

    ``done`` says that no digit is left but perhaps the one that is shown; of a single digit it always is.
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


class Delay(Block):
    """Delays a word by a number of cycles."""

    place = "edge"
    throughput = "one word per cycle"

    def __init__(self, cycles: int, width: int) -> None:
        self.cycles, self.width = cycles, width
        self.latency = f"{cycles} cycle{'s' * (cycles > 1)}"
        ports = {"early": In(width), "late": Out(width)}
        super().__init__(f"systolic_delay_{cycles}x{width}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        if self.cycles == 1:
            held = word(self.width, "held", reset_less=True)
            m.d.sync += held.eq(self.early)
            m.d.comb += self.late.eq(held)
            return m
        between = word(self.width, "between")
        halves = self.cycles // 2, self.cycles - self.cycles // 2
        self.use(m, Delay(halves[0], self.width), "first", early=self.early, late=between)
        self.use(m, Delay(halves[1], self.width), "second", early=between, late=self.late)
        return m


class Skew(Block):
    """Delays every lane by its number: lane 0 passes, or with ``reverse`` the last one.

    Two halves are skewed alike; the one that is later waits for as many cycles as the other one has lanes.
    """

    place = "edge"
    throughput = "one word of all lanes per cycle"

    def __init__(self, lanes: int, width: int, *, reverse: bool = False) -> None:
        self.lanes, self.width, self.reverse = lanes, width, reverse
        self.latency = f"0 to {lanes - 1} cycles, lane by lane"
        name = f"systolic_{'deskew' if reverse else 'skew'}_{lanes}x{width}"
        ports = {"early": In(lanes * width), "late": Out(lanes * width)}
        super().__init__(name, ports, clocked=lanes > 1)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        if self.lanes == 1:
            m.d.comb += self.late.eq(self.early)
            return m
        soon = self.lanes - self.lanes // 2
        cut = (self.lanes - soon if self.reverse else soon) * self.width
        early, late = [self.early[:cut], self.early[cut:]], [self.late[:cut], self.late[cut:]]
        if self.reverse:
            early, late = early[::-1], late[::-1]
        waited = word(len(early[1]), "waited")
        self.use(m, Delay(soon, len(waited)), "wait", early=early[1], late=waited)
        halves = ("soon", soon, early[0], late[0]), ("later", self.lanes // 2, waited, late[1])
        for name, lanes, given, taken in halves:
            if lanes == 1:
                m.d.comb += taken.eq(given)
            else:
                block = Skew(lanes, self.width, reverse=self.reverse)
                self.use(m, block, name, early=given, late=taken)
        return m
