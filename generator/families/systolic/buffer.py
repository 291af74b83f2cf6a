"""Buffers of partial sums between tiles, and of results until the port takes them."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.families.systolic import SystolicSpec
from blueprint.families.systolic.parameters import BANKS
from generator.arithmetic.integers import one_of, sign_extend
from generator.block import Block, register
from generator.families.systolic.element import added


def number_name(spec: SystolicSpec, partial: int) -> str:
    """Name of the number format of a sum: integer, float, or a narrower float that is widened first."""
    if spec.activation == "int":
        return "int"
    return f"{spec.activation}_{spec.sum_format}" if partial < spec.float_width else str(spec.sum_format)


class ColumnBuffer(Block):
    """Two banks of words: one collects the partial sums of a column, the other gives finished ones away."""

    place = "buffer"
    latency = "1 cycle into a bank, 1 cycle out of it"
    throughput = "one sum in and one result out per cycle"

    def __init__(self, spec: SystolicSpec) -> None:
        self.spec = spec
        width, words = spec.result_width, BANKS * spec.most_tokens
        partial = spec.sum_width(spec.rows)
        many = spec.accumulates
        ports = {
            "partial": In(partial),
            "word": In(words),
            "store": In(1),
            "first": In(many),
            "given": In(words),
            "take": In(1),
            "result": Out(width),
        }
        number = number_name(spec, partial)
        name = f"systolic_buffer_{number}_{partial}_r{width}_w{words}{'_acc' * many}"
        super().__init__(name, ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        width = self.spec.result_width
        words: list[Any] = []
        total: Value = sign_extend(self.partial, width)
        stored = [self.store & line for line in self.word]
        if self.spec.accumulates:
            read = Signal(width, name="so_far")
            start = read & (~self.first).replicate(width)
            total = added(self, self.spec, m, start, self.partial)
        for number, line in enumerate(stored):
            words.append(register(m, width, f"word{number}", line, total))
        if self.spec.accumulates:
            m.d.comb += read.eq(one_of(list(self.word), words))
        given = one_of(list(self.given), words)
        m.d.comb += self.result.eq(register(m, width, "leaving", self.take, given))
        return m


class MemoryColumn(Block):
    """The partial sum of a column beside two memories: reads from one, and shows the other's result.

    A memory is read one cycle ahead; ``forward`` takes the word that was just written instead.
    """

    place = "buffer"
    latency = "0 cycles (combinational)"
    throughput = "one sum per cycle"

    def __init__(self, spec: SystolicSpec) -> None:
        self.spec = spec
        width, partial = spec.result_width, spec.sum_width(spec.rows)
        many = spec.accumulates
        ports = {
            "partial": In(partial),
            "stored": In(ArrayLayout(width, BANKS)),
            "shown": In(1),
            "fill": In(many),
            "first": In(many),
            "forward": In(many),
            "enable_forward": In(many),
            "total": Out(width),
            "result": Out(width),
        }
        number = number_name(spec, partial)
        name = f"systolic_memory_column_{number}_{partial}_r{width}{'_acc' * many}"
        super().__init__(name, ports, clocked=bool(many))

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        width = self.spec.result_width
        stored = self.stored
        m.d.comb += self.result.eq(Mux(self.shown, stored[1], stored[0]))
        if not self.spec.accumulates:
            m.d.comb += self.total.eq(sign_extend(self.partial, width))
            return m
        beside, start = Signal(width, name="beside", reset_less=True), Signal(width, name="start")
        so_far = Mux(self.forward, beside, Mux(self.fill, stored[1], stored[0]))
        m.d.comb += start.eq(so_far & (~self.first).replicate(width))
        total = added(self, self.spec, m, start, self.partial)
        with m.If(self.enable_forward):
            m.d.sync += beside.eq(total)
        m.d.comb += self.total.eq(total)
        return m
