"""The control registers of a system behind AXI4-Lite."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.record import Record
from blueprint.record import bits as field
from blueprint.shell import WORD_BITS
from blueprint.systems.control import PASS_BITS, STATUS, Hardware, written
from generator.block import Block
from generator.boundary import AXI_LITE
from generator.cells.counter import count_up
from generator.cells.register_file import Registers
from generator.layout import bits, joined, layout
from generator.systems.wires import ORIGIN, PAGE_WIDTH, TOLD, Program, of_passes

#: The status, without the bits above its last field; unit and response are the origin of an error.
STATUS_WORD = Record(
    tuple(
        field("origin", ORIGIN.width) if name == "unit" else field(name, width)
        for name, (_, width) in STATUS.items()
        if name != "response"
    )
)


@dataclass(frozen=True)
class _Written:
    """The registers that software writes, by their names in :func:`blueprint.systems.control.written`."""

    prompt_page: Value
    prompt_length: Value
    decode_page: Value
    decode_length: Value
    position: Value
    prompt_passes: Value
    decode_passes: Value
    image_lo: Value
    image_hi: Value
    patience: Value


@dataclass(frozen=True)
class _Start:
    """Result of the last start: the reasons why nothing started, and whether a program is done.

    ``nothing`` is high for the cycle of a start that is refused.
    """

    wrong_image: Signal
    no_program: Signal
    not_drained: Signal
    done: Signal
    nothing: Value

    @property
    def refused(self) -> Value:
        """1 if the last start began nothing."""
        return Cat(self.wrong_image, self.no_program, self.not_drained).any()


class Control(Registers):
    """Programs, passes, start, stop, status, cycles and interrupt behind AXI4-Lite.

    Guarantees: a start begins passes only if the image is for this design and there is something to do; for a refused
    start the status gives the reason, and the interrupt is raised as at an end.
    Does not: take a register while a program runs (a write is answered and nothing happens), except ``control``,
    ``patience`` and ``interrupt``; start while memory owes answers to the program before; queue accesses.
    """

    place = "shell"
    bare: tuple[str, ...] = ("bus", "program")
    latency = "a write 2 cycles, a read 2 cycles, a program is asked for 2 cycles after its start is accepted"
    throughput = "one write every 3 cycles, one read every 3 cycles"

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        self.registers = {register.name: register for register in hardware.registers}
        ports = {"bus": In(AXI_LITE), "program": Out(Program(hardware)), "irq": Out(1)}
        Block.__init__(self, f"{hardware.name}_control", ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        write = self._write_channel(m)
        widths = written(self.hardware.block)
        written_words = {name: self._word(m, write, name, width) for name, width in widths.items()}
        values = _Written(**written_words)
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
            **written_words,
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

    def _given(self, m: Module, values: _Written) -> None:
        program, length = self.program, self.hardware.fetch.row_width
        pages = joined(of_passes(PAGE_WIDTH), prompt=values.prompt_page, decode=values.decode_page)
        lengths = joined(
            of_passes(length), prompt=values.prompt_length[:length], decode=values.decode_length[:length]
        )
        m.d.comb += [
            program.first.eq(values.position),
            program.patience.eq(values.patience),
            program.prompt_passes.eq(values.prompt_passes[:PASS_BITS]),
            program.steps.eq(values.prompt_passes[PASS_BITS:]),
            program.decode_passes.eq(values.decode_passes),
            program.pages.eq(pages),
            program.lengths.eq(lengths),
        ]

    def _starts(self, m: Module, write: Value, values: _Written) -> _Start:
        """Drive start and stop; returns the result of the last start."""
        program, length = self.program, self.hardware.fetch.row_width
        hit = write & self._hit(self.bus.awaddr, "control") & self.bus.wstrb[0]
        lacking: list[Value] = []
        both = {
            "prompt": (values.prompt_length, values.prompt_passes[:PASS_BITS]),
            "decode": (values.decode_length, values.decode_passes),
        }
        for name, (words, passes) in both.items():
            bad = (words == 0) | words[length:].any()
            lacking.append(self._seen(m, f"{name}_lacks", passes.any() & bad))
        some = values.prompt_passes[:PASS_BITS].any() | values.decode_passes.any()
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
        wrong_image = self._reason(m, "wrong_image", asked, image)
        no_program = self._reason(m, "no_program", asked, Cat(*lacking).any())
        not_drained = self._reason(m, "not_drained", asked, program.draining)
        done = Signal(name="done")
        with m.If(asked):
            m.d.sync += done.eq(~starts)
        with m.Elif(program.finished):
            m.d.sync += done.eq(1)
        return _Start(wrong_image, no_program, not_drained, done, asked & ~starts)

    def _reason(self, m: Module, name: str, asked: Value, reason: Value) -> Signal:
        """A register that holds whether the last start had a reason to begin nothing."""
        held = Signal(name=f"{name}_held")
        with m.If(asked):
            m.d.sync += held.eq(reason)
        return held

    def _status_word(self, own: _Start) -> Value:
        """The status; errors of a start stand in the place of those of a run."""
        program, runs = self.program, ~own.refused
        told = layout(TOLD)(bits(program.told) & runs.replicate(TOLD.width))
        word = joined(
            STATUS_WORD, busy=program.busy | program.start, done=own.done, wrong_image=own.wrong_image,
            no_program=own.no_program, illegal=told.illegal, bus_error=told.bus_error, refused=told.refused,
            misframed=told.misframed, unit_error=told.unit_error, stopped=told.stopped, stuck=told.stuck,
            origin=told.origin, unit_status=told.unit_status, not_drained=own.not_drained,
            unanswered=program.unanswered & runs, draining=program.draining, owed=program.owed,
        )  # fmt: skip
        return bits(word)

    def _interrupt(self, m: Module, write: Value, told: _Start) -> Value:
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
