"""Rows of elements: identical rows share one module."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.families.systolic import SystolicSpec
from blueprint.numbers import flag
from generator.arithmetic.integers import parts
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
        many, chained = spec.accumulates, flag(spec.rows > 1)
        ports = {
            "act": In(spec.act_bits),
            "weight": In(cols * spec.element_bits),
            "valid": In(many * waves * spec.floats),
            "first": In(many * waves),
            "load": In(waves if spec.waits else 0),
            "move": In(waves if spec.waits else 0),
            "last": In(waves),
            "shift": In(chained),
            "below": In(chained * cols * width),
            "result": Out(cols * width),
        }
        kind = "pass" if spec.skewed else "share"
        super().__init__(f"{self.element.module_name}_row{cols}_{kind}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec, width = self.spec, self.spec.state_width
        acts = self.passed(m, self.act, "act")
        weights = parts(self.weight, spec.element_bits)
        below = parts(self.below, width) or [Const(0, 0)] * spec.cols
        results = []
        for column in range(spec.cols):
            result = Signal(width, name=f"result{column}")
            wave = slice(column, column + 1) if spec.skewed else slice(0, 1)
            self.use(
                m, self.element, f"element{column}", act=acts[column], weight=weights[column], result=result,
                valid=self.valid[wave], first=self.first[wave], load=self.load[wave], move=self.move[wave],
                last=self.last[wave], shift=self.shift, below=below[column],
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
            "weight": In(cols * spec.element_bits),
            "load": In(1),
            "swap": In(cols if spec.most_tokens > 1 else 0),
            "above": In(cols * before),
            "total": Out(cols * after),
        }
        super().__init__(f"{self.element.module_name}_row{cols}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec, element = self.spec, self.element
        acts, loads = self.passed(m, self.act, "act"), self.passed(m, self.load, "load")
        weights = parts(self.weight, spec.element_bits)
        above = [] if element.is_first else parts(self.above, len(self.above) // spec.cols)
        above = above or [Const(0, 0)] * spec.cols
        width, totals = len(self.total) // spec.cols, []
        for column in range(spec.cols):
            total = Signal(width, name=f"total{column}")
            self.use(
                m, element, f"element{column}",
                act=acts[column], weight=weights[column], load=loads[column],
                swap=self.swap[column : column + 1], above=above[column], total=total,
            )  # fmt: skip
            totals.append(total)
        m.d.comb += self.total.eq(Cat(*totals))
        return m
