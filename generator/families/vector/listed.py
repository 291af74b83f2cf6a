"""The rows of a run with the largest sums, and which of them has the largest score."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FP32
from blueprint.families.vector import VectorSpec
from blueprint.numbers import clog2
from generator.block import Block, register
from generator.families.vector.front import of_slot
from generator.families.vector.largest import ordered


class Listed(Block):
    """Keeps the largest sums of the rows so far in places, the largest in front, the first of equals in front.

    A place has the order of its sum, and of all places down to it the largest score with the number of its row. So a
    new row takes one step: from its place on, sums move one place, and a score is the larger of that in front of it and
    the new one. The row of a run with ``top_k`` places is that of the last of them, without a search. A sum of order 0
    does not occur, so it marks a place without a row. ``sum`` is taken when ``joined`` is 1, ``score``, an order, when
    ``enable`` is; ``row`` is that of the last place of the run, with the row that is taken.
    """

    place = "listed"
    latency = "1 cycle"
    throughput = "a row a cycle"

    def __init__(self, spec: VectorSpec) -> None:
        self.spec = spec
        ports = {
            "sum": In(FP32.width),
            "joined": In(1),
            "score": In(FP32.width),
            "number": In(spec.index_bits),
            "first": In(1),
            "enable": In(1),
            "top_k": In(spec.top_bits),
            "row": Out(spec.index_bits),
        }
        super().__init__(f"{spec.family}_listed_i{spec.index_bits}k{spec.top_k}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, wide, count = self.module(), FP32.width, len(self.number)
        order = register(m, wide, "order_held", self.joined, ordered(self.sum))
        above: Value | None = None
        sums: list[Value] = []
        scores: list[Value] = []
        rows: list[Value] = []
        after: list[Value] = []
        for place in range(self.spec.top_k):
            held, best, at = (
                Signal(width, name=f"{name}{place}")
                for name, width in (("sum", wide), ("best", wide), ("at", count))
            )
            here, better = Signal(name=f"here{place}"), Signal(name=f"better{place}")
            m.d.comb += here.eq(self.first | (order > held))
            moved: tuple[Value, Value, Value] = (order, self.score, self.number)
            if above is not None:
                m.d.comb += better.eq(self.first | (self.score > scores[-1]))
                moved = (
                    Mux(above, sums[-1] & ~self.first.replicate(wide), order),
                    Mux(better, self.score, scores[-1]),
                    Mux(better, self.number, rows[-1]),
                )
            load = self.enable & here
            kept = [(held, moved[0]), (at, moved[2])]
            if place < self.spec.top_k - 1:  # nothing is compared with the score of the last place
                kept.append((best, moved[1]))
            for signal, value in kept:
                m.d.comb += signal.eq(register(m, len(signal), f"{signal.name}_held", load, value))
            sums.append(held)
            scores.append(best)
            rows.append(at)
            after.append(Mux(here, moved[2], at))
            above = here
        last = (self.top_k - 2)[: clog2(self.spec.top_k)]
        m.d.comb += self.row.eq(of_slot(last, after))
        return m
