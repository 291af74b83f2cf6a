"""The nodes between the FIFOs: pipelines that never stall, one token per firing."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.floating import FloatFormat
from blueprint.softmax.arithmetic import (
    OUTPUT_MULTIPLIER_BITS,
    OUTPUT_SHIFT_BITS,
    REFERENCE_FLOOR,
    SHIFT_BITS,
    VALUE_WHOLE,
    Arithmetic,
)
from blueprint.streaming_attention import StreamingAttentionSpec
from blueprint.streaming_attention.inventory import saturations
from generator.arithmetic import parts
from generator.block import Block
from generator.softmax import (
    Exp2,
    Finish,
    Normalize,
    Product,
    Reciprocal,
    RunningMax,
    ScaleScore,
    ScoreBeat,
    SumValues,
    SumWeights,
)

ONE = Const(1, 1)


class NodeBlock(Block):
    """Base of the nodes: ``fire`` with the data of one token, ``write`` with its result some cycles later.

    The flags of a token travel beside it: ``last`` of its row, ``turn`` for the last row of its pass, ``final`` for the
    last of the run, ``visible`` for the positions that see it.
    """

    throughput = "one token per cycle"

    def __init__(
        self, spec: StreamingAttentionSpec, ports: dict[str, Any], flags: tuple[str, ...], cycles: int
    ) -> None:
        self.spec, self.cycles = spec, cycles
        widths = {"last": 1, "turn": spec.turn_bits, "final": spec.final_bits, "visible": spec.visible_bits}
        self.flags = {name: int(widths[name]) for name in flags if widths[name]}
        self.saturates = bool(saturations(spec)[self.place])
        ports |= {"saturated": Out(1)} if self.saturates else {}
        self._taps: dict[str, list[Value]] = {}
        self.latency = f"{cycles} cycle{'s' * (cycles != 1)} from fire to write"
        ports = {"fire": In(1), "write": Out(1), **ports}
        ports |= {name: In(width) for name, width in self.flags.items()}
        ports |= {f"{name}_out": Out(self.flags[name]) for name in self.passed() if name in self.flags}
        super().__init__(f"{spec.family}_{self.place}_{spec.design_hash}", ports, clocked=True, resets=True)

    def passed(self) -> tuple[str, ...]:
        """The flags that leave with the result."""
        return ("last", "turn", "final", "visible")

    def delayed(self, m: Module, value: Value, cycles: int, name: str, *, resets: bool = False) -> Value:
        """``value`` some cycles later."""
        for stage in range(cycles if len(value) else 0):
            held = Signal(len(value), name=f"{name}{stage}", reset_less=not resets)
            m.d.sync += held.eq(value)
            value = held
        return value

    def flag(self, name: str) -> Value:
        """The flag as it comes in, nothing where the design has none."""
        return getattr(self, name) if name in self.flags else Const(0, 0)

    def follow(self, m: Module, cycles: int) -> tuple[Value, dict[str, Value]]:
        """Validity and flags some cycles after firing."""
        valid = self.tapped(m, "valid", self.fire, cycles, resets=True)
        return valid, {name: self.tapped(m, name, self.flag(name), cycles) for name in self.flags}

    def tapped(self, m: Module, name: str, value: Value, cycles: int, *, resets: bool = False) -> Value:
        """``value`` some cycles later, out of registers that all who ask for it share."""
        taps = self._taps.setdefault(name, [value])
        while len(taps) <= cycles:
            taps.append(self.delayed(m, taps[-1], 1, f"{name}_{len(taps)}_", resets=resets))
        return taps[cycles]

    def saturate(self, m: Module, *events: Value) -> None:
        """Say a cycle later that a value has left its range; every bit of the events has a register."""
        bits = Cat(*events)
        held = Signal(len(bits), name="saturated_held")
        m.d.sync += held.eq(bits)
        m.d.comb += self.saturated.eq(held.any())

    def leave(self, m: Module, flags: dict[str, Value]) -> None:
        """Connect the flags of the result."""
        for name in self.passed():
            if name in self.flags:
                m.d.comb += getattr(self, f"{name}_out").eq(flags[name])

    def finish(self, m: Module, results: list[Value]) -> None:
        """The results of all lanes and the flags, when the token has come through."""
        valid, flags = self.follow(m, self.cycles)
        m.d.comb += [self.write.eq(valid), self.result.eq(Cat(*results))]
        self.leave(m, flags)

    def begin(self, m: Module, valid: Value, last: Value) -> Signal:
        """Whether the token there is the first of its row."""
        begin = Signal(name="begin", init=1)
        with m.If(valid):
            m.d.sync += begin.eq(last)
        return begin

    def sees(self, visible: Value, lane: int) -> Value:
        """Whether a lane sees the token's key."""
        position = lane // self.spec.group
        return visible[position] if position < len(visible) else ONE

    def finished(self, m: Module, block: Finish, name: str, given: dict[str, Any]) -> tuple[Value, Value]:
        """(output, whether it does not fit) of a sum; only integers say so."""
        found, clipped = Signal(len(block.result), name=f"result{name}"), Const(0, 1)
        if block.beside:
            clipped = Signal(name=f"clipped{name}")
            given = given | dict.fromkeys(block.beside, clipped)
        self.use(m, block, f"finish{name}", **self.pins(block, **given, result=found))
        return found, clipped

    def pins(self, block: Block, **pins: Any) -> dict[str, Any]:
        """The pins a block has, of those given; pipelines never stall."""
        pins["enable"] = pins.get("enable", ONE)
        return {name: value for name, value in pins.items() if name in block.signature.members}


