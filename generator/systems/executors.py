"""Executors: each does the instructions of one unit, in the order of its queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint import axi
from blueprint.numbers import clog2
from blueprint.shell import STATUS, WORD_BITS, WORD_BYTES
from blueprint.systems.control import POSITION_BITS, UNIT_STATUS_BITS, Masks
from blueprint.systems.dma import Dma
from blueprint.systems.instructions import (
    HOLD,
    INDEX_BITS,
    INDICES,
    INDICES_PLAIN,
    KEEP,
    LAST_BIT,
    MOVED,
    NARROW_BIT,
    REPEAT,
    UNITS,
    WITHOUT,
    WORDS,
)
from generator.arithmetic.integers import zero_extend
from generator.block import Block, register
from generator.boundary import AXI_LITE
from generator.layout import joined, layout
from generator.sequencer import held
from generator.systems.wires import FAILURE, Chosen, entry, handed

#: Byte address of the status in a unit's register file, behind control.
STATUS_ADDRESS = WORD_BYTES


class Executor(Block):
    """Base of the executors: when an instruction begins, and what it takes and gives.

    An instruction begins in a cycle in which it is first in its queue, all tokens it waits for are there, all that it
    will give have room, nothing else of the unit runs, and the program is not to ``halt``. It is first until it ends.
    """

    place = "executors"

    def __init__(self, name: str, ports: dict[str, Any], units: Sequence[str]) -> None:
        self.units, count = units, len(units)
        common = {
            "entry": In(layout(entry(units))),
            "valid": In(1),
            "there": In(count),
            "room": In(count),
            "halt": In(1),
            "pop": Out(1),
            "begins": Out(1),
            "ends": Out(1),
            "takes": Out(count),
            "gives": Out(count),
            "failed": Out(1),
            "failure": Out(layout(FAILURE)),
        }
        super().__init__(name, common | ports, clocked=True, resets=True)

    def turn(self, m: Module, ends: Value) -> Signal:
        """1 while an instruction that began earlier runs; drives its end, and the tokens it takes and gives."""
        m.d.comb += [self.ends.eq(ends), self.gives.eq(self.entry.signal & ends.replicate(len(self.gives)))]
        return self.turns(m, ends, Const(0, 1))

    def turns(self, m: Module, ends: Value, lacks: Value) -> Signal:
        """As `turn`, but does not drive ends and given tokens; an instruction also waits while ``lacks`` is 1."""
        entry, running = self.entry, Signal(name="running")
        tokens = (entry.wait & ~self.there) | (entry.signal & ~self.room)
        m.d.comb += [
            self.begins.eq(self.valid & ~running & ~tokens.any() & ~lacks & ~self.halt),
            self.pop.eq(ends),
            self.takes.eq(entry.wait & self.begins.replicate(len(self.takes))),
        ]
        with m.If(ends):
            m.d.sync += running.eq(0)
        with m.Elif(self.begins):
            m.d.sync += running.eq(1)
        return running

    def fails(self, m: Module, failed: Value, **reasons: Value) -> None:
        """Report an error."""
        values = {field.name: reasons.get(field.name, Const(0, field.width)) for field in FAILURE}
        m.d.comb += [self.failed.eq(failed), self.failure.eq(joined(FAILURE, **values))]


@dataclass(frozen=True)
class Held:
    """The registers of a mover, by their names in :data:`blueprint.systems.instructions.MOVED`."""

    address: Value
    row_bytes: Value
    rows: Value
    stride: Value
    place: Value
    index: Value


class Transfers(Executor):
    """Executor of a mover: registers of a transfer, and one transfer after the other.

    Guarantees: a transfer is offered in the cycle after its ``start`` began, and ``active`` from then up to its end;
    its registers stay as they are meanwhile.
    Does not: offer a transfer with a number too large for the mover, with a place that does not exist, or with narrow
    containers for a place that is not ``narrow``; it is refused. So is the last index without a ``window``.
    """

    latency = "1 cycle from the begin of a start to its transfer"
    throughput = "one instruction per cycle beside transfers"

    def __init__(
        self, name: str, dma: Dma, places: int, narrow: Sequence[int] = (), window: int = 0,
        units: Sequence[str] = UNITS, **more: Any,
    ) -> None:  # fmt: skip
        self.dma, self.places, self.narrow, self.window = dma, places, narrow, window
        ports = {
            "position": In(POSITION_BITS),
            "token": In(dma.index_width),
            **handed(dma),
            "misframed": In(1),
            "chosen": Out(Chosen(dma)),
        }
        super().__init__(name, ports | more, units)

    def elaborate(self, platform: Any) -> Module:
        m, starts = self.module(), self.entry.starts
        registers, wrong = self._registers(m)
        begins_start = self.begins & starts
        offered = begins_start & ~wrong
        m.d.comb += self.transfer_valid.eq(held(m, "offering", offered, self.transfer_ready))
        self._transfer(m, registers)
        running = self._moving(m, offered, registers)
        bad = self.error.any() | self.misframed
        broken = running & self.done & bad
        self.fails(
            m, (begins_start & wrong) | self.refused | broken,
            refused=~broken, bus_error=broken & self.error.any(), misframed=broken & ~self.error.any(),
            response=self.error,
        )  # fmt: skip
        return m

    def _moving(self, m: Module, offered: Value, registers: Held) -> Value:
        """Execute the instructions; returns 1 while the transfer to which ``done`` belongs runs."""
        running = Signal(name="moving")
        ends = (self.begins & ~self.entry.starts) | (running & (self.done | self.refused))
        self.turn(m, ends)
        with m.If(offered):
            m.d.sync += running.eq(1)
        with m.Elif(self.done | self.refused):
            m.d.sync += running.eq(0)
        place = registers.place
        m.d.comb += [
            self.index.eq(self.indexed(registers)),
            self.chosen.active.eq(running),
            self.chosen.where.eq(place[:LAST_BIT]),
            self.chosen.last.eq(place[LAST_BIT]),
            self.chosen.narrow.eq(place[NARROW_BIT]),
        ]
        return running

    def indexed(self, registers: Held) -> Value:
        """The index that rows are gathered by."""
        width = self.dma.index_width
        position = zero_extend(self.position[:width], width)
        if self.window:
            ring = zero_extend(self.position[: clog2(self.window)], width)
            position = Mux(registers.index == INDICES.index("ring"), ring, position)
        return Mux(registers.index == INDICES.index("token"), self.token, position)

    def _registers(self, m: Module) -> tuple[Held, Value]:
        """(the registers, 1 if one of them holds an illegal value)."""
        transfer, entry = self.dma.transfer, self.entry
        widths = [*(transfer[name].width for name in MOVED[:-2]), NARROW_BIT + 1, INDEX_BITS]
        values, above = [], []
        for number, (name, width) in enumerate(zip(MOVED, widths, strict=True)):
            taken = self.begins & entry.writes & (entry.register == number)
            values.append(register(m, width, f"{name}_held", taken, entry.value[:width]))
            above.append(register(m, 1, f"{name}_above", taken, entry.value[width:].any()))
        held = Held(**dict(zip(MOVED, values, strict=True)))
        place = held.place
        known = Cat(*(place[:LAST_BIT] == number for number in self.narrow)).any()
        wrong = Cat(
            *above,
            place[:LAST_BIT] >= self.places,
            place[NARROW_BIT] & ~known,
            held.index >= INDICES_PLAIN + (self.window > 0),
        )
        return held, wrong.any()

    def _transfer(self, m: Module, held: Held) -> None:
        transfer = joined(
            self.dma.transfer, address=held.address, row_bytes=held.row_bytes, rows=held.rows, stride=held.stride,
            gather=held.index.any(),
        )  # fmt: skip
        m.d.comb += self.transfer.eq(transfer)


class Runner(Executor):
    """Executor of a unit: writes of its register file, and runs from their start to their end.

    Guarantees: a run is over when the status of the unit, which is polled, says ``done``; a unit that refuses its sizes
    or was misframed is reported with its status. Registers of staging are ports of the same name; one without bits
    takes any value.
    Does not: stop a run.
    """

    latency = "a write 2 cycles, a start 3 to the first beat, and 3 to 5 from the last beat to the end"
    throughput = "one write every 3 cycles"
    bare = ("bus",)

    def __init__(self, name: str, masks: Masks, units: Sequence[str] = UNITS) -> None:
        ports = {"bus": Out(AXI_LITE)} | {register: Out(bits) for register, bits in masks._asdict().items()}
        super().__init__(name, ports, units)

    def elaborate(self, platform: Any) -> Module:
        m, entry, bus = self.module(), self.entry, self.bus
        inside = entry.register < WORDS
        above = [
            (entry.register == number) & entry.value[len(port) :].any()
            for number, port in self._staged().items()
            if len(port)
        ]
        wrong = entry.writes & Mux(inside, entry.value[WORD_BITS:].any(), Cat(*above).any())
        asks = Signal(name="asks")
        m.d.comb += asks.eq(self.begins & ~wrong & (entry.starts | (entry.writes & inside)))
        looked = Signal(name="looked")
        at_once = self.begins & ~entry.starts & ~(entry.writes & inside)
        answered = bus.bvalid & entry.writes
        running = self.turn(m, at_once | answered | looked)
        self._write(m, asks, running)
        self._look(m, running, looked)
        self._staging(m, at_once)
        status = bus.rdata
        wrong_word = (
            status[STATUS.index("size_error")] | status[STATUS.index("framing_error")] | bus.rresp.any()
        )
        failed = looked & wrong_word
        refused = (self.begins & wrong) | (answered & bus.bresp.any())
        self.fails(
            m, failed | refused, refused=refused, unit_error=failed,
            unit_status=status[:UNIT_STATUS_BITS],
        )  # fmt: skip
        return m

    def _write(self, m: Module, asks: Value, running: Value) -> None:
        """One write: of the register that the instruction names, or 1 to control, which is at 0."""
        entry, bus = self.entry, self.bus
        waits = Signal(name="waits")
        with m.If(bus.awready):
            m.d.sync += waits.eq(0)
        with m.Elif(asks):
            m.d.sync += waits.eq(1)
        words = entry.register[: len(bus.awaddr) - 2]
        address = Cat(Const(0, 2), words & (~entry.starts).replicate(len(words)))
        value = Mux(entry.starts, Const(axi.START, WORD_BITS), entry.value[:WORD_BITS])
        m.d.comb += [
            bus.awvalid.eq(asks | waits), bus.wvalid.eq(asks | waits), bus.awaddr.eq(address), bus.wdata.eq(value),
            bus.awprot.eq(0), bus.wstrb.eq(axi.ALL_BYTES), bus.bready.eq(1),
        ]  # fmt: skip

    def _look(self, m: Module, running: Value, looked: Signal) -> None:
        """Poll the status until the run is over or was refused."""
        bus = self.bus
        looking, asked = Signal(name="looking"), Signal(name="asked")
        begins = bus.bvalid & self.entry.starts & running
        over = Cat(*(bus.rdata[STATUS.index(flag)] for flag in ("done", "size_error", "framing_error"))).any()
        m.d.comb += [
            bus.arvalid.eq(begins | (looking & ~asked)), bus.araddr.eq(STATUS_ADDRESS), bus.arprot.eq(0),
            bus.rready.eq(1), looked.eq(bus.rvalid & (over | bus.rresp.any())),
        ]  # fmt: skip
        with m.If(begins):
            m.d.sync += looking.eq(1)
        with m.Elif(looked):
            m.d.sync += looking.eq(0)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += asked.eq(1)
        with m.Elif(bus.rvalid):
            m.d.sync += asked.eq(0)

    def _staging(self, m: Module, at_once: Value) -> None:
        """The registers of staging."""
        entry = self.entry
        for number, port in self._staged().items():
            value = Signal(len(port), name=f"{port.name}_held")
            with m.If(at_once & entry.writes & (entry.register == number)):
                m.d.sync += value.eq(entry.value[: len(port)])
            m.d.comb += port.eq(value)

    def _staged(self) -> dict[int, Signal]:
        """The registers of staging by their numbers."""
        return {HOLD: self.hold, KEEP: self.keep, WITHOUT: self.without, REPEAT: self.repeat}
