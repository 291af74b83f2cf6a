"""The chain of one lane, from the port to the element that is kept and its square."""

from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FP32
from blueprint.families.vector import VectorSpec
from blueprint.families.vector.parameters import INTEGER_WIDTH, SCALE_WIDTH, SIGMOID_STAGES, SUM_WIDTH
from generator.arithmetic.floating import (
    FloatAdd,
    FloatConvert,
    FloatMultiply,
    FloatProduct,
    FloatToBoth,
    FloatToInt,
    IntToFloat,
)
from generator.arithmetic.sigmoid import Sigmoid
from generator.block import Block, register

#: A wire that a design lacks.
_NONE = Const(0, 0)


class Beside(NamedTuple):
    """Values that travel beside a row until they are needed."""

    gain: Value
    operand: Value = _NONE


class FloatUser(Block):
    """A block with float units inside, each an operation of the format inside; subnormal numbers are zeros."""

    spec: VectorSpec

    def converted(self, m: Module, name: str, a: Value) -> Value:
        """Convert a float from the format at the ports to the format inside."""
        block = FloatConvert(
            self.spec.outside, self.spec.inside, flush=True, stages=self.spec.product_stages, free=True,
            quick=self.spec.product_stages > 0,
        )  # fmt: skip
        return self.result(m, block, name, a=a)

    def product(self, m: Module, name: str, a: Value, b: Value) -> Value:
        """The product of two floats of the format inside, as many cycles later as a product has registers."""
        stages = self.spec.product_stages
        if stages:
            return self.result(m, FloatProduct(self.spec.inside, stages=stages), name, a=a, b=b)
        return self.result(m, FloatMultiply(self.spec.inside, flush=True), name, a=a, b=b)

    def positive_product(self, m: Module, name: str, a: Value, b: Value) -> Value:
        """The product of two floats of which none is negative; registers inside hold no sign."""
        stages = self.spec.product_stages
        if not stages:
            return self.product(m, name, a, b)
        block = FloatProduct(self.spec.inside, stages=stages, unsigned=True)
        return Cat(self.result(m, block, name, a=a[:-1], b=b[:-1]), Const(0, 1))

    def sum_of(self, m: Module, name: str, a: Value, b: Value) -> Value:
        """The sum of two floats of the format inside, as many cycles later as an adder has registers."""
        stages = self.spec.adder_stages
        moves = {"enable": Const(1, 1)} if stages else {}
        return self.result(
            m,
            FloatAdd(self.spec.inside, flush=True, stages=stages, quick=self.spec.product_stages > 0),
            name,
            a=a,
            b=b,
            **moves,
        )

    def result(self, m: Module, block: Any, name: str, **operands: Value) -> Value:
        """Result of a float unit with these operands."""
        found = Signal(len(block.result), name=name)
        self.use(m, block, f"{name}_unit", result=found, **operands)
        return found

    def later(self, m: Module, name: str, value: Value) -> Signal:
        """The value one cycle later; nothing in the chain waits."""
        return register(m, len(value), name, Const(1, 1), value)


def of_slot(slot: Value, words: list[Any]) -> Value:
    """The word of a slot."""
    found = words[-1]
    for number, word in reversed(list(enumerate(words[:-1]))):
        found = Mux(slot == number, word, found)
    return found


