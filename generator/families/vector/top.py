"""The datapath of a vector unit: chains of lanes, reductions, factor, row buffer, and the way out."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value

from blueprint.families.vector import VectorSpec
from generator.accelerator import Accelerator
from generator.block import register
from generator.cells.memory import store
from generator.families.vector.control import Control
from generator.families.vector.factor import Factor
from generator.families.vector.front import Back, Front, Scale
from generator.families.vector.sums import Sums


class VectorUnit(Accelerator):
    """Dequantizes, gates, adds, normalizes and quantizes rows."""

    place = "front"

    def __init__(self, spec: VectorSpec) -> None:
        self.latency = (
            f"{spec.front_stages} cycles to the sums of a row, {spec.factor_cycles} to its factor, 3 out"
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
            do_quantize=control.do_quantize, sum=sums.sum, largest=sums.largest, begin=control.factor_start,
            step=control.factor_step, end=control.factor_end, slot=control.factor_slot,
            read_slot=control.read_slot,
        )  # fmt: skip
        kept = Signal(spec.lanes * spec.width, name="kept_beat")
        store(
            self, m, "buffer", spec.rows_kept * spec.beats_max, write_data=Cat(*weighed), read_data=kept,
            write=control.write, write_address=control.write_address, read=control.enable_back[0],
            read_address=control.read_address,
        )  # fmt: skip
        self._results(m, control, factor, kept)
        return m

    def _taken(self, m: Module, control: Any) -> tuple[list[Value], list[Value], list[Value], Value]:
        """The elements of a beat of every stream, a cycle after the beat of the row; and its scale, a cycle later."""
        spec, fire = self.spec, control.enable_front
        gain_held = register(
            m,
            spec.element_bits,
            "gain_held",
            control.enable_gain,
            self.s_axis_gain.tdata[: spec.element_bits],
        )
        x = register(
            m, spec.lanes * spec.x_width, "x_taken", fire, self.s_axis_x.tdata[: spec.lanes * spec.x_width]
        )
        gain = register(m, spec.element_bits, "gain_taken", fire, gain_held)
        operands: list[Value] = [Const(0, 0)] * spec.lanes
        if spec.takes_operand:
            operand = self.s_axis_operand.tdata[: spec.element_bits]
            operand = register(m, spec.element_bits, "operand_held", control.enable_operand, operand)
            operands = _split(register(m, spec.element_bits, "operand_taken", fire, operand), spec.lanes)
        scale: Value = Const(0, 0)
        if spec.dequantizes:
            scales = (self.s_axis_x.beat.weight_scale, self.s_axis_x.beat.row_scale)
            weight, row = (
                register(m, len(given), f"{name}_scale", fire, given)
                for name, given in zip(("weight", "row"), scales, strict=True)
            )
            scale = self.use(m, Scale(spec), "scale", prefix="", weight=weight, row=row).scale
        return _split(x, spec.lanes), operands, _split(gain, spec.lanes), scale

    def _lanes(self, m: Module, control: Any) -> tuple[list[Value], list[Value]]:
        """The weighed elements of a beat, and their squares."""
        spec, front = self.spec, Front(self.spec)
        weighed, squares = [], []
        x, operands, gains, scale = self._taken(m, control)
        for lane in range(spec.lanes):
            ends = self.use(
                m, front, f"front{lane}", x=x[lane], operand=operands[lane], gain=gains[lane], scale=scale,
                do_dequantize=control.do_dequantize, do_gate=control.do_gate, do_add=control.do_add,
                do_norm=control.do_norm,
            )  # fmt: skip
            weighed.append(ends.weighed)
            squares.append(ends.square)
        return weighed, squares

    def _reductions(self, m: Module, control: Any, weighed: list[Value], squares: list[Value]) -> Any:
        return self.use(
            m, Sums(self.spec), "sums", square=Cat(*squares), magnitude=Cat(*(word[:-1] for word in weighed)),
            enable=control.enable_sum, first=control.first_sum, last=control.last_sum,
            write_slot=control.sum_slot, read_slot=control.factor_slot,
        )  # fmt: skip

    def _results(self, m: Module, control: Any, factor: Any, kept: Signal) -> None:
        """The beat that was read, times the factor of its row, out with the scale of the row."""
        spec, back, narrow = self.spec, Back(self.spec), self.spec.width - 1
        moves = control.enable_back
        times = register(m, narrow, "factor_read", moves[0], factor.factor)
        scale = factor.scale
        for stage in range(len(moves)):
            scale = register(m, narrow, f"scale{stage}", moves[stage], scale)
        values, integers = [], []
        for lane, word in enumerate(_split(kept, spec.lanes)):
            ends = self.use(
                m,
                back,
                f"back{lane}",
                weighed=word,
                factor=times,
                enable_product=moves[1],
                enable_result=moves[2],
            )
            values.append(ends.value)
            integers.append(ends.quantized)
        low = Const(0, 31 - narrow)
        m.d.comb += self.m_axis_out.tdata.eq(Cat(*values, *integers, low, scale, Const(0, 1)))


def _split(word: Value, lanes: int) -> list[Value]:
    """A word as one value for each lane."""
    width = len(word) // lanes
    return [word[lane * width : (lane + 1) * width] for lane in range(lanes)]
