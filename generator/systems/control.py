"""The control registers of a system behind AXI4-Lite."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.shell import WORD_BITS
from blueprint.systems.control import ERRORS, PASS_BITS, POSITION_BITS, STATUS, WRITTEN, Hardware, registers
from generator.block import Block
from generator.boundary import AXI_LITE
from generator.cells.counter import count_up
from generator.cells.register_file import Registers
from generator.systems.sequencer import PAGE_WIDTH, TOLD


class Control(Registers):
    """Programs, passes, start, stop, status, cycles and interrupt behind AXI4-Lite.

    Guarantees: a start begins passes only if the image is for this design and there is something to do; what does not
    start says why in the status, and interrupts as an end does.
    Does not: take a register while a program runs (a write is answered and nothing happens), except ``control`` and
    ``interrupt``; queue accesses.
    """

    place = "control"
    bare: tuple[str, ...] = ("bus",)
    latency = "a write 2 cycles, a read 2 cycles, a program is asked for 2 cycles after its start is accepted"
    throughput = "one write every 3 cycles, one read every 3 cycles"

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        self.registers = {register.name: register for register in registers(hardware.design_hash)}
        length = hardware.fetch.row_width
        ports = {
            "bus": In(AXI_LITE),
            "start": Out(1),
            "stop": Out(1),
            "first": Out(POSITION_BITS),
            "prompt_passes": Out(PASS_BITS),
            "decode_passes": Out(PASS_BITS),
            "pages": Out(2 * PAGE_WIDTH),
            "lengths": Out(2 * length),
            "busy": In(1),
            "finished": In(1),
            "interrupts": In(1),
            "position": In(POSITION_BITS),
            "told": In(TOLD),
            "irq": Out(1),
        }
        Block.__init__(self, f"{hardware.name}_control", ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        write = self._write_channel(m)
        values = {name: self._word(m, write, name, width) for name, width in WRITTEN.items()}
        self._given(m, values)
        refused = self._starts(m, write, values)
        words: dict[str, Value] = dict(values)
        words["status"] = self._status_word(refused)
        words["interrupt"] = self._interrupt(m, write, refused)
        words["control"] = Const(0, 1)
        words |= {name: Const(self.registers[name].reset, WORD_BITS) for name in ("hash_lo", "hash_hi")}
        cycles = Signal(WORD_BITS, name="cycles_held")
        counts = Signal(name="cycles_happens")
        m.d.sync += counts.eq(self.busy)
        count_up(m, cycles, counts, self.start, stops=True)
        self._read_channel(m, words, {"cycles": cycles})
        return m

    def _word(self, m: Module, write: Value, name: str, width: int) -> Signal:
        """A register, written byte by byte while nothing runs; that of the position follows the passes."""
        value = Signal(width, name=f"{name}_held")
        taken = write & self._hit(self.bus.awaddr, name) & ~self.busy
        if name == "position":
            with m.If(self.finished):
                m.d.sync += value.eq(self.position)
        for lane, strobe in enumerate(self.bus.wstrb):
            piece = slice(8 * lane, min(8 * lane + 8, width))
            if piece.start < width:
                with m.If(taken & strobe):
                    m.d.sync += value[piece].eq(self.bus.wdata[piece])
        return value

    def _given(self, m: Module, values: Mapping[str, Signal]) -> None:
        length = len(self.lengths) // 2
        m.d.comb += [
            self.first.eq(values["position"]),
            self.prompt_passes.eq(values["prompt_passes"]),
            self.decode_passes.eq(values["decode_passes"]),
            self.pages.eq(Cat(values["prompt_page"], values["decode_page"])),
            self.lengths.eq(Cat(values["prompt_length"][:length], values["decode_length"][:length])),
        ]

    def _starts(self, m: Module, write: Value, values: Mapping[str, Signal]) -> dict[str, Value]:
        """Drive start and stop; returns the flags of what did not start, and that nothing did."""
        hit = write & self._hit(self.bus.awaddr, "control") & self.bus.wstrb[0]
        length = len(self.lengths) // 2
        lacking: list[Value] = []
        for name in ("prompt", "decode"):
            words = values[f"{name}_length"]
            bad = (words == 0) | words[length:].any()
            lacking.append(self._seen(m, f"{name}_lacks", values[f"{name}_passes"].any() & bad))
        passes = values["prompt_passes"].any() | values["decode_passes"].any()
        lacking.append(~self._seen(m, "any_pass", passes))
        expected = [self.registers[f"hash_{half}"].reset for half in ("lo", "hi")]
        same = [
            values[f"image_{half}"] == number for half, number in zip(("lo", "hi"), expected, strict=True)
        ]
        image = ~self._seen(m, "image_fits", Cat(*same).all())
        asked, starts = Signal(name="asked"), Signal(name="starts")
        m.d.comb += [
            asked.eq(hit & self.bus.wdata[0] & ~self.busy & ~self.start),
            starts.eq(asked & ~image & ~Cat(*lacking).any()),
            self.stop.eq(hit & self.bus.wdata[1]),
        ]
        m.d.sync += self.start.eq(starts)
        found: dict[str, Value] = {"nothing": asked & ~starts}
        for name, reason in (("wrong_image", image), ("no_program", Cat(*lacking).any())):
            flag = Signal(name=f"{name}_held")
            with m.If(asked):
                m.d.sync += flag.eq(reason)
            found[name] = flag
        done = Signal(name="done")
        with m.If(asked):
            m.d.sync += done.eq(~starts)
        with m.Elif(self.finished):
            m.d.sync += done.eq(1)
        found["done"] = done
        return found

    def _status_word(self, refused: Mapping[str, Value]) -> Value:
        """The status; errors of a start stand in the place of those of a run."""
        own = {name: flag for name, flag in refused.items() if name in ERRORS}
        told = self.told & (~Cat(*own.values()).any()).replicate(TOLD)
        flags = [own.get(name, told[place]) for place, name in enumerate(ERRORS)]
        behind = told[len(ERRORS) :]
        names = ("unit", "response")
        width = sum(STATUS[name][1] for name in names)
        low = Cat(self.busy | self.start, refused["done"], *flags, behind[:width])
        return Cat(low, Const(0, STATUS["unit_status"][0] - len(low)), behind[width:])

    def _interrupt(self, m: Module, write: Value, refused: Mapping[str, Value]) -> Value:
        """The interrupt: an end or an instruction sets it, a write of 1 clears it."""
        pending, enable = Signal(name="pending"), Signal(name="enable")
        hit = write & self._hit(self.bus.awaddr, "interrupt") & self.bus.wstrb[0]
        with m.If(self.finished | self.interrupts | refused["nothing"]):
            m.d.sync += pending.eq(1)
        with m.Elif(hit & self.bus.wdata[0]):
            m.d.sync += pending.eq(0)
        with m.If(hit):
            m.d.sync += enable.eq(self.bus.wdata[1])
        m.d.comb += self.irq.eq(pending & enable)
        return Cat(pending, enable)