class Score(NodeBlock):
    """Products of a key with all queries, as exponents of two; without a maximum, as weights."""

    place = "score"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, lanes = spec.softmax, int(spec.lanes)
        self.naive = spec.graph == "naive"
        word = int(a.p_word if self.naive else a.t_word)
        ports = {
            "query": In(lanes * spec.dim * int(a.in_width)),
            "key": In(spec.dim * int(spec.element_width)),
            "multiplier": In(int(a.multiplier_width)),
            "shift": In(0 if a.sums_are_floats else SHIFT_BITS),
            "offset": In(int(a.reference_width) if self.naive else 0),
            "result": Out(lanes * word),
        }
        cycles = spec.dot_stages + spec.scale_stages + self.naive * spec.exp_stages
        super().__init__(spec, ports, ("last", "turn", "final", "visible"), cycles)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec, a = self.spec, self.spec.softmax
        dot, scale = ScoreBeat(a, spec.dot_stages), ScaleScore(a)
        power = Exp2(a, spec.exp_stages) if self.naive else None
        before, after = halves(spec.scale_stages)
        multiplier = self.delayed(m, self.multiplier, spec.dot_stages + before, "multiplier")
        shift = self.delayed(m, getattr(self, "shift", Const(0, 0)), spec.dot_stages + before, "shift")
        offset = getattr(self, "offset", Const(0, 0))
        offset = self.delayed(m, offset, spec.dot_stages + spec.scale_stages, "offset")
        results: list[Value] = []
        huge: list[Value] = []
        above: list[Value] = []
        valid, visible = self._seen(m, spec.dot_stages + before)
        later = self._seen(m, spec.dot_stages + spec.scale_stages) if self.naive else (valid, visible)
        for lane, query in enumerate(parts(self.query, spec.dim * int(a.in_width))):
            score = Signal(int(a.score_word), name=f"score{lane}")
            found = Signal(int(a.t_word), name=f"exponent{lane}")
            self.use(m, dot, f"dot{lane}", **self.pins(dot, q=query, k=self.key, result=score))
            held = self.delayed(m, score, before, f"score{lane}_")
            wide = Signal(name=f"huge{lane}")
            pins = self.pins(
                scale, score=held, multiplier=multiplier, shift=shift, result=found, saturated=wide
            )
            self.use(m, scale, f"scale{lane}", **pins)
            huge.append(wide & self.sees(visible, lane))
            found = self.delayed(m, found, after, f"exponent{lane}_")
            if power is not None:
                weight = Signal(int(a.p_word), name=f"weight{lane}")
                pins = self.pins(power, t=found, peak=offset, result=weight)
                self.use(m, power, f"power{lane}", **pins)
                above.append(exceeds(a, found, offset) & self.sees(later[1], lane))
                found = weight
            results.append(found)
        self.finish(m, results)
        low = [offset[:-1] < REFERENCE_FLOOR + (1 << (len(offset) - 1)), offset[-1]] if self.naive else []
        wrong = Cat(*above).any() | (Cat(*low).all() if low else 0)
        # What comes last in a long path is brought together behind the registers.
        wide = Cat(*huge) & valid.replicate(len(huge))
        self.saturate(m, wide, *([later[0] & wrong] if self.naive else []))
        return m

    def _seen(self, m: Module, cycles: int) -> tuple[Value, Value]:
        """Whether there is a token some cycles after firing, and who sees its key."""
        valid, flags = self.follow(m, cycles)
        return valid, flags.get("visible", Const(0, 0))


