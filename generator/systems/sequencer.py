"""The sequencer: passes, dispatch of instructions to the queues of the units, and how a program ends."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.numbers import clog2
from blueprint.systems.control import CLEAR, ERRORS, FETCH, PASS_BITS, POSITION_BITS, STATUS, Hardware
from blueprint.systems.dma import PAGE_BYTES
from blueprint.systems.instructions import FORMAT, KINDS, MOVERS, UNITS, WORD_BYTES
from generator.block import Block
from generator.layout import joined, layout
from generator.sequencer import held
from generator.systems.decoder import Decoder
from generator.systems.executors import ENTRY, FAILURE

#: States of the sequencer; none of them is idle.
STATES = ("opening", "running", "halting", "clearing")


class Sequencer(Block):
    """Fetch the program of each pass, and dispatch its instructions in order, one a cycle.

    Guarantees: an instruction is dispatched once its queue has room, ``interrupt`` and ``end`` once all queues are
    empty; whatever goes wrong, and a ``stop``, ends in ``finished`` once all movers are done, with the first error in
    ``told``; everything behind the movers is cleared before.
    Does not: wait for what a unit still does after an error; it is reset.
    """

    place = "sequencer"
    latency = "an instruction can begin in the cycle after its dispatch"
    throughput = "one instruction per cycle"

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        fetch, count = hardware.fetch, len(UNITS)
        ports = {
            "start": In(1),
            "stop": In(1),
            "first": In(POSITION_BITS),
            "prompt_passes": In(PASS_BITS),
            "decode_passes": In(PASS_BITS),
            "pages": In(2 * PAGE_WIDTH),
            "lengths": In(2 * fetch.row_width),
            "transfer": Out(layout(fetch.transfer)),
            "transfer_valid": Out(1),
            "transfer_ready": In(1),
            "word": In(layout(FORMAT)),
            "tvalid": In(1),
            "tready": Out(1),
            "tlast": In(1),
            "error": In(2),
            "refused": In(1),
            "entry": Out(layout(ENTRY)),
            "writes": Out(count),
            "rooms": In(count),
            "empty": In(1),
            "failed": In(count),
            "failures": In(count * FAILURE.width),
            "moving": In(len(MOVERS)),
            "halt": Out(1),
            "clear": Out(1),
            "busy": Out(1),
            "finished": Out(1),
            "interrupts": Out(1),
            "position": Out(POSITION_BITS),
            "told": Out(TOLD),
        }
        super().__init__(f"{hardware.name}_sequencer", ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        self.opening, self.running, self.halting, self.clearing = (Signal(name=name) for name in STATES)
        ended, wrong, bus = self._dispatch(m)
        self._passes(m, ended)
        failed = self._errors(m, wrong, bus)
        self._steps(m, ended, failed)
        return m

    def _dispatch(self, m: Module) -> tuple[Value, Value, Value]:
        """Returns whether the program ends, whether its next instruction is wrong, and whether memory said so."""
        decoder = self.use(m, Decoder(f"{self.hardware.name}_decoder"), "decoder", word=self.word)
        kinds = dict(zip(KINDS, decoder.kinds, strict=True))
        queued = kinds["set"] | kinds["setp"] | kinds["start"] | kinds["sync"]
        lines = Cat(*(self.word.unit == number for number in range(len(UNITS))))
        there = Cat(*(Const(int(unit in (*MOVERS, *self.hardware.units)), 1) for unit in UNITS))
        legal = decoder.legal & (~queued | (lines & there).any()) & (kinds["end"] == self.tlast)
        seen = self.running & self.tvalid
        bus, wrong, good = (Signal(name=name) for name in ("fetch_error", "wrong", "good"))
        m.d.comb += [
            bus.eq(seen & self.error.any()),
            wrong.eq((seen & ~self.error.any() & ~legal) | self.refused),
            good.eq(seen & ~self.error.any() & legal),
        ]
        room = Mux(queued, (lines & self.rooms).any(), self.empty)
        takes = Signal(name="takes")
        ended = takes & kinds["end"]
        position = self.position & kinds["setp"].replicate(POSITION_BITS)
        m.d.comb += [
            takes.eq(good & room),
            self.tready.eq(takes | self.halting),
            self.writes.eq(lines & (takes & queued).replicate(len(UNITS))),
            self.entry.eq(
                joined(
                    ENTRY, writes=kinds["set"] | kinds["setp"], starts=kinds["start"], wait=self.word.wait,
                    signal=self.word.signal, register=self.word.register,
                    value=(self.word.value + position)[: FORMAT["value"].width],
                )
            ),
            self.interrupts.eq(takes & kinds["interrupt"]),
        ]  # fmt: skip
        return ended, wrong, bus

    def _passes(self, m: Module, ended: Value) -> None:
        """Count passes and positions, and ask for the program of the next one."""
        position = Signal(POSITION_BITS, name="position_held", reset_less=True)
        prompts, decodes = (Signal(PASS_BITS, name=f"{name}_left") for name in ("prompts", "decodes"))
        first = prompts != 0
        with m.If(self.start):
            m.d.sync += [
                position.eq(self.first),
                prompts.eq(self.prompt_passes),
                decodes.eq(self.decode_passes),
            ]
        with m.Elif(ended):
            m.d.sync += [position.eq(position + 1), prompts.eq(prompts - first), decodes.eq(decodes - ~first)]
        self.over = Signal(name="over")
        fetch, wide = self.hardware.fetch, len(self.lengths) // 2
        page = Mux(first, self.pages[:PAGE_WIDTH], self.pages[PAGE_WIDTH:])
        length = Mux(first, self.lengths[:wide], self.lengths[wide:])
        address = Cat(Const(0, clog2(PAGE_BYTES)), page, Const(0, fetch.address_width))[: fetch.address_width]
        row = Cat(Const(0, clog2(WORD_BYTES)), length, Const(0, fetch.row_bytes_width))[
            : fetch.row_bytes_width
        ]
        none = Const(0, fetch.address_width)
        m.d.comb += [
            self.over.eq(prompts + decodes == 1),
            self.position.eq(position),
            self.transfer.eq(
                joined(fetch.transfer, address=address, row_bytes=row, rows=Const(1, fetch.rows_width), stride=none,
                       gather=Const(0, 1))
            ),
            self.transfer_valid.eq(self.opening),
        ]  # fmt: skip

    def _errors(self, m: Module, wrong: Value, bus: Value) -> Value:
        """Remember the first error; returns whether there is one now."""
        failed, stopped = Signal(name="any_failed"), Signal(name="stopped")
        works = self.opening | self.running
        m.d.comb += [
            stopped.eq(self.stop & works),
            failed.eq((self.failed.any() & ~self.halting & ~self.clearing) | wrong | bus | stopped),
        ]
        own = {"illegal": wrong, "bus_error": bus, "stopped": stopped & ~wrong & ~bus}
        values = _told(own, Const(FETCH, STATUS["unit"][1]), self.error & bus.replicate(2), Const(0, 8))
        views = [
            layout(FAILURE)(self.failures[n * FAILURE.width : (n + 1) * FAILURE.width])
            for n in range(len(UNITS))
        ]
        for number in reversed(range(len(UNITS))):
            view = views[number]
            reasons = {f.name: view[f.name] for f in FAILURE if f.width == 1}
            mine = _told(reasons, Const(number, STATUS["unit"][1]), view.response, view.unit_status)
            values = Mux(self.failed[number], mine, values)
        told = Signal(TOLD, name="told_held")
        with m.If(self.start):
            m.d.sync += told.eq(0)
        with m.Elif(failed & (works | self.running)):
            m.d.sync += told.eq(values)
        m.d.comb += self.told.eq(told)
        return failed

    def _steps(self, m: Module, ended: Value, failed: Value) -> None:
        """Which step comes next."""
        asked = self.opening & self.transfer_ready
        fetching = held(m, "fetching", asked, (self.tvalid & self.tready & self.tlast) | self.refused)
        rest = Signal(clog2(CLEAR), name="clear_left")
        quiet, cleared = Signal(name="quiet"), Signal(name="cleared")
        ends = failed | (ended & self.over)
        m.d.comb += [
            quiet.eq(self.halting & ~fetching & ~self.moving.any()),
            cleared.eq(self.clearing & (rest == 0)),
            self.halt.eq(self.halting | self.clearing),
            self.clear.eq(self.clearing),
            self.finished.eq(cleared),
            self.busy.eq(self.opening | self.running | self.halting | self.clearing),
        ]
        with m.If(quiet):
            m.d.sync += rest.eq(CLEAR - 1)
        with m.Elif(self.clearing):
            m.d.sync += rest.eq(rest - 1)
        with m.If(self.start):
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


#: Bits of the number of a page in the control registers.
PAGE_WIDTH = 32
#: Bits of what is told of an error: its reason, the unit, the response of the memory, the status of the unit.
TOLD = len(ERRORS) + STATUS["unit"][1] + STATUS["response"][1] + STATUS["unit_status"][1]


def _told(reasons: dict[str, Value], unit: Value, response: Value, status: Value) -> Value:
    """An error as it stands in the status."""
    return Cat(*(reasons.get(name, Const(0, 1)) for name in ERRORS), unit, response, status)
