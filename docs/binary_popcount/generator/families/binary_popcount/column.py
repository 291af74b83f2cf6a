"""One output column: XNOR, popcount, accumulation, threshold."""

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.families.binary_popcount import BinaryPopcountSpec
from generator.block import Block, register


class Column(Block):
    """Counts the matches of a beat, adds them to those of the beats before, and holds the result of the last beat."""

    place = "column"
    latency = "1 cycle to the count or the result"

    def __init__(self, spec: BinaryPopcountSpec) -> None:
        self.spec = spec
        accumulates = spec.accumulates
        ports = {
            "activation": In(spec.lanes),
            "weight": In(spec.lanes),
            "threshold": In(spec.threshold_width),
            "first": In(accumulates),
            "enable_count": In(accumulates),
            "enable_result": In(1),
            "result": Out(spec.result_width),
        }
        form = f"l{spec.lanes}w{spec.count_width}_{spec.result}" + "_acc" * accumulates
        super().__init__(f"{spec.family}_column_{form}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        spec, m = self.spec, self.module()
        width = spec.count_width
        total = Signal(width, name="total")
        matches = _popcount(m, list(~(self.activation ^ self.weight)))
        if spec.accumulates:
            count = register(m, width, "count", self.enable_count, total)
            m.d.comb += total.eq(matches + (count & ~self.first.replicate(width)))
        else:
            m.d.comb += total.eq(matches)
        found = total >= self.threshold if spec.compares else total
        held = register(m, spec.result_width, "held_result", self.enable_result, found)
        m.d.comb += self.result.eq(held)
        return m


def _popcount(m: Module, words: list[Value]) -> Value:
    """The sum of some bits, added pairwise."""
    level = 0
    while len(words) > 1:
        sums = []
        for number, (one, other) in enumerate(zip(words[::2], words[1::2], strict=False)):
            total = Signal(level + 2, name=f"sum{level}_{number}")
            m.d.comb += total.eq(one + other)
            sums.append(total)
        words = sums + words[len(words) & ~1 :]
        level += 1
    return words[0]
