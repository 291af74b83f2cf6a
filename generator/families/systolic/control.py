"""Sequencers of arrays: issue of beats and drain of results."""

from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.families.systolic import SystolicSpec
from blueprint.families.systolic.parameters import BANKS
from blueprint.numbers import flag
from generator.arithmetic.integers import at_most, zero_extend
from generator.boundary import HANDSHAKE
from generator.cells.elastic import elastic
from generator.cells.skew import delay_line
from generator.sequencer import Sequencer, held, taken

_PORTS = {
    "act": In(HANDSHAKE),
    "wgt": In(HANDSHAKE),
    "out": Out(HANDSHAKE),
    "accept_act": Out(1),
}


class Operand(NamedTuple):
    """A register of an operand: whether a beat is ``there``, one is accepted, or one leaves with a wrong ``tlast``."""

    there: Signal
    accept: Signal
    wrong: Value


class Control(Sequencer):
    """Base of both sequencers: operand registers, and events that cross the array beside the beats."""

    spec: SystolicSpec

    def delays(self, m: Module, name: str, bit: Value, stages: int) -> list[Value]:
        """``bit`` and the delayed copies of it that cross the array."""
        return delay_line(m, bit, stages, name, first=1, resets=True)

    def operand(self, m: Module, name: str, stream: Any, active: Value, fire: Value, final: Value) -> Operand:
        """The register of an operand stream.

        A beat is taken while the run still needs one: the one that is issued next, or with an issue the one after.
        """
        there, mark, accept = (Signal(name=f"{name}_{what}") for what in ("there", "mark", "accept"))
        m.d.comb += [
            stream.tready.eq(active & (~there | (fire & ~final))),
            accept.eq(stream.tready & stream.tvalid),
        ]
        with m.If(accept):
            m.d.sync += [there.eq(1), mark.eq(stream.tlast)]
        with m.Elif(fire):
            m.d.sync += there.eq(0)
        return Operand(there, accept, fire & (mark != final))


