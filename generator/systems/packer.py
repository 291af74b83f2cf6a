"""Words to beats and beats to words, packed without gaps."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.numbers import bit_length
from blueprint.systems.dma import Dma
from generator.block import Block
from generator.layout import bits, elements


def shifted(m: Module, value: Value, places: Value, unit: int, name: str, *, up: bool) -> Value:
    """``value`` shifted by ``places`` units, zeros shifted in, its width kept: one level of multiplexers a bit."""
    width = len(value)
    for level, bit in enumerate(places):
        step = min(unit << level, width)
        moved = Cat(Const(0, step), value[: width - step]) if up else Cat(value[step:], Const(0, step))
        chosen = Signal(width, name=f"{name}{level}")
        m.d.comb += chosen.eq(Mux(bit, moved, value))
        value = chosen
    return value


class Packer(Block):
    """Hold the units between memory words and beats of the stream, lowest first.

    Guarantees: units leave in the order in which they entered; units beyond those held are zero; one word or beat
    enters and one leaves in a cycle; after a ``final`` one nothing enters until it was cleared.
    Does not: check that as many units are held as a ``take`` takes; fewer are taken then.

    Of a reader's word the units from ``first`` to ``last`` enter and a beat leaves; of a writer a beat enters and
    ``count`` units leave. A ``take`` that ``clears`` drops the rest.
    """

    place = "packer"
    latency = "1 cycle"
    throughput = "one word or beat per cycle, the wider of both"

    def __init__(self, dma: Dma) -> None:
        self.dma = dma
        word, beat = dma.word_units, dma.beat_units
        self.enters, self.leaves = (word, beat) if dma.reads else (beat, word)
        ports = {
            "offered": In(1),
            "entering": In(ArrayLayout(dma.unit_bits, self.enters)),
            "first": In(dma.lane_width * dma.reads),
            "last": In(dma.lane_width * dma.reads),
            "final": In(1),
            "accepts": Out(1),
            "take": In(1),
            "count": In(bit_length(word) * (1 - dma.reads)),
            "clears": In(1),
            "front": Out(self.leaves * dma.unit_bits),
            "holds": Out(bit_length(dma.held_units)),
            "ends": Out(1),
        }
        super().__init__(f"{dma.name}_packer", ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m, dma = self.module(), self.dma
        buffer = Signal(dma.held_units * dma.unit_bits, name="buffer")
        held, ending = Signal(bit_length(dma.held_units), name="held"), Signal(name="ending")
        rest, enter = Signal(len(held), name="rest"), Signal(name="enter")
        count = Const(dma.beat_units, len(held)) if dma.reads else self.count
        all_fit = dma.reads and dma.held_units <= dma.beat_units
        few = Const(1, 1) if all_fit else held <= count
        less = Mux(self.clears | few, 0, held - count)
        m.d.comb += [
            rest.eq(Mux(self.take, less, held)),
            self.accepts.eq((~ending | (self.take & self.clears)) & (rest < self.leaves)),
            enter.eq(self.offered & self.accepts),
            self.front.eq(buffer[: len(self.front)]),
            self.holds.eq(held),
            self.ends.eq(ending),
        ]
        kept = self._kept(m, buffer, count)
        units, number = self._entering(m)
        wide = Cat(units, Const(0, len(buffer) - len(units)))
        placed = shifted(m, wide, rest, dma.unit_bits, "placed", up=True)
        with m.If(enter):
            m.d.sync += [buffer.eq(kept | placed), held.eq(rest + number), ending.eq(self.final)]
        with m.Elif(self.take):
            m.d.sync += [buffer.eq(kept), held.eq(rest)]
            with m.If(self.clears):
                m.d.sync += ending.eq(0)
        return m

    def _kept(self, m: Module, buffer: Value, count: Value) -> Value:
        """The units that stay in the buffer."""
        dma = self.dma
        if dma.reads:
            step = dma.beat_units * dma.unit_bits
            left: Value = Cat(buffer[step:], Const(0, step))
        else:
            left = shifted(m, buffer, count, dma.unit_bits, "left", up=False)
        left = left & (~self.clears).replicate(len(left))
        return Mux(self.take, left, buffer)

    def _entering(self, m: Module) -> tuple[Value, Value]:
        """The units that enter, from the lowest place on, and their number."""
        dma = self.dma
        if not dma.reads:
            return bits(self.entering), Const(self.enters, bit_length(self.enters))
        lanes = elements(self.entering)
        inside = [lane & self._inside(i).replicate(len(lane)) for i, lane in enumerate(lanes)]
        units = shifted(m, Cat(*inside), self.first, dma.unit_bits, "aligned", up=False)
        return units, (self.last - self.first + 1)[: bit_length(dma.word_units)]

    def _inside(self, lane: int) -> Value:
        """1 if the row has the lane; the ends of a word need one comparison or none."""
        after = [self.first <= lane] if lane < self.enters - 1 else []
        before = [self.last >= lane] if lane else []
        return Cat(*after, *before).all() if self.enters > 1 else Const(1, 1)
