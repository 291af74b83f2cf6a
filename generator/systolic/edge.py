"""Delays at the edges of an array, so that a beat crosses it as a wave."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.processing.digits import places
from generator.arithmetic import parts
from generator.block import Block
from generator.processing.serial import ent_digits


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


class Skew(Block):
    """Delays every lane by its number: lane 0 passes, or with ``reverse`` the last one."""

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
        words = parts(self.early, self.width)
        given = self._delayed(m, words[::-1] if self.reverse else words)
        m.d.comb += self.late.eq(Cat(*(given[::-1] if self.reverse else given)))
        return m

    def _delayed(self, m: Module, words: list[Value]) -> list[Value]:
        """One register a stage holds all lanes that still wait."""
        given = [words[0]]
        for stage in range(1, self.lanes):
            held = Signal((self.lanes - stage) * self.width, name=f"stage{stage}", reset_less=True)
            m.d.sync += held.eq(Cat(*words[1:]))
            words = parts(held, self.width)
            given.append(words[0])
        return given
