"""Blocks as one design for Amaranth's simulator: what a block uses is inside it, instead of an instance of a module."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from amaranth.hdl import ClockDomain, Module
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator

from generator.block import Block
from generator.cells.memory import Sram


def _module(block: Block) -> Module:
    """A module in the clock domain of the simulation."""
    return Module()


def _use(owner: Block, m: Module, block: Block, name: str, **connections: Any) -> None:
    """The block itself in the place of its instance."""
    m.submodules[name] = block
    for port, member in block.ports.items():
        if port in connections:
            for pin, outside in block.connected(port, member, connections[port]):
                flow, inside = block.pins[pin]
                m.d.comb += inside.eq(outside) if flow.name == "In" else outside.eq(inside)


def _sram(sram: Sram, platform: Any) -> Module:
    """The memory of ``rtl_templates/sram.v.j2``, filled with ones where nothing was written."""
    m = Module()
    m.submodules.words = words = Memory(
        shape=sram.width, depth=sram.words, init=[(1 << sram.width) - 1] * sram.words
    )
    write, read = words.write_port(), words.read_port()
    m.d.comb += [
        write.en.eq(sram.write), write.addr.eq(sram.write_address), write.data.eq(sram.write_data),
        read.en.eq(sram.read), read.addr.eq(sram.read_address), sram.read_data.eq(read.data),
    ]  # fmt: skip
    return m


@contextmanager
def flat() -> Iterator[None]:
    """Inside, blocks are elaborated with all that they use."""
    with (
        mock.patch.object(Block, "module", _module),
        mock.patch.object(Block, "use", _use),
        mock.patch.object(Sram, "elaborate", _sram, create=True),
    ):
        yield


def play(design: Any, story: Callable[[Any], Awaitable[None]]) -> None:
    """Simulate ``design`` with a testbench; a tick is a rising edge of its clock."""
    top = Module()
    top.domains.sync = ClockDomain()
    top.submodules.design = design
    with flat():
        simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(story)
    simulator.run()
