"""The row of a run with the largest sum."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FP32
from blueprint.families.vector import VectorSpec
from generator.block import Block, register
from generator.families.vector.front import of_slot


class Largest(Block):
    """Keeps the largest sum of the rows so far and the number of its row, the first of equals.

    Patterns of non-negative FP32 numbers have the order of the numbers. Negative ones are inverted bit by bit and
    ordered below them. NaN, which an adder gives with a positive sign, is larger than infinity.
    """

    place = "largest"
    latency = "1 cycle"
    throughput = "a row a cycle"

    def __init__(self, spec: VectorSpec) -> None:
        self.spec = spec
        ports = {
            "sum": In(FP32.width),
            "number": In(spec.index_bits),
            "first": In(1),
            "enable": In(1),
            "slot": In(spec.slot_bits),
            "read_slot": In(spec.slot_bits),
            "index": Out(spec.index_bits),
        }
        name = f"{spec.family}_largest_i{spec.index_bits}k{spec.rows_kept}"
        super().__init__(name, ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, width = self.module(), FP32.width
        order, best = Signal(width, name="order"), Signal(width, name="best")
        negative = self.sum[-1]
        # Unsigned numbers in the order of the floats: negative ones are inverted, the others get their top bit set.
        m.d.comb += order.eq(self.sum ^ negative.replicate(width) ^ ((~negative) << width - 1))
        better, row = Signal(name="better"), Signal(self.spec.index_bits, name="row")
        at = Signal(self.spec.index_bits, name="at")
        m.d.comb += [better.eq(self.first | (order > best)), row.eq(Mux(better, self.number, at))]
        m.d.comb += [
            best.eq(register(m, width, "best_held", self.enable & better, order)),
            at.eq(register(m, len(row), "row_held", self.enable, row)),
        ]
        kept = [
            register(m, len(row), f"index{slot}", self.enable & (self.slot == slot), row)
            for slot in range(self.spec.rows_kept)
        ]
        m.d.comb += self.index.eq(of_slot(self.read_slot, kept))
        return m
