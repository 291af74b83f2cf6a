"""Base of the modules that stand alone behind AXI ports: an accelerator, and a whole system."""

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal
from amaranth.lib.wiring import In

from blueprint import axi
from generator.block import Block


class AxiTop(Block):
    """A block with the clock and the active-low reset of AXI in front of its ports."""

    def __init__(self, name: str, ports: dict[str, Any]) -> None:
        super().__init__(name, {axi.CLOCK: In(1), axi.RESET: In(1)} | ports, clocked=False)

    def module(self) -> Module:
        """A module whose clock domain is that of AXI."""
        m = Module()
        m.domains.sync = ClockDomain("sync")
        m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(~self.aresetn)]
        return m
