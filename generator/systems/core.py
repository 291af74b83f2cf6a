"""The parts between the sequencer and the movers: queues, tokens, executors, staging and the units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Module, ResetSignal, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint import axi
from blueprint.port import Stream
from blueprint.systems.control import QUEUE_DEPTH, Hardware, Inlets, Outlets
from blueprint.systems.dma import Dma
from blueprint.systems.instructions import MOVERS
from blueprint.systems.staging import Staged
from generator.block import Block
from generator.boundary import AXI_LITE
from generator.cells.fifo import Fifo
from generator.export import hardware as unit_top
from generator.layout import array, bits, joined, layout
from generator.systems.executors import Runner, Transfers
from generator.systems.loads import Loads
from generator.systems.sides import Catch, Drain, Feed, Spread
from generator.systems.staging import Inlet, Outlet
from generator.systems.tokens import Tokens, pairs
from generator.systems.wires import FAILURE, Chosen, Dispatch, Moves, ends, entry


@dataclass(frozen=True)
class _Side:
    """The staging of one mover: what its executor chose, what its side gives, and whether a transfer is broken."""

    chosen: Any
    ends: Any
    broken: Signal


class Core(Block):
    """Queues, tokens, executors, staging and units; ``clear`` resets all of it.

    Guarantees: what the executors and sides do; each unit and each mover has a queue of its own.
    Does not: reset the movers, whose requests memory has to answer.
    """

    place = "core"
    bare = ("dispatch",)
    latency = "an instruction can begin in the cycle after its dispatch"
    throughput = "one instruction dispatched per cycle"

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        ports = {
            "dispatch": In(Dispatch(hardware.queues)),
            "load": Out(Moves(hardware.load)),
            "store": Out(Moves(hardware.store)),
            "begins": Out(len(hardware.queues)),
            "ends": Out(ends(hardware.queues)),
        }
        super().__init__(f"{hardware.name}_core", ports, clocked=True, resets=True)

    def module(self) -> Module:
        m = Module()
        m.domains.sync = ClockDomain("sync")
        m.d.comb += [ClockSignal().eq(self.clk), ResetSignal().eq(self.rst | self.dispatch.clear)]
        return m

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        units = self.hardware.queues
        lines = pairs(units)
        self.takes, self.gives = (lines(Signal(lines.size, name=name)) for name in ("takes", "gives"))
        self.tokens = self.use(
            m, Tokens(f"{self.hardware.name}_tokens", units), "tokens", takes=self.takes, gives=self.gives
        )
        self.waiting: list[Value] = []
        self.moved: list[Value] = []
        self.cut_loads: list[Value] = []
        self.cut_stores: list[Value] = []
        self.ready = [Signal(name=f"in{one.number}_ready") for one in self.hardware.inputs]
        self.valid = [Signal(name=f"out{one.number}_valid") for one in self.hardware.outputs]
        self.beats = [
            Signal(self.hardware.width, name=f"out{one.number}_beat") for one in self.hardware.outputs
        ]
        self.token = Signal(self.hardware.load.index_width, name="token")
        loads, stores = self._spread(m), self._drain(m)
        told = [self._executor(m, number, unit, loads, stores) for number, unit in enumerate(units)]
        dispatch, none = self.dispatch, Const(0, FAILURE.width)
        m.d.comb += [
            dispatch.failed.eq(Cat(*(end.failed if end else Const(0, 1) for end in told))),
            dispatch.failures.eq(Cat(*(bits(end.failure) if end else none for end in told))),
            self.begins.eq(Cat(*(end.begins if end else Const(0, 1) for end in told))),
            self.ends.eq(Cat(*(end.ends if end else Const(0, 1) for end in told), told[0].landed)),
            dispatch.moving.eq(Cat(loads.chosen.active, stores.chosen.active)),
            dispatch.empty.eq(~Cat(*self.waiting, loads.chosen.active).any()),
            dispatch.moved.eq(self._moved()),
            loads.broken.eq(Cat(*self.cut_loads).any()),
            stores.broken.eq(
                self.store.misframed | _held_until(m, Cat(*self.cut_stores).any(), self.store.done)
            ),
        ]
        return m

    def _moved(self) -> Value:
        """1 if an instruction begins or ends, or a beat moves, also between a mover and memory."""
        movers = ((side.tvalid & side.tready) for side in (self.load, self.store))
        return Cat(self.begins, self.ends, self.load.moved, self.store.moved, *movers, *self.moved).any()

    def _executor(self, m: Module, number: int, unit: str, loads: _Side, stores: _Side) -> Any:
        """The executor of a unit with its queue, and a unit with its staging; ``None`` for one that is not there."""
        hardware = self.hardware
        if unit in hardware.units:
            return self._unit(m, number, unit, loads, stores)
        if unit not in MOVERS:
            return None
        reads = unit == MOVERS[0]
        dma, moves, side = (
            (hardware.load, self.load, loads) if reads else (hardware.store, self.store, stores)
        )
        places = len(hardware.inputs) + 1 if reads else len(hardware.outputs)
        narrow = [
            one.number for one in (hardware.inputs if reads else hardware.outputs) if one.other_container
        ]
        executor = (
            Loads(f"{hardware.name}_{unit}", dma, places, narrow, hardware.queues)
            if reads
            else Transfers(f"{hardware.name}_{unit}", dma, places, narrow, hardware.window, hardware.queues)
        )
        return self.use(
            m, executor, f"{unit}_executor", **self._queue(m, number, unit),
            transfer=moves.transfer, transfer_valid=moves.transfer_valid, transfer_ready=moves.transfer_ready,
            index=moves.index, done=moves.done, error=moves.error, refused=moves.refused, misframed=side.broken,
            position=self.dispatch.place, token=self.token, chosen=side.chosen,
        )  # fmt: skip

    def _queue(self, m: Module, number: int, unit: str) -> dict[str, Any]:
        """The queue of a unit; returns what its executor takes."""
        dispatch, word = self.dispatch, entry(self.hardware.queues)
        pop = Signal(name=f"{unit}_pop")
        fifo = Fifo(
            f"{self.hardware.name}_queue",
            word.width,
            QUEUE_DEPTH,
            ahead=False,
            refills=False,
            in_memory=True,
        )
        queue = self.use(
            m, fifo, f"{unit}_queue", write=dispatch.writes[number], word=bits(dispatch.entry), read=pop,
            room=dispatch.rooms[number],
        )  # fmt: skip
        self.waiting.append(queue.valid)
        return {
            "entry": layout(word)(queue.result),
            "valid": queue.valid,
            "halt": dispatch.halt,
            "pop": pop,
            "takes": self.takes[number],
            "gives": self.gives[number],
            "there": self.tokens.there[number],
            "room": self.tokens.room[number],
        }

    # Sides of the movers ----------------------------------------------------------------------------------------------

    def _spread(self, m: Module) -> _Side:
        """Between the reader and the staging of the inputs."""
        load: Dma = self.hardware.load
        chosen, side = Chosen(load).create(path=("load_chosen",)), self.load
        ends = self.use(
            m, Spread(f"{self.hardware.name}_spread", load, len(self.ready)), "spread", rest=chosen.rest,
            where=chosen.where, halt=self.dispatch.halt, tvalid=side.tvalid, tready=side.tready, tlast=side.tlast,
            ready=Cat(*self.ready), low=side.tdata[: load.index_width], token=self.token,
        )  # fmt: skip
        return _Side(chosen, ends, Signal(name="load_is_misframed"))

    def _drain(self, m: Module) -> _Side:
        """Between the staging of the outputs and the writer."""
        chosen, side = Chosen(self.hardware.store).create(path=("store_chosen",)), self.store
        ends = self.use(
            m, Drain(f"{self.hardware.name}_drain", self.hardware.store, len(self.valid)), "drain",
            transfer=side.transfer, taken=side.transfer_valid & side.transfer_ready, where=chosen.where,
            halt=self.dispatch.halt, valid=Cat(*self.valid), beats=array(self.beats), tdata=side.tdata,
            tvalid=side.tvalid, tready=side.tready, tlast=side.tlast,
        )  # fmt: skip
        return _Side(chosen, ends, Signal(name="store_is_misframed"))

    # Units ------------------------------------------------------------------------------------------------------------

    def _unit(self, m: Module, number: int, unit: str, loads: _Side, stores: _Side) -> Any:
        """A unit with its executor and its staging."""
        spec = self.hardware.units[unit]
        top = unit_top(spec)
        bus = AXI_LITE.create(path=(f"{unit}_bus",))
        wires = [
            (stream, top.ports[stream.prefix].signature.create(path=(f"{unit}_{stream.name}",)))
            for stream in spec.streams()
        ]
        self.moved += [port.tvalid & port.tready for _, port in wires]
        self.use(
            m, top, f"{unit}_unit", **{axi.CLOCK: ClockSignal(), axi.RESET: ~ResetSignal(), axi.BUS: bus},
            **{stream.prefix: port for stream, port in wires},
        )  # fmt: skip
        runner = Runner(
            f"{self.hardware.name}_{unit}_runner", self.hardware.staging(unit), self.hardware.queues
        )
        ends = self.use(m, runner, f"{unit}_executor", bus=bus, **self._queue(m, number, unit))
        for stream, port in wires:
            if stream.direction == "in":
                self._input(m, stream, port, unit, ends, loads)
            else:
                self._output(m, stream, port, unit, ends, stores)
        return ends

    def _fields(self, unit: str, stream: Stream) -> tuple[Sequence[Staged], slice]:
        """The staged fields of a stream, and their bits in the masks of their unit."""
        every = self.hardware.fields(unit, stream.direction)
        mine = [one for one in every if one.stream == stream.name]
        first = every.index(mine[0])
        return mine, slice(first, first + len(mine))

    def _input(self, m: Module, stream: Stream, port: Any, unit: str, ends: Any, side: _Side) -> None:
        """Staging of an input stream."""
        fields, mask = self._fields(unit, stream)
        name = f"{self.hardware.name}_{unit}_{stream.name}"
        takes = Signal(len(fields), name=f"{unit}_{stream.name}_takes")
        inlets = []
        for at, field in enumerate(fields):
            shape, number = Inlets(field, self.hardware.width), field.number
            inlets.append(
                self.use(
                    m,
                    Inlet(f"{name}_in{at}", shape),
                    f"in{number}",
                    offered=side.ends.offered[number],
                    beat=self.load.tdata,
                    units=side.ends.units,
                    final=self.load.tlast,
                    last=_up_to(side.chosen.last, shape.marks),
                    narrow=_up_to(side.chosen.narrow, shape.narrow_bits),
                    turns=_up_to(ends.repeat, shape.turns),
                    ready=self.ready[number],
                    take=takes[at],
                )  # fmt: skip
            )
        self.cut_loads += [inlet.broken for inlet in inlets]
        carrier = next(at for at, field in enumerate(fields) if field.carrier)
        feed = Feed(f"{name}_feed", stream, fields)
        words = {one.field.name: inlet.word for one, inlet in zip(fields, inlets, strict=True)}
        self.use(
            m, feed, f"{unit}_{stream.name}_feed", valid=Cat(*(inlet.valid for inlet in inlets)),
            words=joined(feed.words_of, **words), hold=_up_to(ends.hold, feed.holds),
            ends=inlets[carrier].ends, without=ends.without[mask], takes=takes, tdata=port.tdata, tvalid=port.tvalid,
            tready=port.tready, tlast=port.tlast,
        )  # fmt: skip

    def _output(self, m: Module, stream: Stream, port: Any, unit: str, ends: Any, side: _Side) -> None:
        """Staging of an output stream."""
        fields, mask = self._fields(unit, stream)
        name = f"{self.hardware.name}_{unit}_{stream.name}"
        room = Signal(len(fields), name=f"{unit}_{stream.name}_room")
        catch = Catch(f"{name}_catch", stream, fields)
        caught = self.use(
            m, catch, f"{unit}_{stream.name}_catch", room=room, keep=ends.keep[mask],
            hold=_up_to(ends.hold, catch.holds),
            tvalid=port.tvalid, tready=port.tready, tlast=port.tlast,
        )  # fmt: skip
        for at, field in enumerate(fields):
            number, drain = field.number, side.ends
            outlet = self.use(
                m, Outlet(f"{name}_out{at}", Outlets(field, self.hardware.width)), f"out{number}",
                narrow=_up_to(side.chosen.narrow, field.packs),
                write=caught.writes[at], word=port.tdata[field.field.span], room=room[at],
                wanted=drain.wanted[number], needs=drain.needs, valid=self.valid[number], beat=self.beats[number],
                final=drain.final, take=drain.take & drain.wanted[number],
            )  # fmt: skip
            self.cut_stores.append(outlet.broken)


def _up_to(value: Value, there: int) -> Value:
    """The value where its port is ``there``; nothing elsewhere."""
    return value if there else Const(0, 0)


def _held_until(m: Module, event: Value, until: Value) -> Value:
    """1 from the cycle after an event up to that of another."""
    flag = Signal(name="out_broken_held")
    with m.If(until):
        m.d.sync += flag.eq(0)
    with m.Elif(event):
        m.d.sync += flag.eq(1)
    return flag
