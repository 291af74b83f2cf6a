"""The factor of a row: an inverse root and a quotient, one bit per cycle."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import roots
from blueprint.arithmetic.floating import FP32
from blueprint.arithmetic.processing.columns import compressed
from blueprint.arithmetic.quantization import LEAST_ABSMAX, LEVELS
from blueprint.families.vector import VectorSpec
from blueprint.families.vector.inventory import count_bits, epsilon_bits, epsilon_held_bits, recurrences
from blueprint.families.vector.parameters import ONE, SUM_WIDTH, epsilon_factor, fp32
from blueprint.numbers import bit_length, clog2
from generator.arithmetic.columns import build, two_rows
from generator.arithmetic.floating import FloatAdd, FloatMultiply, IntToFloat
from generator.arithmetic.floating.words import leading_zeros
from generator.arithmetic.integers import quick_add, select_add, zero_extend
from generator.block import register
from generator.families.vector.front import FloatUser, of_slot
from generator.layout import elements

_SUM = FP32.width - 1
_F = FP32.fraction_bits
#: Numbers of the steps after the one that reads the sum of a row, where an addition takes one.
_SHIFT, _ADD = 1, 2


class Factor(FloatUser):
    """The factor and the scale of a row, of its sum of squares, its largest magnitude and its length.

    Steps: length times epsilon; with the sum; begin; a bit of root and quotient each; round; times the norm's factor;
    by the number of levels. A row of several sums has its own: each onto the ones before it, then length times epsilon.
    """

    place = "factor"

    def __init__(self, spec: VectorSpec) -> None:
        self.spec = spec
        self.latency = f"{spec.factor_cycles} cycles"
        self.throughput = f"a row every {spec.factor_cycles} cycles"
        #: The step in which the recurrences begin.
        self.first = spec.joining_cycles + 1 if spec.adder_stages else _ADD + 1
        self.sum_bits = spec.sum_bits if spec.adder_stages else _SUM
        narrow, dotted = spec.width - 1, spec.dotted * spec.parted
        ports = {
            "length": In(bit_length(spec.length_max)),
            "do_norm": In(1),
            "do_quantize": In(1),
            "sum": In(ArrayLayout(self.sum_bits, spec.parts)),
            "largest": In(narrow),
            "begin": In(1),
            "step": In(clog2(spec.factor_cycles)),
            "end": In(1),
            "slot": In(spec.slot_bits),
            "read_slot": In(spec.slot_bits),
            "factor": Out(narrow),
            "scale": Out(narrow),
            "joined": In(dotted),
            "total": Out(dotted * spec.sum_bits),
            "dot": Out(dotted * spec.sum_bits),
        }
        super().__init__(f"{spec.family}_factor_{spec.design_hash}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, spec, narrow = self.module(), self.spec, self.spec.width - 1
        count = self._count_in_steps(m) if spec.product_stages else self._count(m)
        shifted = self._joined(m, count) if spec.adder_stages else self._shifted(m, count)
        least = Const(spec.number(LEAST_ABSMAX), narrow)
        peak = register(m, narrow, "peak", self.begin, Mux(self.largest > least, self.largest, least))
        turn = Signal(name="turn")
        begin, behind = self.step == self.first, self.first + 1 + roots.steps(spec.fraction)
        m.d.comb += turn.eq((self.step >= self.first) & (self.step < behind))
        norm = self._root(m, begin, turn, count, shifted)
        inverse = self._quotient(m, begin, turn, peak)
        rounding = self.step == behind
        one = Const(spec.number(ONE), narrow)
        if spec.adder_stages:
            # The choice stands in front of the register, away from the multiplier.
            norm = Mux(self.do_norm, norm, one)
        norm, inverse = (
            register(m, narrow, name, rounding, value)
            for name, value in (("norm", norm), ("inverse", inverse))
        )
        chosen = Signal(narrow, name="chosen")
        m.d.comb += chosen.eq(norm if spec.adder_stages else Mux(self.do_norm, norm, one))
        scale = self._scale(m, behind + 1, peak, chosen)
        factor = Mux(self.do_quantize, inverse, chosen)
        for name, value, out in (("factor", factor, self.factor), ("scale", scale, self.scale)):
            kept = [
                register(m, narrow, f"{name}{slot}", self.end & (self.slot == slot), value)
                for slot in range(spec.rows_kept)
            ]
            m.d.comb += out.eq(of_slot(self.read_slot, kept))
        return m

    def _scale(self, m: Module, at: int, peak: Value, chosen: Value) -> Value:
        """Largest magnitude times the norm's factor, in step ``at``, then by the number of levels."""
        spec, narrow, positive = self.spec, self.spec.width - 1, Const(0, 1)
        step, stages = Const(spec.number(1 / LEVELS), spec.width), spec.product_stages
        if not stages:
            scaled = self.product(m, "scaled", Cat(peak, positive), Cat(chosen, positive))
            scaled = register(m, narrow, "scaled_held", self.step == at, scaled[:-1])
            return self.product(m, "stepped", Cat(scaled, positive), step)[:-1]
        # One multiplier for both, which begins the second when the first is there.
        product, scaled = Signal(narrow, name="product"), Signal(narrow, name="scaled")
        second = self.step == at + 1 + stages
        a, b = Mux(second, scaled, peak), Mux(second, step[:-1], chosen)
        found = self.positive_product(m, "multiplied", Cat(a, positive), Cat(b, positive))
        m.d.comb += [
            product.eq(found[:-1]),
            scaled.eq(register(m, narrow, "scaled_held", self.step == at + stages, product)),
        ]
        return product

    def _count_in_steps(self, m: Module) -> Value:
        """The same as :meth:`_count`, with a register for the leading zeros: the length is known long in advance."""
        exponent, fraction = count_bits(self.spec)
        zeros = self.later(m, "count_zeros", Cat(*leading_zeros(self.length)[0]))
        place = register(
            m, exponent, "count_exponent", self.begin, (Const(fraction, exponent) - zeros)[:exponent]
        )
        low = register(m, fraction, "count_fraction", self.begin, (self.length << zeros)[:fraction])
        return self._counted(m, place, low)

    def _count(self, m: Module) -> Value:
        """The length as FP32, without a sign, of which only the bits that vary are kept."""
        exponent, fraction = count_bits(self.spec)
        size = Cat(self.length, Const(0, SUM_WIDTH - len(self.length)))
        found = self.result(m, IntToFloat(FP32, SUM_WIDTH), "count", a=size)
        place = (found[_F : FP32.width - 1] + 1)[:exponent]
        place = register(m, exponent, "count_exponent", self.begin, place)
        low = register(m, fraction, "count_fraction", self.begin, found[_F - fraction : _F])
        return self._counted(m, place, low)

    def _counted(self, m: Module, place: Value, low: Value) -> Value:
        """The float of the place of the leading bit and the bits below it."""
        field = Signal(FP32.exponent_bits, name="count_field")
        m.d.comb += field.eq(place + FP32.bias)
        return Cat(Const(0, _F - len(low)), low, field)

    def _shifted(self, m: Module, count: Value) -> Signal:
        """Length times epsilon, then its sum with the sum of squares."""
        epsilon = Const(fp32(float(self.spec.epsilon)), FP32.width)
        shift = self.result(m, FloatMultiply(FP32, flush=True), "shift", a=Cat(count, Const(0, 1)), b=epsilon)
        shifted = Signal(_SUM, name="shifted")
        total = self.result(
            m, FloatAdd(FP32, flush=True), "total", a=Cat(self.sum, Const(0, 1)), b=Cat(shifted, Const(0, 1))
        )
        adding = self.step == _ADD
        value = Mux(self.step == _SHIFT, shift[:-1], total[:-1])
        m.d.comb += shifted.eq(register(m, _SUM, "shifted_held", (self.step == _SHIFT) | adding, value))
        return shifted

    def _joined(self, m: Module, count: Value) -> Value:
        """The sums of a row added one after the other, and to them length times epsilon."""
        spec, wide, cycles = self.spec, self.sum_bits, self.spec.parts
        parts = elements(self.sum)
        term: Value = Cat(self._epsilon(m, count), Const(0, wide - _SUM))
        for part in reversed(range(1, spec.parts)):
            term = Mux(self.step < part * cycles, parts[part], term)
        term = self.later(m, "term", term)
        so_far = Signal(wide, name="so_far")
        block = FloatAdd(
            FP32,
            flush=True,
            stages=spec.adder_stages,
            unsigned=not spec.dots,
            quick=spec.product_stages > 0,
        )
        total = self.result(m, block, "total_of_row", a=so_far, b=term, enable=Const(1, 1))
        ends = [self.step == part * cycles for part in range(1, spec.parts + 1)]
        held = register(
            m, wide, "so_far_held", self.begin | Cat(*ends).any(), Mux(self.begin, parts[0], total)
        )
        m.d.comb += so_far.eq(held)
        if spec.dots:
            kept = [
                register(m, wide, f"dot{slot}", self.joined & (self.slot == slot), so_far)
                for slot in range(spec.rows_kept)
            ]
            m.d.comb += [self.total.eq(so_far), self.dot.eq(of_slot(self.read_slot, kept))]
        return so_far[:_SUM]

    def _epsilon(self, m: Module, count: Value) -> Value:
        """Length times epsilon, rounded to nearest even: the product of the significands, a cycle later its float."""
        pattern, fraction = fp32(float(self.spec.epsilon)), count_bits(self.spec)[1]
        spec, factor = self.spec, epsilon_factor(self.spec.epsilon)
        width = epsilon_bits(self.spec)
        product = Signal(width, name="epsilon_product")
        low_bits = count[_F - fraction : _F]
        significand = Cat(low_bits, Const(1, 1))
        if not epsilon_held_bits(spec):
            # A register would hold the same few bits several times over.
            rows = [Const(((1 << fraction) + low) * factor, width) for low in range(1 << fraction)]
            m.d.comb += product.eq(of_slot(low_bits, rows))
        else:
            if spec.product_stages:
                m.d.comb += product.eq(self._times(m, significand, factor))
            else:
                m.d.comb += product.eq(significand * Const(factor, factor.bit_length()))
            product = self.later(m, "epsilon_held", product)
        large = product[-1]
        # One more place, so that there is always a bit to round by, and as many zeros as that takes.
        frame = Signal(max(width, _F + 2) + 1, name="epsilon_frame")
        m.d.comb += frame.eq(Cat(Const(0, len(frame) - width), Mux(large, product, product << 1)[:width]))
        low = len(frame) - _F - 1
        up = frame[low - 1] & (frame[low] | frame[: low - 1].any())
        field = Signal(FP32.exponent_bits, name="epsilon_field")
        # The leading bit of the significand is added to the field, which is therefore one less.
        m.d.comb += field.eq(count[_F:] + (pattern >> _F) - FP32.bias - 1 + large)
        if spec.product_stages:
            exponent = field + frame[low + _F :]
            return select_add(m, "epsilon", Cat(frame[low : low + _F], exponent), up, _SUM)
        return (Cat(Const(0, _F), field) + frame[low:] + up)[:_SUM]

    def _times(self, m: Module, word: Value, factor: int) -> Value:
        """A word times a constant: a row for each bit that is set, compressed to two, which are added."""
        places = [place for place in range(factor.bit_length()) if factor >> place & 1]
        plan = compressed(tuple((place, len(word)) for place in places), epsilon_bits(self.spec))
        bits = build(m, plan, [word] * len(places), name="epsilon_rows")
        return quick_add(m, "epsilon_sum", *two_rows(plan, bits), epsilon_bits(self.spec))

    def _root(self, m: Module, begin: Value, turn: Value, count: Value, shifted: Value) -> Value:
        """The inverse root (:func:`blueprint.arithmetic.roots.inverse_root`); two zeros below the rest are left out."""
        spec, widths = self.spec, recurrences(self.spec)
        top, divisor = (Cat(word[:_F], Const(1, 1)) for word in (count, shifted))
        distance = Signal(FP32.exponent_bits + 1, name="distance")
        less, odd = Signal(name="root_less"), distance[0]
        m.d.comb += [distance.eq(count[_F:] - shifted[_F:]), less.eq(top < divisor)]
        rest_bits = widths.root_rest + 2
        first = Mux(odd, top << 1, Mux(less, top << 2, top))
        if spec.product_stages:
            root = self._digits(m, begin, turn, first, divisor)
            field = Signal(FP32.exponent_bits, name="root_field")
            halved = distance.as_signed() >> 1
            m.d.comb += field.eq(halved - (less & ~odd) + (spec.inside.bias - 1))
            return self._packed(register(m, len(field), "root_field_held", begin, field), root)
        rest, product = Signal(rest_bits, name="rest"), Signal(widths.root_product, name="product_so_far")
        root = Signal(widths.root, name="root_so_far")
        trial, fits, left = (
            Signal(rest_bits, name="trial"),
            Signal(name="fits"),
            Signal(rest_bits, name="left"),
        )
        m.d.comb += [
            trial.eq((product << 2) + divisor),
            fits.eq(rest >= trial),
            left.eq(Mux(fits, rest - trial, rest)),
        ]
        following = Mux(begin, first, left << 2)[:rest_bits]
        added = Mux(fits, divisor, Const(0, len(divisor)))
        grown = ((product << 1) + added)[: len(product)]
        rooted = Cat(fits, root[:-1])
        m.d.comb += [
            rest.eq(Cat(Const(0, 2), register(m, rest_bits - 2, "root_rest", turn, following[2:]))),
            product.eq(
                register(m, len(product), "root_product", turn, grown & (~begin).replicate(len(product)))
            ),
            root.eq(register(m, len(root), "root", turn, rooted & (~begin).replicate(len(root)))),
        ]
        field = Signal(FP32.exponent_bits, name="root_field")
        halved = distance.as_signed() >> 1
        m.d.comb += field.eq(halved - (less & ~odd) + (spec.inside.bias - 1))
        return self._packed(field, root)

    def _digits(self, m: Module, begin: Value, turn: Value, first: Value, divisor: Value) -> Value:
        """Digits of the inverse root; the trial of a step is computed in the step before, so a step is one subtraction.

        With the product ``p`` of divisor ``d`` and root so far the trial is ``t = 4 p + d``. A digit 1 makes ``p``
        twice as large and adds ``d``, so the next trial is ``2 t + 3 d``; after a digit 0 it is ``2 t - d``.
        """
        widths = recurrences(self.spec)
        bits = widths.root_rest
        rest, trial, root = (
            Signal(bits + 2, name="rest"),
            Signal(bits, name="trial"),
            Signal(widths.root, name="root_so_far"),
        )
        triple = Signal(len(divisor) + 2, name="triple")
        fits, difference = Signal(name="fits"), Signal(bits + 2, name="difference")
        twice, one = trial << 1, Const(1, 1)
        minus, width = ~zero_extend(trial, bits + 2), bits + 4
        found = select_add(m, "subtracting", Cat(one, rest), Cat(one, minus), width)
        more = select_add(m, "trial_more", twice, triple, bits)
        less = select_add(m, "trial_less", Cat(one, twice), Cat(one, ~zero_extend(divisor, bits)), bits + 1)[
            1:
        ]
        # A difference that is not negative has a carry.
        m.d.comb += [fits.eq(found[-1]), difference.eq(found[1:-1])]
        following = Mux(begin, first, Mux(fits, difference, rest) << 2)[: bits + 2]
        rooted = Cat(fits, root[:-1]) & (~begin).replicate(len(root))
        m.d.comb += [
            rest.eq(Cat(Const(0, 2), register(m, bits, "root_rest", turn, following[2:]))),
            trial.eq(
                register(m, bits, "root_trial", turn, Mux(begin, divisor, Mux(fits, more, less))[:bits])
            ),
            root.eq(register(m, len(root), "root", turn, rooted)),
            triple.eq(register(m, len(triple), "root_triple", begin, (divisor << 1) + divisor)),
        ]
        return root

    def _quotient(self, m: Module, begin: Value, turn: Value, peak: Value) -> Value:
        """The quotient by :func:`blueprint.arithmetic.roots.quotient`; a zero below the rest is left out."""
        spec, widths, fraction = self.spec, recurrences(self.spec), self.spec.fraction
        over = spec.number(LEVELS)
        top = Const((over & ((1 << fraction) - 1)) | 1 << fraction, fraction + 1)
        divisor = Cat(peak[:fraction], Const(1, 1))
        bits = widths.quotient_rest + 1
        rest, found = (
            Signal(bits, name="quotient_rest_so_far"),
            Signal(widths.quotient, name="quotient_so_far"),
        )
        less, fits, left = Signal(name="less"), Signal(name="divides"), Signal(bits, name="left_over")
        m.d.comb += [
            less.eq(top < divisor),
            fits.eq(rest >= divisor),
            left.eq(Mux(fits, rest - divisor, rest)),
        ]
        following = Mux(begin, Mux(less, top << 1, top), left << 1)[:bits]
        grown = Cat(fits, found[:-1])
        m.d.comb += [
            rest.eq(Cat(Const(0, 1), register(m, bits - 1, "quotient_rest", turn, following[1:]))),
            found.eq(register(m, len(found), "quotient", turn, grown & (~begin).replicate(len(found)))),
        ]
        field = Signal(FP32.exponent_bits, name="quotient_field")
        m.d.comb += field.eq((over >> fraction) + spec.inside.bias - 1 - peak[fraction:] - less)
        if spec.product_stages:
            return self._packed(register(m, len(field), "quotient_field_held", begin, field), found)
        return self._packed(field, found)

    def _packed(self, field: Value, found: Value) -> Value:
        """The float of a field less one and a significand with one bit too many, which rounds."""
        fraction = self.spec.fraction
        return (Cat(Const(0, fraction), field) + ((found + 1) >> 1))[: self.spec.width - 1]
