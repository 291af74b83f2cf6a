"""The reductions of a row: its sums of squares, or of products, and its largest magnitude."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FP32
from blueprint.families.vector import VectorSpec
from blueprint.numbers import clog2
from generator.arithmetic.floating import FloatAdd
from generator.block import register
from generator.families.vector.front import FloatUser, of_slot
from generator.layout import elements


class Sums(FloatUser):
    """Reduces the lanes of a beat by neighbors, then beat by beat, and keeps what a row gave.

    Numbers that are never negative have no sign. Sums have one if they may be sums of products with gains. An adder
    with registers inside adds beat after beat to one sum after the other, so that each is there when it is needed.
    """

    place = "sums"

    def __init__(self, spec: VectorSpec) -> None:
        self.spec = spec
        self.latency = f"{spec.levels * spec.parts + spec.adder_stages + 1} cycles"
        narrow, part = spec.width - 1, clog2(spec.parts)
        ports = {
            "square": In(ArrayLayout(narrow + spec.dotted, spec.lanes)),
            "magnitude": In(ArrayLayout(narrow, spec.lanes)),
            "enable": In(1),
            "first": In(1),
            "last": In(1),
            "entering": In(part),
            "opens": In(spec.parted),
            "part": In(part),
            "write_slot": In(spec.slot_bits),
            "read_slot": In(spec.slot_bits),
            "out_slot": In(spec.slot_bits * spec.dotted * (1 - spec.parted)),
            "sum": Out(ArrayLayout(spec.sum_bits, spec.parts)),
            "largest": Out(narrow),
            "dot": Out(spec.sum_bits * spec.dotted * (1 - spec.parted)),
        }
        size = f"l{spec.lanes}k{spec.rows_kept}" + "_signed" * spec.dots
        size += f"_s{spec.adder_stages}" * spec.parted + spec.product_form
        super().__init__(f"{spec.family}_sums_{spec.inside.name}_{size}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, spec = self.module(), self.spec
        narrow, wide = spec.width - 1, spec.sum_bits
        square, largest = self._reduced(m)
        running = [
            Signal(wide, name=f"running{part}" if spec.adder_stages else "running")
            for part in range(spec.parts)
        ]
        so_far = Signal(narrow, name="so_far")
        before, opens = (
            (of_slot(self.entering, running), self.opens) if spec.adder_stages else (running[0], self.first)
        )
        total = self._sum(m, "total", before & ~opens.replicate(wide), square)
        for stage in range(spec.adder_stages):
            largest = self.later(m, f"largest_beside{stage}", largest)
        peak = self._larger(m, "peak", so_far & ~self.first.replicate(narrow), largest)
        for part, held in enumerate(running):
            here = self.enable & (self.part == part) if spec.adder_stages else self.enable
            m.d.comb += held.eq(register(m, wide, held.name.replace("running", "running_held"), here, total))
        m.d.comb += so_far.eq(register(m, narrow, "so_far_held", self.enable, peak))
        kept = self._parts(m, total) if spec.adder_stages else self._totals(m, total)
        peaks = [
            register(m, narrow, f"largest{slot}", self.last & (self.write_slot == slot), peak)
            for slot in range(spec.rows_kept)
        ]
        m.d.comb += [
            self.sum.eq(of_slot(self.read_slot, kept)),
            self.largest.eq(of_slot(self.read_slot, peaks)),
        ]
        if spec.dots and not spec.adder_stages:
            m.d.comb += self.dot.eq(of_slot(self.out_slot, kept))
        return m

    def _totals(self, m: Module, total: Value) -> list[Value]:
        """The sum of every row of the buffer."""
        return [
            register(m, len(total), f"sum{slot}", self.last & (self.write_slot == slot), total)
            for slot in range(self.spec.rows_kept)
        ]

    def _parts(self, m: Module, total: Value) -> list[Value]:
        """The sums of every row of the buffer, side by side; a beat is added to the one whose turn it is."""
        found, others = [], total & ~self.first.replicate(len(total))
        for slot in range(self.spec.rows_kept):
            here = self.enable & (self.write_slot == slot)
            words = [register(m, len(total), f"sum{slot}_0", here & (self.part == 0), total)]
            for part in range(1, self.spec.parts):
                # The first beat of a row belongs to part 0 and clears the other parts: they may get no beat.
                enable = here & (self.first | (self.part == part))
                words.append(register(m, len(total), f"sum{slot}_{part}", enable, others))
            found.append(Cat(*words))
        return found

    def _reduced(self, m: Module) -> tuple[Value, Value]:
        squares, peaks = elements(self.square), elements(self.magnitude)
        level = 0
        while len(squares) > 1:
            squares = self._level(m, squares, f"sum{level}_", self._sum)
            peaks = self._level(m, peaks, f"largest{level}_", self._larger)
            level += 1
        return squares[0], peaks[0]

    def _level(self, m: Module, words: list[Value], name: str, join: Any) -> list[Value]:
        """Neighbors joined, as many cycles later as an addition takes; an odd word waits as long."""
        found = [join(m, f"{name}{at}", words[at], words[at + 1]) for at in range(0, len(words) - 1, 2)]
        waiting = [*(found if join == self._larger else []), *words[len(words) & ~1 :]]
        for stage in range(self.spec.adder_stages):
            waiting = [self.later(m, f"{name}beside{stage}_{at}", word) for at, word in enumerate(waiting)]
        found = [*(found if join == self._sum else []), *waiting]
        return [self.later(m, f"{name}held{at}", word) for at, word in enumerate(found)]

    def _sum(self, m: Module, name: str, a: Value, b: Value) -> Value:
        """The FP32 sum of two numbers that may have fewer fraction bits, and no sign."""
        bits, stages = self.spec.sum_bits, self.spec.adder_stages
        if stages:
            short, quick = min(bits - len(word) for word in (a, b)), self.spec.product_stages > 0
            block = FloatAdd(
                FP32, flush=True, stages=stages, unsigned=not self.spec.dots, short=short, quick=quick
            )
            whole = [Cat(Const(0, bits - short - len(word)), word) for word in (a, b)]
            return self.result(m, block, name, a=whole[0], b=whole[1], enable=Const(1, 1))
        positive = Const(0, FP32.width - bits)
        wide = [Cat(Const(0, bits - len(word)), word, positive) for word in (a, b)]
        return self.result(m, FloatAdd(FP32, flush=True), name, a=wide[0], b=wide[1])[:bits]

    def _larger(self, m: Module, name: str, a: Value, b: Value) -> Value:
        found = Signal(len(a), name=name)
        m.d.comb += found.eq(Mux(a > b, a, b))
        return found
