"""The datapath of a popcount core: an activation register and the columns."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal

from blueprint.families.binary_popcount import BinaryPopcountSpec
from generator.accelerator import Accelerator
from generator.arithmetic.integers import parts
from generator.block import register
from generator.families.binary_popcount.column import Column
from generator.families.binary_popcount.control import Control


class BinaryPopcount(Accelerator):
    """Counts matches of activations with weights, bit by bit, and compares them with thresholds."""

    place = "tile"
    latency = "2 cycles from a weight beat and its activations to a result"

    def __init__(self, spec: BinaryPopcountSpec) -> None:
        self.throughput = f"one weight beat per cycle, {spec.peak_macs} multiply-accumulates"
        super().__init__(spec)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec, column = self.spec, Column(self.spec)
        self.sequence(m, Control(spec))
        activation = register(m, spec.lanes, "tile", self.wires["enable_tile"], self.data("act"))
        fields = {
            field.name: parts(self.s_axis_wgt_tdata[field.span], field.bits // spec.cols)
            for field in spec.stream("wgt").fields
        }
        control = {name: wire for name, wire in self.wires.items() if name in column.ports}
        results = []
        for number in range(spec.cols):
            pins = {name: words[number] for name, words in fields.items()}
            results.append(Signal(int(spec.result_width), name=f"result{number}"))
            pins |= {"activation": activation, "result": results[-1]}
            self.use(m, column, f"column{number}", **pins, **control)
        m.d.comb += self.m_axis_out_tdata.eq(Cat(*results))
        return m