def exceeds(a: Arithmetic, t: Value, offset: Value) -> Value:
    """Whether an exponent is above a whole one; not where it is NaN."""
    whole = t[a.fraction : int(a.t_width)].as_signed()
    above = (whole > offset.as_signed()) | ((whole == offset.as_signed()) & t[: a.fraction].any())
    return above & ~t[int(a.t_width) :].any()


def halves(stages: int) -> tuple[int, int]:
    """Registers before and after a step that has none inside; an odd one stands before."""
    return stages - stages // 2, stages // 2


class Highest(NodeBlock):
    """Largest exponents so far; running, with the weights that follow from them."""

    place = "maximum"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, lanes = spec.softmax, int(spec.lanes)
        self.running = bool(a.rescales)
        ports = {"exponent": In(lanes * int(a.t_word))}
        if self.running:
            ports |= {"result": Out(lanes * int(a.p_word)), "shift": Out(lanes * int(a.shift_width))}
        else:
            ports |= {"result": Out(lanes * int(a.reference_width))}
        flags = ("last", "turn", "final", "visible") if self.running else ("last", "visible")
        super().__init__(spec, ports, flags, spec.exp_stages if self.running else 0)

    def passed(self) -> tuple[str, ...]:
        return super().passed() if self.running else ()

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a = self.spec.softmax
        begin = self.begin(m, self.fire, self.last)
        lowest = Const(1 << (int(a.t_width) - 1), int(a.t_word))
        block, power = RunningMax(a), Exp2(a, self.spec.exp_stages) if self.running else None
        results: list[Value] = []
        shifts: list[Value] = []
        lows: list[Value] = []
        for lane, exponent in enumerate(parts(self.exponent, int(a.t_word))):
            sees = self.sees(self.flag("visible"), lane)
            reference = Signal(int(a.reference_width), name=f"reference{lane}")
            shift = Signal(int(a.shift_width) if self.running else 0, name=f"shift{lane}")
            corner = bool(self.spec.visible_bits)
            pins = self.pins(
                block,
                t=Mux(sees, exponent, lowest) if corner else exponent,
                begin=begin,
                enable=self.fire & (sees | begin) if corner else self.fire,
                peak=reference,
                shift=shift,
            )
            self.use(m, block, f"highest{lane}", **pins)
            shifts.append(shift)
            if power is not None:
                weight = Signal(int(a.p_word), name=f"weight{lane}")
                pins = self.pins(power, t=exponent, peak=reference, result=weight)
                self.use(m, power, f"power{lane}", **pins)
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
    """Whether a reference stands for an exponent that may have saturated; the lowest stands for no key at all."""
    low = reference[:-1]
    return reference[-1] & low.any() & (low < REFERENCE_FLOOR + (1 << (len(reference) - 1)))


class Exponential(NodeBlock):
    """Weights of the keys of a row whose maximum is known."""

    place = "exponential"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, lanes = spec.softmax, int(spec.lanes)
        ports = {
            "exponent": In(lanes * int(a.t_word)),
            "reference": In(lanes * int(a.reference_width)),
            "result": Out(lanes * int(a.p_word)),
        }
        super().__init__(spec, ports, ("last", "turn", "final", "visible"), spec.exp_stages)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a = self.spec.softmax
        power = Exp2(a, self.spec.exp_stages)
        results: list[Value] = []
        pairs = zip(
            parts(self.exponent, int(a.t_word)), parts(self.reference, int(a.reference_width)), strict=True
        )
        for lane, (exponent, reference) in enumerate(pairs):
            weight = Signal(int(a.p_word), name=f"weight{lane}")
            pins = self.pins(power, t=exponent, peak=reference, result=weight)
            self.use(m, power, f"power{lane}", **pins)
            results.append(weight)
        valid, flags = self.follow(m, self.cycles)
        m.d.comb += [self.write.eq(valid), self.result.eq(Cat(*results))]
        self.leave(m, flags)
        return m


