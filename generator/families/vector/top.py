"""The datapath of a vector unit: chains of lanes, reductions, factor, row buffer, and the way out."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout

from blueprint.arithmetic.floating import FP32
from blueprint.families.vector import VectorSpec
from blueprint.families.vector.parameters import INDEX_WIDTH
from generator.accelerator import Accelerator
from generator.arithmetic.floating import FloatConvert
from generator.block import register
from generator.cells.memory import store
from generator.families.vector.control import Control
from generator.families.vector.factor import Factor
from generator.families.vector.front import Back, Front, Scale
from generator.families.vector.largest import Largest
from generator.families.vector.listed import Listed
from generator.families.vector.scores import Scores
from generator.families.vector.sums import Sums
from generator.layout import bits, elements, joined

#: Bits of an FP32 number without its sign.
_POSITIVE = FP32.width - 1


class VectorUnit(Accelerator):
    """Dequantizes, gates, adds, normalizes and quantizes rows."""

    place = "front"

    def __init__(self, spec: VectorSpec) -> None:
        self.latency = (
            f"{spec.front_stages} cycles to the sums of a row, {spec.factor_cycles} to its factor, "
            f"{spec.out_stages} out"
        )
        self.throughput = f"{spec.lanes} elements per cycle"
        super().__init__(spec)

    def elaborate(self, platform: Any) -> Module:
        m, spec = self.module(), self.spec
        streams = {"x": self.s_axis_x, "gain": self.s_axis_gain, "out": self.m_axis_out}
        if spec.takes_operand:
            streams |= {"operand": self.s_axis_operand}
        control = self.sequence(m, Control(spec), **streams)
        weighed, squares = self._lanes(m, control)
        sums = self._reductions(m, control, weighed, squares)
        factor = self.use(
            m, Factor(spec), "factor", prefix="", length=control.run.length, do_norm=control.do_norm,
            do_quantize=control.do_quantize, sum=sums.sum if spec.adder_stages else sums.sum[0][:_POSITIVE],
            largest=sums.largest, begin=control.factor_start, step=control.factor_step, end=control.factor_end,
            slot=control.factor_slot, read_slot=control.read_slot, joined=control.factor_joined,
        )  # fmt: skip
        kept = Signal(spec.lanes * spec.width, name="kept_beat")
        store(
            self, m, "buffer", spec.rows_kept * spec.beats_max, write_data=Cat(*weighed), read_data=kept,
            write=control.write, write_address=control.write_address, read=control.enable_back[0],
            read_address=control.read_address,
        )  # fmt: skip
        self._results(m, control, factor, sums, kept)
        return m

    def _taken(self, m: Module, control: Any) -> tuple[list[Value], list[Value], list[Value], Value]:
        """The elements of a beat of every stream, a cycle after the beat of the row; and its scale, a cycle later."""
        spec, fire = self.spec, control.enable_front
        gain_held = register(
            m,
            spec.element_bits,
            "gain_held",
            control.enable_gain,
            bits(self.s_axis_gain.beat.gain),
        )
        x = register(m, spec.lanes * spec.x_width, "x_taken", fire, bits(self.s_axis_x.beat.x))
        gain = register(m, spec.element_bits, "gain_taken", fire, gain_held)
        operands: list[Value] = [Const(0, 0)] * spec.lanes
        if spec.takes_operand:
            operand = bits(self.s_axis_operand.beat.operand)
            operand = register(m, spec.element_bits, "operand_held", control.enable_operand, operand)
            operands = _lanes(spec, register(m, spec.element_bits, "operand_taken", fire, operand))
        scale: Value = Const(0, 0)
        if spec.dequantizes:
            scales = (self.s_axis_x.beat.weight_scale, self.s_axis_x.beat.row_scale)
            weight, row = (
                register(m, len(given), f"{name}_scale", fire, given)
                for name, given in zip(("weight", "row"), self._rounded(m, scales), strict=True)
            )
            scale = self.use(m, Scale(spec), "scale", prefix="", weight=weight, row=row).scale
        return _lanes(spec, x), operands, _lanes(spec, gain), scale

    def _rounded(self, m: Module, scales: tuple[Value, ...]) -> list[Value]:
        """The scales of a row, rounded here if the product behind their registers is to be short."""
        if not self.spec.adder_stages:
            return list(scales)
        found: list[Value] = []
        for number, scale in enumerate(scales):
            rounded = Signal(self.spec.width, name=f"rounded_scale{number}")
            block = FloatConvert(FP32, self.spec.inside, flush=True)
            self.use(m, block, f"rounded_scale{number}_unit", a=scale, result=rounded)
            found.append(rounded)
        return found

    def _lanes(self, m: Module, control: Any) -> tuple[list[Value], list[Value]]:
        """The weighed elements of a beat, and what is added of them: their squares, or their products with gains."""
        spec, fronts = self.spec, (Front(self.spec), Front(self.spec, odd=True))
        weighed, squares = [], []
        x, operands, gains, scale = self._taken(m, control)
        turns = spec.width * spec.rotated
        elements, angles = (
            [Signal(turns, name=f"{name}{lane}") for lane in range(spec.lanes)]
            for name in ("element", "angle")
        )
        for lane in range(spec.lanes):
            ends = self.use(
                m, fronts[lane % 2 * spec.rotated], f"front{lane}", x=x[lane], operand=operands[lane],
                gain=gains[lane], scale=scale, do_dequantize=control.do_dequantize, do_gate=control.do_gate,
                do_add=control.do_add, do_rotate=control.do_rotate, do_norm=control.do_norm, do_dot=control.do_dot,
                neighbor=elements[lane ^ spec.rotated], other=angles[lane ^ spec.rotated],
                element=elements[lane], angle=angles[lane],
            )  # fmt: skip
            weighed.append(ends.weighed)
            squares.append(ends.square)
        return weighed, squares

    def _reductions(self, m: Module, control: Any, weighed: list[Value], squares: list[Value]) -> Any:
        return self.use(
            m, Sums(self.spec), "sums", square=Cat(*squares), magnitude=Cat(*(word[:-1] for word in weighed)),
            enable=control.enable_sum, first=control.first_sum, last=control.last_sum, entering=control.entering,
            opens=control.opens, part=control.part, write_slot=control.sum_slot, read_slot=control.factor_slot,
            out_slot=control.read_slot,
        )  # fmt: skip

    def _largest(self, m: Module, control: Any, total: Value) -> Value:
        """The row with the largest sum among the rows up to the one that leaves."""
        enable = control.factor_joined if self.spec.adder_stages else control.factor_start
        summed, joined = total, enable
        if self.spec.samples:
            enable, total = control.factor_end, self._score(m, control, total)
        among: dict[str, Value] = {}
        if self.spec.top_k:
            order = Signal(FP32.width, name="order_of_score")
            row = self.use(
                m, Listed(self.spec), "listed", sum=summed, joined=joined, score=order, number=control.factor_row,
                first=control.factor_first, enable=enable, top_k=control.run.top_k,
            ).row  # fmt: skip
            among = {"listed": row, "among": control.run.top_k != 1, "ranked": order}
        found: Value = self.use(
            m, Largest(self.spec), "largest", sum=total, number=control.factor_row, first=control.factor_first,
            enable=enable, slot=control.factor_slot, read_slot=control.read_slot, **among,
        ).index  # fmt: skip
        return found

    def _score(self, m: Module, control: Any, total: Value) -> Value:
        """The score of the row whose factor is found."""
        run = control.run
        found: Value = self.use(
            m, Scores(self.spec), "scores", prefix="", begin=control.factor_start, step=control.factor_step,
            number=control.factor_row, sum=total, enable=control.score, seed=run.seed, position=run.position,
            inverse_temperature=run.inverse_temperature,
        ).score  # fmt: skip
        return found

    def _results(self, m: Module, control: Any, factor: Any, sums: Any, kept: Signal) -> None:
        """Multiply the beat that was read by the factor of its row; it leaves with the scale and sums of the row."""
        spec, back, narrow = self.spec, Back(self.spec), self.spec.width - 1
        moves = control.enable_back
        times = register(m, narrow, "factor_read", moves[0], factor.factor)
        scale = self._beside(m, "scale", moves, factor.scale)
        row = {"scale": Cat(Const(0, FP32.width - 1 - narrow), scale, Const(0, 1))}
        if spec.dots:
            staged = spec.adder_stages
            dot = self._beside(m, "dot", moves, factor.dot if staged else sums.dot)
            index = self._beside(
                m, "index", moves, self._largest(m, control, factor.total if staged else sums.sum[0])
            )
            row |= {"dot": dot, "index": Cat(index, Const(0, INDEX_WIDTH - spec.index_bits))}
        values, integers = [], []
        for lane, word in enumerate(_lanes(spec, kept)):
            ends = self.use(
                m,
                back,
                f"back{lane}",
                weighed=word,
                factor=times,
                enable_product=moves[1 : 2 + spec.product_stages],
                enable_result=moves[2 + spec.product_stages :],
            )
            values.append(ends.value)
            integers.append(ends.quantized)
        beat = joined(spec.stream("out").beat, out=Cat(*values), quantized=Cat(*integers), **row)
        m.d.comb += self.m_axis_out.tdata.eq(bits(beat))

    def _beside(self, m: Module, name: str, moves: Value, value: Value) -> Value:
        """The values of a row that accompany its beats on their way out."""
        for stage in range(len(moves)):
            value = register(m, len(value), f"{name}{stage}", moves[stage], value)
        return value


def _lanes(spec: VectorSpec, word: Value) -> list[Value]:
    """A word as one value for each lane."""
    return elements(ArrayLayout(len(word) // spec.lanes, spec.lanes)(word))
