"""The register file behind AXI4-Lite: sizes, start, status and counters of a run."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.shell import STALLS, Bound, RegisterFile, Size
from generator.arithmetic.integers import at_most, one_of, zero_extend
from generator.block import Block
from generator.boundary import AXI_LITE, EVENTS, Run, wires
from generator.cells.counter import count_up


def _holds(bound: Bound, left: Value, right: Value) -> Value:
    """1 if the sums of both sides keep to a bound; an offset below 0 stands on the left."""
    more, room = max(-bound.offset, 0), max(bound.offset, 0)
    return at_most(left + more if more else left, right + room if room else right)


class Registers(Block):
    """Run-time sizes, start, status, cycle and stall counters behind AXI4-Lite.

    Guarantees: a run reads the sizes that stood in the registers when it started, and only sizes that can run start
    one (:mod:`blueprint.shell`); no access is lost, and none waits for a run. docs/registers.md is the contract.
    Does not: queue accesses (one write and one read at a time), nor stop a run once it has started.

    A write takes effect in the cycle in which address and data are accepted, both at once. A legal start copies the
    sizes; the run begins a cycle later. Each of the ``flags`` is an event that sets its status bit, above
    ``framing_error``, until the next accepted start. Counters stop at their largest value; a stall counter that the
    design does not have reads as 0.

    Every decision depends on registers only: sizes are checked in the cycles between two writes, an event of the run is
    counted one cycle after it, and a read samples the counters one cycle after it was accepted.
    """

    place = "shell"
    bare: tuple[str, ...] = ("bus", "run")
    latency = "a write 2 cycles, a read 2 cycles, a run begins 1 cycle after its start is accepted"
    throughput = "one write every 3 cycles, one read every 3 cycles"

    def __init__(self, name: str, file: RegisterFile, design_hash: str) -> None:
        self.stalls, self.flags = file.stalls, file.flags
        self.registers = {register.name: register for register in file.registers(design_hash)}
        self.sizes, self.rules = file.present, file.present_rules
        ports = {"bus": In(AXI_LITE), "run": Out(Run(file, EVENTS, file.flags))}
        super().__init__(name, ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        self._told = wires(self.run)
        write = self._write_channel(m)
        words = self._sizes(m, write)
        words |= self._status(m, write)
        counters = self._counters(m)
        words |= {name: Const(0, 1) for name in STALLS if name not in counters}
        words |= {name: Const(r.reset, 32) for name, r in self.registers.items() if name.startswith("hash")}
        self._read_channel(m, words, counters)
        return m

    def _write_channel(self, m: Module) -> Value:
        """Accept address and data together; returns the accept strobe."""
        accept, answer, error = (Signal(name=f"write_{what}") for what in ("accept", "answer", "error"))
        m.d.sync += accept.eq(self.bus.awvalid & self.bus.wvalid & ~accept & ~answer)
        m.d.comb += [
            self.bus.awready.eq(accept),
            self.bus.wready.eq(accept),
            self.bus.bvalid.eq(answer),
            self.bus.bresp.eq(Cat(0, error)),
        ]
        with m.If(accept):
            writable = [
                self._hit(self.bus.awaddr, r.name) for r in self.registers.values() if r.access == "rw"
            ]
            m.d.sync += [answer.eq(1), error.eq(~Cat(*writable).any())]
        with m.Elif(self.bus.bready):
            m.d.sync += answer.eq(0)
        return accept

    def _hit(self, address: Value, name: str) -> Value:
        return address[2:] == self.registers[name].address >> 2

    def _sizes(self, m: Module, write: Value) -> dict[str, Value]:
        """The size registers, and the copies that runs read."""
        words: dict[str, Value] = {}
        held: dict[str, Value] = {}
        legal: list[Value] = []
        self._go = Signal(name="go")
        for size in self.sizes:
            taken = write & self._hit(self.bus.awaddr, size.name)
            value, above = self._written(m, size, taken)
            fits = ~above & value.any() & at_most(value, Const(size.most, len(value)))
            legal.append(self._seen(m, f"{size.name}_fits", fits))
            words[size.name] = value | above.replicate(len(value))
            held[size.name] = value
            if size.bits:
                copy = Signal(size.bits, name=f"{size.name}_of_run")
                with m.If(self._go):
                    m.d.sync += copy.eq(value)
                m.d.comb += self._told[size.name].eq(copy)
        for number, rule in enumerate(self.rules):
            bounds = [
                _holds(bound, *self._sides(m, f"rule{number}_{at}", bound, held))
                for at, bound in enumerate(rule.bounds)
            ]
            legal.append(self._seen(m, f"rule{number}_fits", Cat(*bounds).any()))
        self._legal = Signal(name="sizes_legal")
        m.d.comb += self._legal.eq(Cat(*legal).all())
        return words

    def _seen(self, m: Module, name: str, value: Value) -> Value:
        """A register that holds the value of the cycle before."""
        held = Signal(len(value), name=name)
        m.d.sync += held.eq(value)
        return held

    def _sides(self, m: Module, name: str, bound: Bound, held: Mapping[str, Value]) -> list[Value]:
        """The sides that a bound compares: a size, the sum of several sizes (registered, so a cycle late), or 0."""
        sides: list[Value] = []
        for side, names in (("left", bound.left), ("right", bound.right)):
            total = sum((held[each] for each in names[1:]), held[names[0]]) if names else Const(0, 1)
            sides.append(self._seen(m, f"{name}_{side}", total) if len(names) > 1 else total)
        return sides

    def _written(self, m: Module, size: Size, taken: Value) -> tuple[Signal, Value]:
        """(the size register, 1 if the written value needs more bits); bytes are written separately."""
        width = size.width
        value, above = (
            Signal(width, name=f"{size.name}_held"),
            Signal(size.lanes_above, name=f"{size.name}_above"),
        )
        first = len(self.bus.wstrb) - len(above)
        for lane, strobe in enumerate(self.bus.wstrb):
            begin, end = 8 * lane, 8 * lane + 8
            with m.If(taken & strobe):
                if begin < width:
                    m.d.sync += value[begin : min(end, width)].eq(self.bus.wdata[begin : min(end, width)])
                if lane >= first:
                    m.d.sync += above[lane - first].eq(self.bus.wdata[max(begin, width) : end].any())
        return value, above.any()

    def _status(self, m: Module, write: Value) -> dict[str, Value]:
        busy, done, size_error, framing_error = (
            Signal(name=name) for name in ("busy", "done", "size_error", "framing_error")
        )
        asked = Signal(name="asked")
        started = self.bus.wdata[0] & self.bus.wstrb[0]
        m.d.comb += [
            asked.eq(write & self._hit(self.bus.awaddr, "control") & started & ~busy),
            self._go.eq(asked & self._legal),
        ]
        m.d.sync += self.run.start.eq(self._go)
        with m.If(asked):
            m.d.sync += [size_error.eq(~self._legal), framing_error.eq(0), done.eq(0), busy.eq(self._legal)]
        with m.Else():
            with m.If(self.run.finished):
                m.d.sync += [busy.eq(0), done.eq(1)]
            with m.If(self.run.misframed):
                m.d.sync += framing_error.eq(1)
        flags = [self._flag(m, flag) for flag in self.flags]
        return {"control": Const(0, 1), "status": Cat(busy, done, size_error, framing_error, *flags)}

    def _flag(self, m: Module, name: str) -> Signal:
        """A status bit that an event sets and the next accepted start clears."""
        held = Signal(name=f"{name}_held")
        with m.If(self._go):
            m.d.sync += held.eq(0)
        with m.Elif(self._told[name]):
            m.d.sync += held.eq(1)
        return held

    def _counters(self, m: Module) -> dict[str, Value]:
        """Count from the first accepted input beat to the last accepted output beat."""
        counting = Signal(name="counting")
        running = Signal(name="running")
        m.d.comb += running.eq(counting | self.run.accepted)
        with m.If(self._go | self.run.finished):
            m.d.sync += counting.eq(0)
        with m.Elif(self.run.accepted):
            m.d.sync += counting.eq(1)
        words: dict[str, Value] = {}
        for name in ("cycles", *self.stalls):
            held = Signal(self.registers[name].fields["value"][1], name=f"{name}_held")
            happens = self._seen(m, f"{name}_happens", running & self._told.get(name, 1))
            count_up(m, held, happens, self.run.start, stops=True)
            words[name] = held
        return words

    def _read_channel(self, m: Module, words: Mapping[str, Value], counters: Mapping[str, Value]) -> None:
        """Answer with the word of the cycle in which the read is accepted; counters are a cycle late and read later."""
        accept, answer, error, turn = (
            Signal(name=f"read_{what}") for what in ("accept", "answer", "error", "turn")
        )
        data = Signal(32, name="read_data")
        m.d.comb += [
            accept.eq(self.bus.arvalid & self.bus.arready),
            self.bus.arready.eq(~turn & ~answer),
            self.bus.rvalid.eq(answer),
            self.bus.rdata.eq(data),
            self.bus.rresp.eq(Cat(0, error)),
        ]
        lines = [self._hit(self.bus.araddr, name) for name in words]
        counted = [self._hit(self.bus.araddr, name) for name in counters]
        reads = [Signal(name=f"{name}_read") for name in counters]
        with m.If(accept):
            m.d.sync += [
                turn.eq(1),
                error.eq(~Cat(*lines, *counted).any()),
                data.eq(one_of(lines, [zero_extend(word, 32) for word in words.values()])),
                Cat(*reads).eq(Cat(*counted)),
            ]
        with m.Elif(turn):
            late = one_of(reads, [zero_extend(word, 32) for word in counters.values()])
            m.d.sync += [turn.eq(0), answer.eq(1), data.eq(data | late)]
        with m.Elif(self.bus.rready):
            m.d.sync += answer.eq(0)
