"""Nodes after the weights: sums of values, and division."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FloatFormat
from blueprint.arithmetic.softmax.arithmetic import (
    OUTPUT_MULTIPLIER_BITS,
    OUTPUT_SHIFT_BITS,
    VALUE_WHOLE,
)
from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.families.streaming_attention.inventory import halves
from blueprint.numbers import flag
from generator.arithmetic.softmax import (
    Normalize,
    Product,
    ShortNormalize,
    ShortProduct,
    SumValues,
    TurnSum,
    skewed,
)
from generator.block import Block, register
from generator.families.streaming_attention.node import (
    ONE,
    LaneBlock,
    NodeBlock,
    delayed,
    ending_ports,
    finished,
    finisher,
)
from generator.families.streaming_attention.turns import take_turns
from generator.layout import bits, elements


class OutputLane(Block):
    """Sums of the values of one row, each times its weight."""

    place = "output"
    throughput = "one token per cycle"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a = self.arithmetic = spec.softmax
        self.spec = spec
        self.inside = spec.product_stages if spec.short else 0
        self.after = 0 if spec.short else halves(spec.product_stages)[0]
        self.dim, self.finishes = spec.dim, a.divides_first > 0
        gains = 1 if self.finishes and spec.has_gains else 0
        self.element_width = spec.element_width
        # What moves a running sum, or partial sums that take turns.
        self.turns = spec.sum_stages > 0
        self.moved_by = ("moves", "alive", "keep", "ends") if self.turns else ("begin", "enable")
        ports = {
            **dict.fromkeys(self.moved_by, In(1)),
            "sees": In(flag(spec.visible_bits > 0) * (not self.turns)),
            "weight": In(a.p_word),
            "shift": In(a.shift_width if a.rescales else 0),
            "value": In(ArrayLayout(self.element_width, spec.dim)),
            "gain": In(gains * OUTPUT_MULTIPLIER_BITS),
            "down": In(gains * OUTPUT_SHIFT_BITS),
            "result": Out(ArrayLayout(a.out_width if self.finishes else a.o_word, spec.dim)),
            "clipped": Out(gains * spec.dim),
        }
        self.latency = f"{1 + self.inside + self.after + self.finishes * spec.finish_cuts} cycles"
        super().__init__(f"{spec.family}_output_lane_{spec.design_hash}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        finish = finisher(self.spec) if self.finishes else None
        results: list[Value] = []
        clipped: list[Value] = []
        for number, value in enumerate(elements(self.value)):
            total = self._total(m, number, value)
            if finish is not None:
                scales = {"output_multiplier": self.gain, "output_shift": self.down}
                total, wrong = finished(self, m, finish, str(number), o=total, **scales)
                clipped.append(wrong)
            results.append(total)
        m.d.comb += self.result.eq(Cat(*results))
        if len(self.clipped):
            m.d.comb += self.clipped.eq(Cat(*clipped))
        return m

    def _total(self, m: Module, number: int, value: Value) -> Value:
        """The running sum of one element."""
        a = self.arithmetic
        product = ShortProduct(a, self.inside) if self.spec.short else Product(a)
        block = TurnSum(a, "sum_values") if self.turns else SumValues(a, quick=self.spec.short > 0)
        moves = {name: self.pins[name][1] for name in self.moved_by} | {"shift": self.shift}
        term: Value = Signal(a.term_word, name=f"term{number}")
        total = Signal(a.o_word, name=f"total{number}")
        self.use(m, product, f"product{number}", p=self.weight, v=value, result=term, enable=ONE)
        term = delayed(m, term, self.after, f"term{number}_")
        if len(self.sees):
            term = term & self.sees.replicate(len(term))
        self.use(m, block, f"sum{number}", term=term, total=total, **moves)
        return total


class Output(NodeBlock):
    """Sums of the values of a row, each times its weight."""

    place = "output"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, lanes = spec.softmax, spec.lanes
        self.finishes = a.divides_first > 0
        gains = 1 if self.finishes and spec.has_gains else 0
        width = a.out_width if self.finishes else a.o_word
        ports = {
            "weight": In(ArrayLayout(a.p_word, lanes)),
            "shift": In(ArrayLayout(a.shift_width, lanes) if a.rescales else 0),
            "value": In(ArrayLayout(spec.element_width, spec.dim)),
            "gain": In(gains * OUTPUT_MULTIPLIER_BITS),
            "down": In(gains * OUTPUT_SHIFT_BITS),
            "result": Out(ArrayLayout(spec.dim * width, lanes)),
            **ending_ports(spec),
        }
        self.cuts = self.finishes * spec.finish_cuts
        cycles = 1 + spec.short + spec.product_stages + self.cuts
        super().__init__(spec, ports, ("last", "final", "visible"), ("final",), cycles)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec, a, short = self.spec, self.spec.softmax, self.spec.short
        stages, before = spec.product_stages + short, short or halves(spec.product_stages)[1]
        value = self.delayed(m, self.value, before, "value")
        weights = elements(self.delayed(m, self.weight, before, "weight"))
        valid, flags = self.follow(m, stages)
        begin = self.begin(m, valid, flags.last)
        moves = self.delayed(m, self.shift, stages, "move")
        shifts = elements(moves) if a.rescales else [Const(0, 0)] * spec.lanes
        gain = self.delayed(m, self.gain, 1 + stages, "gain")
        down = self.delayed(m, self.down, 1 + stages, "down")
        gain, down = (
            skewed(m, a, "finish", operand, self.cuts, value)
            for operand, value in (("output_multiplier", gain), ("output_shift", down))
        )
        corner = spec.visible_bits > 0
        block = OutputLane(spec)
        ending = self.ending(m, valid & flags.last, stages)
        results: list[Value] = []
        wrong: list[Value] = []
        for lane, weight in enumerate(weights):
            sees = self.sees(flags.visible, lane)
            found = Signal(len(bits(block.result)), name=f"result{lane}")
            wrong.append(Signal(spec.dim, name=f"clipped{lane}"))
            if ending is None:
                moves = {"begin": begin, "enable": valid & (sees | begin) if corner else valid}
                moves |= {"shift": shifts[lane]}
            else:
                moves = take_turns(m, a, f"turn{lane}", valid, sees, begin, shifts[lane], ending)
            self.use(
                m,
                block,
                f"lane{lane}",
                **moves,
                sees=sees,
                weight=weight,
                value=value,
                gain=gain,
                down=down,
                result=found,
                clipped=wrong[-1],
            )
            results.append(found)
        last, final = valid & flags.last, flags.final
        if ending is None:
            final = self.delayed(m, final, 1 + self.cuts, "final_row")
        else:
            final = register(m, len(final), "final_held", last, final) if len(final) else final
            final, last = self.delayed(m, final, self.cuts, "final_row"), ending.last
        m.d.comb += [
            self.write.eq(self.delayed(m, last, 1 + self.cuts, "row", resets=True)),
            self.result.eq(Cat(*results)),
        ]
        if self.saturates:
            values = elements(self.value) if a.values_saturate else []
            any_large = Cat(*(too_large(a.input_format, value) for value in values)).any()
            large = [self.fire & any_large] if a.values_saturate else []
            clipped = [each & self.write.replicate(spec.dim) for each in wrong] if spec.has_gains else []
            self.saturate(m, *clipped, *large)
        self.leave(m, flags._replace(final=final))
        return m


def too_large(fmt: FloatFormat, value: Value) -> Value:
    """1 if a finite value does not fit fixed-point sums."""
    field = value[fmt.fraction_bits : fmt.width - 1]
    return (field >= VALUE_WHOLE + fmt.bias) & ~field.all()


class DivideWeights(LaneBlock):
    """Weights divided by the sum of their row."""

    place = "divide"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a = spec.softmax
        ends = {"weight": In(a.p_word), "inverse": In(a.r_width), "result": Out(a.p_word)}
        super().__init__(spec, ends, spec.divide_stages)

    def inputs(self) -> tuple[Any, ...]:
        return self.weight, self.inverse

    def lane(self, m: Module, number: int, weight: Value, inverse: Value) -> Value:
        a = self.spec.softmax
        found = Signal(a.p_word, name=f"share{number}")
        block = (ShortNormalize if self.spec.short else Normalize)(a, self.spec.divide_stages)
        self.use(m, block, f"share_of{number}", p=weight, r=inverse, result=found, enable=ONE)
        return found


class DivideLane(Block):
    """Sums of weighted values of one row divided by the sum of its weights; ``down`` comes as late as they leave."""

    place = "divide"
    throughput = "one row per cycle"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, self.spec = spec.softmax, spec
        ports = {
            "total": In(ArrayLayout(a.o_word, spec.dim)),
            "inverse": In(a.r_width),
            "down": In(OUTPUT_SHIFT_BITS if spec.has_gains else 0),
            "result": Out(ArrayLayout(a.out_width, spec.dim)),
            "clipped": Out(spec.dim if spec.has_gains else 0),
        }
        cycles = spec.divide_stages + spec.finish_cuts
        self.latency = f"{cycles} cycles"
        super().__init__(f"{spec.family}_divide_lane_{spec.design_hash}", ports, clocked=cycles > 0)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a, block = self.spec.softmax, finisher(self.spec)
        results: list[Value] = []
        clipped: list[Value] = []
        after, before = halves(self.spec.divide_stages)
        inverse, totals = delayed(m, self.inverse, before, "inverse"), delayed(m, self.total, before, "total")
        inverse = skewed(m, a, "finish", "r", self.spec.finish_cuts, inverse)
        for number, total in enumerate(elements(totals)):
            found, wrong = finished(self, m, block, str(number), o=total, r=inverse, output_shift=self.down)
            results.append(found)
            clipped.append(wrong)
        m.d.comb += self.result.eq(delayed(m, Cat(*results), after, "quotient"))
        if len(self.clipped):
            m.d.comb += self.clipped.eq(Cat(*clipped))
        return m


class DivideTotals(NodeBlock):
    """Sums of weighted values divided by the sum of the weights of their row."""

    place = "divide"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, lanes = spec.softmax, spec.lanes
        ports = {
            "total": In(ArrayLayout(spec.dim * a.o_word, lanes)),
            "inverse": In(ArrayLayout(a.r_width, lanes)),
            "down": In(OUTPUT_SHIFT_BITS if spec.has_gains else 0),
            "result": Out(ArrayLayout(spec.dim * a.out_width, lanes)),
        }
        super().__init__(spec, ports, ("final",), ("final",), spec.divide_stages + spec.finish_cuts)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec = self.spec
        block, before = DivideLane(spec), halves(spec.divide_stages)[1]
        results: list[Value] = []
        wrong: list[Value] = []
        down = self.delayed(m, self.down, before, "down")
        down = skewed(m, spec.softmax, "finish", "output_shift", spec.finish_cuts, down)
        totals = elements(self.total)
        for lane, inverse in enumerate(elements(self.inverse)):
            found, clipped = (
                Signal(len(bits(block.result)), name=f"quotient{lane}"),
                Signal(spec.dim, name=f"clipped{lane}"),
            )
            pins = {
                "total": totals[lane],
                "inverse": inverse,
                "down": down,
                "result": found,
                "clipped": clipped,
            }
            self.use(m, block, f"lane{lane}", **pins)
            results.append(found)
            wrong.append(clipped)
        self.finish(m, results)
        if self.saturates:
            there = self.follow(m, before + spec.finish_cuts)[0]
            self.saturate(m, *(each & there.replicate(spec.dim) for each in wrong))
        return m
