"""Nodes from the score to the sum of the weights."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.softmax.arithmetic import (
    OUTPUT_MULTIPLIER_BITS,
    OUTPUT_SHIFT_BITS,
    REFERENCE_FLOOR,
    SHIFT_BITS,
    Arithmetic,
)
from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.families.streaming_attention.inventory import halves
from generator.arithmetic.softmax import (
    DeepScale,
    Exp2,
    Reciprocal,
    RunningMax,
    ScaleScore,
    ScoreBeat,
    SumWeights,
    skewed,
)
from generator.families.streaming_attention.node import FLAGS, ONE, LaneBlock, NodeBlock
from generator.layout import elements


class Score(NodeBlock):
    """Products of a key with all queries, as exponents of two; without a maximum, as weights."""

    place = "score"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, lanes = spec.softmax, spec.lanes
        self.naive = spec.graph == "naive"
        width = a.p_word if self.naive else a.t_word
        ports = {
            "query": In(ArrayLayout(spec.dim * a.in_width, lanes)),
            "key": In(spec.dim * spec.element_width),
            "multiplier": In(a.multiplier_width),
            "shift": In(0 if a.sums_are_floats else SHIFT_BITS),
            "offset": In(a.reference_width if self.naive else 0),
            "result": Out(ArrayLayout(width, lanes)),
        }
        cycles = spec.dot_stages + spec.scale_stages + spec.scale_cuts + self.naive * spec.exp_stages
        super().__init__(spec, ports, FLAGS, FLAGS, cycles)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec, a = self.spec, self.spec.softmax
        dot, cuts = ScoreBeat(a, spec.dot_stages), spec.scale_cuts
        scale = DeepScale(a, cuts) if cuts else ScaleScore(a)
        power = Exp2(a, spec.exp_stages) if self.naive else None
        before, after = halves(spec.scale_stages)
        multiplier = self.delayed(m, self.multiplier, spec.dot_stages + before, "multiplier")
        shift = self.delayed(m, self.shift, spec.dot_stages + before, "shift")
        multiplier, shift = (
            skewed(m, a, "scale", operand, cuts, value)
            for operand, value in (("multiplier", multiplier), ("shift", shift))
        )
        scaled = spec.dot_stages + spec.scale_stages + cuts
        offset = self.delayed(m, self.offset, scaled, "offset")
        results: list[Value] = []
        huge: list[Value] = []
        above: list[Value] = []
        valid, visible = self._seen(m, spec.dot_stages + before + cuts)
        later = self._seen(m, scaled) if self.naive else (valid, visible)
        for lane, query in enumerate(elements(self.query)):
            score = Signal(a.score_word, name=f"score{lane}")
            found = Signal(a.t_word, name=f"exponent{lane}")
            self.use(m, dot, f"dot{lane}", q=query, k=self.key, result=score, enable=ONE)
            held = self.delayed(m, score, before, f"score{lane}_")
            wide = Signal(name=f"huge{lane}")
            self.use(
                m,
                scale,
                f"scale{lane}",
                score=held,
                multiplier=multiplier,
                shift=shift,
                result=found,
                saturated=wide,
                enable=ONE,
            )
            huge.append(wide & self.sees(visible, lane))
            found = self.delayed(m, found, after, f"exponent{lane}_")
            if power is not None:
                weight = Signal(a.p_word, name=f"weight{lane}")
                self.use(m, power, f"power{lane}", t=found, peak=offset, result=weight, enable=ONE)
                above.append(exceeds(a, found, offset) & self.sees(later[1], lane))
                found = weight
            results.append(found)
        self.finish(m, results)
        low = [offset[:-1] < REFERENCE_FLOOR + (1 << (len(offset) - 1)), offset[-1]] if self.naive else []
        wrong = Cat(*above).any() | (Cat(*low).all() if low else 0)
        # Signals at the end of a long path are combined after the registers.
        wide = Cat(*huge) & valid.replicate(len(huge))
        self.saturate(m, wide, *([later[0] & wrong] if self.naive else []))
        return m

    def _seen(self, m: Module, cycles: int) -> tuple[Value, Value]:
        """(1 if there is a token some cycles after firing, the positions that see its key)."""
        valid, flags = self.follow(m, cycles)
        return valid, flags.visible


def exceeds(a: Arithmetic, t: Value, offset: Value) -> Value:
    """1 if an exponent is above an integer one; 0 for NaN."""
    whole = t[a.fraction : a.t_width].as_signed()
    above = (whole > offset.as_signed()) | ((whole == offset.as_signed()) & t[: a.fraction].any())
    return above & ~t[a.t_width :].any()


class Highest(NodeBlock):
    """Largest exponents so far; running, with the weights that follow from them."""

    place = "maximum"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, lanes = spec.softmax, spec.lanes
        self.running = a.rescales > 0
        ports: dict[str, Any] = {"exponent": In(ArrayLayout(a.t_word, lanes))}
        ports |= {
            "result": Out(ArrayLayout(a.p_word if self.running else a.reference_width, lanes)),
            "shift": Out(ArrayLayout(a.shift_width, lanes) if self.running else 0),
        }
        flags, passed = (FLAGS, FLAGS) if self.running else (("last", "visible"), ())
        super().__init__(spec, ports, flags, passed, spec.exp_stages if self.running else 0)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a = self.spec.softmax
        begin = self.begin(m, self.fire, self.last)
        lowest = Const(1 << (a.t_width - 1), a.t_word)
        block, power = RunningMax(a), Exp2(a, self.spec.exp_stages) if self.running else None
        results: list[Value] = []
        shifts: list[Value] = []
        lows: list[Value] = []
        for lane, exponent in enumerate(elements(self.exponent)):
            sees = self.sees(self.visible, lane)
            reference = Signal(a.reference_width, name=f"reference{lane}")
            shift = Signal(a.shift_width if self.running else 0, name=f"shift{lane}")
            corner = self.spec.visible_bits > 0
            self.use(
                m,
                block,
                f"highest{lane}",
                t=Mux(sees, exponent, lowest) if corner else exponent,
                begin=begin,
                enable=self.fire & (sees | begin) if corner else self.fire,
                peak=reference,
                shift=shift,
            )
            shifts.append(shift)
            if power is not None:
                weight = Signal(a.p_word, name=f"weight{lane}")
                self.use(m, power, f"power{lane}", t=exponent, peak=reference, result=weight, enable=ONE)
                results.append(weight)
            else:
                results.append(reference)
            lows.append(below_floor(reference))
        m.d.comb += self.result.eq(Cat(*results))
        self.saturate(m, self.fire & self.last & Cat(*lows).any())
        if self.running:
            valid, flags = self.follow(m, self.cycles)
            m.d.comb += [
                self.write.eq(valid),
                self.shift.eq(self.delayed(m, Cat(*shifts), self.cycles, "move")),
            ]
            self.leave(m, flags)
        else:
            m.d.comb += self.write.eq(self.fire & self.last)
        return m


def below_floor(reference: Value) -> Value:
    """1 if the exponent behind a reference may have saturated; the lowest reference means that no key was seen."""
    low = reference[:-1]
    return reference[-1] & low.any() & (low < REFERENCE_FLOOR + (1 << (len(reference) - 1)))


class Exponential(LaneBlock):
    """Weights of the keys of a row whose maximum is known."""

    place = "exponential"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a = spec.softmax
        ends = {"exponent": In(a.t_word), "reference": In(a.reference_width), "result": Out(a.p_word)}
        super().__init__(spec, ends, spec.exp_stages)

    def inputs(self) -> tuple[Any, ...]:
        return self.exponent, self.reference

    def lane(self, m: Module, number: int, exponent: Value, reference: Value) -> Value:
        a = self.spec.softmax
        weight = Signal(a.p_word, name=f"weight{number}")
        power = Exp2(a, self.spec.exp_stages)
        self.use(m, power, f"power{number}", t=exponent, peak=reference, result=weight, enable=ONE)
        return weight


class Sum(NodeBlock):
    """Sums of the weights of a row, and their reciprocals."""

    place = "sum"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, lanes = spec.softmax, spec.lanes
        self.gains = a.has_gain > 0
        ports = {
            "weight": In(ArrayLayout(a.p_word, lanes)),
            "shift": In(ArrayLayout(a.shift_width, lanes) if a.rescales else 0),
            "gain": In(OUTPUT_MULTIPLIER_BITS if self.gains else 0),
            "down": In(OUTPUT_SHIFT_BITS if self.gains else 0),
            "result": Out(ArrayLayout(a.r_width, lanes)),
            "down_out": Out(OUTPUT_SHIFT_BITS if self.gains else 0),
        }
        super().__init__(spec, ports, ("last", "visible"), (), 1 + spec.reciprocal_stages)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a, stages = self.spec.softmax, self.spec.reciprocal_stages
        begin = self.begin(m, self.fire, self.last)
        block, inverse = SumWeights(a), Reciprocal(a, stages)
        results: list[Value] = []
        corner = self.spec.visible_bits > 0
        shifts = elements(self.shift) if a.rescales else [Const(0, 0)] * self.spec.lanes
        gain = self.delayed(m, self.gain, self.cycles, "gain")
        some = self._some(m, begin) if self.spec.graph == "naive" else Const(0, 0)
        wrong: list[Value] = []
        for lane, weight in enumerate(elements(self.weight)):
            sees = self.sees(self.visible, lane)
            total = Signal(a.l_width, name=f"total{lane}")
            found = Signal(a.r_width, name=f"inverse{lane}")
            self.use(
                m,
                block,
                f"sum{lane}",
                begin=begin,
                enable=self.fire & (sees | begin) if corner else self.fire,
                p=weight & sees.replicate(len(weight)) if corner else weight,
                shift=shifts[lane],
                total=total,
            )
            self.use(
                m, inverse, f"inverse_of{lane}", total=total, output_multiplier=gain, result=found, enable=ONE
            )
            results.append(found)
            wrong.append(self._out_of_range(total) & self.sees(some, lane))
        ends = self.fire & self.last
        m.d.comb += [
            self.write.eq(self.tapped(m, "valid", ends, self.cycles, resets=True)),
            self.result.eq(Cat(*results)),
        ]
        if self.saturates:
            self.saturate(m, self.tapped(m, "valid", ends, 1, resets=True) & Cat(*wrong).any())
        if self.gains:
            m.d.comb += self.down_out.eq(self.delayed(m, self.down, self.cycles, "down"))
        return m

    def _some(self, m: Module, begin: Value) -> Value:
        """Flags of the positions that have seen a key of the row."""
        visible = self.visible
        some = Signal(len(visible), name="some", reset_less=True)
        with m.If(self.fire):
            m.d.sync += some.eq(visible | (some & (~begin).replicate(len(some))))
        return some

    def _out_of_range(self, total: Value) -> Value:
        """1 if a row's sum is below 1/2, or weights of 1 no longer count."""
        a = self.spec.softmax
        wrong: Value = Const(0, 1)
        if self.spec.graph == "naive":
            wrong = total < a.half_weight
        if a.sums_stall:
            wrong = wrong | ((total >= a.full_weight) & (total <= a.sum_format.exponent_mask))
        return wrong
