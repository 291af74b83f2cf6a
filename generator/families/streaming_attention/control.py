"""Sequencer of attention: order of queries and keys, visibility, and run counters."""

from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.families.streaming_attention import StreamingAttentionSpec
from generator.arithmetic.integers import at_most, below
from generator.boundary import HANDSHAKE, WATCHED
from generator.cells.counter import count_down
from generator.sequencer import Sequencer


class Rows(NamedTuple):
    """Last-row flags of the pass and of the run, and the number of queries ``left``."""

    turn: Value
    run: Value
    left: Value


class Control(Sequencer):
    """Walks passes, rows and keys; everything behind the score follows the flags that travel with its tokens.

    Rows are counted down by the queries they cover. Where there is a mask the last queries come first, so that a row is
    the keys up to its own ``high``, which sinks by ``parallel`` from row to row.
    """

    latency = "0 cycles from a key to its score's inputs"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        turns, finals = spec.turn_bits, spec.final_bits
        ports = {
            "scale": In(HANDSHAKE),
            "query": In(HANDSHAKE),
            "key": In(HANDSHAKE),
            "value": In(WATCHED),
            "code_taken": In(spec.prunes),
            "code_wrong": In(spec.prunes),
            "value_taken": In(1),
            "value_final": In(1),
            "tune_room": In(1),
            "load_room": In(1),
            "score_room": In(1),
            "score_tokens": In(1),
            "tune_fire": Out(1),
            "load_fire": Out(1),
            "score_fire": Out(1),
            "last": Out(1),
            "pass_end": Out(1),
            "turn": Out(turns),
            "final": Out(finals),
            "visible": Out(spec.visible_bits),
        }
        events = ("accepted", "misframed")  # the last node reports that a run is finished
        shape = f"p{spec.parallel}_k{spec.keys_max}q{spec.queries_max}h{spec.heads_max}_{spec.mask}"
        super().__init__(spec, f"{spec.family}_control_{shape}{'_gains' * turns}", ports, events)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        tune_last = self._tune(m)
        load_last = self._load(m)
        self._score(m)
        taken = (
            (self.scale, self.tune_fire, tune_last),
            (self.query, self.load_fire, load_last),
            (self.key, self.score_fire, self._final),
            (self.value, self.value_taken, self.value_final),
        )
        wrong = [fire & (stream.tlast != last) for stream, fire, last in taken]
        fires = [fire for _, fire, _ in taken]
        if self.spec.prunes:
            fires.append(self.code_taken)
            wrong.append(self.code_wrong)
        self.report(m, Cat(*fires).any(), Cat(*wrong).any())
        return m

    def _tune(self, m: Module) -> Value:
        """Accept the scales of a pass."""
        end = Signal(name="tune_end")
        active = self.active(m, "tuning", end)
        last: Value = Const(1, 1)
        if self.spec.repeats:
            last = self.counted(m, "tune_passes", self.run.passes, 1, self.tune_fire)
        m.d.comb += [
            self.scale.tready.eq(active & self.tune_room),
            self.tune_fire.eq(self.scale.tready & self.scale.tvalid),
            end.eq(self.tune_fire & last),
        ]
        return last

    def _load(self, m: Module) -> Value:
        """Accept the queries of a row."""
        end = Signal(name="load_end")
        active = self.active(m, "loading", end)
        last = self._rows(m, "load", self.load_fire).run
        m.d.comb += [
            self.query.tready.eq(active & self.load_room),
            self.load_fire.eq(self.query.tready & self.query.tvalid),
            end.eq(self.load_fire & last),
        ]
        return last

    def _rows(self, m: Module, name: str, advance: Value) -> Rows:
        """Count rows and passes."""
        row: Value = Const(1, 1)
        turn: Value = Const(1, 1)
        left = self.run.queries
        if self.spec.regroups:
            shown = name == "score" and self.spec.corners > 0
            left, row, _ = self.counter(m, f"{name}_queries", left, self.spec.parallel, advance, shown=shown)
        if self.spec.repeats:
            turn = self.counted(m, f"{name}_passes", self.run.passes, 1, advance & row)
        return Rows(row, row & turn, left)

    def _score(self, m: Module) -> None:
        """Take a key when there is a query and room for its score."""
        spec = self.spec
        end = Signal(name="score_end")
        active = self.active(m, "scoring", end)
        row_end = Signal(name="row_end")
        pass_last, run_last, self._queries_left = self._rows(m, "score", row_end)
        ready = active & self.score_room & self.score_tokens
        self._final = Signal(name="run_end")
        m.d.comb += [
            self.key.tready.eq(ready),
            self.score_fire.eq(ready & self.key.tvalid),
            row_end.eq(self.score_fire & self.last),
            self.pass_end.eq(self.last & pass_last),
            self._final.eq(self.last & run_last),
            end.eq(self.score_fire & self._final),
            self.run.stall_output.eq(active & ~self.score_room),
            self.run.stall_input.eq(active & self.score_room & ~self.score_tokens),
            self.run.stall_memory.eq(ready & ~self.key.tvalid),
        ]
        m.d.comb += [
            port.eq(value)
            for port, value in ((self.turn, self.pass_end), (self.final, self._final))
            if len(port)
        ]
        if spec.masked:
            self._rows_of_keys(m, row_end, pass_last)
        else:
            size = self.run.candidates if spec.prunes else self.run.keys
            m.d.comb += self.last.eq(self.counted(m, "key", size, 1, self.score_fire))

    def _rows_of_keys(self, m: Module, row_end: Value, pass_last: Value) -> None:
        """Count the keys of a row down to that of its last position, which sinks from row to row.

        ``back`` is the distance of the key from that one. The first row begins a cycle after the run, when the
        registers derived from the sizes are valid; no query arrives earlier.
        """
        spec = self.spec
        width = spec.key_width
        begins, last = Signal(name="keys_begin"), Signal(name="last_key")
        top, back = Signal(width, name="top"), Signal(width, name="back")
        sunk = Signal(width * spec.regroups, name="sunk")
        m.d.sync += [begins.eq(self.run.start), top.eq((self.run.keys - 1)[:width])]
        over = begins | pass_last if spec.regroups else Const(1, 1)
        high = Mux(over, top, sunk)
        begin, ends = high, Mux(over, top == 0, sunk == 0)
        after = back
        if spec.windowed:
            self._span = Signal(spec.span_width, name="span")
            m.d.sync += self._span.eq((self.run.window + (spec.parallel - 1))[: spec.span_width])
        if spec.mask == "window":
            short = Mux(over, below(top, self._span), below(sunk, self._span))
            begin = Mux(short, high, (self._span - 1)[:width])
            ends = Mux(short, ends, self._span == 1)
        if spec.mask == "lambda":
            jumps = self._in_sinks(m, begins | row_end) & at_most(self._span, back)
            after = Mux(jumps, self._span[:width], back)
        with m.If(begins | row_end):
            m.d.sync += [sunk.eq(high - spec.parallel), back.eq(begin), last.eq(ends)]
        with m.Elif(self.score_fire):
            m.d.sync += [back.eq(after - 1), last.eq(after == 1)]
        m.d.comb += self.last.eq(last)
        if spec.corners:
            self._corners(m, back)

    def _in_sinks(self, m: Module, begins: Value) -> Value:
        """1 if a key is the last of the first keys that every query sees."""
        self._sink = Signal(name="sink")
        fire = self.score_fire & self._sink
        last = count_down(m, "sinks", self.run.sinks, 1, begins, fire).last
        with m.If(begins):
            m.d.sync += self._sink.eq(1)
        with m.Elif(fire):
            m.d.sync += self._sink.eq(~last)
        return self._sink & last

    def _corners(self, m: Module, back: Value) -> None:
        """Visibility of the key at each position: not after the position, and in its window or a sink.

        If the queries do not fill the last row, its first positions have no query and see nothing.
        """
        spec = self.spec
        bits: list[Value] = []
        left = self._queries_left
        for position in range(spec.visible_bits):
            behind = spec.parallel - 1 - position  # distance to the last position of the row
            sees: Value = at_most(Const(behind), back) & (left > behind) if behind else Const(1, 1)
            if spec.windowed:
                reach: Value = self._span
                if position:
                    reach = Signal(len(self._span), name=f"reach{position}")
                    m.d.sync += reach.eq(self._span - position)
                near = below(back, reach)
                sees = sees & (near | self._sink if spec.mask == "lambda" else near)
            bits.append(sees)
        m.d.comb += self.visible.eq(Cat(*bits))
