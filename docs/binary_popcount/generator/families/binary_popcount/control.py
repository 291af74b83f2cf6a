"""Sequencing: which activations are accepted, and which beat of a column is counted."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Out

from blueprint.families.binary_popcount import BinaryPopcountSpec
from generator.cells.elastic import elastic
from generator.cells.register_file import EVENTS
from generator.sequencer import Sequencer, handshakes, held, tells


class Control(Sequencer):
    """Counts beats where activations are accepted; whether a beat ends a column or the run travels with them."""

    latency = "a beat is counted 1 cycle after its activations are accepted"

    def __init__(self, spec: BinaryPopcountSpec) -> None:
        accumulates = int(spec.accumulates)
        ports = handshakes(("act", "wgt"), ("out",)) | {
            "enable_tile": Out(1),
            "enable_count": Out(accumulates),
            "enable_result": Out(1),
            "first": Out(accumulates),
        }
        shape = f"l{spec.lanes}c{spec.cols}_m{spec.m_max}k{spec.k_max}n{spec.n_max}"
        super().__init__(spec, f"{spec.family}_control_{shape}", ports | tells(*EVENTS))

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        full, fire = Signal(name="tile_valid"), Signal(name="count_fire")
        load_last = self._load(m, full, fire)
        last_beat, last = self._beside(m, load_last)
        self._count(m, full, fire, last_beat, last, Mux(full, last_beat, load_last[0]))
        misframed = self.enable_tile & (self.act_tlast != load_last[1])
        misframed |= fire & (self.wgt_tlast != last)
        self.report(m, self.taken("act", "wgt"), misframed)
        return m

    def _load(self, m: Module, full: Signal, fire: Value) -> tuple[Value, Value]:
        """Accept activations; returns whether these are the last of a column, and of the run."""
        spec, accept, ready, end = self.spec, self.enable_tile, Signal(name="ready"), Signal(name="load_end")
        active = self.active(m, "loading", end)
        m.d.comb += accept.eq(elastic(m, active & self.act_tvalid, full, ready, fire))
        last_beat: Value = Const(1, 1)
        if spec.accumulates:
            last_beat = self.counted(m, "k", self.k, spec.lanes, accept)
        last = last_beat
        if spec.regroups:
            last = last & self.counted(m, "n", self.n, spec.cols, accept & last)
        if spec.repeats:
            last = last & self.counted(m, "tokens", self.tokens, 1, accept & last)
        m.d.comb += [end.eq(accept & last), self.act_tready.eq(active & ready)]
        return last_beat, last

    def _beside(self, m: Module, load_last: tuple[Value, Value]) -> tuple[Value, Value]:
        """The same two of the activations that are held."""
        last_beat: Value = Const(1, 1)
        if self.spec.accumulates:
            last_beat = self._stored(m, "last_beat", load_last[0])
        last = self._stored(m, "last", load_last[1]) if self.spec.continues else last_beat
        return last_beat, last

    def _stored(self, m: Module, name: str, value: Value) -> Signal:
        stored = Signal(name=name)
        with m.If(self.enable_tile):
            m.d.sync += stored.eq(value)
        return stored

    def _count(
        self, m: Module, full: Signal, fire: Signal, last_beat: Value, last: Value, closing: Value
    ) -> None:
        """Take a weight beat when there are activations and, where it is ``closing`` a column, room for the result.

        A beat whose activations are still to come may wait for room already, and is charged to the output.
        """
        end = Signal(name="count_end")
        active = self.active(m, "counting", end)
        emit, room = fire & last_beat, Signal(name="room")
        there = held(m, "result_valid", emit, self.out_tready)
        final = Signal(name="result_last")
        with m.If(emit):
            m.d.sync += final.eq(last)
        m.d.comb += [
            end.eq(fire & last),
            room.eq(~there | self.out_tready | ~closing),
            self.wgt_tready.eq(active & full & room),
            fire.eq(self.wgt_tready & self.wgt_tvalid),
            self.enable_result.eq(emit),
            self.out_tvalid.eq(there),
            self.out_tlast.eq(final),
            self.finished.eq(there & final & self.out_tready),
            self.stall_output.eq(active & ~room),
            self.stall_input.eq(active & room & ~full),
            self.stall_memory.eq(active & room & full & ~self.wgt_tvalid),
        ]
        if self.spec.accumulates:
            m.d.comb += [
                self.first.eq(self.opening(m, "first_beat", fire, last_beat)),
                self.enable_count.eq(fire),
            ]
