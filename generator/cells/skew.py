"""Delay lines, and skew: each lane of a word delayed by its index."""

from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib.wiring import In, Out

from generator.block import Block, word


def delay_line(
    m: Module, value: Value, cycles: int, name: str, *, first: int = 0, resets: bool = False
) -> list[Value]:
    """Return ``value`` and its copies delayed by 1 to ``cycles`` cycles; registers are numbered from ``first`` on.

    Guarantees: all delays of a value come from one chain of registers, so a longer delay costs only its extra cycles.
    Does not: stall; reset, unless it ``resets``. Without reset the first words that leave are undefined.
    """
    if len(value) == 0:
        return [value] * (cycles + 1)
    taps = [value]
    for number in range(first, first + cycles):
        held = word(len(value), f"{name}{number}", reset_less=not resets)
        m.d.sync += held.eq(taps[-1])
        taps.append(held)
    return taps


class Delay(Block):
    """Delays a word by a number of cycles.

    Guarantees: exactly ``cycles`` cycles, one word per cycle; equal halves of a long delay are one module.
    Does not: stall or reset; the first ``cycles`` words that leave are undefined.
    """

    throughput = "one word per cycle"

    def __init__(self, prefix: str, place: str, cycles: int, width: int) -> None:
        self.prefix, self.place, self.cycles, self.width = prefix, place, cycles, width
        self.latency = f"{cycles} cycle{'s' * (cycles > 1)}"
        ports = {"early": In(width), "late": Out(width)}
        super().__init__(f"{prefix}_delay_{cycles}x{width}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        if self.cycles == 1:
            held = word(self.width, "held", reset_less=True)
            m.d.sync += held.eq(self.early)
            m.d.comb += self.late.eq(held)
            return m
        between = word(self.width, "between")
        first, second = (
            Delay(self.prefix, self.place, cycles, self.width)
            for cycles in (self.cycles // 2, self.cycles - self.cycles // 2)
        )
        self.use(m, first, "first", early=self.early, late=between)
        self.use(m, second, "second", early=between, late=self.late)
        return m


class Skew(Block):
    """Delays every lane by its number: lane 0 passes, or with ``reverse`` the last one.

    Guarantees: exactly that many cycles for each lane, one word of all lanes per cycle; a skew followed by a reverse
    one of the same size delays all lanes equally.
    Does not: stall or reset; lane 0 (or the last one) passes combinationally.

    Both halves are skewed in the same way; the later half first waits for as many cycles as the other half has lanes.
    """

    throughput = "one word of all lanes per cycle"

    def __init__(self, prefix: str, place: str, lanes: int, width: int, *, reverse: bool = False) -> None:
        self.prefix, self.place = prefix, place
        self.lanes, self.width, self.reverse = lanes, width, reverse
        self.latency = f"0 to {lanes - 1} cycles, lane by lane"
        name = f"{prefix}_{'deskew' if reverse else 'skew'}_{lanes}x{width}"
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
        delay = Delay(self.prefix, self.place, soon, len(waited))
        self.use(m, delay, "wait", early=early[1], late=waited)
        halves = ("soon", soon, early[0], late[0]), ("later", self.lanes // 2, waited, late[1])
        for name, lanes, given, taken in halves:
            if lanes == 1:
                m.d.comb += taken.eq(given)
            else:
                block = Skew(self.prefix, self.place, lanes, self.width, reverse=self.reverse)
                self.use(m, block, name, early=given, late=taken)
        return m
