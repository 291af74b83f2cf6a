"""Sequencer of attention: order of queries and keys, visibility, and run counters."""

from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.families.streaming_attention import StreamingAttentionSpec
from generator.arithmetic.integers import zero_extend
from generator.boundary import HANDSHAKE, WATCHED
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
        events = ("accepted", "misframed")  # that a run is finished says the last node
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
            left, row = self.counter(m, f"{name}_queries", left, self.spec.parallel, advance)
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
        high = self._high(m, row_end, pass_last) if spec.masked else None
        self._keys(m, row_end, high)

    def _top(self) -> Value:
        """The number of the last key that a row is scored against."""
        size = self.run.candidates if self.spec.prunes else self.run.keys
        return (size - 1)[: self.spec.key_width]

    def _high(self, m: Module, row_end: Value, pass_last: Value) -> Signal:
        """The last key of the row."""
        width = self.spec.key_width
        high = Signal(width, name="high")
        self._next_high = Signal(width, name="next_high")
        over = Signal(name="starts_over")
        m.d.comb += [
            over.eq(self.run.start | pass_last),
            self._next_high.eq(Mux(over, self._top(), (high - self.spec.parallel)[:width])),
        ]
        with m.If(self.run.start | row_end):
            m.d.sync += high.eq(self._next_high)
        return high

    def _low(self, m: Module, name: str, high: Value) -> Value:
        """The first key inside the window of a row."""
        width = self.spec.key_width
        reach = self.run.window + (self.spec.parallel - 2)
        reach = (self.run.window - 1) if self.spec.parallel == 1 else reach
        low = Signal(width, name=name)
        wide = max(len(reach), width) + 1
        below = (zero_extend(high, wide) - zero_extend(reach, wide))[:wide]
        m.d.comb += low.eq(Mux(below[-1], Const(0, width), below[:width]))
        return low

    def _keys(self, m: Module, row_end: Value, high: Signal | None) -> None:
        """Number the keys of a row, and say whether one is the last."""
        spec = self.spec
        width = spec.key_width
        key = Signal(width, name="key")
        after: Value = (key + 1)[:width]
        first: Value = Const(0, width)
        if spec.mask == "window":
            first = self._low(m, "first", self._next_high)
        if spec.mask == "lambda":
            low = self._low(m, "low", high)
            jumps = (zero_extend(key, width + 1) + 1 == self.run.sinks) & (low > key)
            after = Mux(jumps, low, after)
        last = high if high is not None else self._top()
        m.d.comb += self.last.eq(key == last)
        with m.If(self.run.start | row_end):
            m.d.sync += key.eq(first)
        with m.Elif(self.score_fire):
            m.d.sync += key.eq(after)
        if spec.corners:
            self._corners(m, key, high)

    def _corners(self, m: Module, key: Value, high: Value) -> None:
        """Visibility of the key at each position: not after the position, and in its window or a sink.

        Where queries do not fill the last row its first positions, which have none, see nothing.
        """
        spec = self.spec
        width = spec.key_width
        back = Signal(width, name="back")  # from the row's last position to the key
        m.d.comb += back.eq((high - key)[:width])
        bits: list[Value] = []
        left = self._queries_left
        for position in range(spec.visible_bits):
            behind = spec.parallel - 1 - position  # from the row's last position to this one
            sees: Value = (back >= behind) & (left > behind) if behind else Const(1, 1)
            if spec.windowed:
                near: Value = back < self.run.window + behind
                if spec.mask == "lambda":
                    near = near | (key < self.run.sinks)
                sees = sees & near
            bits.append(sees)
        m.d.comb += self.visible.eq(Cat(*bits))