class Sum(NodeBlock):
    """Sums of the weights of a row, and their reciprocals."""

    place = "sum"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, lanes = spec.softmax, int(spec.lanes)
        self.gains = bool(a.has_gain)
        ports = {
            "weight": In(lanes * int(a.p_word)),
            "shift": In(lanes * int(a.shift_width) if a.rescales else 0),
            "gain": In(OUTPUT_MULTIPLIER_BITS if self.gains else 0),
            "down": In(OUTPUT_SHIFT_BITS if self.gains else 0),
            "result": Out(lanes * int(a.r_width)),
            "down_out": Out(OUTPUT_SHIFT_BITS if self.gains else 0),
        }
        super().__init__(spec, ports, ("last", "visible"), 1 + spec.reciprocal_stages)

    def passed(self) -> tuple[str, ...]:
        return ()

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a, stages = self.spec.softmax, self.spec.reciprocal_stages
        begin = self.begin(m, self.fire, self.last)
        block, inverse = SumWeights(a), Reciprocal(a, stages)
        results: list[Value] = []
        corner = bool(self.spec.visible_bits)
        shifts = parts(self.shift, int(a.shift_width)) if a.rescales else [Const(0, 0)] * int(self.spec.lanes)
        gain = self.delayed(m, getattr(self, "gain", Const(0, 0)), self.cycles, "gain")
        some = self._some(m, begin) if self.spec.graph == "naive" else Const(0, 0)
        wrong: list[Value] = []
        for lane, weight in enumerate(parts(self.weight, int(a.p_word))):
            sees = self.sees(self.flag("visible"), lane)
            total = Signal(int(a.l_width), name=f"total{lane}")
            found = Signal(int(a.r_width), name=f"inverse{lane}")
            pins = self.pins(
                block,
                begin=begin,
                enable=self.fire & (sees | begin) if corner else self.fire,
                p=weight & sees.replicate(len(weight)) if corner else weight,
                shift=shifts[lane],
                total=total,
            )
            self.use(m, block, f"sum{lane}", **pins)
            pins = self.pins(inverse, total=total, output_multiplier=gain, result=found)
            self.use(m, inverse, f"inverse_of{lane}", **pins)
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
        """Which positions have seen a key of the row."""
        visible = self.flag("visible")
        some = Signal(len(visible), name="some", reset_less=True)
        with m.If(self.fire):
            m.d.sync += some.eq(visible | (some & (~begin).replicate(len(some))))
        return some

    def _out_of_range(self, total: Value) -> Value:
        """Whether a row's sum is below 1/2, or weights of 1 no longer count."""
        a = self.spec.softmax
        wrong: Value = Const(0, 1)
        if self.spec.graph == "naive":
            wrong = total < int(a.half_weight)
        if a.sums_stall:
            wrong = wrong | ((total >= int(a.full_weight)) & (total <= a.sum_format.exponent_mask))
        return wrong


class Output(NodeBlock):
    """Sums of the values of a row, each times its weight."""

    place = "output"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, lanes = spec.softmax, int(spec.lanes)
        self.finishes = bool(a.divides_first)
        gains = 1 if self.finishes and spec.has_gains else 0
        word = int(a.out_width if self.finishes else a.o_word)
        ports = {
            "weight": In(lanes * int(a.p_word)),
            "shift": In(lanes * int(a.shift_width) if a.rescales else 0),
            "value": In(spec.dim * int(spec.element_width)),
            "gain": In(gains * OUTPUT_MULTIPLIER_BITS),
            "down": In(gains * OUTPUT_SHIFT_BITS),
            "result": Out(lanes * spec.dim * word),
        }
        super().__init__(spec, ports, ("last", "final", "visible"), 1 + spec.product_stages)

    def passed(self) -> tuple[str, ...]:
        return ("final",)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec, a, stages = self.spec, self.spec.softmax, self.spec.product_stages
        after, before = halves(stages)
        values = parts(self.delayed(m, self.value, before, "value"), int(spec.element_width))
        weights = parts(self.delayed(m, self.weight, before, "weight"), int(a.p_word))
        valid, flags = self.follow(m, stages)
        begin = self.begin(m, valid, flags["last"])
        moves = self.delayed(m, getattr(self, "shift", Const(0, 0)), stages, "move")
        shifts = parts(moves, int(a.shift_width)) if a.rescales else [Const(0, 0)] * int(spec.lanes)
        gain = self.delayed(m, getattr(self, "gain", Const(0, 0)), self.cycles, "gain")
        down = self.delayed(m, getattr(self, "down", Const(0, 0)), self.cycles, "down")
        product, block, finish = Product(a), SumValues(a), Finish(a) if self.finishes else None
        corner = bool(spec.visible_bits)
        results: list[Value] = []
        wrong: list[Value] = []
        for lane, weight in enumerate(weights):
            sees = self.sees(flags.get("visible", Const(0, 0)), lane)
            for number, value in enumerate(values):
                name = f"{lane}_{number}"
                term = Signal(int(a.term_word), name=f"term{name}")
                total = Signal(int(a.o_word), name=f"total{name}")
                self.use(m, product, f"product{name}", **self.pins(product, p=weight, v=value, result=term))
                term = self.delayed(m, term, after, f"term{name}_")
                pins = self.pins(
                    block,
                    begin=begin,
                    enable=valid & (sees | begin) if corner else valid,
                    term=term & sees.replicate(len(term)) if corner else term,
                    shift=shifts[lane],
                    total=total,
                )
                self.use(m, block, f"sum{name}", **pins)
                if finish is not None:
                    given = {"o": total, "output_multiplier": gain, "output_shift": down}
                    total, clipped = self.finished(m, finish, name, given)
                    wrong.append(clipped)
                results.append(total)
        m.d.comb += [
            self.write.eq(self.delayed(m, valid & flags["last"], 1, "row", resets=True)),
            self.result.eq(Cat(*results)),
        ]
        if self.saturates:
            values = parts(self.value, int(spec.element_width)) if a.values_saturate else []
            any_large = Cat(*(too_large(a.input_format, value) for value in values)).any()
            large = [self.fire & any_large] if a.values_saturate else []
            clipped = [bit & self.write for bit in wrong] if spec.has_gains else []
            self.saturate(m, *clipped, *large)
        self.leave(
            m, {name: self.delayed(m, flags[name], 1, f"{name}_row") for name in flags if name == "final"}
        )
        return m


