"""A FIFO whose slots are reserved before the data arrives."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.numbers import bit_length, clog2
from generator.arithmetic.integers import one_of, parts
from generator.block import Block, register
from generator.cells.memory import read_ahead

#: Bits of a word above which its registers are several equal modules side by side.
FILE_BITS = 256


class FifoFile(Block):
    """Some bits of all words of a FIFO: written by one-hot lines and read by others.

    Guarantees: ``result`` is the word that the ``read`` line names, from the cycle after it was written on.
    Does not: check that lines are one-hot; two ``read`` lines give the OR of their words.
    """

    place = "fifo"
    latency = "1 cycle from write to result"
    throughput = "one word in and one out per cycle"

    def __init__(self, prefix: str, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        ports = {"write": In(depth), "word": In(width), "read": In(depth), "result": Out(width)}
        super().__init__(f"{prefix}_file_w{width}_d{depth}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        words = [register(m, self.width, f"word{i}", self.write[i], self.word) for i in range(self.depth)]
        m.d.comb += self.result.eq(one_of(list(self.read), words))
        return m


class Fifo(Block):
    """First in, first out, with slots that are taken before the data arrives.

    Guarantees: words leave in the order of their writes, none lost or repeated, one in and one out per cycle; a word is
    at ``result`` from the cycle after its ``write`` on.
    Does not: refuse anything; a slot may be taken only while there is ``room``, a word read only while it is ``valid``.

    A producer that needs some cycles to make a word takes a slot with ``reserve`` and fills it with ``write``; without
    ``ahead``, ``write`` does both. ``room`` is 1 while a slot is free; if the FIFO ``refills``, also while one is
    emptied in this very cycle, so that ``read`` reaches ``room`` combinationally. An ``in_memory`` FIFO keeps its words
    in a memory that is read one word ahead, which a word bypasses if the FIFO is empty; any other keeps them in
    registers. A FIFO of width 0 only counts. Modules are named by ``prefix`` and their sizes.
    """

    place = "fifo"
    latency = "1 cycle from write to result"
    throughput = "one word in and one out per cycle"

    def __init__(
        self, prefix: str, width: int, depth: int, *, ahead: bool, refills: bool, in_memory: bool = False
    ) -> None:
        self.prefix, self.width, self.depth = prefix, width, depth
        self.ahead, self.refills, self.in_memory = ahead, refills, in_memory
        ports = {
            "reserve": In(ahead),
            "write": In(1),
            "word": In(width),
            "read": In(1),
            "room": Out(1),
            "valid": Out(1),
            "result": Out(width),
        }
        kind = "_ahead" * ahead + "_refill" * refills
        super().__init__(f"{prefix}_fifo_w{width}_d{depth}{kind}", ports, clocked=True, resets=True)

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
        if self.in_memory:
            self._memory(m, stored, tail, self._pointer(m, "second", self.read, 1))
        else:
            self._file(m, tail, self._pointer(m, "head", self.read, 0))
        return m

    def _level(self, m: Module, name: str, more: Value) -> Signal:
        """Level counter: number of used slots."""
        level = Signal(bit_length(self.depth), name=name)
        with m.If(more & ~self.read):
            m.d.sync += level.eq(level + 1)
        with m.Elif(~more & self.read):
            m.d.sync += level.eq(level - 1)
        return level

    def _pointer(self, m: Module, name: str, step: Value, first: int) -> Signal:
        """The number of a slot, which advances with every ``step`` and wraps at the depth."""
        pointer = Signal(clog2(self.depth), name=name, init=first)
        if self.depth > 1:
            after: Value = (pointer + 1)[: len(pointer)]
            if self.depth & (self.depth - 1):
                after = Mux(pointer == self.depth - 1, Const(0, len(pointer)), after)
            with m.If(step):
                m.d.sync += pointer.eq(after)
        return pointer

    def _file(self, m: Module, tail: Signal, head: Signal) -> None:
        several, depth = self.depth > 1, range(self.depth)
        writes = [self.write & (tail == i) if several else self.write for i in depth]
        reads: list[Value] = [head == i for i in depth] if several else [Const(1, 1)]
        if self.width > FILE_BITS:
            self._files(m, writes, reads)
            return
        words = [register(m, self.width, f"word{i}", writes[i], self.word) for i in depth]
        m.d.comb += self.result.eq(one_of(reads, words))

    def _files(self, m: Module, writes: list[Value], reads: list[Value]) -> None:
        write, read = Signal(self.depth, name="write_line"), Signal(self.depth, name="read_line")
        m.d.comb += [write.eq(Cat(*writes)), read.eq(Cat(*reads))]
        pairs = zip(parts(self.word, FILE_BITS), parts(self.result, FILE_BITS), strict=True)
        for number, (given, taken) in enumerate(pairs):
            block = FifoFile(self.prefix, len(given), self.depth)
            self.use(m, block, f"file{number}", write=write, read=read, word=given, result=taken)

    def _memory(self, m: Module, stored: Signal, tail: Signal, second: Signal) -> None:
        """Read the second word while the first one leaves; a word that arrives as the first is kept in a register."""
        alone = (stored == 0) | (self.read & (stored == 1))
        result = read_ahead(
            self, m, self.depth, data=self.word, write=self.write, tail=tail, read=self.read, following=second,
            alone=alone,
        )  # fmt: skip
        m.d.comb += self.result.eq(result)
