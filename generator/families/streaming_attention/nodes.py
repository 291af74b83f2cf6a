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
from blueprint.families.streaming_attention.dataflow import MAXIMUM_STAGES
from blueprint.families.streaming_attention.inventory import before_gain, halves
from generator.arithmetic.integers import zero_extend
from generator.arithmetic.softmax import (
    DeepScale,
    Exp2,
    Reciprocal,
    RunningMax,
    ScaleScore,
    ScoreBeat,
    ShortExp2,
    ShortReciprocal,
    ShortScoreBeat,
    SumWeights,
    TurnSum,
    skewed,
)
from generator.block import Block
from generator.families.streaming_attention.node import FLAGS, ONE, LaneBlock, NodeBlock, ending_ports
from generator.families.streaming_attention.turns import take_turns
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
        self.dotted = spec.short + spec.dot_stages
        cycles = self.dotted + spec.scale_stages + spec.scale_cuts + self.naive * spec.exp_stages
        super().__init__(spec, ports, FLAGS, FLAGS, cycles)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec, a = self.spec, self.spec.softmax
        dot, cuts = (ShortScoreBeat if spec.short else ScoreBeat)(a, spec.dot_stages), spec.scale_cuts
        scale = DeepScale(a, cuts) if cuts else ScaleScore(a)
        power = power_of(spec) if self.naive else None
        before, after = halves(spec.scale_stages)
        multiplier = self.delayed(m, self.multiplier, self.dotted + before, "multiplier")
        shift = self.delayed(m, self.shift, self.dotted + before, "shift")
        multiplier, shift = (
            skewed(m, a, "scale", operand, cuts, value)
            for operand, value in (("multiplier", multiplier), ("shift", shift))
        )
        scaled = self.dotted + spec.scale_stages + cuts
        offset = self.delayed(m, self.offset, scaled, "offset")
        results: list[Value] = []
        huge: list[Value] = []
        above: list[Value] = []
        valid, visible = self._seen(m, self.dotted + before + cuts)
        later = self._seen(m, scaled) if self.naive else (valid, visible)
        key = self.taken(m, self.key, "key")
        for lane, query in enumerate(elements(self.taken(m, self.query, "query"))):
            score = Signal(a.score_word, name=f"score{lane}")
            found = Signal(a.t_word, name=f"exponent{lane}")
            self.use(m, dot, f"dot{lane}", q=query, k=key, result=score, enable=ONE)
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
        # Where steps are short a token is taken, rounded up, compared, and has its weight after that.
        self.split = MAXIMUM_STAGES * spec.short
        super().__init__(spec, ports, flags, passed, self.split + (spec.exp_stages if self.running else 0))

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a, short = self.spec.softmax, self.spec.short
        compared, behind = max(self.split - 1, 0), self.split
        fire, last = (self._flag(m, name, compared) for name in ("fire", "last"))
        begin = self.begin(m, fire, last)
        lowest = Const(1 << (a.t_width - 1), a.t_word)
        block, power = RunningMax(a, ahead=short), power_of(self.spec) if self.running else None
        results: list[Value] = []
        shifts: list[Value] = []
        lows: list[Value] = []
        visible, seen = (self._flag(m, "visible", cycles) for cycles in (short, compared))
        for lane, exponent in enumerate(elements(self.exponent)):
            if short:  # a maximum without weights behind it drops the flag
                kept = len(exponent) if self.running else a.t_width
                exponent = self.taken(m, exponent[:kept], f"exponent{lane}_taken")
                exponent = zero_extend(exponent, a.t_word)
            sees, sees_then = self.sees(visible, lane), self.sees(seen, lane)
            reference = Signal(a.reference_width, name=f"reference{lane}")
            shift = Signal(a.shift_width if self.running else 0, name=f"shift{lane}")
            corner = self.spec.visible_bits > 0
            self.use(
                m,
                block,
                f"highest{lane}",
                t=Mux(sees, exponent, lowest) if corner else exponent,
                begin=begin,
                enable=fire & (sees_then | begin) if corner else fire,
                peak=reference,
                shift=shift,
            )
            shifts.append(shift)
            reference = self.delayed(m, reference, short, f"reference{lane}_")
            exponent = self.delayed(m, exponent, 2 * short if self.running else 0, f"exponent{lane}_")
            if power is not None:
                weight = Signal(a.p_word, name=f"weight{lane}")
                self.use(m, power, f"power{lane}", t=exponent, peak=reference, result=weight, enable=ONE)
                results.append(weight)
            else:
                results.append(reference)
            lows.append(below_floor(reference))
        m.d.comb += self.result.eq(Cat(*results))
        ends = self._flag(m, "fire", behind) & self._flag(m, "last", behind)
        self.saturate(m, ends & Cat(*lows).any())
        if self.running:
            valid, flags = self.follow(m, self.cycles)
            m.d.comb += [
                self.write.eq(valid),
                self.shift.eq(self.delayed(m, Cat(*shifts), self.cycles - compared, "move")),
            ]
            self.leave(m, flags)
        else:
            m.d.comb += self.write.eq(ends)
        return m

    def _flag(self, m: Module, name: str, cycles: int) -> Value:
        """A flag of the token some cycles after firing; ``fire`` says that there is one."""
        valid = name == "fire"
        value = {"fire": self.fire, "last": self.last, "visible": self.visible}[name]
        return self.tapped(m, "valid" if valid else name, value, cycles, resets=valid)


