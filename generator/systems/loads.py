"""Executor of the reader: several loads are under way, so that memory answers one while the next is asked for."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import Out

from blueprint.numbers import clog2
from blueprint.systems.control import UNIT_BYTES, flight
from blueprint.systems.dma import Dma
from blueprint.systems.instructions import FLIGHTS, INDICES, LAST_BIT, NARROW_BIT, UNITS
from generator.block import register
from generator.cells.fifo import Fifo
from generator.layout import bits, joined, layout
from generator.systems.executors import Held, Transfers


class Loads(Transfers):
    """Executor of a reader: the next instruction has its turn once a load was taken, while its data are to come.

    Guarantees: data arrive in the order of the loads, ``landed`` is one cycle at the end of each, with its tokens; at
    most `FLIGHTS` are under way, and a ``set`` or ``sync`` that gives tokens begins when none is, as does a load by
    the token.
    Does not: wait for the data of a load before the next one is offered; whoever needs the data waits for a token.
    """

    latency = "1 cycle from the begin of a start to its transfer, 1 from there to the next instruction"
    throughput = "one instruction per cycle beside transfers"

    def __init__(
        self, name: str, dma: Dma, places: int, narrow: Sequence[int] = (), units: Sequence[str] = UNITS
    ) -> None:
        super().__init__(name, dma, places, narrow, units=units, landed=Out(1))

    def _moving(self, m: Module, offered: Value, registers: Held) -> Value:
        entry, dma = self.entry, self.dma
        taken, asked = self.transfer_valid & self.transfer_ready, Signal(name="asked")
        enters, record = asked & ~self.refused, flight(dma, self.units)
        m.d.sync += asked.eq(taken)
        place, low = registers.place, clog2(dma.beat_units)
        units = registers.row_bytes[clog2(UNIT_BYTES) :][:low]
        word = joined(
            record, where=place[:LAST_BIT], last=place[LAST_BIT], narrow=place[NARROW_BIT],
            rest=(units * registers.rows[:low])[:low],
            signal=register(m, len(self.units), "signal_held", self.begins, entry.signal),
        )  # fmt: skip
        flights = self.use(
            m, Fifo(f"{self.module_name}_flights", record.width, FLIGHTS, ahead=False, refills=False), "flights",
            write=enters, word=bits(word), read=self.landed,
        )  # fmt: skip
        first = layout(record)(flights.result)
        alone = ~entry.starts & entry.signal.any()
        by_token = entry.starts & (registers.index == INDICES.index("token"))
        at_once = self.begins & ~entry.starts
        self.turns(m, at_once | asked, (entry.starts & ~flights.room) | ((alone | by_token) & flights.valid))
        m.d.comb += [
            self.ends.eq(at_once),
            self.landed.eq(flights.valid & self.done),
            self.gives.eq(
                (entry.signal & at_once.replicate(len(self.units)))
                | (first.signal & self.landed.replicate(len(self.units)))
            ),
            self.index.eq(register(m, dma.index_width, "index_given", taken, self.indexed(registers))),
            self.chosen.active.eq(Cat(self.transfer_valid, asked, flights.valid).any()),
            self.chosen.where.eq(first.where),
            self.chosen.last.eq(first.last),
            self.chosen.narrow.eq(first.narrow),
            self.chosen.rest.eq(first.rest),
        ]
        return flights.valid
