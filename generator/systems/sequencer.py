"""The sequencer: passes, dispatch of instructions to the queues of the units, and how a program ends."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.numbers import clog2
from blueprint.shell import WORD_BITS
from blueprint.systems.control import (
    CLEAR,
    PASS_BITS,
    POSITION_BITS,
    UNIT_BITS,
    Hardware,
)
from blueprint.systems.dma import PAGE_BYTES, RESPONSE_BITS
from blueprint.systems.instructions import KEYED, MOVERS, WORD_BYTES, form, value_bits
from generator.block import Block
from generator.layout import bits, joined, layout
from generator.sequencer import held
from generator.systems.decoder import Decoder
from generator.systems.wires import (
    ORIGIN,
    OWING,
    TOLD,
    Dispatch,
    Moves,
    Program,
    entry,
    failures,
)

#: States of the sequencer; none of them is idle.
STATES = ("opening", "running", "halting", "clearing")


class Sequencer(Block):
    """Fetch the program of each pass, and dispatch its instructions in order, one a cycle.

    Guarantees: an instruction is dispatched once its queue has room, ``interrupt`` and ``end`` once all queues are
    empty; every error, a ``stop``, and ``patience`` cycles in which nothing begins, ends or moves lead to ``finished``,
    with the first error in ``told``: once all movers are done and everything behind them is cleared, or as
    ``unanswered`` where they wait for memory and nothing moves for ``patience`` cycles. Movers are then ``draining``:
    beats that still arrive are dropped, and everything is cleared once the movers are done.
    Does not: wait for what a unit still does after an error; it is reset. Nor look at a ``start`` while it is
    ``draining``; ``control`` gives none.
    """

    place = "sequencer"
    bare = ("program", "dispatch")
    latency = "an instruction can begin in the cycle after its dispatch"
    throughput = "one instruction per cycle"

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        ports = {
            "program": In(Program(hardware)),
            "dispatch": Out(Dispatch(hardware.queues)),
            "fetch": Out(Moves(hardware.fetch)),
        }
        super().__init__(f"{hardware.name}_sequencer", ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        self.opening, self.running, self.halting, self.clearing = (Signal(name=name) for name in STATES)
        ended, wrong, bus = self._dispatch(m)
        self._passes(m, ended)
        waited, moves = self._waits(m)
        failed = self._errors(m, wrong, bus, waited & (self.opening | self.running))
        self._steps(m, ended, failed, waited & ~moves)
        return m

    def _dispatch(self, m: Module) -> tuple[Value, Value, Value]:
        """Returns whether the program ends, whether its next instruction is wrong, and whether memory said so."""
        units = self.hardware.queues
        word = layout(form(units))(self.fetch.tdata)
        decoder = self.use(m, Decoder(f"{self.hardware.name}_decoder", units), "decoder", word=word)
        kinds = decoder.kinds
        queued = kinds.set | kinds.setp | kinds.start | kinds.sync
        lines = Cat(*(word.unit == number for number in range(len(units))))
        there = Cat(*(Const(int(unit in (*MOVERS, *self.hardware.units)), 1) for unit in units))
        legal = decoder.legal & (~queued | (lines & there).any()) & (kinds.end == self.fetch.tlast)
        seen = self.running & self.fetch.tvalid
        bus, wrong, good = (Signal(name=name) for name in ("fetch_error", "wrong", "good"))
        m.d.comb += [
            bus.eq(seen & self.fetch.error.any()),
            wrong.eq((seen & ~self.fetch.error.any() & ~legal) | self.fetch.refused),
            good.eq(seen & ~self.fetch.error.any() & legal),
        ]
        room = Mux(queued, (lines & self.dispatch.rooms).any(), self.dispatch.empty)
        takes = Signal(name="takes")
        ended = takes & kinds.end
        position = self._added(lines) & kinds.setp.replicate(POSITION_BITS)
        m.d.comb += [
            takes.eq(good & room),
            self.fetch.tready.eq(takes | self.halting),
            self.dispatch.writes.eq(lines & (takes & queued).replicate(len(units))),
            self.dispatch.entry.eq(
                joined(
                    entry(units), writes=kinds.set | kinds.setp, starts=kinds.start, wait=word.wait,
                    signal=word.signal, register=word.register,
                    value=(word.value + position)[: value_bits(units)],
                )
            ),
            self.program.interrupts.eq(takes & kinds.interrupt),
        ]  # fmt: skip
        return ended, wrong, bus

    def _added(self, lines: Value) -> Value:
        """The number that `setp` adds: the position, for units that count keys less than the window."""
        place, window = self.program.position, self.hardware.window
        if not window:
            return place
        low = clog2(window)
        within = place[:low] | place[low:].any().replicate(low)
        keyed = Cat(*(lines[self.hardware.queues.index(unit)] for unit in KEYED)).any()
        return Mux(keyed, Cat(within, Const(0, POSITION_BITS - low)), place)

    def _passes(self, m: Module, ended: Value) -> None:
        """Count passes and positions, and ask for the program of the next one."""
        position = Signal(POSITION_BITS, name="position_held", reset_less=True)
        prompts, decodes = (Signal(PASS_BITS, name=f"{name}_left") for name in ("prompts", "decodes"))
        first = prompts != 0
        step = self._step(m, first, ended)
        with m.If(self.program.start):
            m.d.sync += [
                position.eq(self.program.first),
                prompts.eq(self.program.prompt_passes),
                decodes.eq(self.program.decode_passes),
            ]
        with m.Elif(ended):
            m.d.sync += [
                position.eq(position + step),
                prompts.eq(prompts - first),
                decodes.eq(decodes - ~first),
            ]
        self.over = Signal(name="over")
        fetch = self.hardware.fetch
        pages, lengths = self.program.pages, self.program.lengths
        page = Mux(first, pages.prompt, pages.decode)
        length = Mux(first, lengths.prompt, lengths.decode)
        address = Cat(Const(0, clog2(PAGE_BYTES)), page, Const(0, fetch.address_width))[: fetch.address_width]
        row = Cat(Const(0, clog2(WORD_BYTES)), length, Const(0, fetch.row_bytes_width))[
            : fetch.row_bytes_width
        ]
        none = Const(0, fetch.address_width)
        m.d.comb += [
            self.over.eq(prompts + decodes == 1),
            self.program.position.eq(position),
            self.dispatch.place.eq(position),
            self.fetch.index.eq(0),
            self.fetch.transfer.eq(
                joined(fetch.transfer, address=address, row_bytes=row, rows=Const(1, fetch.rows_width), stride=none,
                       gather=Const(0, 1))
            ),
            self.fetch.transfer_valid.eq(self.opening),
        ]  # fmt: skip

    def _step(self, m: Module, prompt: Value, ended: Value) -> Value:
        """Positions by which a pass advances: the first one of a prompt, its other ones, those behind the prompt."""
        if not self.hardware.step_bits:
            return Const(1, 1)
        went = held(m, "went", ended, self.program.start)
        steps = self.program.steps
        return Mux(prompt, Mux(went, steps.step, steps.first) + 1, 1)

    def _waits(self, m: Module) -> tuple[Value, Value]:
        """(1 a cycle after nothing has moved for ``patience`` cycles, 1 if something moves now)."""
        still, waited, moves = Signal(WORD_BITS, name="still"), Signal(name="waited"), Signal(name="moves")
        works = self.opening | self.running | self.halting
        patience, fetch = self.program.patience, self.fetch
        m.d.comb += moves.eq(self.dispatch.moved | fetch.moved | (fetch.tvalid & fetch.tready))
        with m.If(~works | moves):
            m.d.sync += [still.eq(0), waited.eq(0)]
        with m.Else():
            m.d.sync += [still.eq(still + 1), waited.eq(patience.any() & (still >= patience))]
        return waited, moves

    def _errors(self, m: Module, wrong: Value, bus: Value, stuck: Value) -> Value:
        """Hold the first error; returns whether there is an error in this cycle."""
        failed, stopped = Signal(name="any_failed"), Signal(name="stopped")
        works = self.opening | self.running
        m.d.comb += [
            stopped.eq(self.program.stop & works),
            failed.eq(
                (self.dispatch.failed.any() & ~self.halting & ~self.clearing) | wrong | bus | stopped | stuck
            ),
        ]
        values = _told(
            Const(len(self.hardware.queues), UNIT_BITS), self.fetch.error & bus.replicate(RESPONSE_BITS), illegal=wrong,
            bus_error=bus, stopped=stopped & ~wrong & ~bus, stuck=stuck & ~stopped & ~wrong & ~bus,
        )  # fmt: skip
        every = failures(self.hardware.queues)(self.dispatch.failures)
        for number in reversed(range(len(self.hardware.queues))):
            one = every[number]
            mine = _told(
                Const(number, UNIT_BITS), one.response, refused=one.refused, bus_error=one.bus_error,
                misframed=one.misframed, unit_error=one.unit_error, unit_status=one.unit_status,
            )  # fmt: skip
            values = Mux(self.dispatch.failed[number], mine, values)
        told = Signal(TOLD.width, name="told_held")
        with m.If(self.program.start):
            m.d.sync += told.eq(0)
        with m.Elif(failed & (works | self.running)):
            m.d.sync += told.eq(values)
        m.d.comb += self.program.told.eq(told)
        return failed

    def _steps(self, m: Module, ended: Value, failed: Value, waited: Value) -> None:
        """Drive the next step; a program also ends where movers ``waited`` for memory too long."""
        asked = self.opening & self.fetch.transfer_ready
        fetching = held(
            m,
            "fetching",
            asked,
            (self.fetch.tvalid & self.fetch.tready & self.fetch.tlast) | self.fetch.refused,
        )
        rest = Signal(clog2(CLEAR), name="clear_left")
        quiet, cleared, leaves = Signal(name="quiet"), Signal(name="cleared"), Signal(name="leaves")
        owing = held(m, "owing", leaves, cleared)
        unanswered = held(m, "unanswered_held", leaves, self.program.start)
        moving = joined(OWING, fetch=fetching, load=self.dispatch.moving[0], store=self.dispatch.moving[1])
        ends = failed | (ended & self.over)
        m.d.comb += [
            quiet.eq(self.halting & ~bits(moving).any()),
            leaves.eq(self.halting & ~quiet & ~owing & waited),
            cleared.eq(self.clearing & (rest == 0)),
            self.dispatch.halt.eq(self.halting | self.clearing),
            self.dispatch.clear.eq(self.clearing),
            self.program.finished.eq(leaves | (cleared & ~owing)),
            self.program.busy.eq(self.opening | self.running | ((self.halting | self.clearing) & ~owing)),
            self.program.unanswered.eq(unanswered),
            self.program.draining.eq(owing),
            self.program.owed.eq(Cat(*(bit & owing for bit in bits(moving)))),
        ]
        with m.If(quiet):
            m.d.sync += rest.eq(CLEAR - 1)
        with m.Elif(self.clearing):
            m.d.sync += rest.eq(rest - 1)
        with m.If(self.program.start):
            m.d.sync += self.opening.eq(1)
        with m.If(asked):
            m.d.sync += [self.opening.eq(0), self.running.eq(1)]
        with m.If(ended):
            m.d.sync += [self.running.eq(0), self.opening.eq(~self.over)]
        with m.If(ends & (self.opening | self.running)):
            m.d.sync += [self.opening.eq(0), self.running.eq(0), self.halting.eq(1)]
        with m.If(quiet):
            m.d.sync += [self.halting.eq(0), self.clearing.eq(1)]
        with m.If(cleared):
            m.d.sync += self.clearing.eq(0)


def _told(unit: Value, response: Value, **known: Value) -> Value:
    """The record of an error of a unit; fields that are not given are 0."""
    known |= {"origin": bits(joined(ORIGIN, unit=unit, response=response))}
    return bits(joined(TOLD, **{field.name: known.get(field.name, Const(0, field.width)) for field in TOLD}))
