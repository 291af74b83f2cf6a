"""What is between the sequencer and the movers: queues, tokens, executors, staging and the units."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Module, ResetSignal, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint import axi
from blueprint.port import Stream
from blueprint.systems.control import POSITION_BITS, QUEUE_DEPTH, Hardware, Inlets, Outlets
from blueprint.systems.dma import RESPONSE_BITS, Dma
from blueprint.systems.instructions import MOVERS, UNITS
from blueprint.systems.staging import Staged
from generator.block import Block
from generator.boundary import AXI_LITE
from generator.cells.fifo import Fifo
from generator.export import hardware as unit_top
from generator.layout import bits, layout
from generator.systems.executors import ENTRY, FAILURE, Runner, Transfers
from generator.systems.sides import Catch, Drain, Feed, Spread
from generator.systems.staging import Inlet, Outlet
from generator.systems.tokens import Tokens


class Core(Block):
    """Queues, tokens, executors, staging and units; ``clear`` resets all of it.

    Guarantees: what the executors and sides do; each unit and each mover has a queue of its own.
    Does not: reset the movers, whose requests memory has to answer.
    """

    place = "core"
    latency = "an instruction can begin in the cycle after its dispatch"
    throughput = "one instruction dispatched per cycle"

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        count = len(UNITS)
        ports: dict[str, Any] = {
            "clear": In(1),
            "halt": In(1),
            "position": In(POSITION_BITS),
            "entry": In(layout(ENTRY)),
            "writes": In(count),
            "rooms": Out(count),
            "empty": Out(1),
            "failed": Out(count),
            "failures": Out(count * FAILURE.width),
            "begins": Out(count),
            "ends": Out(count),
            "moving": Out(len(MOVERS)),
        }
        for name, dma in self.movers.items():
            ports |= {
                f"{name}_transfer": Out(layout(dma.transfer)),
                f"{name}_valid": Out(1),
                f"{name}_ready": In(1),
                f"{name}_index": Out(dma.index_width),
                f"{name}_done": In(1),
                f"{name}_error": In(RESPONSE_BITS),
                f"{name}_refused": In(1),
                **{f"{name}_t{wire}": (In if name == "load" else Out)(width) for wire, width in _wires(dma)},
                f"{name}_tready": (Out if name == "load" else In)(1),
            }
        super().__init__(
            f"{hardware.name}_core", ports | {"store_misframed": In(1)}, clocked=True, resets=True
        )

    @property
    def movers(self) -> dict[str, Dma]:
        """The movers that executors drive."""
        return {"load": self.hardware.load, "store": self.hardware.store}

    def module(self) -> Module:
        m = Module()
        m.domains.sync = ClockDomain("sync")
        m.d.comb += [ClockSignal().eq(self.clk), ResetSignal().eq(self.rst | self.clear)]
        return m

    def elaborate(self, platform: Any) -> Module:
        m, count = self.module(), len(UNITS)
        self._shared(m)
        self.ready = {n: Signal(name=f"in{n}_ready") for n in range(len(self.hardware.inputs))}
        self.broken: list[Value] = []
        self.out_broken: list[Value] = []
        self._sides(m)
        ends: dict[str, Any] = {}
        for number, unit in enumerate(UNITS):
            if unit in MOVERS:
                ends[unit] = self._mover(m, number, unit)
            elif unit in self.hardware.units:
                ends[unit] = self._unit(m, number, unit)
        self._streams(m, ends)
        told = [ends.get(unit) for unit in UNITS]
        none = Const(0, FAILURE.width)
        m.d.comb += [
            self.failed.eq(Cat(*(end.failed if end else Const(0, 1) for end in told))),
            self.failures.eq(Cat(*(bits(end.failure) if end else none for end in told))),
            self.begins.eq(Cat(*(end.begins if end else Const(0, 1) for end in told))),
            self.ends.eq(Cat(*(end.pop if end else Const(0, 1) for end in told))),
            self.moving.eq(Cat(*(ends[unit].active for unit in MOVERS))),
            self.empty.eq(~Cat(*self.waiting).any()),
        ]
        assert len(told) == count
        return m

    def _shared(self, m: Module) -> None:
        """Tokens of all units, and what the queues tell."""
        count = len(UNITS)
        takes, gives = Signal(count**2, name="takes"), Signal(count**2, name="gives")
        tokens = self.use(m, Tokens(f"{self.hardware.name}_tokens"), "tokens", takes=takes, gives=gives)
        self.pairs = {
            number: {
                "takes": takes[number * count :][:count],
                "gives": gives[number * count :][:count],
                "there": tokens.there[number * count :][:count],
                "room": tokens.room[number * count :][:count],
            }
            for number in range(count)
        }
        self.waiting: list[Value] = []

    def _queue(self, m: Module, number: int, unit: str) -> dict[str, Any]:
        """The queue of a unit; returns what its executor takes."""
        pop = Signal(name=f"{unit}_pop")
        fifo = Fifo(
            f"{self.hardware.name}_queue",
            ENTRY.width,
            QUEUE_DEPTH,
            ahead=False,
            refills=False,
            in_memory=True,
        )
        queue = self.use(
            m, fifo, f"{unit}_queue", write=self.writes[number], word=bits(self.entry), read=pop,
            room=self.rooms[number],
        )  # fmt: skip
        self.waiting.append(queue.valid)
        return {
            "entry": layout(ENTRY)(queue.result), "valid": queue.valid, "halt": self.halt, "pop": pop,
            **self.pairs[number],
        }  # fmt: skip

    def _mover(self, m: Module, number: int, unit: str) -> Any:
        dma = self.movers[unit]
        places = len(self.hardware.inputs) + 1 if unit == "load" else len(self.hardware.outputs)
        given = {
            name: getattr(self, f"{unit}_{name}")
            for name in ("done", "error", "refused", "transfer", "index")
        }
        given |= {f"transfer_{name}": getattr(self, f"{unit}_{name}") for name in ("valid", "ready")}
        return self.use(
            m, Transfers(f"{self.hardware.name}_{unit}", dma, places), f"{unit}_executor", **given,
            **self._queue(m, number, unit), position=self.position, token=self.token, misframed=self.misframed[unit],
            **self.selected[unit],
        )  # fmt: skip

    def _sides(self, m: Module) -> None:
        """The sides of the movers."""
        load, store, name = self.hardware.load, self.hardware.store, self.hardware.name
        self.token = Signal(load.index_width, name="token")
        self.misframed = {unit: Signal(name=f"{unit}_is_misframed") for unit in MOVERS}
        self.selected = {
            unit: {
                "where": Signal(8, name=f"{unit}_where"),
                "last": Signal(name=f"{unit}_last"),
                "active": Signal(name=f"{unit}_active"),
            }
            for unit in MOVERS
        }
        places = len(self.hardware.inputs)
        self.spread = self.use(
            m, Spread(f"{name}_spread", load, places), "spread", transfer=self.load_transfer,
            where=self.selected["load"]["where"], halt=self.halt, tvalid=self.load_tvalid, tready=self.load_tready,
            tlast=self.load_tlast, ready=Cat(*self.ready.values()), low=self.load_tdata[: load.index_width],
            token=self.token,
        )  # fmt: skip
        count = len(self.hardware.outputs)
        self.valid = Signal(count, name="out_valid")
        self.beats = [Signal(store.stream_width, name=f"out{n}_beat") for n in range(count)]
        self.drain = self.use(
            m, Drain(f"{name}_drain", store, count), "drain", transfer=self.store_transfer,
            taken=self.store_valid & self.store_ready, where=self.selected["store"]["where"], halt=self.halt,
            valid=self.valid, beats=Cat(*self.beats), tdata=self.store_tdata, tvalid=self.store_tvalid,
            tready=self.store_tready, tlast=self.store_tlast,
        )  # fmt: skip

    def _unit(self, m: Module, number: int, unit: str) -> Any:
        """A unit with its executor; its streams are wires of the core."""
        spec = self.hardware.units[unit]
        top = unit_top(spec)
        bus = AXI_LITE.create(path=(f"{unit}_bus",))
        self.wires: dict[tuple[str, str], Any] = getattr(self, "wires", {})
        given = {}
        for stream in spec.streams():
            port = top.ports[stream.prefix].signature.create(path=(f"{unit}_{stream.name}",))
            self.wires[unit, stream.name] = given[stream.prefix] = port
        self.use(
            m, top, f"{unit}_unit", **{axi.CLOCK: ClockSignal(), axi.RESET: ~ResetSignal(), axi.BUS: bus}, **given
        )  # fmt: skip
        return self.use(
            m,
            Runner(f"{self.hardware.name}_{unit}_runner", self.hardware.staging(unit)),
            f"{unit}_executor",
            bus=bus,
            **self._queue(m, number, unit),
        )

    def _streams(self, m: Module, ends: dict[str, Any]) -> None:
        """Staging of every field of every stream."""
        broken: list[Value] = []
        out_broken: list[Value] = []
        for unit, spec in self.hardware.units.items():
            mine_in, mine_out = (self.hardware.fields(unit, direction) for direction in ("in", "out"))
            for stream in spec.streams():
                if stream.direction == "in":
                    fields = [field for field in mine_in if field.stream == stream.name]
                    broken += self._input(m, stream, fields, mine_in.index(fields[0]), ends[unit])
                else:
                    fields = [field for field in mine_out if field.stream == stream.name]
                    out_broken += self._output(m, stream, fields, mine_out.index(fields[0]), ends[unit])
        m.d.comb += [
            self.misframed["load"].eq(Cat(*broken).any()),
            self.misframed["store"].eq(
                self.store_misframed | _held_until(m, Cat(*out_broken).any(), self.store_done)
            ),
        ]

    def _input(
        self, m: Module, stream: Stream, fields: Sequence[Staged], first: int, ends: Any
    ) -> list[Value]:
        unit, name, width = fields[0].unit, self.hardware.name, self.hardware.width
        takes = Signal(len(fields), name=f"{unit}_{stream.name}_takes")
        port = self.wires[unit, stream.name]
        inlets = []
        for at, field in enumerate(fields):
            shape, number = Inlets(field, width), field.number
            inlets.append(
                self.use(
                    m,
                    Inlet(f"{name}_in{number}", shape),
                    f"in{number}",
                    offered=self.spread.offered[number],
                    beat=self.load_tdata,
                    units=self.spread.units,
                    final=self.load_tlast,
                    last=self.selected["load"]["last"],
                    ready=self.ready[number],
                    take=takes[at],
                )  # fmt: skip
            )
        carrier = next(at for at, field in enumerate(fields) if field.carrier)
        feed = Feed(f"{name}_{unit}_{stream.name}_feed", stream, fields)
        hold = {"hold": _up_to(ends.hold, feed.holds)}
        self.use(
            m, feed, f"{unit}_{stream.name}_feed", valid=Cat(*(inlet.valid for inlet in inlets)),
            **{f"word{at}": inlet.word for at, inlet in enumerate(inlets)}, **hold, ends=inlets[carrier].ends,
            without=ends.without[first : first + len(fields)], takes=takes, tdata=port.tdata, tvalid=port.tvalid,
            tready=port.tready, tlast=port.tlast,
        )  # fmt: skip
        return [inlet.broken for inlet in inlets]

    def _output(
        self, m: Module, stream: Stream, fields: Sequence[Staged], first: int, ends: Any
    ) -> list[Value]:
        unit, name, width = fields[0].unit, self.hardware.name, self.hardware.width
        port = self.wires[unit, stream.name]
        room = Signal(len(fields), name=f"{unit}_{stream.name}_room")
        catch = Catch(f"{name}_{unit}_{stream.name}_catch", stream, fields)
        hold = {"hold": _up_to(ends.hold, catch.holds)}
        caught = self.use(
            m, catch, f"{unit}_{stream.name}_catch", room=room, keep=ends.keep[first : first + len(fields)], **hold,
            tvalid=port.tvalid, tready=port.tready, tlast=port.tlast,
        )  # fmt: skip
        found = []
        for at, field in enumerate(fields):
            shape, number = Outlets(field, width), field.number
            outlet = self.use(
                m, Outlet(f"{name}_out{number}", shape), f"out{number}", write=caught.writes[at],
                word=port.tdata[field.field.span], room=room[at], wanted=self.drain.wanted[number],
                needs=self.drain.needs, valid=self.valid[number], beat=self.beats[number], final=self.drain.final,
                take=self.drain.take & self.drain.wanted[number],
            )  # fmt: skip
            found.append(outlet.broken)
        return found


def _up_to(hold: Value, holds: int) -> Value:
    """The beats of a row for a side that holds fields; nothing for another."""
    return hold if holds else Const(0, 0)


def _held_until(m: Module, event: Value, until: Value) -> Value:
    """1 from the cycle after an event up to that of another."""
    flag = Signal(name="out_broken_held")
    with m.If(until):
        m.d.sync += flag.eq(0)
    with m.Elif(event):
        m.d.sync += flag.eq(1)
    return flag


def _wires(dma: Dma) -> tuple[tuple[str, int], ...]:
    """Wires of a mover's stream beside its ready, with their bits."""
    return ("data", dma.stream_width), ("valid", 1), ("last", 1)
