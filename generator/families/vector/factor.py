"""The factor of a row: an inverse root and a quotient, one bit per cycle."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import roots
from blueprint.arithmetic.floating import FP32
from blueprint.arithmetic.quantization import LEAST_ABSMAX, LEVELS
from blueprint.families.vector import VectorSpec
from blueprint.families.vector.inventory import count_bits, recurrences
from blueprint.families.vector.parameters import ONE, SUM_WIDTH, fp32
from blueprint.numbers import bit_length, clog2
from generator.arithmetic.floating import FloatAdd, FloatMultiply, IntToFloat
from generator.block import register
from generator.families.vector.front import FloatUser, of_slot

_SUM = FP32.width - 1
_F = FP32.fraction_bits
#: Numbers of the steps after the one that reads the sums of a row.
_SHIFT, _ADD, _BEGIN = 1, 2, 3


class Factor(FloatUser):
    """The factor and the scale of a row, of its sum of squares, its largest magnitude and its length.

    Steps: length times epsilon; with the sum; begin; a bit of root and quotient each; round; times the norm's factor;
    by the number of levels.
    """

    place = "factor"

    def __init__(self, spec: VectorSpec) -> None:
        self.spec = spec
        self.latency = f"{spec.factor_cycles} cycles"
        self.throughput = f"a row every {spec.factor_cycles} cycles"
        narrow = spec.width - 1
        ports = {
            "length": In(bit_length(spec.length_max)),
            "do_norm": In(1),
            "do_quantize": In(1),
            "sum": In(_SUM),
            "largest": In(narrow),
            "begin": In(1),
            "step": In(clog2(spec.factor_cycles)),
            "end": In(1),
            "slot": In(spec.slot_bits),
            "read_slot": In(spec.slot_bits),
            "factor": Out(narrow),
            "scale": Out(narrow),
        }
        super().__init__(f"{spec.family}_factor_{spec.design_hash}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, spec, narrow = self.module(), self.spec, self.spec.width - 1
        count = self._count(m)
        shifted, peak = self._inputs(m, count)
        turn = Signal(name="turn")
        begin, behind = self.step == _BEGIN, _BEGIN + 1 + roots.steps(spec.fraction)
        m.d.comb += turn.eq((self.step >= _BEGIN) & (self.step < behind))
        norm = self._root(m, begin, turn, count, shifted)
        inverse = self._quotient(m, begin, turn, peak)
        rounding = self.step == behind
        norm, inverse = (
            register(m, narrow, name, rounding, value)
            for name, value in (("norm", norm), ("inverse", inverse))
        )
        one = Const(spec.number(ONE), narrow)
        chosen = Signal(narrow, name="chosen")
        m.d.comb += chosen.eq(Mux(self.do_norm, norm, one))
        positive = Const(0, 1)
        scaled = self.product(m, "scaled", Cat(peak, positive), Cat(chosen, positive))
        scaled = register(m, narrow, "scaled_held", self.step == behind + 1, scaled[:-1])
        step = Const(spec.number(1 / LEVELS), spec.width)
        scale = self.product(m, "stepped", Cat(scaled, positive), step)[:-1]
        factor = Mux(self.do_quantize, inverse, chosen)
        for name, value, out in (("factor", factor, self.factor), ("scale", scale, self.scale)):
            kept = [
                register(m, narrow, f"{name}{slot}", self.end & (self.slot == slot), value)
                for slot in range(spec.rows_kept)
            ]
            m.d.comb += out.eq(of_slot(self.read_slot, kept))
        return m

    def _count(self, m: Module) -> Value:
        """The length as FP32, without a sign, of which only the bits that vary are kept."""
        exponent, fraction = count_bits(self.spec)
        size = Cat(self.length, Const(0, SUM_WIDTH - len(self.length)))
        found = self.result(m, IntToFloat(FP32, SUM_WIDTH), "count", a=size)
        place = (found[_F : FP32.width - 1] + 1)[:exponent]
        place = register(m, exponent, "count_exponent", self.begin, place)
        low = register(m, fraction, "count_fraction", self.begin, found[_F - fraction : _F])
        field = Signal(FP32.exponent_bits, name="count_field")
        m.d.comb += field.eq(place + FP32.bias)
        return Cat(Const(0, _F - fraction), low, field)

    def _inputs(self, m: Module, count: Value) -> tuple[Signal, Signal]:
        """Length times epsilon, then its sum with the sum of squares; and the largest magnitude, limited from below."""
        epsilon = Const(fp32(float(self.spec.epsilon)), FP32.width)
        shift = self.result(m, FloatMultiply(FP32, flush=True), "shift", a=Cat(count, Const(0, 1)), b=epsilon)
        shifted, narrow = Signal(_SUM, name="shifted"), self.spec.width - 1
        total = self.result(
            m, FloatAdd(FP32, flush=True), "total", a=Cat(self.sum, Const(0, 1)), b=Cat(shifted, Const(0, 1))
        )
        adding = self.step == _ADD
        value = Mux(self.step == _SHIFT, shift[:-1], total[:-1])
        m.d.comb += shifted.eq(register(m, _SUM, "shifted_held", (self.step == _SHIFT) | adding, value))
        least = Const(self.spec.number(LEAST_ABSMAX), narrow)
        peak = register(m, narrow, "peak", self.begin, Mux(self.largest > least, self.largest, least))
        return shifted, peak

    def _root(self, m: Module, begin: Value, turn: Value, count: Value, shifted: Value) -> Value:
        """The inverse root (:func:`blueprint.arithmetic.roots.inverse_root`); two zeros below the rest are left out."""
        spec, widths = self.spec, recurrences(self.spec)
        top, divisor = (Cat(word[:_F], Const(1, 1)) for word in (count, shifted))
        distance = Signal(FP32.exponent_bits + 1, name="distance")
        less, odd = Signal(name="root_less"), distance[0]
        m.d.comb += [distance.eq(count[_F:] - shifted[_F:]), less.eq(top < divisor)]
        rest_bits = widths.root_rest + 2
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
        first = Mux(odd, top << 1, Mux(less, top << 2, top))
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
        return self._packed(field, found)

    def _packed(self, field: Value, found: Value) -> Value:
        """The float of a field less one and a significand with one bit too many, which rounds."""
        fraction = self.spec.fraction
        return (Cat(Const(0, fraction), field) + ((found + 1) >> 1))[: self.spec.width - 1]
