"""The datapath of the accelerator: operand registers, elements, results."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout

from blueprint.families.systolic import SystolicSpec
from blueprint.families.systolic.parameters import BANKS
from blueprint.numbers import flag
from generator.accelerator import Accelerator
from generator.arithmetic.integers import sign_extend
from generator.arithmetic.processing import DigitEncode, DigitQueue, Resolve, Total
from generator.block import register
from generator.cells.memory import Sram
from generator.cells.skew import Skew, delay_line
from generator.families.systolic.buffer import ColumnBuffer, MemoryColumn
from generator.families.systolic.control import StationaryControl, SummingControl
from generator.families.systolic.edge import DigitWait
from generator.families.systolic.element import cascade_plans, handed_on
from generator.families.systolic.row import StationaryRow, SummingRow
from generator.layout import bits, elements, shape


class Systolic(Accelerator):
    """Multiplies matrices on an array of processing elements."""

    place = "edge"

    def __init__(self, spec: SystolicSpec) -> None:
        behind = 3 if spec.stationary else 1 + spec.resolve_stages
        self.latency = f"{spec.stages + behind} cycles from a tile's last beat to a result"
        self.throughput = f"one beat per cycle, {spec.peak_macs} multiply-accumulates"
        super().__init__(spec)

    def elaborate(self, platform: Any) -> Module:
        m, spec = self.module(), self.spec
        self._ternary = Signal(flag(spec.flexible), name="ternary")
        self._queues_done = Signal(flag(spec.paced), name="queues_done")
        streams = {"act": self.s_axis_act, "wgt": self.s_axis_wgt, "out": self.m_axis_out}
        if spec.stationary:
            control = self.sequence(m, StationaryControl(spec), **streams)
        else:
            digits = {"ternary": self._ternary, "queues_done": self._queues_done}
            control = self.sequence(m, SummingControl(spec), **streams, **digits)
        self._control = control
        acts = self._activations(m)
        weights = bits(self.s_axis_wgt.beat.weight)
        if not spec.stationary:
            weights = register(m, len(weights), "wgt", control.accept_wgt, weights)
        if spec.flexible:
            field = spec.stream("wgt").field
            m.d.comb += self._ternary.eq(shape(field)(weights)[0][0].ternary)
        if self.spec.skewed:
            acts = self._skewed(m, acts, self.spec.rows, "acts")
            weights = self._skewed(m, weights, self.spec.cols, "weights")
        results = (self._stay if self.spec.stationary else self._sum)(m, acts, weights)
        width = self.spec.output_bits
        m.d.comb += self.m_axis_out.tdata.eq(Cat(*(sign_extend(result, width) for result in results)))
        return m

    def _activations(self, m: Module) -> Value:
        """Activations, codes or digits of the beat that is issued, zeros where none is."""
        spec, given = self.spec, bits(self.s_axis_act.beat.activation)
        if spec.waits:
            return self._waiting(m)
        if spec.serial:
            acts = self._digits(m)
        elif spec.pe == "ent":
            acts = register(m, spec.rows * spec.act_bits, "act", self._control.accept_act, self._codes(m))
        else:
            acts = register(m, len(given), "act", self._control.accept_act, given)
        if not spec.gated:
            return acts
        gated = Signal(len(acts), name="act_gated")
        m.d.comb += gated.eq(acts & self._control.gate.replicate(len(acts)))
        return gated

    def _codes(self, m: Module) -> Value:
        block, codes = DigitEncode(self.spec.act_width), []
        block.place = self.place
        for number, word in enumerate(elements(self.s_axis_act.beat.activation)):
            code = Signal(self.spec.code_width, name=f"code{number}")
            self.use(m, block, f"encode{number}", a=word, code=code)
            codes.append(code)
        return Cat(*codes)

    def _digits(self, m: Module) -> Value:
        """A digit of every activation; the queues are the register that activations are taken into."""
        block, digits, done = DigitQueue(self.spec.element), [], []
        block.place = self.place
        mask = Const(-1, self.spec.element.digits)
        pins = {"load": self._control.accept_act, "enable": self._control.gate, "mask": mask}
        for number, word in enumerate(elements(self.s_axis_act.beat.activation)):
            digit, empty = (
                Signal(self.spec.code_width, name=f"digit{number}"),
                Signal(name=f"done{number}"),
            )
            self.use(m, block, f"queue{number}", a=word, digit=digit, done=empty, **pins)
            digits.append(digit)
            done.append(empty)
        if self.spec.paced:
            m.d.comb += self._queues_done.eq(Cat(*done).all())
        return Cat(*digits)

    def _waiting(self, m: Module) -> Value:
        """Activations as they come; counters tell when all elements are through with theirs."""
        given, block, done = self.s_axis_act.beat.activation, DigitWait(self.spec.act_width), []
        if not self.spec.paced:
            return bits(given)
        pins = {"load": self._control.accept_act, "enable": self._control.gate}
        for number, word in enumerate(elements(given)):
            done.append(Signal(name=f"done{number}"))
            self.use(m, block, f"wait{number}", a=word, done=done[-1], **pins)
        m.d.comb += self._queues_done.eq(Cat(*done).all())
        return bits(given)

    def _skewed(self, m: Module, word: Value, lanes: int, name: str, *, reverse: bool = False) -> Value:
        block = Skew(self.spec.family, self.place, lanes, len(word) // lanes, reverse=reverse)
        late = Signal(len(word), name=f"{name}_late")
        self.use(m, block, f"skew_{name}", early=word, late=late)
        return late

    def _sum(self, m: Module, acts: Value, weights: Value) -> list[Value]:
        """Rows that keep their sums; weights pass down, results up."""
        spec = self.spec
        block = SummingRow(spec)
        row_of = block.result.shape()
        held = spec.product_cycles
        results = [row_of(Signal(row_of.size, name=f"results{row}")) for row in range(spec.rows)]
        for row, act in enumerate(elements(ArrayLayout(spec.act_bits, spec.rows)(acts))):
            begin, count = (row + held, spec.cols) if spec.skewed else (held, 1)
            wave, control = slice(begin, begin + count), self._control
            below = results[row + 1] if row + 1 < spec.rows else Const(0, row_of.size)
            self.use(
                m, block, f"row{row}", act=act, weight=weights, result=results[row], below=below,
                valid=control.valid[wave], first=control.first[wave], load=control.load[wave],
                move=control.move[wave], last=control.last[wave], shift=control.shift,
            )  # fmt: skip
            if spec.skewed and row + 1 < spec.rows:
                weights = delay_line(m, weights, 1, "weights", first=row + 1)[-1]
        totals = elements(results[0])
        return self._resolved(m, totals) if spec.carry_save else totals

    def _resolved(self, m: Module, states: list[Value]) -> list[Value]:
        """The one addition that carry-save sums still need, outside the array."""
        block, totals = Resolve(self.spec.element, self.spec.resolve_cycles), []
        block.place, move = "result", self._control.move_piece
        for column, state in enumerate(states):
            total = Signal(self.spec.result_width, name=f"resolved{column}")
            self.use(m, block, f"resolve{column}", state=state, total=total, enable=move)
            totals.append(total)
        return totals

    def _stay(self, m: Module, acts: Value, weights: Value) -> list[Value]:
        """Rows that keep their weights; sums pass down into the buffers of the columns."""
        spec = self.spec
        total: Value = Const(0, 0)
        for row, act in enumerate(elements(ArrayLayout(spec.act_bits, spec.rows)(acts))):
            above, total = total, Signal(spec.cols * handed_on(spec, row + 1), name=f"totals{row}")
            swap = self._control.swap[row : row + spec.cols]
            self.use(
                m, StationaryRow(spec, row), f"row{row}",
                act=act, weight=weights, load=self._control.load[row], swap=swap, above=above, total=total,
            )  # fmt: skip
        if spec.passes_words:
            total = self._added_up(m, total)
        partials = self._skewed(m, total, spec.cols, "totals", reverse=True)
        words = elements(ArrayLayout(spec.sum_width(spec.rows), spec.cols)(partials))
        return self._remembered(m, words) if spec.in_sram else self._filed(m, words)

    def _added_up(self, m: Module, words: Value) -> Value:
        """The one addition of every column that two words still need, below the last row."""
        spec, totals = self.spec, []
        width = handed_on(spec, spec.rows)
        block = Total(cascade_plans(spec).last, width, spec.resolve_cycles)
        for column, word in enumerate(elements(ArrayLayout(width, spec.cols)(words))):
            totals.append(Signal(spec.sum_width(spec.rows), name=f"added_up{column}"))
            self.use(m, block, f"total{column}", words=word, total=totals[-1])
        return Cat(*totals)

    def _filed(self, m: Module, partials: list[Value]) -> list[Value]:
        """Partial sums in registers."""
        buffer, results = ColumnBuffer(self.spec), []
        control = self._control
        for column, partial in enumerate(partials):
            result = Signal(self.spec.result_width, name=f"result{column}")
            self.use(
                m, buffer, f"buffer{column}", partial=partial, result=result, word=control.word,
                store=control.store, first=control.first, given=control.given, take=control.take,
            )  # fmt: skip
            results.append(result)
        return results

    def _remembered(self, m: Module, partials: list[Value]) -> list[Value]:
        """Partial sums in two memories as wide as all columns."""
        spec, width = self.spec, self.spec.result_width
        columns = ArrayLayout(width, spec.cols)
        column, total = MemoryColumn(spec), columns(Signal(columns.size, name="memory_write"))
        stored = [columns(Signal(columns.size, name=f"memory_read{bank}")) for bank in range(BANKS)]
        control = self._control
        results = []
        for number, partial in enumerate(partials):
            result = Signal(width, name=f"result{number}")
            self.use(
                m, column, f"column{number}", partial=partial, total=total[number], result=result,
                stored=Cat(*(bank[number] for bank in stored)), shown=control.shown, fill=control.fill,
                first=control.first, forward=control.forward, enable_forward=control.enable_forward,
            )  # fmt: skip
            results.append(result)
        memory = Sram(spec.most_tokens, columns.size)
        for bank, address in enumerate(control.read_address):
            self.use(
                m, memory, f"bank{bank}", write=control.write[bank], write_address=control.write_address,
                write_data=total, read=control.read[bank], read_address=address, read_data=stored[bank],
            )  # fmt: skip
        return results
