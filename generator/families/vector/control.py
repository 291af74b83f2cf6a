"""Sequencing: which beats come in, where rows are kept, when a factor is found, which beats go out."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.families.vector import VectorSpec
from blueprint.numbers import clog2
from generator.boundary import HANDSHAKE
from generator.cells.counter import count_up
from generator.cells.elastic import elastic
from generator.sequencer import Sequencer, held, taken


class Control(Sequencer):
    """Lets a row in while there is room for it, finds its factor when all of it has been added, and lets it out.

    Nothing waits between the port and the row buffer. ``sum`` of a beat comes ``front_stages`` cycles after it.
    """

    def __init__(self, spec: VectorSpec) -> None:
        self.latency = f"a beat leaves {spec.out_stages} cycles after it is read from the row buffer"
        operand = {"operand": In(HANDSHAKE)} if spec.takes_operand else {}
        slot = spec.slot_bits
        ports: dict[str, Any] = {
            "x": In(HANDSHAKE),
            **operand,
            "gain": In(HANDSHAKE),
            "out": Out(HANDSHAKE),
            "do_dequantize": Out(spec.sums),
            "do_gate": Out(spec.gated),
            "do_add": Out(spec.added),
            "do_rotate": Out(spec.rotated),
            "do_norm": Out(1),
            "do_quantize": Out(1),
            "do_dot": Out(spec.dotted),
            "enable_operand": Out(spec.takes_operand),
            "enable_gain": Out(1),
            "enable_front": Out(1),
            "write": Out(1),
            "write_address": Out(spec.address_bits),
            "enable_sum": Out(1),
            "first_sum": Out(1),
            "last_sum": Out(1),
            "entering": Out(clog2(spec.parts)),
            "opens": Out(spec.parted),
            "part": Out(clog2(spec.parts)),
            "sum_slot": Out(slot),
            "factor_slot": Out(slot),
            "factor_start": Out(1),
            "factor_step": Out(clog2(spec.factor_cycles)),
            "factor_end": Out(1),
            "factor_joined": Out(spec.dotted * spec.parted),
            "factor_first": Out(spec.dotted),
            "factor_row": Out(spec.index_bits),
            "score": Out(spec.sampled),
            "read_slot": Out(slot),
            "read_address": Out(spec.address_bits),
            "enable_back": Out(spec.out_stages),
        }
        super().__init__(spec, f"{spec.family}_control_{spec.design_hash}", ports)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec = self.spec
        code = Signal(spec.operation_bits, name="code")
        m.d.comb += code.eq(self.run.operation - 1)
        before = (self.do_dequantize, self.do_gate, self.do_add, self.do_rotate)
        m.d.comb += Cat(*before, self.do_norm, self.do_quantize, self.do_dot).eq(code)
        fire, row_out = Signal(name="x_fire"), Signal(name="row_out")
        beside, misframed = self._beside(m, fire)
        last_beat = self._rows_in(m, fire, row_out, beside, misframed)
        summed = self._chain(m, fire, last_beat)
        found = self._factors(m, summed)
        self._rows_out(m, found, row_out)
        m.d.comb += self.enable_front.eq(fire)
        streams = [self.x, self.gain, *([self.operand] if spec.takes_operand else [])]
        self.report(m, taken(*streams), misframed[0] | misframed[1] | misframed[2])
        return m

    def _loop(self, m: Module, name: str, advance: Value) -> tuple[Value, Value]:
        """Count the beats of a stream; returns whether this one ends a row, and the run."""
        last = self.counted(m, f"{name}_beats", self.run.length, self.spec.lanes, advance)
        return last, last & self.counted(m, f"{name}_rows", self.run.rows, 1, advance & last)

    def _beside(self, m: Module, fire: Value) -> tuple[Value, list[Value]]:
        """Accept second operands and gains; returns whether those of the next beat are there, and wrong frames."""
        there: Value = Const(1, 1)
        misframed: list[Value] = []
        gains = self.do_norm | self.do_dot if self.spec.dots else self.do_norm
        asked = [("gain", self.gain, self.enable_gain, gains)]
        if self.spec.takes_operand:
            uses = Cat(self.do_gate, self.do_add, self.do_rotate).any()
            asked.append(("operand", self.operand, self.enable_operand, uses))
        else:
            misframed.append(Const(0, 1))
        for name, stream, accept, needed in asked:
            full, ready, end = (Signal(name=f"{name}_{what}") for what in ("full", "ready", "end"))
            active = Signal(name=f"{name}_active")
            with m.If(self.run.start):
                m.d.sync += active.eq(needed)
            with m.Elif(end):
                m.d.sync += active.eq(0)
            m.d.comb += accept.eq(elastic(m, active & stream.tvalid, full, ready, fire))
            _, last = self._loop(m, name, accept)
            m.d.comb += [end.eq(accept & last), stream.tready.eq(active & ready)]
            there = there & (full | ~needed)
            misframed.append(accept & (stream.tlast != last))
        return there, misframed

    def _rows_in(
        self, m: Module, fire: Signal, row_out: Signal, beside: Value, misframed: list[Value]
    ) -> Value:
        """Take a beat when what goes with it is there and its row has room; returns whether it is the row's last."""
        end = Signal(name="x_end")
        active = held(m, "x_active", self.run.start, end)
        last_beat, last = self._loop(m, "x", fire)
        first = self.opening(m, "first_beat", fire, last_beat)
        kept = self._balance(m, "kept", fire & first, row_out)
        room = Signal(name="room")
        m.d.comb += [
            room.eq(~first | (kept != self.spec.rows_kept)),
            end.eq(fire & last),
            self.x.tready.eq(active & room & beside),
            fire.eq(self.x.tready & self.x.tvalid),
            self.run.stall_output.eq(active & ~room),
            self.run.stall_input.eq(active & room & ~beside),
            self.run.stall_memory.eq(active & room & beside & ~self.x.tvalid),
        ]
        misframed.append(fire & (self.x.tlast != last))
        return last_beat

    def _balance(self, m: Module, name: str, more: Value, less: Value) -> Signal:
        """Counter of the rows between two places."""
        count = Signal(self.spec.count_bits, name=name)
        with m.If(more & ~less):
            m.d.sync += count.eq(count + 1)
        with m.Elif(less & ~more):
            m.d.sync += count.eq(count - 1)
        return count

    def _slot(self, m: Module, name: str, advance: Value) -> Signal:
        """Slot of a row; slots are used in turn."""
        slot = Signal(self.spec.slot_bits, name=name)
        with m.If(advance):
            m.d.sync += slot.eq(Mux(slot == self.spec.rows_kept - 1, 0, slot + 1))
        return slot

    def _address(self, m: Module, name: str, advance: Value, last: Value, slot: Signal) -> Value:
        """Address of a beat of a row in the row buffer."""
        beat = Signal(clog2(self.spec.beats_max), name=f"{name}_beat")
        with m.If(advance):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        return (slot * self.spec.beats_max + beat)[: self.spec.address_bits]

    def _chain(self, m: Module, fire: Signal, last_beat: Value) -> Value:
        """Follow a beat to the row buffer and to the sums; returns whether a row has been added."""
        valid, last = fire, last_beat & fire
        for stage in range(self.spec.front_stages):
            next_valid, next_last = Signal(name=f"valid{stage}"), Signal(name=f"last{stage}")
            m.d.sync += [next_valid.eq(valid), next_last.eq(last)]
            valid, last = next_valid, next_last
            if stage == self.spec.chain_stages - 1:
                slot = self._slot(m, "write_slot", last)
                address = self._address(m, "write", valid, last, slot)
                m.d.comb += [self.write.eq(valid), self.write_address.eq(address)]
            if self.spec.adder_stages and stage == self.spec.front_stages - self.spec.adder_stages - 1:
                self._entering(m, valid, last)
        first = Signal(name="sum_opens")
        m.d.comb += first.eq(self.opening(m, "first_sum_held", valid, last))
        m.d.comb += [self.enable_sum.eq(valid), self.first_sum.eq(first), self.last_sum.eq(last)]
        m.d.comb += self.sum_slot.eq(self._slot(m, "sum_slot_held", last))
        if self.spec.adder_stages:
            m.d.comb += self.part.eq(self._part(m, "part_held", valid, last)[0])
        return last

    def _entering(self, m: Module, valid: Value, last: Value) -> None:
        """The number of the row's partial sum to which a beat is added, and whether it is the first one of that sum."""
        part, wraps = self._part(m, "entering_held", valid, last)
        opens = Signal(name="opens_held", init=1)
        with m.If(self.run.start | (valid & last)):
            m.d.sync += opens.eq(1)
        with m.Elif(valid & wraps):
            m.d.sync += opens.eq(0)
        m.d.comb += [self.entering.eq(part), self.opens.eq(opens)]

    def _part(self, m: Module, name: str, valid: Value, last: Value) -> tuple[Signal, Value]:
        """The part of a row that a beat belongs to, in turn from the first one; and whether it is the last part."""
        part = Signal(clog2(self.spec.parts), name=name)
        wraps = part == self.spec.adder_stages
        with m.If(valid):
            m.d.sync += part.eq(Mux(last | wraps, 0, part + 1))
        return part, wraps

    def _factors(self, m: Module, summed: Value) -> Value:
        """Count the steps of a row's factor; returns whether one is found."""
        start, busy, end = Signal(name="start"), Signal(name="busy"), Signal(name="end")
        step = Signal(len(self.factor_step), name="step")
        pending = self._balance(m, "pending", summed, start)
        m.d.comb += [start.eq((pending != 0) & ~busy), end.eq(step == self.spec.factor_cycles - 1)]
        with m.If(start):
            m.d.sync += [busy.eq(1), step.eq(1)]
        with m.Elif(end):
            m.d.sync += [busy.eq(0), step.eq(0)]
        with m.Elif(busy):
            m.d.sync += step.eq(step + 1)
        m.d.comb += [self.factor_start.eq(start), self.factor_step.eq(step), self.factor_end.eq(end)]
        m.d.comb += self.factor_slot.eq(self._slot(m, "factor_slot_held", end))
        if self.spec.dots:
            joined: Value = start
            if self.spec.adder_stages:
                joined = step == self.spec.joining_cycles - self.spec.adder_stages
                m.d.comb += self.factor_joined.eq(joined)
            if self.spec.samples:
                m.d.comb += self.score.eq((step == self.spec.score_step) if self.spec.adder_stages else start)
                joined = end
            number = Signal(self.spec.index_bits, name="row_number")
            count_up(m, number, joined, self.run.start)
            first = self.opening(m, "first_factor", joined, Const(0, 1))
            m.d.comb += [self.factor_row.eq(number), self.factor_first.eq(first)]
        return end

    def _rows_out(self, m: Module, found: Value, row_out: Signal) -> None:
        """Read a row whose factor is found, beat by beat, through elastic stages."""
        end = Signal(name="scale_end")
        active = held(m, "scale_active", self.run.start, end)
        ready = self._balance(m, "ready", found, row_out)
        full = [Signal(name=f"full{stage}") for stage in range(self.spec.out_stages)]
        free = [*(Signal(name=f"free{stage}") for stage in range(self.spec.out_stages)), self.out.tready]
        offered = [active & (ready != 0), *full]
        moves = [
            elastic(m, offered[stage], full[stage], free[stage], free[stage + 1])
            for stage in range(self.spec.out_stages)
        ]
        last_beat, last = self._loop(m, "scale", moves[0])
        slot = self._slot(m, "read_slot_held", row_out)
        flag: Value = last
        for stage, move in enumerate(moves):
            held_last = Signal(name=f"out_last{stage}")
            with m.If(move):
                m.d.sync += held_last.eq(flag)
            flag = held_last
        m.d.comb += [
            end.eq(moves[0] & last),
            row_out.eq(moves[0] & last_beat),
            self.read_slot.eq(slot),
            self.read_address.eq(self._address(m, "read", moves[0], last_beat, slot)),
            self.enable_back.eq(Cat(*moves)),
            self.out.tvalid.eq(full[-1]),
            self.out.tlast.eq(flag),
            self.run.finished.eq(full[-1] & flag & self.out.tready),
        ]
