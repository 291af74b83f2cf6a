"""The reductions of a row: its sum of squares, or of products, and its largest magnitude."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FP32
from blueprint.families.vector import VectorSpec
from generator.arithmetic.floating import FloatAdd
from generator.block import register
from generator.families.vector.front import FloatUser, of_slot
from generator.layout import elements


class Sums(FloatUser):
    """Reduces the lanes of a beat by neighbors, a level a cycle, then beat by beat, and keeps what a row gave.

    Numbers that are never negative have no sign. Sums have one if they may be sums of products with gains.
    """

    place = "sums"

    def __init__(self, spec: VectorSpec) -> None:
        self.spec = spec
        self.latency = f"{spec.levels + 1} cycles"
        narrow = spec.width - 1
        ports = {
            "square": In(ArrayLayout(narrow + spec.dotted, spec.lanes)),
            "magnitude": In(ArrayLayout(narrow, spec.lanes)),
            "enable": In(1),
            "first": In(1),
            "last": In(1),
            "write_slot": In(spec.slot_bits),
            "read_slot": In(spec.slot_bits),
            "out_slot": In(spec.slot_bits * spec.dotted),
            "sum": Out(spec.sum_bits),
            "largest": Out(narrow),
            "dot": Out(spec.sum_bits * spec.dotted),
        }
        size = f"l{spec.lanes}k{spec.rows_kept}" + "_signed" * spec.dots
        super().__init__(f"{spec.family}_sums_{spec.inside.name}_{size}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, narrow, wide = self.module(), self.spec.width - 1, self.spec.sum_bits
        square, largest = self._reduced(m)
        running, so_far = Signal(wide, name="running"), Signal(narrow, name="so_far")
        total = self._sum(m, "total", running & ~self.first.replicate(wide), square)
        peak = self._larger(m, "peak", so_far & ~self.first.replicate(narrow), largest)
        m.d.comb += running.eq(register(m, wide, "running_held", self.enable, total))
        m.d.comb += so_far.eq(register(m, narrow, "so_far_held", self.enable, peak))
        rows = range(self.spec.rows_kept)
        enter = [self.last & (self.write_slot == slot) for slot in rows]
        kept = [register(m, wide, f"sum{slot}", enter[slot], total) for slot in rows]
        peaks = [register(m, narrow, f"largest{slot}", enter[slot], peak) for slot in rows]
        m.d.comb += [
            self.sum.eq(of_slot(self.read_slot, kept)),
            self.largest.eq(of_slot(self.read_slot, peaks)),
        ]
        if self.spec.dots:
            m.d.comb += self.dot.eq(of_slot(self.out_slot, kept))
        return m

    def _reduced(self, m: Module) -> tuple[Value, Value]:
        squares, peaks = elements(self.square), elements(self.magnitude)
        level = 0
        while len(squares) > 1:
            squares = self._level(m, squares, f"sum{level}_", self._sum)
            peaks = self._level(m, peaks, f"largest{level}_", self._larger)
            level += 1
        return squares[0], peaks[0]

    def _level(self, m: Module, words: list[Value], name: str, join: Any) -> list[Value]:
        """Neighbors joined, one cycle later; an odd word waits as long."""
        found = [join(m, f"{name}{at}", words[at], words[at + 1]) for at in range(0, len(words) - 1, 2)]
        found += words[len(words) & ~1 :]
        return [self.later(m, f"{name}held{at}", word) for at, word in enumerate(found)]

    def _sum(self, m: Module, name: str, a: Value, b: Value) -> Value:
        """The FP32 sum of two numbers that may have fewer fraction bits, and no sign."""
        bits = self.spec.sum_bits
        positive = Const(0, FP32.width - bits)
        wide = [Cat(Const(0, bits - len(word)), word, positive) for word in (a, b)]
        return self.result(m, FloatAdd(FP32, flush=True), name, a=wide[0], b=wide[1])[:bits]

    def _larger(self, m: Module, name: str, a: Value, b: Value) -> Value:
        found = Signal(len(a), name=name)
        m.d.comb += found.eq(Mux(a > b, a, b))
        return found
