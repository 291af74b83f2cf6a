"""Rows of elements: identical rows share one module."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.families.systolic import SystolicSpec
from blueprint.numbers import flag
from generator.block import Block
from generator.cells.skew import delay_line
from generator.families.systolic.element import StationaryElement, SummingElement, handed_on


class Row(Block):
    """Base of both kinds of rows."""

    place = "edge"
    spec: SystolicSpec

    def passed(self, m: Module, word: Value, name: str) -> list[Value]:
        """The operand at every element of a row, for an operand that enters at column 0."""
        if not self.spec.skewed:
            return [word] * self.spec.cols
        return delay_line(m, word, self.spec.cols - 1, name, first=1)


class SummingRow(Row):
    """Elements that share activations; their results leave upwards."""

    throughput = "one beat per cycle"

    def __init__(self, spec: SystolicSpec) -> None:
        self.spec, self.element = spec, SummingElement(spec)
        self.latency = f"{spec.stages - spec.rows + 1 if spec.skewed else spec.stages} cycles"
        cols, width = spec.cols, spec.state_width
        waves = cols if spec.skewed else 1
        many, chained = spec.holds_sums, flag(spec.rows > 1)
        ports = {
            "act": In(spec.act_bits),
            "weight": In(ArrayLayout(spec.element_bits, cols)),
            "valid": In(many * waves * spec.floats),
            "first": In(many * waves),
            "load": In(waves if spec.waits else 0),
            "move": In(waves if spec.waits else 0),
            "last": In(waves),
            "shift": In(chained),
            "below": In(ArrayLayout(chained * width, cols)),
            "result": Out(ArrayLayout(width, cols)),
        }
        kind = "pass" if spec.skewed else "share"
        super().__init__(f"{self.element.module_name}_row{cols}_{kind}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, spec = self.module(), self.spec
        acts, results = self.passed(m, self.act, "act"), []
        for column in range(spec.cols):
            result = Signal(spec.state_width, name=f"result{column}")
            wave = slice(column, column + 1) if spec.skewed else slice(0, 1)
            self.use(
                m, self.element, f"element{column}", act=acts[column], weight=self.weight[column], result=result,
                valid=self.valid[wave], first=self.first[wave], load=self.load[wave], move=self.move[wave],
                last=self.last[wave], shift=self.shift, below=self.below[column],
            )  # fmt: skip
            results.append(result)
        m.d.comb += self.result.eq(Cat(*results))
        return m


class StationaryRow(Row):
    """Elements that share activations and hand partial sums to the row below."""

    throughput = "one token per cycle"

    def __init__(self, spec: SystolicSpec, row: int) -> None:
        self.spec, self.element = spec, StationaryElement(spec, row)
        self.latency = f"{spec.cols + spec.product_register} cycles"
        cols = spec.cols
        before, after = handed_on(spec, row), handed_on(spec, row + 1)
        ports = {
            "act": In(spec.act_bits),
            "weight": In(ArrayLayout(spec.element_bits, cols)),
            "load": In(1),
            "swap": In(cols if spec.most_tokens > 1 else 0),
            "above": In(ArrayLayout(before, cols)),
            "total": Out(ArrayLayout(after, cols)),
        }
        super().__init__(f"{self.element.module_name}_row{cols}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, cols = self.module(), self.spec.cols
        acts, loads = self.passed(m, self.act, "act"), self.passed(m, self.load, "load")
        totals = []
        for column in range(cols):
            total = Signal(self.total.shape().elem_shape, name=f"total{column}")
            self.use(
                m, self.element, f"element{column}",
                act=acts[column], weight=self.weight[column], load=loads[column],
                swap=self.swap[column : column + 1], above=self.above[column], total=total,
            )  # fmt: skip
            totals.append(total)
        m.d.comb += self.total.eq(Cat(*totals))
        return m
