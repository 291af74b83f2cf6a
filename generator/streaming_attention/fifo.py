"""The FIFO between two nodes."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.numbers import bit_length, clog2
from blueprint.streaming_attention.inventory import FILE_WORDS
from generator.arithmetic import one_of
from generator.block import Block, register
from generator.memory import Sram


class Fifo(Block):
    """First in, first out, with slots that are taken before the data arrives.

    A producer that needs some cycles to make a word takes a slot with ``reserve`` and fills it with ``write``; without
    ``ahead`` it does both at once. ``room``: a slot is free; where it ``refills`` also that one which empties in this
    very cycle. A word is at ``result`` from the cycle after its ``write`` on. A deep one is a memory, and then the word
    that arrives at an empty FIFO goes around it. One of no width only counts.
    """

    place = "fifo"
    latency = "1 cycle from write to result"
    throughput = "one word in and one out per cycle"

    def __init__(self, width: int, depth: int, *, ahead: bool, refills: bool) -> None:
        self.width, self.depth, self.ahead, self.refills = width, depth, ahead, refills
        ports = {
            "reserve": In(int(ahead)),
            "write": In(1),
            "word": In(width),
            "read": In(1),
            "room": Out(1),
            "valid": Out(1),
            "result": Out(width),
        }
        kind = "_ahead" * ahead + "_refill" * refills
        super().__init__(
            f"streaming_attention_fifo_w{width}_d{depth}{kind}", ports, clocked=True, resets=True
        )

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        stored = self._level(m, "stored", self.write)
        taken = self._level(m, "taken", self.reserve) if self.ahead else stored
        free: Value = taken != self.depth
        m.d.comb += [
            self.room.eq((free | self.read) if self.refills else free),
            self.valid.eq(stored != 0),
        ]
        if self.width == 0:
            return m
        tail = self._pointer(m, "tail", self.write, 0)
        if self.depth > FILE_WORDS:
            self._memory(m, stored, tail, self._pointer(m, "second", self.read, 1))
        else:
            self._file(m, tail, self._pointer(m, "head", self.read, 0))
        return m

    def _level(self, m: Module, name: str, more: Value) -> Signal:
        """How many slots are in use."""
        level = Signal(int(bit_length(self.depth)), name=name)
        with m.If(more & ~self.read):
            m.d.sync += level.eq(level + 1)
        with m.Elif(~more & self.read):
            m.d.sync += level.eq(level - 1)
        return level

    def _pointer(self, m: Module, name: str, step: Value, first: int) -> Signal:
        """The number of a slot, one further with every ``step``."""
        pointer = Signal(int(clog2(self.depth)), name=name, init=first)
        if self.depth > 1:
            after: Value = (pointer + 1)[: len(pointer)]
            if self.depth & (self.depth - 1):
                after = Mux(pointer == self.depth - 1, Const(0, len(pointer)), after)
            with m.If(step):
                m.d.sync += pointer.eq(after)
        return pointer

    def _file(self, m: Module, tail: Signal, head: Signal) -> None:
        words = [
            register(
                m,
                self.width,
                f"word{i}",
                self.write & (tail == i) if self.depth > 1 else self.write,
                self.word,
            )
            for i in range(self.depth)
        ]
        lines = [head == i for i in range(self.depth)] if self.depth > 1 else [Const(1, 1)]
        m.d.comb += self.result.eq(one_of(lines, words))

    def _memory(self, m: Module, stored: Signal, tail: Signal, second: Signal) -> None:
        """The second word is read while the first one leaves; one written only now is kept beside the memory."""
        sram = Sram(self.depth, self.width)
        around = Signal(name="around")
        fresh = Signal(name="fresh")
        word = Signal(self.width, name="stored_word")
        m.d.comb += fresh.eq(self.write & ((stored == 0) | (self.read & (stored == 1))))
        with m.If(fresh):
            m.d.sync += around.eq(1)
        with m.Elif(self.read):
            m.d.sync += around.eq(0)
        kept = register(m, self.width, "kept", fresh, self.word)
        self.use(
            m, sram, "store", write=self.write, write_address=tail, write_data=self.word,
            read=self.read, read_address=second, read_data=word,
        )  # fmt: skip
        m.d.comb += self.result.eq(Mux(around, kept, word))
