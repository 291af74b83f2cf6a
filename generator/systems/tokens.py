"""Counted tokens: how units of a system wait for each other."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.numbers import bit_length
from blueprint.systems.instructions import TOKENS_MOST, UNITS, tokens_most
from generator.block import Block


def pairs(units: Sequence[str]) -> ArrayLayout:
    """One line for each ordered pair of units: of the unit that the first number names, toward the other."""
    return ArrayLayout(len(units), len(units))


class Tokens(Block):
    """Count the tokens of every ordered pair of units.

    Guarantees: a given token can be taken from the next cycle on; one given while another of the pair is taken leaves
    the count as it is.
    Does not: refuse anything; the taker checks ``there`` and the giver ``room``, each by its own number and then that
    of the other unit.
    """

    place = "tokens"
    latency = "1 cycle"

    def __init__(self, name: str, units: Sequence[str] = UNITS) -> None:
        self.units, lines = units, pairs(units)
        ports = {"takes": In(lines), "gives": In(lines), "there": Out(lines), "room": Out(lines)}
        super().__init__(name, ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m, count = self.module(), len(self.units)
        there: list[Any] = [None] * count**2
        room: list[Any] = [None] * count**2
        for giver in range(count):
            for taker in range(count):
                tokens = Signal(bit_length(TOKENS_MOST), name=f"tokens_{giver}_{taker}")
                gives, takes = self.gives[giver][taker], self.takes[taker][giver]
                with m.If(gives & ~takes):
                    m.d.sync += tokens.eq(tokens + 1)
                with m.Elif(~gives & takes):
                    m.d.sync += tokens.eq(tokens - 1)
                there[taker * count + giver], room[giver * count + taker] = (
                    tokens != 0,
                    tokens < tokens_most(self.units[giver]),
                )
        m.d.comb += [self.there.eq(Cat(*there)), self.room.eq(Cat(*room))]
        return m