class SummingControl(Control):
    """Issues a beat of activations with one of weights; the last one of a tile when its results have room."""

    throughput = "one beat per cycle"

    def __init__(self, spec: SystolicSpec) -> None:
        self.latency = "a beat is issued 1 cycle after its operands are accepted"
        waves, many = spec.stages, spec.holds_sums
        ports = _PORTS | {
            "accept_wgt": Out(1),
            "valid": Out(many * waves * spec.floats),
            "first": Out(many * waves),
            "last": Out(waves),
            "shift": Out(1),
            "ternary": In(spec.flexible),
            "gate": Out(spec.gated),
            "load": Out(waves if spec.waits else 0),
            "move": Out(waves if spec.waits else 0),
            "queues_done": In(spec.paced),
            "move_piece": Out(spec.resolve_stages),
        }
        shape = f"r{spec.rows}c{spec.cols}l{spec.act_lanes}_s{waves}"
        digits = "_own" if spec.waits else "_flex" if spec.flexible else ""
        digits += "_serial" if spec.paced else ""
        digits += f"_turns{spec.sums}" if spec.interleaves else ""
        digits += f"_pieces{spec.resolve_cycles}" if spec.resolve_stages else ""
        shape += digits + ("_float" if spec.floats else "_acc" * many)
        limits = f"m{spec.m_max}k{spec.k_max}n{spec.n_max}"
        super().__init__(spec, f"{spec.family}_control_sum_{shape}_{limits}", ports)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec = self.spec
        names = ("issue", "beat_ends", "run_ends")
        issue, ends, final = (Signal(name=name) for name in names)
        active = self.active(m, "active", ends & final)
        last_turn = self._turns(m, "turn", issue) if spec.interleaves else Const(1, 1)
        act = self.operand(m, "act", self.act, active, ends, final)
        turns, turns_end = (issue, final & last_turn) if spec.interleaves else (ends, final)
        wgt = self.operand(m, "wgt", self.wgt, active, turns, turns_end)
        m.d.comb += [self.accept_act.eq(act.accept), self.accept_wgt.eq(wgt.accept)]
        one = Const(1, 1)
        step = Mux(self.ternary, spec.beat_k, 1) if spec.flexible else spec.beat_k
        beats, soon = one, one
        if spec.several_beats and spec.flexible:
            beats, soon = self._flexible_beats(m, step, ends)
        elif spec.several_beats:
            _, beats, soon = self.counter(m, "beats", self.run.k, step, ends)
        done = ends & beats
        columns = self.counted(m, "columns", self.run.n, spec.span, done) if spec.several_columns else one
        groups = (
            self.counted(m, "groups", self.run.tokens, spec.rows, done & columns) if spec.regroups else one
        )
        take = Signal(spec.interleaves, name="take")
        turned = issue | take if spec.interleaves else issue
        valid = self.delays(m, "valid", turned, spec.stages - 1) if len(self.valid) else []
        busy, moves = self._busy(m, issue, ends, last_turn)
        moved = self.delays(m, "move", moves, spec.stages - 1) if spec.waits else []
        first: Value = one
        if spec.interleaves:
            first = self.opening(m, "first_beat", ends, beats)
            held = self._taking(m, take, done, final)
            blocked = first & held
        else:
            # If every beat ends a tile, the beats that cross the array are the tiles that cross it.
            waves = self.delays(m, "last", done, spec.stages - 1) if spec.marks_ends else valid or moved
            held = self._drain(m, done, waves, final)
            blocked = beats & held
        waits = active & ~busy
        m.d.comb += [
            final.eq(beats & columns & groups),
            issue.eq(waits & act.there & wgt.there & ~blocked),
            self.run.misframed.eq(act.wrong | wgt.wrong),
            self.run.stall_input.eq(waits & ~blocked & ~act.there),
            self.run.stall_memory.eq(waits & ~blocked & act.there & ~wgt.there),
        ]
        if not spec.paced:
            m.d.comb += self.run.stall_output.eq(waits & blocked)
        else:
            again = at_most(self.run.k, Const(spec.beat_k)) if spec.several_beats else one
            following = Mux(beats, again, soon)
            self._charge(m, busy & ~final, following & (held | beats), waits & blocked)
        if spec.gated:
            m.d.comb += self.gate.eq(moves)
        if spec.waits:
            loads = self.delays(m, "load", self.accept_act, spec.stages - 1)
            m.d.comb += self.load.eq(Cat(*loads))
            m.d.comb += self.move.eq(Cat(*moved))
        if spec.holds_sums:
            first = (first if spec.interleaves else self.opening(m, "first_beat", ends, beats)) & ~busy
            m.d.comb += self.first.eq(Cat(*self.delays(m, "first", first, spec.stages - 1)))
            m.d.comb += self.valid.eq(Cat(*valid))
        m.d.comb += self.run.accepted.eq(taken(self.act, self.wgt))
        return m

    def _turns(self, m: Module, name: str, step: Value) -> Value:
        """Count the sums of an element with every ``step``; returns whether this is the last."""
        sums = self.spec.sums
        number, last = Signal((sums - 1).bit_length(), name=name), Signal(name=f"{name}_ends")
        m.d.comb += last.eq(number == sums - 1)
        with m.If(step):
            m.d.sync += number.eq(Mux(last, 0, number + 1))
        return last

    def _taking(self, m: Module, take: Signal, done: Value, final: Value) -> Signal:
        """Take the sums of a finished tile out of the elements, each when the one before has left.

        Returns whether the next tile has to wait.
        """
        spec = self.spec
        last = self._turns(m, "taken", take)
        taking = held(m, "taking", done, take & last)
        ends: Value = last
        if spec.regroups or spec.several_columns:
            of_run = Signal(name="tile_last")
            with m.If(done):
                m.d.sync += of_run.eq(final)
            ends = last & of_run
        waves = self.delays(m, "last", take, spec.stages - 1)
        m.d.comb += take.eq(taking & ~self._drain(m, take, waves, ends))
        return taking

    def _flexible_beats(self, m: Module, step: Value, advance: Value) -> tuple[Value, Value]:
        """Count the beats of a reduction where its first weights say how much a beat covers, so in no earlier cycle.

        Returns whether a beat is the last, and whether the next one is.
        """
        left, last = Signal(len(self.run.k), name="beats_left"), Signal(name="beats_last")
        m.d.comb += last.eq(left <= step)
        with m.If(self.run.start):
            m.d.sync += left.eq(self.run.k)
        with m.Elif(advance):
            m.d.sync += left.eq(Mux(last, self.run.k, left - step))
        return last, left <= (step << 1)

    def _busy(self, m: Module, issue: Value, ends: Signal, last_turn: Value) -> tuple[Value, Value]:
        """(whether digits of an earlier cycle's beat are left, whether digits move)."""
        if not self.spec.paced:
            m.d.comb += ends.eq(issue & last_turn if self.spec.interleaves else issue)
            return Const(0, 1), issue
        busy, moves = Signal(name="busy"), Signal(name="digits_move")
        m.d.comb += [moves.eq(busy | issue), ends.eq(moves & self.queues_done)]
        m.d.sync += busy.eq(moves & ~ends)
        return busy, moves

    def _charge(self, m: Module, busy: Value, waits: Value, blocked: Value) -> None:
        """Cycles with digits left, unless the next beat ``waits`` for the output even now."""
        m.d.comb += self.run.stall_output.eq(blocked | (busy & waits))
        if self.spec.several_beats:  # otherwise every beat ends a tile and waits for the output
            m.d.comb += self.run.stall_dependency.eq(busy & ~waits)

    def _drain(self, m: Module, done: Value, waves: list[Value], final: Value) -> Value:
        """Give the rows of a finished tile; returns whether another one has to wait."""
        spec = self.spec
        moves, ends = Signal(name="drain_moves"), Signal(name="drain_ends")
        waiting = held(m, "held", done, moves & ends)
        full = held(m, "full", waves[-1], moves & ends) if spec.stages > 1 else waiting
        row: Value = Const(0, 1)
        if spec.rows > 1:
            row = Signal((spec.rows - 1).bit_length(), name="row")
            with m.If(moves):
                m.d.sync += row.eq(Mux(ends, 0, row + 1))
        last: Value = Const(1, 1)
        if spec.regroups or spec.several_columns or spec.interleaves:
            last = Signal(name="held_last")
            with m.If(done):
                m.d.sync += last.eq(final)
        there, of_run, ready = self._pieces(m, full, last & ends)
        given = there & self.out.tready & of_run if spec.resolve_stages else moves & ends & last
        m.d.comb += [
            ends.eq(row == spec.rows - 1),
            moves.eq(full & ready),
            self.last.eq(Cat(*waves)),
            self.shift.eq(moves),
            self.out.tvalid.eq(there),
            self.out.tlast.eq(of_run),
            self.run.finished.eq(given),
        ]
        return waiting

    def _pieces(self, m: Module, there: Value, last: Value) -> tuple[Value, Value, Value]:
        """Rows of results behind the registers of their addition: (one is there, it ends the run, a row may come)."""
        stages = range(self.spec.resolve_stages)
        ready = [*(Signal(name=f"piece_ready{stage}") for stage in stages), self.out.tready]
        loads = []
        for stage in stages:
            full, of_run = Signal(name=f"piece{stage}"), Signal(name=f"piece_last{stage}")
            loads.append(elastic(m, there, full, ready[stage], ready[stage + 1]))
            with m.If(loads[-1]):
                m.d.sync += of_run.eq(last)
            there, last = full, of_run
        m.d.comb += self.move_piece.eq(Cat(*loads))
        return there, last, ready[0]


