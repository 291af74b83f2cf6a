"""The row of a run with the largest sum."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FP32
from blueprint.families.vector import VectorSpec
from generator.block import Block, register
from generator.families.vector.front import of_slot


def ordered(number: Value) -> Value:
    """Unsigned numbers in the order of floats: negative ones are inverted, the others get their top bit set."""
    negative = number[-1]
    return number ^ negative.replicate(len(number)) ^ ((~negative) << len(number) - 1)


class Largest(Block):
    """Keeps the largest sum of the rows so far and the number of its row, the first of equals.

    Patterns of non-negative FP32 numbers have the order of the numbers. Negative ones are inverted bit by bit and
    ordered below them. NaN, which an adder gives with a positive sign, is larger than infinity. Where ``among`` is 1
    the row ``listed`` is kept instead.
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
            "among": In(spec.listed),
            "listed": In(spec.listed * spec.index_bits),
            "ranked": Out(spec.listed * FP32.width),
            "index": Out(spec.index_bits),
        }
        name = f"{spec.family}_largest_i{spec.index_bits}k{spec.rows_kept}{'_listed' if spec.top_k else ''}"
        super().__init__(name, ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, width = self.module(), FP32.width
        order, best = Signal(width, name="order"), Signal(width, name="best")
        m.d.comb += order.eq(ordered(self.sum))
        better, row = Signal(name="better"), Signal(self.spec.index_bits, name="row")
        at = Signal(self.spec.index_bits, name="at")
        m.d.comb += [better.eq(self.first | (order > best)), row.eq(Mux(better, self.number, at))]
        m.d.comb += [
            best.eq(register(m, width, "best_held", self.enable & better, order)),
            at.eq(register(m, len(row), "row_held", self.enable, row)),
        ]
        chosen: Value = row
        if self.spec.top_k:
            m.d.comb += self.ranked.eq(order)
            chosen = Mux(self.among, self.listed, row)
        kept = [
            register(m, len(row), f"index{slot}", self.enable & (self.slot == slot), chosen)
            for slot in range(self.spec.rows_kept)
        ]
        m.d.comb += self.index.eq(of_slot(self.read_slot, kept))
        return m
