"""The control registers of a system behind AXI4-Lite."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.shell import WORD_BITS
from blueprint.systems.control import (
    ERRORS,
    LEFT,
    UNIT_STATUS_AT,
    UNIT_STATUS_BITS,
    WRITTEN,
    Hardware,
    registers,
)
from generator.block import Block
from generator.boundary import AXI_LITE
from generator.cells.counter import count_up
from generator.cells.register_file import Registers
from generator.systems.wires import TOLD, Program


class Control(Registers):
    """Programs, passes, start, stop, status, cycles and interrupt behind AXI4-Lite.

    Guarantees: a start begins passes only if the image is for this design and there is something to do; what does not
    start says why in the status, and interrupts as an end does.
    Does not: take a register while a program runs (a write is answered and nothing happens), except ``control``,
    ``patience`` and ``interrupt``; start while memory owes answers to the program before; queue accesses.
    """

    place = "control"
    bare: tuple[str, ...] = ("bus", "program")
    latency = "a write 2 cycles, a read 2 cycles, a program is asked for 2 cycles after its start is accepted"
    throughput = "one write every 3 cycles, one read every 3 cycles"

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        self.registers = {register.name: register for register in registers(hardware.design_hash)}
        ports = {"bus": In(AXI_LITE), "program": Out(Program(hardware)), "irq": Out(1)}
        Block.__init__(self, f"{hardware.name}_control", ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        write = self._write_channel(m)
        values = SimpleNamespace(
            **{name: self._word(m, write, name, width) for name, width in WRITTEN.items()}
        )
        self._given(m, values)
        told = self._starts(m, write, values)
        cycles = Signal(WORD_BITS, name="cycles_held")
        counts = Signal(name="cycles_happens")
        m.d.sync += counts.eq(self.program.busy)
        count_up(m, cycles, counts, self.program.start, stops=True)
        constant = {
            name: Const(r.reset, WORD_BITS) for name, r in self.registers.items() if name.startswith("hash")
        }
        words: dict[str, Value] = {
            "control": Const(0, 1),
            "status": self._status_word(told),
            "interrupt": self._interrupt(m, write, told),
            **vars(values),
            **constant,
        }
        self._read_channel(m, words, {"cycles": cycles})
        return m

    def _word(self, m: Module, write: Value, name: str, width: int) -> Signal:
        """A register, written byte by byte while nothing runs, patience always; the position follows the passes."""
        value = Signal(width, name=f"{name}_held", init=self.registers[name].reset)
        taken = write & self._hit(self.bus.awaddr, name)
        taken = taken if name == "patience" else taken & ~self.program.busy
        if name == "position":
            with m.If(self.program.finished):
                m.d.sync += value.eq(self.program.position)
        for lane, strobe in enumerate(self.bus.wstrb):
            piece = slice(8 * lane, min(8 * lane + 8, width))
            if piece.start < width:
                with m.If(taken & strobe):
                    m.d.sync += value[piece].eq(self.bus.wdata[piece])
        return value

    def _given(self, m: Module, values: Any) -> None:
        program, length = self.program, self.hardware.fetch.row_width
        m.d.comb += [
            program.first.eq(values.position),
            program.patience.eq(values.patience),
            program.prompt_passes.eq(values.prompt_passes),
            program.decode_passes.eq(values.decode_passes),
            program.pages.eq(Cat(values.prompt_page, values.decode_page)),
            program.lengths.eq(Cat(values.prompt_length[:length], values.decode_length[:length])),
        ]

    def _starts(self, m: Module, write: Value, values: Any) -> Any:
        """Drive start and stop; returns what did not start and why, and whether a program is done."""
        program, length = self.program, self.hardware.fetch.row_width
        hit = write & self._hit(self.bus.awaddr, "control") & self.bus.wstrb[0]
        lacking: list[Value] = []
        both = {
            "prompt": (values.prompt_length, values.prompt_passes),
            "decode": (values.decode_length, values.decode_passes),
        }
        for name, (words, passes) in both.items():
            bad = (words == 0) | words[length:].any()
            lacking.append(self._seen(m, f"{name}_lacks", passes.any() & bad))
        some = values.prompt_passes.any() | values.decode_passes.any()
        lacking.append(~self._seen(m, "any_pass", some))
        expected = Const(int(self.hardware.design_hash, 16), 2 * WORD_BITS)
        image = ~self._seen(m, "image_fits", Cat(values.image_lo, values.image_hi) == expected)
        asked, starts = Signal(name="asked"), Signal(name="starts")
        m.d.comb += [
            asked.eq(hit & self.bus.wdata[0] & ~program.busy & ~program.start),
            starts.eq(asked & ~image & ~Cat(*lacking).any() & ~program.draining),
            program.stop.eq(hit & self.bus.wdata[1]),
        ]
        m.d.sync += program.start.eq(starts)
        flags = {}
        reasons = {"wrong_image": image, "no_program": Cat(*lacking).any(), "not_drained": program.draining}
        for name, reason in reasons.items():
            flags[name] = Signal(name=f"{name}_held")
            with m.If(asked):
                m.d.sync += flags[name].eq(reason)
        done = Signal(name="done")
        with m.If(asked):
            m.d.sync += done.eq(~starts)
        with m.Elif(program.finished):
            m.d.sync += done.eq(1)
        return SimpleNamespace(flags=flags, done=done, nothing=asked & ~starts)

    def _status_word(self, own: Any) -> Value:
        """The status; errors of a start stand in the place of those of a run."""
        program, runs = self.program, ~Cat(*own.flags.values()).any()
        told = program.told & runs.replicate(TOLD)
        flags = [own.flags.get(name, told[place]) for place, name in enumerate(ERRORS)]
        status = told[TOLD - UNIT_STATUS_BITS :]
        low = Cat(program.busy | program.start, own.done, *flags, told[len(ERRORS) : -UNIT_STATUS_BITS])
        left = {"unanswered": program.unanswered & runs, "draining": program.draining, "owed": program.owed}
        left |= {name: own.flags[name] for name in LEFT if name not in left}
        return Cat(low, Const(0, UNIT_STATUS_AT - len(low)), status, *(left[name] for name in LEFT))

    def _interrupt(self, m: Module, write: Value, told: Any) -> Value:
        """The interrupt: an end or an instruction sets it, a write of 1 clears it."""
        pending, enable = Signal(name="pending"), Signal(name="enable")
        hit = write & self._hit(self.bus.awaddr, "interrupt") & self.bus.wstrb[0]
        with m.If(self.program.finished | self.program.interrupts | told.nothing):
            m.d.sync += pending.eq(1)
        with m.Elif(hit & self.bus.wdata[0]):
            m.d.sync += pending.eq(0)
        with m.If(hit):
            m.d.sync += enable.eq(self.bus.wdata[1])
        m.d.comb += self.irq.eq(pending & enable)
        return Cat(pending, enable)