def too_large(fmt: FloatFormat, value: Value) -> Value:
    """Whether a finite value does not fit fixed-point sums."""
    field = value[fmt.fraction_bits : fmt.width - 1]
    return (field >= VALUE_WHOLE + fmt.bias) & ~field.all()


class DivideWeights(NodeBlock):
    """Weights divided by the sum of their row."""

    place = "divide"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, lanes = spec.softmax, int(spec.lanes)
        ports = {
            "weight": In(lanes * int(a.p_word)),
            "inverse": In(lanes * int(a.r_width)),
            "result": Out(lanes * int(a.p_word)),
        }
        super().__init__(spec, ports, ("last", "turn", "final", "visible"), spec.divide_stages)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a = self.spec.softmax
        block = Normalize(a, self.spec.divide_stages)
        results: list[Value] = []
        pairs = zip(parts(self.weight, int(a.p_word)), parts(self.inverse, int(a.r_width)), strict=True)
        for lane, (weight, inverse) in enumerate(pairs):
            found = Signal(int(a.p_word), name=f"share{lane}")
            self.use(m, block, f"share_of{lane}", **self.pins(block, p=weight, r=inverse, result=found))
            results.append(found)
        self.finish(m, results)
        return m


class DivideTotals(NodeBlock):
    """Sums of weighted values divided by the sum of the weights of their row."""

    place = "divide"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        a, lanes = spec.softmax, int(spec.lanes)
        ports = {
            "total": In(lanes * spec.dim * int(a.o_word)),
            "inverse": In(lanes * int(a.r_width)),
            "down": In(OUTPUT_SHIFT_BITS if spec.has_gains else 0),
            "result": Out(lanes * spec.dim * int(a.out_width)),
        }
        super().__init__(spec, ports, ("final",), spec.divide_stages)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec, a = self.spec, self.spec.softmax
        block = Finish(a)
        after, before = halves(spec.divide_stages)
        results: list[Value] = []
        wrong: list[Value] = []
        inverses = parts(self.delayed(m, self.inverse, before, "inverse"), int(a.r_width))
        down = self.delayed(m, getattr(self, "down", Const(0, 0)), before, "down")
        totals = self.delayed(m, self.total, before, "total")
        for number, total in enumerate(parts(totals, int(a.o_word))):
            given = {"o": total, "r": inverses[number // spec.dim], "output_shift": down}
            found, clipped = self.finished(m, block, str(number), given)
            results.append(found)
            wrong.append(clipped)
        self.finish(m, [self.delayed(m, Cat(*results), after, "quotient")])
        if self.saturates:
            there = self.follow(m, before)[0]
            self.saturate(m, *(bit & there for bit in wrong))
        return m
