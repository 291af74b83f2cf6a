"""The AXI4-Lite register file every family's shell uses."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.port import Register
from generator.arithmetic import one_of, zero_extend
from generator.block import Block

AXI_LITE_PORTS: dict[str, Any] = {
    "awaddr": In(6), "awprot": In(3), "awvalid": In(1), "awready": Out(1),
    "wdata": In(32), "wstrb": In(4), "wvalid": In(1), "wready": Out(1),
    "bresp": Out(2), "bvalid": Out(1), "bready": In(1),
    "araddr": In(6), "arprot": In(3), "arvalid": In(1), "arready": Out(1),
    "rdata": Out(32), "rresp": Out(2), "rvalid": Out(1), "rready": In(1),
}  # fmt: skip

EVENTS = ("accepted", "finished", "misframed")
STALLS = ("stall_input", "stall_memory", "stall_output", "stall_dependency")


class Shell(Block):
    """Run-time sizes, start, status, cycle and stall counters behind AXI4-Lite.

    A write takes effect when address and data are both there; partial writes (``wstrb``) of a size are whole-word. A
    size too large for its register reads back as all ones and is refused at start like any other illegal size.
    ``flags`` are events of which each sets its status bit, above ``framing_error``, until the next accepted start.
    Counters stop at their largest value; that of a stall not among ``stalls``, which cannot happen, reads as 0.
    """

    place = "shell"
    latency = "a write 1 cycle, a read 1 cycle"
    throughput = "one access every 2 cycles"

    def __init__(
        self,
        name: str,
        registers: tuple[Register, ...],
        limits: Mapping[str, int],
        stalls: tuple[str, ...] = STALLS,
        flags: tuple[str, ...] = (),
    ) -> None:
        self.stalls, self.flags = stalls, flags
        self.registers = {register.name: register for register in registers}
        self.limits = dict(limits)
        sizes = {size: Out(self.registers[size].fields["value"][1]) for size in limits}
        events = {event: In(1) for event in (*EVENTS, *stalls, *flags)}
        super().__init__(name, AXI_LITE_PORTS | {"start": Out(1)} | sizes | events, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        write = self._write_channel(m)
        words = self._sizes(m, write)
        words |= self._status(m, write)
        words |= self._counters(m)
        words |= {name: Const(r.reset, 32) for name, r in self.registers.items() if name.startswith("hash")}
        self._read_channel(m, words)
        return m

    def _write_channel(self, m: Module) -> Value:
        """Accept address and data together; returns the accept strobe."""
        accept = Signal(name="write_accept")
        answer = Signal(name="write_answer")
        m.d.comb += [
            accept.eq(self.awvalid & self.wvalid & ~answer),
            self.awready.eq(accept),
            self.wready.eq(accept),
            self.bvalid.eq(answer),
        ]
        with m.If(accept):
            m.d.sync += answer.eq(1)
        with m.Elif(self.bready):
            m.d.sync += answer.eq(0)
        return accept

    def _hit(self, address: Value, name: str) -> Value:
        return address[2:] == self.registers[name].address >> 2

    def _sizes(self, m: Module, write: Value) -> dict[str, Value]:
        words: dict[str, Value] = {}
        legal: Value = Const(1, 1)
        for name, most in self.limits.items():
            width = self.registers[name].fields["value"][1]
            held = Signal(width, name=f"{name}_held")
            too_large = self.wdata[width:].any()
            with m.If(write & self._hit(self.awaddr, name)):
                m.d.sync += held.eq(self.wdata[:width] | too_large.replicate(width))
            m.d.comb += getattr(self, name).eq(held)
            legal = legal & (held != 0) & (held <= most)
            words[name] = held
        self._legal = Signal(name="sizes_legal")
        m.d.comb += self._legal.eq(legal)
        return words

    def _status(self, m: Module, write: Value) -> dict[str, Value]:
        busy, done, size_error, framing_error = (
            Signal(name=name) for name in ("busy", "done", "size_error", "framing_error")
        )
        asked = Signal(name="asked")
        m.d.comb += [
            asked.eq(write & self._hit(self.awaddr, "control") & self.wdata[0] & ~busy),
            self.start.eq(asked & self._legal),
        ]
        with m.If(asked):
            m.d.sync += [size_error.eq(~self._legal), framing_error.eq(0), done.eq(0), busy.eq(self._legal)]
        with m.Else():
            with m.If(self.finished):
                m.d.sync += [busy.eq(0), done.eq(1)]
            with m.If(self.misframed):
                m.d.sync += framing_error.eq(1)
        flags = [self._flag(m, flag) for flag in self.flags]
        return {"control": Const(0, 1), "status": Cat(busy, done, size_error, framing_error, *flags)}

    def _flag(self, m: Module, name: str) -> Signal:
        """A status bit that an event sets and the next accepted start clears."""
        held = Signal(name=f"{name}_held")
        with m.If(self.start):
            m.d.sync += held.eq(0)
        with m.Elif(getattr(self, name)):
            m.d.sync += held.eq(1)
        return held

    def _counters(self, m: Module) -> dict[str, Value]:
        """Count from the first accepted input beat to the last accepted output beat."""
        counting = Signal(name="counting")
        running = Signal(name="running")
        m.d.comb += running.eq(counting | self.accepted)
        with m.If(self.start | self.finished):
            m.d.sync += counting.eq(0)
        with m.Elif(self.accepted):
            m.d.sync += counting.eq(1)
        words: dict[str, Value] = {}
        for name in ("cycles", *self.stalls):
            held = Signal(32, name=f"{name}_held")
            happens = running & (getattr(self, name) if name != "cycles" else 1)
            with m.If(self.start):
                m.d.sync += held.eq(0)
            with m.Elif(happens & ~held.all()):
                m.d.sync += held.eq(held + 1)
            words[name] = held
        return {name: Const(0, 1) for name in STALLS} | words

    def _read_channel(self, m: Module, words: Mapping[str, Value]) -> None:
        answer = Signal(name="read_answer")
        data = Signal(32, name="read_data")
        accept = Signal(name="read_accept")
        m.d.comb += [
            accept.eq(self.arvalid & ~answer),
            self.arready.eq(~answer),
            self.rvalid.eq(answer),
            self.rdata.eq(data),
        ]
        lines = [self._hit(self.araddr, name) for name in words]
        with m.If(accept):
            m.d.sync += [
                answer.eq(1),
                data.eq(one_of(lines, [zero_extend(word, 32) for word in words.values()])),
            ]
        with m.Elif(self.rready):
            m.d.sync += answer.eq(0)
