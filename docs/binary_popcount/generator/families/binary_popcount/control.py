"""Sequencing: which activations are accepted, and which beat of a column is counted."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.families.binary_popcount import BinaryPopcountSpec
from generator.boundary import HANDSHAKE
from generator.cells.elastic import elastic
from generator.sequencer import Sequencer, held, taken


class Control(Sequencer):
    """Counts beats where activations are accepted; whether a beat ends a column or the run travels with them."""

    latency = "a beat is counted 1 cycle after its activations are accepted"

    def __init__(self, spec: BinaryPopcountSpec) -> None:
        ports = {
            "act": In(HANDSHAKE),
            "wgt": In(HANDSHAKE),
            "out": Out(HANDSHAKE),
            "enable_tile": Out(1),
            "enable_count": Out(spec.accumulates),
            "enable_result": Out(1),
            "first": Out(spec.accumulates),
        }
        shape = f"l{spec.lanes}c{spec.cols}_m{spec.m_max}k{spec.k_max}n{spec.n_max}"
        super().__init__(spec, f"{spec.family}_control_{shape}", ports)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        full, fire = Signal(name="tile_valid"), Signal(name="count_fire")
        load_last = self._load(m, full, fire)
        last_beat, last = self._beside(m, load_last)
        self._count(m, full, fire, last_beat, last, Mux(full, last_beat, load_last[0]))
        misframed = self.enable_tile & (self.act.tlast != load_last[1])
        misframed |= fire & (self.wgt.tlast != last)
        self.report(m, taken(self.act, self.wgt), misframed)
        return m

    def _load(self, m: Module, full: Signal, fire: Value) -> tuple[Value, Value]:
        """Accept activations; returns whether these are the last of a column, and of the run."""
        spec, accept, ready, end = self.spec, self.enable_tile, Signal(name="ready"), Signal(name="load_end")
        active = self.active(m, "loading", end)
        m.d.comb += accept.eq(elastic(m, active & self.act.tvalid, full, ready, fire))
        last_beat: Value = Const(1, 1)
        if spec.accumulates:
            last_beat = self.counted(m, "k", self.run.k, spec.lanes, accept)
        last = last_beat
        if spec.regroups:
            last = last & self.counted(m, "n", self.run.n, spec.cols, accept & last)
        if spec.repeats:
            last = last & self.counted(m, "tokens", self.run.tokens, 1, accept & last)
        m.d.comb += [end.eq(accept & last), self.act.tready.eq(active & ready)]
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
        there = held(m, "result_valid", emit, self.out.tready)
        final = Signal(name="result_last")
        with m.If(emit):
            m.d.sync += final.eq(last)
        m.d.comb += [
            end.eq(fire & last),
            room.eq(~there | self.out.tready | ~closing),
            self.wgt.tready.eq(active & full & room),
            fire.eq(self.wgt.tready & self.wgt.tvalid),
            self.enable_result.eq(emit),
            self.out.tvalid.eq(there),
            self.out.tlast.eq(final),
            self.run.finished.eq(there & final & self.out.tready),
            self.run.stall_output.eq(active & ~room),
            self.run.stall_input.eq(active & room & ~full),
            self.run.stall_memory.eq(active & room & full & ~self.wgt.tvalid),
        ]
        if self.spec.accumulates:
            m.d.comb += [
                self.first.eq(self.opening(m, "first_beat", fire, last_beat)),
                self.enable_count.eq(fire),
            ]
