"""Rows to bursts: the generator of requests that readers and writers share."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.numbers import bit_length, clog2
from blueprint.systems.dma import LENGTH_BITS, STEPS, Dma
from generator.block import Block, register
from generator.layout import layout


class Bursts(Block):
    """Cut the rows of a transfer into AXI4 bursts that cross no page and are no longer than the port's longest.

    Guarantees: bursts in the order of the bytes; one is requested in a cycle with ``grant`` and never withdrawn; a
    transfer that cannot be moved is ``refused`` in the cycle after it was taken, and nothing is requested.
    Does not: check that a row ends before the address space does; addresses wrap.

    A row costs one cycle beside its bursts. A gathered row waits for its index and costs one cycle more for every bit
    of it: the distance is multiplied bit by bit. A burst ``asks`` as it is remembered, a cycle before its request
    is offered.
    """

    place = "bursts"
    latency = "2 cycles from a transfer to its first request, a gathered row index_width + 1 more"
    throughput = "one burst per cycle, and one cycle per row"

    def __init__(self, dma: Dma) -> None:
        self.dma = dma
        ports = {
            "transfer": In(layout(dma.transfer)),
            "valid": In(1),
            "ready": Out(1),
            "index": In(dma.index_width),
            "index_valid": In(1),
            "index_ready": Out(1),
            "grant": In(1),
            "asks": Out(1),
            "burst": Out(layout(dma.burst)),
            "request_valid": Out(1),
            "request_ready": In(1),
            "request_word": Out(dma.word_address_width),
            "request_length": Out(LENGTH_BITS),
            "refused": Out(1),
        }
        super().__init__(f"{dma.name}_bursts", ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        self.indexing, self.multiplying, self.opening, self.cutting = (Signal(name=name) for name in STEPS)
        self._take(m)
        start = self._rows(m)
        ends = self._cut(m, start)
        self._steps(m, ends)
        m.d.comb += self.index_ready.eq(self.indexing)
        return m

    def _take(self, m: Module) -> None:
        """Take a transfer, or refuse it."""
        unit, given = clog2(self.dma.unit_bytes), self.transfer
        low = Cat(given.address[:unit], given.row_bytes[:unit], given.stride[:unit])
        legal = ~low.any() & (given.row_bytes != 0) & (given.rows != 0)
        self.taken, self.legal = Signal(name="taken"), Signal(name="legal")
        refused = Signal(name="refused_now")
        m.d.comb += [
            self.ready.eq(~(self.indexing | self.multiplying | self.opening | self.cutting)),
            self.taken.eq(self.valid & self.ready),
            self.legal.eq(legal),
            self.refused.eq(refused),
        ]
        m.d.sync += refused.eq(self.taken & ~legal)
        self.base = register(m, self.dma.unit_address_width, "base", self.taken, given.address[unit:])
        self.stride = register(m, self.dma.unit_address_width, "stride", self.taken, given.stride[unit:])
        self.row_units = register(m, self.dma.row_width, "row_units", self.taken, given.row_bytes[unit:])
        self.gather = register(m, 1, "gather", self.taken, given.gather)

    def _rows(self, m: Module) -> Value:
        """The distance of the row from the first address; returns where the row begins."""
        dma = self.dma
        offset = Signal(dma.unit_address_width, name="offset", reset_less=True)
        index = Signal(dma.index_width, name="index", reset_less=True)
        self.steps_left = Signal(bit_length(dma.index_width), name="steps_left", reset_less=True)
        fetched = self.indexing & self.index_valid
        adds = self.opening | index[-1]
        doubled = Mux(self.opening, offset, Cat(Const(0, 1), offset)[: len(offset)])
        with m.If(self.taken | fetched):
            m.d.sync += offset.eq(0)
        with m.Elif(self.opening | self.multiplying):
            m.d.sync += offset.eq(doubled + (self.stride & adds.replicate(len(self.stride))))
        with m.If(fetched):
            m.d.sync += [index.eq(self.index), self.steps_left.eq(dma.index_width)]
        with m.Elif(self.multiplying):
            m.d.sync += [index.eq(Cat(Const(0, 1), index)), self.steps_left.eq(self.steps_left - 1)]
        start = Signal(dma.unit_address_width, name="start")
        m.d.comb += start.eq(self.base + offset)
        return start

    def _cut(self, m: Module, start: Value) -> Value:
        """Request the bursts of a row; returns whether the burst is the last of its row."""
        dma, lane = self.dma, self.dma.lane_width
        next_word = Signal(dma.word_address_width, name="next_word", reset_less=True)
        left = Signal(dma.left_width, name="words_left", reset_less=True)
        first, last = (Signal(lane, name=name, reset_less=True) for name in ("first", "last"))
        length = Signal(dma.burst_width, name="length")
        asking = Signal(name="asking")
        ends = Signal(name="ends")
        total = Signal(dma.row_width + lane + 1, name="row_end")
        m.d.comb += [
            total.eq(self.row_units + start[:lane]),
            length.eq(self._length(m, next_word, left)),
            ends.eq(left == length),
            self.asks.eq(self.cutting & (~asking | self.request_ready) & self.grant),
            self.burst.words.eq(length),
            self.burst.first.eq(first),
            self.burst.last.eq(last | (~ends).replicate(lane)),
            self.burst.final.eq(ends & (self.rows_left == 1)),
            self.request_valid.eq(asking),
        ]
        with m.If(self.opening):
            m.d.sync += [
                next_word.eq(start[lane:]),
                left.eq((total + (dma.word_units - 1)) >> lane),
                first.eq(start[:lane]),
                last.eq((total - 1)[:lane]),
            ]
        with m.Elif(self.asks):
            m.d.sync += [next_word.eq(next_word + length), left.eq(left - length), first.eq(0)]
        with m.If(self.asks):
            m.d.sync += asking.eq(1)
        with m.Elif(self.request_ready):
            m.d.sync += asking.eq(0)
        word = register(m, dma.word_address_width, "asked_word", self.asks, next_word)
        less = (length - 1)[: clog2(dma.burst_words)]
        asked = register(m, len(less), "asked_length", self.asks, less)
        m.d.comb += [self.request_word.eq(word), self.request_length.eq(asked)]
        return ends

    @property
    def rows_left(self) -> Any:
        """Rows whose bursts are not all requested yet."""
        return self._rows_left

    def _length(self, m: Module, next_word: Value, left: Value) -> Value:
        """Words of the burst: to the end of the row, of the page, or the most."""
        dma = self.dma
        self._rows_left = Signal(dma.rows_width, name="rows_left", reset_less=True)
        place = clog2(dma.page_words)
        page = Signal(place + 1, name="page_left")
        most = Signal(place + 1, name="most")
        m.d.comb += [
            page.eq(dma.page_words - next_word[:place]),
            most.eq(Mux(page < dma.burst_words, page, dma.burst_words)),
        ]
        return Mux(left < most, left, most)

    def _steps(self, m: Module, ends: Value) -> None:
        """Drive the next step."""
        row, more = Signal(name="next_row"), Signal(name="more_rows")
        gathers = Mux(self.taken, self.transfer.gather, self.gather)
        m.d.comb += [
            more.eq(self.asks & ends & (self.rows_left != 1)),
            row.eq((self.taken & self.legal) | more),
        ]
        with m.If(self.taken):
            m.d.sync += self.rows_left.eq(self.transfer.rows)
        with m.Elif(more):
            m.d.sync += self.rows_left.eq(self.rows_left - 1)
        multiplied = self.multiplying & (self.steps_left == 1)
        with m.If(row):
            m.d.sync += [self.indexing.eq(gathers), self.opening.eq(~gathers), self.cutting.eq(0)]
        with m.Elif(self.asks & ends):
            m.d.sync += self.cutting.eq(0)
        with m.If(self.indexing & self.index_valid):
            m.d.sync += [self.indexing.eq(0), self.multiplying.eq(1)]
        with m.If(multiplied):
            m.d.sync += [self.multiplying.eq(0), self.opening.eq(1)]
        with m.If(self.opening):
            m.d.sync += [self.opening.eq(0), self.cutting.eq(1)]