def _file_ports(words: int) -> dict[str, Any]:
    """Lines of the banks of partial sums, where they are registers."""
    return {"word": Out(words), "store": Out(1), "given": Out(words), "take": Out(1)}


def _memory_ports(spec: SystolicSpec) -> dict[str, Any]:
    """Addresses and forwarding, where the banks are memories."""
    address, many = (spec.most_tokens - 1).bit_length(), spec.accumulates
    return {
        "write": Out(BANKS),
        "write_address": Out(address),
        "read": Out(BANKS),
        "read_address": Out(ArrayLayout(address, BANKS)),
        "shown": Out(1),
        "fill": Out(many),
        "forward": Out(many),
        "enable_forward": Out(many),
    }


class StationaryControl(Control):
    """Loads a tile of weights while tokens pass the one before; issues a token when its sums have room."""

    throughput = "one token and one row of weights per cycle"

    def __init__(self, spec: SystolicSpec) -> None:
        self.latency = "a token is issued 1 cycle after it and the last row of its weights are accepted"
        many, several = spec.accumulates, flag(spec.most_tokens > 1)
        words = BANKS * spec.most_tokens
        ports = _PORTS | {
            "load": Out(spec.rows),
            "swap": Out(several * (spec.rows + spec.cols - 1)),
            "first": Out(many),
            **(_memory_ports(spec) if spec.in_sram else _file_ports(words)),
        }
        shape = f"r{spec.rows}c{spec.cols}k{spec.beat_k}t{spec.most_tokens}_s{spec.stages}"
        shape += "_memory" if spec.in_sram else ""
        limits = f"m{spec.m_max}k{spec.k_max}n{spec.n_max}"
        super().__init__(spec, f"{spec.family}_control_stay_{shape}_{limits}", ports)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        spec = self.spec
        self._issue, self._take_tile = Signal(name="issue"), Signal(name="take_tile")
        self._final, self._final_tile = Signal(name="run_ends"), Signal(name="last_tile")
        issue, final = self._issue, self._final
        self._active = self.active(m, "active", issue & final)
        act = self.operand(m, "act", self.act, self._active, issue, final)
        m.d.comb += self.accept_act.eq(act.accept)
        most, one = spec.most_tokens, Const(1, 1)
        tokens: Value = one
        if most > 1:
            tokens = zero_extend(self.run.tokens, most.bit_length())
        if spec.regroups:
            tokens = Mux(self.run.tokens > most, Const(most, most.bit_length()), tokens)
        self._tokens = Signal(most.bit_length(), name="tokens_of_group")
        m.d.comb += self._tokens.eq(tokens)
        last_token = self.counted(m, "token", self._tokens, 1, issue) if most > 1 else one
        ends = issue & last_token
        beats = self.counted(m, "beats", self.run.k, spec.beat_k, ends) if spec.several_beats else one
        columns = (
            self.counted(m, "columns", self.run.n, spec.cols, ends & beats) if spec.n_max > spec.cols else one
        )
        done = ends & beats & columns
        groups = self.counted(m, "groups", self.run.tokens, most, done) if spec.regroups else one
        begins = self.opening(m, "first_token", issue, last_token) if most > 1 else one
        first = self.opening(m, "first_beat", ends, beats) if spec.accumulates else one
        tile, wgt_wrong = self._load(m, begins)
        room, column_begins = Signal(name="room"), begins & first
        blocked = column_begins & ~room
        m.d.comb += [
            self._final_tile.eq(beats & columns & groups),
            final.eq(last_token & self._final_tile),
            issue.eq(self._active & act.there & (~begins | tile) & ~blocked),
            self._take_tile.eq(issue & begins),
            self.run.misframed.eq(act.wrong | wgt_wrong),
            self.run.stall_output.eq(self._active & blocked),
            self.run.stall_input.eq(self._active & ~blocked & ~act.there),
            self.run.stall_memory.eq(self._active & ~blocked & act.there & begins & ~tile),
        ]
        if most > 1:
            copies = self.delays(m, "swap", self._take_tile, spec.rows + spec.cols - 2)
            m.d.comb += self.swap.eq(Cat(*copies))
        self._banks(m, issue & column_begins, room, first, beats)
        m.d.comb += self.run.accepted.eq(taken(self.act, self.wgt))
        return m

    def _load(self, m: Module, begins: Value) -> tuple[Value, Value]:
        """Take rows of weights for the next tile; returns whether a whole one is there, and wrong ends."""
        rows = self.spec.rows
        accept, ends = Signal(name="accept_row"), Signal(name="last_row")
        tile = held(m, "tile_there", accept & ends, self._take_tile)
        more = begins | ~self._final_tile  # no more weights are needed once the final tile is in use
        m.d.comb += [
            self.wgt.tready.eq(self._active & ((~tile & more) | (self._take_tile & ~self._final_tile))),
            accept.eq(self.wgt.tready & self.wgt.tvalid),
        ]
        mark = Signal(name="tile_mark")
        with m.If(accept & ends):
            m.d.sync += mark.eq(self.wgt.tlast)
        if rows == 1:
            m.d.comb += [ends.eq(1), self.load.eq(accept)]
        else:
            row = Signal((rows - 1).bit_length(), name="row")
            with m.If(accept):
                m.d.sync += row.eq(Mux(ends, 0, row + 1))
            m.d.comb += [
                ends.eq(row == rows - 1),
                self.load.eq(Cat(*(accept & (row == number) for number in range(rows)))),
            ]
        early = accept & ~ends & self.wgt.tlast
        return tile, early | (self._take_tile & (mark != self._final_tile))

    def _banks(self, m: Module, begin: Value, room: Signal, first: Value, last: Value) -> None:
        """Partial sums into one bank, finished ones out of the other."""
        spec, stages = self.spec, self.spec.stages
        self._valid = self.delays(m, "valid", self._issue, stages)
        valid, finished = self._valid[-1], Const(1, 1)
        if spec.accumulates:
            self._firsts = self.delays(m, "first", first, stages)
            m.d.comb += self.first.eq(self._firsts[-1])
            finished = self.delays(m, "finished", last, stages)[-1]
        take, emptied, free = (Signal(name=name) for name in ("take_word", "bank_emptied", "bank_free"))
        word, word_ends = self._walk(m, "token_in", valid)
        given, given_ends = self._walk(m, "token_out", take)
        fill, empty = Signal(name="fill_bank"), Signal(name="give_bank")
        full = self._full(m, valid & finished & word_ends, emptied, fill, empty)
        used, left = Signal(2, name="banks_used"), Signal(2, name="banks_left")
        m.d.comb += left.eq(used - free)
        m.d.sync += used.eq(left + begin)
        there, last_word = Signal(name="result_there"), Signal(name="result_last")
        m.d.comb += [
            room.eq(used != BANKS),
            take.eq(Mux(empty, full[1], full[0]) & (~there | self.out.tready)),
            emptied.eq(take & given_ends),
            self.out.tvalid.eq(there),
            self.out.tlast.eq(last_word),
            self.run.finished.eq(there & last_word & self.out.tready),
        ]
        only = left == 1 if spec.in_sram else used == 1
        with m.If(take):
            m.d.sync += [there.eq(1), last_word.eq(emptied & ~self._active & only)]
        with m.Elif(self.out.tready):
            m.d.sync += there.eq(0)
        if spec.in_sram:
            self._memories(m, (fill, word, word_ends), (empty, given, take), free)
            self._last_shown(m, take, emptied, there, free)
        else:
            m.d.comb += [
                free.eq(emptied),
                self.word.eq(self._lines(fill, word)),
                self.store.eq(valid),
                self.given.eq(self._lines(empty, given)),
                self.take.eq(take),
            ]

    def _full(self, m: Module, stored: Value, emptied: Value, fill: Signal, empty: Signal) -> Signal:
        """Flags of the banks that hold results; the banks alternate in both roles."""
        full = Signal(BANKS, name="full")
        for bank in range(BANKS):
            with m.If(stored & (fill == bank)):
                m.d.sync += full[bank].eq(1)
            with m.Elif(emptied & (empty == bank)):
                m.d.sync += full[bank].eq(0)
        with m.If(stored):
            m.d.sync += fill.eq(~fill)
        with m.If(emptied):
            m.d.sync += empty.eq(~empty)
        return full

    def _last_shown(self, m: Module, take: Value, emptied: Value, there: Value, free: Signal) -> None:
        """A memory is free when the port has taken the last word that it shows."""
        ends = Signal(name="bank_ends")
        with m.If(take):
            m.d.sync += ends.eq(emptied)
        m.d.comb += free.eq(there & ends & self.out.tready)

    def _memories(
        self, m: Module, into: tuple[Signal, Value, Value], out: tuple[Signal, Value, Value], free: Value
    ) -> None:
        """Write the bank that fills, read it one cycle ahead, and read the bank that drains."""
        (fill, word, word_ends), (empty, given, take) = into, out
        valid, shown = self._valid[-1], Signal(name="bank_shown")
        following, again = Signal(len(word), name="token_next"), Signal(name="read_sum")
        m.d.comb += following.eq(Mux(valid, Mux(word_ends, 0, word + 1), word))
        if self.spec.accumulates:
            m.d.comb += again.eq(self._valid[-2] & ~self._firsts[-2])
            forward = Signal(name="forwarding")
            m.d.comb += [
                self.fill.eq(fill),
                self.enable_forward.eq(again & valid & (following == word)),
                self.forward.eq(forward),
            ]
            m.d.sync += forward.eq(self.enable_forward)
        with m.If(take):
            m.d.sync += shown.eq(empty)
        reads = [(again & (fill == bank)) | (take & (empty == bank)) for bank in range(BANKS)]
        m.d.comb += [
            self.shown.eq(shown),
            self.write.eq(Cat(*(valid & (fill == bank) for bank in range(BANKS)))),
            self.write_address.eq(word),
            self.read.eq(Cat(*reads)),
            self.read_address.eq(
                Cat(*(Mux(take & (empty == bank), given, following) for bank in range(BANKS)))
            ),
        ]

    def _walk(self, m: Module, name: str, step: Value) -> tuple[Value, Value]:
        """(number of a token in its group, whether it is the last), stepping on with ``step``."""
        most = self.spec.most_tokens
        if most == 1:
            return Const(0, 1), Const(1, 1)
        number, ends = Signal((most - 1).bit_length(), name=name), Signal(name=f"{name}_ends")
        m.d.comb += ends.eq(number + 1 == self._tokens)
        with m.If(step):
            m.d.sync += number.eq(Mux(ends, 0, number + 1))
        return number, ends

    def _lines(self, bank: Value, number: Value) -> Value:
        """One line for every word of both banks."""
        most = self.spec.most_tokens
        return Cat(*((bank == b) & (number == w) for b in range(BANKS) for w in range(most)))
