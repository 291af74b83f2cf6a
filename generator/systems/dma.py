"""Movers: AXI4 memory to a stream, and a stream to AXI4 memory."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint import axi
from blueprint.numbers import bit_length, clog2
from blueprint.systems.dma import RESPONSE_BITS, Dma
from generator.block import Block, register
from generator.boundary import axi_memory
from generator.cells.fifo import Fifo
from generator.layout import bits, joined, layout
from generator.systems.bursts import Bursts
from generator.systems.packer import Packer, shifted


class Mover(Block):
    """Base of readers and writers: the port to memory, transfers, indices, and what is told of a transfer.

    ``done`` is one cycle at the end of a transfer, with the worst response in ``error``: 0, SLVERR or DECERR.
    ``refused`` is one cycle for a transfer of which nothing moved (:meth:`blueprint.systems.dma.Transfer.refusal`).
    ``moved`` is high in a cycle in which a request, a word or an answer passes the port to memory.
    """

    place = "mover"

    def __init__(self, dma: Dma, ports: dict[str, Any]) -> None:
        self.dma = dma
        common = {
            "m_axi": Out(axi_memory(dma.direction, dma.data_width, dma.address_width)),
            "transfer": In(layout(dma.transfer)),
            "transfer_valid": In(1),
            "transfer_ready": Out(1),
            "index": In(dma.index_width),
            "index_valid": In(1),
            "index_ready": Out(1),
            "done": Out(1),
            "error": Out(RESPONSE_BITS),
            "refused": Out(1),
            "moved": Out(1),
        }
        super().__init__(dma.name, common | ports, clocked=True, resets=True)

    def bursts(self, m: Module, **given: Any) -> Any:
        """The generator of bursts, with what both directions connect alike."""
        return self.use(
            m, Bursts(self.dma), "bursts", transfer=self.transfer, index=self.index, index_valid=self.index_valid,
            index_ready=self.index_ready, refused=self.refused, **given,
        )  # fmt: skip

    def request(self, word: Value) -> tuple[Value, int]:
        """Byte address of a word, and the code of its bytes."""
        size = clog2(self.dma.data_width // 8)
        return Cat(Const(0, size), word), size

    def counted(self, m: Module, moves: Value, words: Value, name: str = "place") -> Value:
        """Count the words of a burst as they move; returns (number of the word, whether it is the last)."""
        place = Signal(self.dma.burst_width, name=name)
        last = Signal(name=f"{name}_last")
        m.d.comb += last.eq(place + 1 == words)
        with m.If(moves):
            m.d.sync += place.eq(Mux(last, 0, place + 1))
        return Cat(last, place)

    def worst(self, m: Module, taken: Value, response: Value, forget: Value) -> Value:
        """The worst response so far; one that arrives in the cycle of ``forget`` is kept."""
        held = Signal(RESPONSE_BITS, name="worst")
        new = response & (taken & response[-1]).replicate(RESPONSE_BITS)
        m.d.sync += held.eq(Mux(forget, 0, held) | new)
        return held


class Reader(Mover):
    """Move rows of memory to a stream.

    Guarantees: every requested burst has room, so that memory never waits; beats in the order of the rows, the
    last one of a transfer with ``tlast`` and filled up with zeros; words with an error are delivered as they came, so
    that the stream has its full length; the next transfer is taken while data of this one are still to come.
    Does not: return from memory that never answers, nor take a request back.
    """

    latency = "2 cycles from a transfer to its first request, 3 from a word to its beat"
    throughput = "one word or beat per cycle, the wider of both"

    def __init__(self, dma: Dma) -> None:
        stream = {"tdata": Out(dma.stream_width), "tvalid": Out(1), "tready": In(1), "tlast": Out(1)}
        super().__init__(dma, stream)

    def elaborate(self, platform: Any) -> Module:
        m, dma, bus = self.module(), self.dma, self.m_axi
        reserved = Signal(bit_length(dma.buffer_words), name="reserved")
        room, burst_read = Signal(name="room"), Signal(name="burst_read")
        burst = layout(dma.burst)(Signal(dma.burst.width, name="burst"))
        bursts = self.bursts(
            m, valid=self.transfer_valid, ready=self.transfer_ready, burst=burst, request_ready=bus.arready,
            grant=room & (reserved + burst.words <= dma.buffer_words),
        )  # fmt: skip
        address, size = self.request(bursts.request_word)
        m.d.comb += [
            bus.araddr.eq(address), bus.arlen.eq(bursts.request_length), bus.arsize.eq(size),
            bus.arburst.eq(axi.INCREMENTING), bus.arcache.eq(axi.BUFFERABLE), bus.arprot.eq(0),
            bus.arvalid.eq(bursts.request_valid), bus.rready.eq(1),
            self.moved.eq((bus.arvalid & bus.arready) | bus.rvalid),
        ]  # fmt: skip
        asked = self.use(
            m, Fifo(f"{dma.name}_bursts", dma.burst.width, dma.outstanding, ahead=False, refills=False), "asked",
            write=bursts.asks, word=bits(burst), read=burst_read, room=room,
        )  # fmt: skip
        words = self._words(m, layout(dma.burst)(asked.result), burst_read)
        taken = self._beats(m, words)
        m.d.sync += reserved.eq(reserved + (burst.words & bursts.asks.replicate(dma.burst_width)) - taken)
        return m

    def _words(self, m: Module, burst: Any, burst_read: Value) -> Any:
        """The FIFO of the words that came, with where their rows begin and end."""
        dma, bus = self.dma, self.m_axi
        counted = self.counted(m, bus.rvalid, burst.words)
        last, begins = counted[0], counted[1:] == 0
        lane = dma.lane_width
        m.d.comb += burst_read.eq(bus.rvalid & last)
        word = joined(
            dma.word, data=bus.rdata, first=burst.first & begins.replicate(lane),
            last=burst.last | (~last).replicate(lane), final=burst.final & last, response=bus.rresp,
        )  # fmt: skip
        memory = bool(dma.words_in_memory)
        fifo = Fifo(
            f"{dma.name}_words",
            dma.word.width,
            dma.buffer_words,
            ahead=False,
            refills=False,
            in_memory=memory,
        )
        return self.use(m, fifo, "words", write=bus.rvalid, word=bits(word), read=self._word_read(m))

    def _word_read(self, m: Module) -> Value:
        self.word_read = Signal(name="word_read")
        return self.word_read

    def _beats(self, m: Module, words: Any) -> Value:
        """Pack words into beats; returns whether a word was taken."""
        word = layout(self.dma.word)(words.result)
        beats, few, take = self.dma.beat_units, Signal(name="few"), Signal(name="take")
        packer = self.use(
            m, Packer(self.dma), "packer", offered=words.valid, entering=word.data, first=word.first,
            last=word.last, final=word.final, take=take, clears=self.tlast, front=self.tdata,
        )  # fmt: skip
        m.d.comb += [
            few.eq(Const(1, 1) if self.dma.held_units <= beats else packer.holds <= beats),
            self.tvalid.eq(packer.ends | (packer.holds >= beats)),
            self.tlast.eq(packer.ends & few),
            take.eq(self.tvalid & self.tready),
            self.word_read.eq(words.valid & packer.accepts),
            self.done.eq(take & self.tlast),
        ]
        m.d.comb += self.error.eq(self.worst(m, self.word_read, word.response, self.done))
        return self.word_read


class Writer(Mover):
    """Move a stream to rows of memory, one transfer at a time.

    Guarantees: exactly the bytes of the rows are written; ``done`` comes after the last answer. A stream that ends
    (``tlast``) before its rows do leaves the rest of them as it was; one that is longer is dropped up to its ``tlast``;
    both are ``misframed``.
    Does not: return from memory that never answers, nor from a stream that stops without ``tlast``, nor take a request
    or a word back.
    """

    latency = "2 cycles from a transfer to its first request, 2 from a beat to its word"
    throughput = "one word or beat per cycle, the wider of both"

    def __init__(self, dma: Dma) -> None:
        stream = {"tdata": In(dma.stream_width), "tvalid": In(1), "tready": Out(1), "tlast": In(1)}
        super().__init__(dma, stream | {"misframed": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m, dma, bus = self.module(), self.dma, self.m_axi
        self.busy, self.serving, self.draining = (
            Signal(name=name) for name in ("busy", "serving", "draining")
        )
        unanswered = Signal(bit_length(dma.outstanding), name="unanswered")
        idle, begins = Signal(name="idle"), Signal(name="begins")
        burst = layout(dma.burst)(Signal(dma.burst.width, name="burst"))
        bursts = self.bursts(
            m, valid=self.transfer_valid & ~self.busy, ready=idle, burst=burst, request_ready=bus.awready,
            grant=unanswered != dma.outstanding,
        )  # fmt: skip
        address, size = self.request(bursts.request_word)
        m.d.comb += [
            bus.awaddr.eq(address), bus.awlen.eq(bursts.request_length), bus.awsize.eq(size),
            bus.awburst.eq(axi.INCREMENTING), bus.awcache.eq(axi.BUFFERABLE), bus.awprot.eq(0),
            bus.awvalid.eq(bursts.request_valid), bus.bready.eq(1),
            self.moved.eq((bus.awvalid & bus.awready) | (bus.wvalid & bus.wready) | bus.bvalid),
            self.transfer_ready.eq(idle & ~self.busy), begins.eq(self.transfer_valid & self.transfer_ready),
        ]  # fmt: skip
        m.d.sync += unanswered.eq(unanswered + bursts.asks - bus.bvalid)
        final = self._words(m, bursts, burst, begins)
        m.d.comb += self.done.eq(self.busy & ~self.serving & ~self.draining & (unanswered == 0))
        m.d.comb += self.error.eq(self.worst(m, bus.bvalid, bus.bresp, begins))
        with m.If(begins):
            m.d.sync += [self.busy.eq(1), self.serving.eq(1)]
        with m.Elif(self.refused):
            m.d.sync += [self.busy.eq(0), self.serving.eq(0)]
        with m.Else():
            with m.If(self.done):
                m.d.sync += self.busy.eq(0)
            with m.If(final):
                m.d.sync += self.serving.eq(0)
        return m

    def _words(self, m: Module, bursts: Any, burst: Any, begins: Value) -> Value:
        """Offer the words of the bursts; returns whether the last one of the transfer is made."""
        dma = self.dma
        goes, last, first = Signal(name="goes"), Signal(name="last"), Signal(dma.lane_width, name="lane")
        asked = self.use(
            m, Fifo(f"{dma.name}_bursts", dma.burst.width, dma.outstanding, ahead=False, refills=False), "asked",
            write=bursts.asks, word=bits(burst), read=goes & last,
        )  # fmt: skip
        mine = layout(dma.burst)(asked.result)
        counted = self.counted(m, goes, mine.words)
        count, final = Signal(bit_length(dma.word_units), name="count"), Signal(name="final")
        end = Signal(dma.lane_width, name="lane_end")
        m.d.comb += [
            last.eq(counted[0]),
            first.eq(mine.first & (counted[1:] == 0).replicate(dma.lane_width)),
            end.eq(mine.last | (~last).replicate(dma.lane_width)),
            count.eq(end - first + 1),
            final.eq(goes & last & mine.final),
        ]
        packer = self._packer(m, goes, final, count)
        enough = packer.holds >= count
        m.d.comb += goes.eq(asked.valid & (enough | packer.ends) & self._free(m))
        self._framing(m, packer, final, begins, goes & ~enough, packer.holds >= count + dma.beat_units)
        self._out(m, goes, last, packer, first, count)
        return final

    def _packer(self, m: Module, goes: Value, final: Value, count: Value) -> Any:
        drops = self.draining
        return self.use(
            m, Packer(self.dma), "packer", offered=self.tvalid, entering=self.tdata, final=self.tlast,
            accepts=self.tready, take=goes | drops, clears=final | drops, count=count,
        )  # fmt: skip

    def _free(self, m: Module) -> Value:
        """1 if the register before the port is free."""
        self.full = Signal(name="out_full")
        return ~self.full | self.m_axi.wready

    def _framing(
        self, m: Module, packer: Any, final: Value, begins: Value, short: Value, surplus: Value
    ) -> None:
        """Drop beats beyond the rows, and remember whether the stream was too short or too long."""
        held = Signal(name="misframed_held")
        with m.If(final & ~packer.ends):
            m.d.sync += self.draining.eq(1)
        with m.Elif(packer.ends):
            m.d.sync += self.draining.eq(0)
        with m.If(begins):
            m.d.sync += held.eq(0)
        with m.Elif(short | (final & (~packer.ends | surplus))):
            m.d.sync += held.eq(1)
        m.d.comb += self.misframed.eq(held)

    def _out(self, m: Module, goes: Value, last: Value, packer: Any, first: Value, count: Value) -> None:
        """The register before the port: the word at its lanes, with the strobes of what belongs to the row."""
        dma, bus = self.dma, self.m_axi
        there = Cat(*((count > i) & (packer.holds > i) for i in range(dma.word_units)))
        data = shifted(m, packer.front, first, dma.unit_bits, "moved", up=True)
        lanes = shifted(m, there, first, 1, "lanes", up=True)
        strobe = Cat(*(lane.replicate(dma.unit_bytes) for lane in lanes))
        m.d.comb += [
            bus.wvalid.eq(self.full),
            bus.wdata.eq(register(m, dma.data_width, "out_data", goes, data)),
            bus.wstrb.eq(register(m, dma.data_width // 8, "out_strobe", goes, strobe)),
            bus.wlast.eq(register(m, 1, "out_last", goes, last)),
        ]
        with m.If(goes):
            m.d.sync += self.full.eq(1)
        with m.Elif(bus.wready):
            m.d.sync += self.full.eq(0)
