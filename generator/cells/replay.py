"""A FIFO that gives groups of words several times."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.numbers import bit_length, clog2
from generator.block import Block
from generator.cells.memory import read_ahead


class Replay(Block):
    """First in, first out, by groups: a group is given as often as its reader says, others are written behind it.

    Guarantees: words leave in the order of their writes, one in and one out per cycle; a word is at ``result`` from the
    cycle after its ``write`` on; behind the ``final`` word of a group that comes ``again`` the first one of it is next.
    Does not: refuse anything; a word may be written only while there is ``room``, read only while one is ``valid``. Nor
    remember where a group ends, or how often it was given: ``again`` is the same for all words of a turn.

    Words are in a memory that is read one word ahead, which a word bypasses if there is none before it. A slot is free
    once its word was read in the last turn of its group.
    """

    place = "fifo"
    latency = "1 cycle from write to result"
    throughput = "one word in and one out per cycle, turns without a pause"

    def __init__(self, prefix: str, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        ports = {
            "write": In(1),
            "word": In(width),
            "read": In(1),
            "final": In(1),
            "again": In(1),
            "room": Out(1),
            "valid": Out(1),
            "result": Out(width),
        }
        super().__init__(f"{prefix}_replay_w{width}_d{depth}", ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        back, leaves = Signal(name="goes_back"), Signal(name="leaves")
        m.d.comb += [back.eq(self.read & self.final & self.again), leaves.eq(self.read & ~self.again)]
        stored = self._levels(m, back, leaves)
        after = self._pointers(m, back)
        tail = self._pointer(m, "tail", self.write)
        alone = (stored == 0) | (self.read & ~back & (stored == 1))
        result = read_ahead(
            self, m, self.depth, data=self.word, write=self.write, tail=tail, read=self.read, following=after,
            alone=alone,
        )  # fmt: skip
        m.d.comb += self.result.eq(result)
        return m

    def _levels(self, m: Module, back: Value, leaves: Value) -> Signal:
        """Count slots that are used, words that are still to come in this turn, and those that were read in it."""
        bits = bit_length(self.depth)
        taken, stored = Signal(bits, name="taken"), Signal(bits, name="stored")
        passed = Signal(clog2(self.depth), name="passed")
        with m.If(self.write & ~leaves):
            m.d.sync += taken.eq(taken + 1)
        with m.Elif(~self.write & leaves):
            m.d.sync += taken.eq(taken - 1)
        with m.If(back):
            m.d.sync += stored.eq(stored + passed + self.write)
        with m.Elif(self.write & ~self.read):
            m.d.sync += stored.eq(stored + 1)
        with m.Elif(~self.write & self.read):
            m.d.sync += stored.eq(stored - 1)
        with m.If(self.read):
            m.d.sync += passed.eq(Mux(self.again & ~self.final, passed + 1, 0))
        m.d.comb += [self.room.eq(taken != self.depth), self.valid.eq(stored != 0)]
        return stored

    def _pointers(self, m: Module, back: Value) -> Value:
        """The slot of the word behind the one at ``result``: the next one, or the first one of the group."""
        bits = clog2(self.depth)
        head, first = Signal(bits, name="head"), Signal(bits, name="group")
        behind, after = Signal(bits, name="behind"), Signal(bits, name="after")
        m.d.comb += [behind.eq(self._next(head)), after.eq(Mux(back, first, behind))]
        with m.If(self.read):
            m.d.sync += head.eq(after)
        with m.If(self.read & self.final & ~self.again):
            m.d.sync += first.eq(behind)
        return after

    def _pointer(self, m: Module, name: str, step: Value) -> Signal:
        """The number of a slot, which advances with every ``step``."""
        pointer = Signal(clog2(self.depth), name=name)
        with m.If(step):
            m.d.sync += pointer.eq(self._next(pointer))
        return pointer

    def _next(self, pointer: Value) -> Value:
        """The slot behind one; slots go round."""
        after: Value = (pointer + 1)[: len(pointer)]
        if self.depth & (self.depth - 1):
            after = Mux(pointer == self.depth - 1, Const(0, len(pointer)), after)
        return after