def power_of(spec: StreamingAttentionSpec) -> Exp2 | ShortExp2:
    """The block that raises two to an exponent."""
    return (ShortExp2 if spec.short else Exp2)(spec.softmax, spec.exp_stages)


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
        power = power_of(self.spec)
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
            **ending_ports(spec),
        }
        super().__init__(spec, ports, ("last", "visible"), (), spec.short + 1 + spec.reciprocal_stages)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a, stages, short = self.spec.softmax, self.spec.reciprocal_stages, self.spec.short
        fire = self.tapped(m, "fire", self.fire, short, resets=True)
        last, visible = self.taken(m, self.last, "last"), self.taken(m, self.visible, "visible")
        begin = self.begin(m, fire, last)
        inverse = (ShortReciprocal if short else Reciprocal)(a, stages)
        results: list[Value] = []
        corner = self.spec.visible_bits > 0
        moves = self.taken(m, self.shift, "move")
        shifts = elements(moves) if a.rescales else [Const(0, 0)] * self.spec.lanes
        gain = self.delayed(m, self.gain, before_gain(self.spec), "gain")
        some = self._some(m, fire, visible, begin) if self.spec.graph == "naive" else Const(0, 0)
        wrong: list[Value] = []
        ending = self.ending(m, fire & last, short)
        for lane, given in enumerate(elements(self.weight)):
            # A sum drops the flag of a weight.
            weight = (
                zero_extend(self.taken(m, given[: a.p_width], f"weight{lane}_"), a.p_word) if short else given
            )
            sees = self.sees(visible, lane)
            total = Signal(a.l_width, name=f"total{lane}")
            found = Signal(a.r_width, name=f"inverse{lane}")
            if ending is None:
                block: Block = SumWeights(a, quick=short > 0)
                weight = weight & sees.replicate(len(weight)) if corner else weight
                moves = {"begin": begin, "enable": fire & (sees | begin) if corner else fire}
                moves |= {"shift": shifts[lane]}
            else:
                block = TurnSum(a, "sum_weights")
                moves = take_turns(m, a, f"turn{lane}", fire, sees, begin, shifts[lane], ending)
            self.use(m, block, f"sum{lane}", p=weight, total=total, **moves)
            self.use(
                m, inverse, f"inverse_of{lane}", total=total, output_multiplier=gain, result=found, enable=ONE
            )
            results.append(found)
            wrong.append(self._out_of_range(total) & self.sees(some, lane))
        ends = fire & last if ending is None else ending.last
        m.d.comb += [
            self.write.eq(self.tapped(m, "valid", ends, self.cycles - short, resets=True)),
            self.result.eq(Cat(*results)),
        ]
        if self.saturates:
            self.saturate(m, self.tapped(m, "valid", ends, 1, resets=True) & Cat(*wrong).any())
        if self.gains:
            m.d.comb += self.down_out.eq(self.delayed(m, self.down, self.cycles, "down"))
        return m

    def _some(self, m: Module, fire: Value, visible: Value, begin: Value) -> Value:
        """Flags of the positions that have seen a key of the row."""
        some = Signal(len(visible), name="some", reset_less=True)
        with m.If(fire):
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
