"""The parts between staging and its ends: the movers on one side, the streams of the units on the other."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.numbers import bit_length, clog2
from blueprint.port import Stream
from blueprint.record import Record, bits
from blueprint.systems.control import HOLD_BITS, UNIT_BYTES
from blueprint.systems.dma import Dma
from blueprint.systems.instructions import LAST_BIT
from blueprint.systems.staging import Staged
from generator.block import Block, register
from generator.layout import layout


class Spread(Block):
    """Give the beats of a load to the staging of its place, or to the register of the token.

    Guarantees: one line of ``offered`` is high with a beat; ``units`` of the last beat belong to the transfer; beats
    are dropped once the program is to ``halt``.
    Does not: check the place: one that does not exist has no line.
    """

    place = "staging"

    def __init__(self, name: str, dma: Dma, count: int) -> None:
        self.dma, self.count = dma, count
        ports = {
            "rest": In(clog2(dma.beat_units)),
            "where": In(LAST_BIT),
            "halt": In(1),
            "low": In(dma.index_width),
            "tvalid": In(1),
            "tready": Out(1),
            "tlast": In(1),
            "offered": Out(count),
            "ready": In(count),
            "units": Out(bit_length(dma.beat_units)),
            "token": Out(dma.index_width),
        }
        super().__init__(name, ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, count, whole = self.module(), self.count, self.dma.beat_units
        lines = Cat(*(self.where == number for number in range(count)))
        token = self.where == count
        m.d.comb += [
            self.units.eq(Mux(self.tlast & self.rest.any(), self.rest, whole)),
            self.tready.eq(self.halt | token | (lines & self.ready).any()),
            self.offered.eq(lines & (self.tvalid & ~self.halt).replicate(count)),
            self.token.eq(register(m, len(self.token), "token_held", self.tvalid & token, self.low)),
        ]
        return m


class Drain(Block):
    """Give the beats of staging to a store, with ``tlast`` where its rows end.

    Guarantees: units are counted row by row, a row each cycle, ahead of the beats; once the program is to ``halt`` the
    stream ends with its next beat, so that the mover does.
    Does not: give a beat before a transfer was ``taken``, or behind its last.
    """

    place = "staging"

    def __init__(self, name: str, dma: Dma, count: int) -> None:
        self.dma, self.count = dma, count
        ports = {
            "transfer": In(layout(dma.transfer)),
            "taken": In(1),
            "where": In(LAST_BIT),
            "halt": In(1),
            "valid": In(count),
            "beats": In(ArrayLayout(dma.stream_width, count)),
            "wanted": Out(count),
            "needs": Out(bit_length(dma.beat_units)),
            "take": Out(1),
            "final": Out(1),
            "tdata": Out(dma.stream_width),
            "tvalid": Out(1),
            "tready": In(1),
            "tlast": Out(1),
        }
        super().__init__(name, ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m, dma, whole = self.module(), self.dma, self.dma.beat_units
        opened = Signal(name="opened")
        left = Signal(dma.rows_width, name="rows_left", reset_less=True)
        total = Signal(dma.row_width + dma.rows_width, name="units_left", reset_less=True)
        row = self.transfer.row_bytes[clog2(UNIT_BYTES) :]
        enough, more = Signal(name="enough"), Signal(name="more")
        lines = Cat(*(self.where == number for number in range(self.count)))
        chosen: Value = Const(0, dma.stream_width)
        for number in range(self.count):
            chosen = chosen | (self.beats[number] & lines[number].replicate(dma.stream_width))
        m.d.comb += [
            more.eq(left != 0),
            enough.eq(~more | (total >= whole)),
            self.needs.eq(Mux(total < whole, total, whole)),
            self.final.eq(~more & (total <= whole)),
            self.wanted.eq(lines & (opened & enough & ~self.halt).replicate(self.count)),
            self.tvalid.eq((self.valid & lines).any() | (opened & self.halt)),
            self.tlast.eq(self.final | self.halt),
            self.tdata.eq(chosen),
            self.take.eq(self.tvalid & self.tready),
        ]
        with m.If(self.taken):
            m.d.sync += [opened.eq(1), total.eq(row), left.eq(self.transfer.rows - 1)]
        with m.Elif(opened):
            added = row & more.replicate(len(row))
            m.d.sync += total.eq(total + added - Mux(self.take, whole, 0))
            m.d.sync += left.eq(left - more)
            with m.If(self.take & self.tlast):
                m.d.sync += opened.eq(0)
        return m


def _row(m: Module, moves: Value, last: Value, hold: Value) -> Value:
    """1 in the last beat of a row of ``hold`` beats, which end with a run at the latest."""
    beat, ends = Signal(HOLD_BITS, name="beat_of_row"), Signal(name="row_ends")
    m.d.comb += ends.eq((beat + 1 == hold) | last)
    with m.If(moves):
        m.d.sync += beat.eq(Mux(ends, 0, beat + 1))
    return ends


class _Side(Block):
    """Fields of a stream of a unit, between it and their staging."""

    place = "staging"
    fields: Sequence[Staged]

    @property
    def holds(self) -> int:
        """1 if a field is held."""
        return int(any(field.held for field in self.fields))


class Feed(_Side):
    """Join the fields of an input stream of a unit.

    Guarantees: a beat is offered once all its fields are there; held fields stay for the beats of a row, those of a run
    up to its last beat; ``tlast`` is with the last beat that the carrier marks. A field ``without`` is 0.
    Does not: wait for the start of a run; units do.
    """

    def __init__(self, name: str, stream: Stream, fields: Sequence[Staged]) -> None:
        self.stream, self.fields = stream, fields
        self.words_of = Record(tuple(bits(one.field.name, one.field.bits) for one in fields))
        ports: dict[str, Any] = {
            "words": In(layout(self.words_of)),
            "valid": In(len(fields)),
            "without": In(len(fields)),
            "ends": In(1),
            "hold": In(HOLD_BITS * self.holds),
            "takes": Out(len(fields)),
            "tdata": Out(stream.width),
            "tvalid": Out(1),
            "tready": In(1),
            "tlast": Out(1),
        }
        super().__init__(name, ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        moves = Signal(name="moves")
        m.d.comb += [
            self.tvalid.eq((self.valid | self.without).all()), moves.eq(self.tvalid & self.tready),
            self.tlast.eq(self.ends), self.tdata.eq(self._packed()),
        ]  # fmt: skip
        row = _row(m, moves, self.tlast, self.hold) if self.holds else Const(1, 1)
        for number, field in enumerate(self.fields):
            lets = row if field.held else self.tlast if field.once else Const(1, 1)
            m.d.comb += self.takes[number].eq(moves & lets & ~self.without[number])
        return m

    def _packed(self) -> Value:
        """The fields at their places, zeros between."""
        words = []
        for number, one in enumerate(self.fields):
            word = self.words[one.field.name]
            words.append((int(one.field.offset), word & (~self.without[number]).replicate(len(word))))
        found: list[Value] = []
        end = 0
        for first, word in sorted(words, key=lambda placed: placed[0]):
            found += [Const(0, first - end), word]
            end = first + len(word)
        return Cat(*found, Const(0, self.stream.width - end))


class Catch(_Side):
    """Give the fields of an output stream of a unit to their staging.

    Guarantees: a beat is taken once all fields that are kept have room; a held field is written once a row, one of the
    whole run with its last beat.
    Does not: keep a field whose bit of ``keep`` is 0.
    """

    def __init__(self, name: str, stream: Stream, fields: Sequence[Staged]) -> None:
        self.stream, self.fields = stream, fields
        ports: dict[str, Any] = {
            "room": In(len(fields)),
            "keep": In(len(fields)),
            "hold": In(HOLD_BITS * self.holds),
            "writes": Out(len(fields)),
            "tvalid": In(1),
            "tready": Out(1),
            "tlast": In(1),
        }
        super().__init__(name, ports, clocked=bool(self.holds), resets=bool(self.holds))

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        moves = Signal(name="moves")
        m.d.comb += [self.tready.eq((self.room | ~self.keep).all()), moves.eq(self.tvalid & self.tready)]
        row = _row(m, moves, self.tlast, self.hold) if self.holds else Const(1, 1)
        for number, field in enumerate(self.fields):
            lets = row if field.held else self.tlast if field.once else Const(1, 1)
            m.d.comb += self.writes[number].eq(moves & lets & self.keep[number])
        return m
