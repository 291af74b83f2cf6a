"""The datapath of a popcount core: an activation register and the columns."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal

from blueprint.families.binary_popcount import BinaryPopcountSpec
from generator.accelerator import Accelerator
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
        act, wgt, out = self.s_axis_act, self.s_axis_wgt, self.m_axis_out
        control = self.sequence(m, Control(spec), act=act, wgt=wgt, out=out)
        activation = register(m, spec.lanes, "tile", control.enable_tile, act.beat.activation)
        results = []
        for number in range(spec.cols):
            results.append(Signal(spec.result_width, name=f"result{number}"))
            self.use(
                m, column, f"column{number}", activation=activation, weight=wgt.beat.weight[number],
                threshold=wgt.beat.threshold[number] if spec.compares else Const(0, 0), first=control.first,
                enable_count=control.enable_count, enable_result=control.enable_result, result=results[-1],
            )  # fmt: skip
        m.d.comb += out.tdata.eq(Cat(*results))
        return m
