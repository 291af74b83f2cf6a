"""Netlists of wide words are Amaranth's own, and so are its errors."""

import subprocess
import sys
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import C, Cat, ClockDomain, Elaboratable, Instance, Module, Mux, Signal
from amaranth.hdl._ir import DriverConflict, PortDirection
from amaranth.hdl._nir import CombinationalCycle

from generator import netlist

#: Prints the RTLIL of every block below as Amaranth alone makes it: nothing of ours is imported.
THEIRS = """
import importlib.util, sys
sys.modules["generator"] = sys.modules["generator.netlist"] = type(sys)("generator")
sys.modules["generator"].netlist = None
spec = importlib.util.spec_from_file_location("here", {file!r})
here = importlib.util.module_from_spec(spec)
spec.loader.exec_module(here)
for block in here.BLOCKS:
    print(here.text(block))
"""


class Words(Elaboratable):
    """Slices, constants, registers, undriven bits, a part driven by an instance, and a copy of an input."""

    def __init__(self) -> None:
        self.a, self.b, self.out = Signal(40), Signal(40), Signal(90)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = ClockDomain("sync", reset_less=True)
        held, made, part = Signal(40), Signal(33), Signal(12)
        m.submodules.one = Instance("leaf", i_a=Cat(self.b[3:30], C(5, 3), self.a), o_y=Cat(made, part[2:9]))
        m.submodules.two = Instance("$pos", p_A_WIDTH=5, p_Y_WIDTH=5, i_A=held[:5], o_Y=Signal(5, name="y"))
        with m.If(self.a[0] & ~made[4]):
            m.d.sync += held.eq(self.a + self.b)
        m.d.comb += self.out.eq(Cat(held[8:], Mux(made[0], part, self.b), 1, made[::-1]))
        return m


class Chain(Elaboratable):
    """A ripple through one word: its cell depends on itself, its bits do not."""

    def __init__(self) -> None:
        self.a, self.out = Signal(8), Signal(8)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.out.eq(self.a ^ Cat(1, self.out[:-1]))
        return m


class Loop(Elaboratable):
    """Two bits that depend on each other, with a gate between them or without."""

    def __init__(self, gate: bool) -> None:
        self.gate = gate

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        x, y = Signal(name="x"), Signal(name="y")
        m.d.comb += [x.eq(~y if self.gate else y), y.eq(x)]
        return m


class Twice(Elaboratable):
    """A bit that two instances drive."""

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        shared = Signal(4, name="shared")
        m.submodules.one = Instance("leaf", o_y=shared)
        m.submodules.two = Instance("leaf", o_y=shared[2:])
        return m


BLOCKS = (Words, Chain)


def text(block: Any) -> str:
    made = block()
    ways = {"a": PortDirection.Input, "b": PortDirection.Input, "out": PortDirection.Output}
    ports = {name: (getattr(made, name), way) for name, way in ways.items() if hasattr(made, name)}
    return str(rtlil.convert(made, name="block", ports=ports, emit_src=False))


def test_text_is_amaranths_own() -> None:
    code = THEIRS.format(file=__file__)
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert netlist.undisturbed and "".join(f"{text(block)}\n" for block in BLOCKS) == theirs


@pytest.mark.parametrize("gate", [True, False])
def test_a_loop_is_refused(gate: bool) -> None:
    with pytest.raises(CombinationalCycle, match=r"(?s)Combinational cycle detected.*signal x bit 0"):
        rtlil.convert(Loop(gate), name="block", ports={})


def test_a_bit_with_two_drivers_is_named() -> None:
    with pytest.raises(DriverConflict, match=r"Bit 2 of signal \(sig shared\) has multiple drivers"):
        rtlil.convert(Twice(), name="block", ports={})