class Scale(FloatUser):
    """The scale of a row of sums: the product of two FP32 scales, rounded first."""

    place = "front"
    latency = "1 cycle"

    def __init__(self, spec: VectorSpec) -> None:
        self.spec = spec
        given = spec.width if spec.adder_stages else SCALE_WIDTH
        ports = {"weight": In(given), "row": In(given), "scale": Out(spec.width)}
        self.latency = f"{spec.product_stages + 1} cycles" if spec.product_stages else self.latency
        name = f"{spec.family}_scale_{spec.inside.name}" + "_rounded" * spec.parted + spec.product_form
        super().__init__(name, ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        pair = {"weight": self.weight, "row": self.row}
        rounded = list(pair.values())
        if not self.spec.adder_stages:
            rounded = [
                self.result(m, FloatConvert(FP32, self.spec.inside, flush=True), f"rounded_{name}", a=value)
                for name, value in pair.items()
            ]
        m.d.comb += self.scale.eq(self.later(m, "scaled", self.product(m, "product", *rounded)))
        return m


class Front(FloatUser):
    """Dequantizes, gates, adds and weighs one element a cycle, as the run asks, and squares it.

    An element that is rotated needs its neighbor: ``element`` and ``angle`` go to it, ``neighbor`` and its ``other``
    angle come from it.
    """

    place = "front"

    def __init__(self, spec: VectorSpec, odd: bool = False) -> None:
        self.spec, self.odd = spec, odd
        turns = spec.width * spec.rotated
        self.latency = f"{spec.chain_stages - 1} cycles"
        ports = {
            "x": In(spec.x_width),
            "scale": In(spec.width * spec.sums),
            "operand": In(spec.element_width * spec.takes_operand),
            "gain": In(spec.element_width),
            "do_dequantize": In(spec.sums),
            "do_gate": In(spec.gated),
            "do_add": In(spec.added),
            "do_rotate": In(spec.rotated),
            "do_norm": In(1),
            "do_dot": In(spec.dotted),
            "neighbor": In(turns),
            "other": In(turns),
            "element": Out(turns),
            "angle": Out(turns),
            "weighed": Out(spec.width),
            "square": Out(spec.width - 1 + spec.dotted),
        }
        has = {"d": spec.sums, "g": spec.gated, "a": spec.added, "r": spec.rotated, "p": spec.dotted}
        has |= {"_silu": spec.curved}
        form = "".join(letter for letter, there in has.items() if there) + "_odd" * (spec.rotates and odd)
        form += f"_s{spec.adder_stages}" * (spec.adder_stages > 0 and (spec.adds or spec.rotates))
        form += spec.product_form
        super().__init__(f"{spec.family}_front_{spec.format}_{form}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, spec = self.module(), self.spec
        beside = Beside(self.later(m, "gain_inside", self.converted(m, "gain_float", self.gain)))
        if spec.takes_operand:
            operand = self.converted(m, "operand_float", self.operand)
            beside = beside._replace(operand=self.later(m, "operand_inside", operand))
        row = self.later(m, "x_inside", self.converted(m, "x_float", self.x[: spec.element_width]))
        if spec.dequantizes:
            row = self._dequantized(m, row)
            beside = self._beside(m, "dequantized", self._held(m, "dequantized", beside))
        if spec.gates:
            row, beside = self._gated(m, row, beside)
        if spec.adds:
            total = self.sum_of(m, "total", row, beside.operand)
            beside = beside if spec.rotates else Beside(beside.gain)
            row, beside = self._waiting(m, "added", row, beside, spec.adder_stages)
            row = self.later(m, "added", Mux(self.do_add, total, row))
            beside = self._beside(m, "added", beside)
        if spec.rotates:
            row, beside = self._rotated(m, row, beside)
        squared = self.positive_product(m, "squared", row, row)
        gained = self.product(m, "gained", row, beside.gain)
        row, _ = self._waiting(m, "weighed", row, Beside(_NONE), spec.product_stages)
        added = Mux(self.do_dot, gained, squared) if spec.dots else squared[:-1]
        m.d.comb += self.square.eq(self.later(m, "square_held", added))
        m.d.comb += self.weighed.eq(self.later(m, "weighed_held", Mux(self.do_norm, gained, row)))
        return m

    def _beside(self, m: Module, name: str, values: Beside) -> Beside:
        """The values that later stages need, delayed by one stage."""
        gain = self.later(m, f"gain_{name}", values.gain) if len(values.gain) else _NONE
        return Beside(
            gain, self.later(m, f"operand_{name}", values.operand) if len(values.operand) else _NONE
        )

    def _held(self, m: Module, name: str, beside: Beside) -> Beside:
        """The values beside an element, as many cycles later as a product has registers."""
        for stage in range(self.spec.product_stages):
            beside = self._beside(m, f"{name}{stage}", beside)
        return beside

    def _waiting(
        self, m: Module, name: str, row: Signal, beside: Beside, stages: int
    ) -> tuple[Signal, Beside]:
        """An element and the values beside it, ``stages`` cycles later."""
        for stage in range(stages):
            row = self.later(m, f"row_{name}{stage}", row)
            beside = self._beside(m, f"{name}{stage}", beside)
        return row, beside

    def _dequantized(self, m: Module, row: Signal) -> Signal:
        spec = self.spec
        convert = IntToFloat(
            spec.inside, SUM_WIDTH, stages=spec.product_stages, free=True, quick=spec.product_stages > 0
        )
        whole = self.result(m, convert, "whole", a=self.x)
        scaled = self.product(m, "scaled", self.later(m, "whole_held", whole), self.scale)
        row, _ = self._waiting(m, "dequantized", row, Beside(_NONE), spec.product_stages)
        return self.later(m, "dequantized", Mux(self.do_dequantize, scaled, row))

    def _gated(self, m: Module, row: Signal, beside: Beside) -> tuple[Signal, Beside]:
        """The activation, then its product with the second operand."""
        stages = self.spec.product_stages
        if self.spec.activation == "silu":
            row, factor, beside = self._sigmoid(m, row, beside)
            activated = self._curved(m, row, factor)
        else:
            positive = Signal(len(row), name="positive")
            m.d.comb += positive.eq(row & (~row[-1]).replicate(len(row)))
            activated = self.positive_product(m, "rectified", positive, positive)
        row, beside = self._waiting(m, "gate", row, beside, stages)
        if self.spec.activation == "silu" and stages:
            activated = self._signed(activated, row)
        row = self.later(m, "gate", Mux(self.do_gate, activated, row))
        beside = self._beside(m, "gate", beside)
        product = self.product(m, "opened", row, beside.operand)
        kept = beside if self.spec.adds or self.spec.rotates else Beside(beside.gain)
        row, kept = self._waiting(m, "gated", row, kept, stages)
        return self.later(m, "gated", Mux(self.do_gate, product, row)), self._beside(m, "gated", kept)

    def _curved(self, m: Module, row: Value, factor: Value) -> Value:
        """An element times its sigmoid; with registers inside without the sign, which waits in the element."""
        if not self.spec.product_stages:
            return self.product(m, "curved", row, factor)
        return self.positive_product(m, "curved", row, factor)

    def _signed(self, product: Value, row: Value) -> Value:
        """A product with the sign of the element that it is of; NaN has none."""
        nan = product[self.spec.inside.fraction_bits - 1 : -1].all()
        return Cat(product[:-1], row[-1] & ~nan)

    def _sigmoid(self, m: Module, row: Signal, beside: Beside) -> tuple[Signal, Value, Beside]:
        """An element, its sigmoid, and the values that travel beside them."""
        x = row[:-1]
        for stage in range(SIGMOID_STAGES):
            negative = row[-1]
            row = self.later(m, f"sigmoid_x{stage}", row)
            beside = self._beside(m, f"sigmoid{stage}", beside)
        found = self.result(m, Sigmoid(self.spec.inside), "sigmoid", x=x, negative=negative)
        return row, Cat(self.later(m, "sigmoid_held", found), Const(0, 1)), beside

    def _rotated(self, m: Module, row: Signal, beside: Beside) -> tuple[Signal, Beside]:
        """Two products with the angle of the pair, then their difference; for an odd element their sum."""
        m.d.comb += [self.element.eq(row), self.angle.eq(beside.operand)]
        by, across = (self.other, beside.operand) if self.odd else (beside.operand, self.other)
        straight = self.product(m, "straight", row, by)
        crossed = self.product(m, "crossed", self.neighbor, across)
        row, beside = self._waiting(m, "straight", row, Beside(beside.gain), self.spec.product_stages)
        row = self.later(m, "straight_held", Mux(self.do_rotate, straight, row))
        crossed = self.later(m, "crossed_held", crossed)
        beside = self._beside(m, "straight", beside)
        term = crossed if self.odd else Cat(crossed[:-1], ~crossed[-1])
        turned = self.sum_of(m, "turned", row, term)
        row, beside = self._waiting(m, "rotated", row, beside, self.spec.adder_stages)
        row = self.later(m, "rotated", Mux(self.do_rotate, turned, row))
        return row, self._beside(m, "rotated", beside)


class Back(FloatUser):
    """Multiplies a kept element by the factor of its row, and rounds it to a float and to an integer."""

    place = "back"
    latency = "2 cycles"

    def __init__(self, spec: VectorSpec) -> None:
        self.spec = spec
        self.latency = f"{spec.out_stages - 1} cycles"
        ports = {
            "weighed": In(spec.width),
            "factor": In(spec.width - 1),
            "enable_product": In(1 + spec.product_stages),
            "enable_result": In(1 + spec.product_stages),
            "value": Out(spec.element_width),
            "quantized": Out(INTEGER_WIDTH),
        }
        super().__init__(f"{spec.family}_back_{spec.format}{spec.product_form}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, spec, factor = self.module(), self.spec, Cat(self.factor, Const(0, 1))
        if spec.product_stages:
            self._in_stages(m, factor)
            return m
        product = self.product(m, "product", self.weighed, factor)
        held = register(m, spec.width, "product_held", self.enable_product, product)
        back = FloatConvert(spec.inside, spec.outside, flush=True)
        value = self.result(m, back, "rounded", a=held)
        whole = self.result(m, FloatToInt(spec.inside, INTEGER_WIDTH, flush=True), "whole", a=held)
        m.d.comb += [
            self.value.eq(register(m, spec.element_width, "value_held", self.enable_result, value)),
            self.quantized.eq(register(m, INTEGER_WIDTH, "quantized_held", self.enable_result, whole)),
        ]
        return m

    def _in_stages(self, m: Module, factor: Value) -> None:
        """The same with registers inside the product and inside both conversions, each with an enable of its own."""
        spec, stages = self.spec, self.spec.product_stages
        block = FloatProduct(spec.inside, stages=stages, free=False)
        enable = self.enable_product
        product = self.result(m, block, "product", a=self.weighed, b=factor, enable=enable[:stages])
        held = register(m, spec.width, "product_held", enable[stages], product)
        both = FloatToBoth(spec.inside, spec.outside, INTEGER_WIDTH, stages=stages, flush=True)
        enable = self.enable_result
        whole = Signal(INTEGER_WIDTH, name="whole")
        value = self.result(m, both, "rounded", a=held, enable=enable[:stages], whole=whole)
        m.d.comb += [
            self.value.eq(register(m, spec.element_width, "value_held", enable[stages], value)),
            self.quantized.eq(register(m, INTEGER_WIDTH, "quantized_held", enable[stages], whole)),
        ]
