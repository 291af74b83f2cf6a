"""Structured sparsity: selects the activation of a stored weight."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.numbers import clog2
from generator.arithmetic.integers import one_of
from generator.block import Block
from generator.layout import elements


class ActivationSelect(Block):
    """One activation out of a group, by the index stored beside a weight."""

    place = "select"

    def __init__(self, width: int, group: int) -> None:
        self.width, self.group = width, group
        ports = {"entries": In(ArrayLayout(width, group)), "index": In(clog2(group)), "value": Out(width)}
        super().__init__(f"pe_select_g{group}_w{width}", ports, clocked=False)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        lines = [self.index == number for number in range(self.group)]
        m.d.comb += self.value.eq(one_of(lines, elements(self.entries)))
        return m
