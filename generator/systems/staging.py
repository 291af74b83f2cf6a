"""Staging of one field: between beats of a mover and the field's bits, through a FIFO."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FloatFormat
from blueprint.numbers import bit_length, clog2
from blueprint.systems.control import UNIT_BYTES, Inlets, Outlets
from blueprint.systems.staging import PACKED_LEVELS
from generator.arithmetic.floating import FloatConvert
from generator.arithmetic.integers import one_of, parts, zero_extend
from generator.block import Block, register
from generator.cells.fifo import Fifo
from generator.cells.replay import Replay
from generator.layout import elements, joined, layout


class Inlet(Block):
    """Beats of a load to the beats of a field.

    Guarantees: a beat is never refused while the FIFO has room; where a field's beat is several of the memory's, they
    are gathered in front of the FIFO, where it is less than one, they are parted behind it; only the low bits of each
    container are kept, elements in ``narrow`` containers get their sign above them, or are floats that are widened. A
    field that repeats is given for ``turns`` rows, its words going round the FIFO from when all are there up to the
    last row, and not ready meanwhile.
    What replays is given to as many runs, each of which ends, while what follows is taken.
    Does not: repair a transfer that ends within a beat of the field; that is ``broken``, and its words are left. Nor
    repeat a row behind which another row waits.

    ``units`` of the last beat of a transfer belong to it. ``ends`` is with the last beat of a transfer that was marked
    as the ``last`` of a run.
    """

    place = "staging"
    latency = "1 cycle from the last beat of the memory to the beat of the field"
    throughput = "one beat of the memory in and one of the field out per cycle"

    def __init__(self, name: str, shape: Inlets) -> None:
        self.shape = shape
        ports = {
            "offered": In(1),
            "beat": In(shape.port_bits),
            "units": In(shape.units_width),
            "final": In(1),
            "last": In(shape.marks),
            "narrow": In(int(shape.narrow_bits > 0)),
            "turns": In(shape.turns),
            "ready": Out(1),
            "broken": Out(1),
            "valid": Out(1),
            "word": Out(shape.bits),
            "ends": Out(shape.marks),
            "take": In(1),
        }
        super().__init__(name, ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m, shape = self.module(), self.shape
        if shape.gathers > 1:
            write, word = self._gathered(m)
        else:
            write, word = self.offered & self.ready, self._kept(m)
        leaves = Signal(name="leaves")
        result = layout(shape.word)(Signal(shape.word.width, name="result"))
        if shape.replays:
            return self._replayed(m, write, word, leaves, result)
        again, whole = (
            self._turn(m, write, word, leaves, result) if shape.turns else (Const(0, 1), Const(0, 1))
        )
        repeats = self.turns[1:].any() if shape.turns else Const(0, 1)
        goes_round, there, room = again & leaves, Signal(name="there"), Signal(name="room")
        self.use(
            m, Fifo(self.module_name, shape.word.width, shape.depth, ahead=False, refills=False,
                    in_memory=shape.in_memory),
            "fifo", write=write | goes_round, word=Mux(goes_round, result, word) if shape.turns else word, read=leaves,
            result=result, valid=there, room=room,
        )  # fmt: skip
        m.d.comb += [
            self.valid.eq(there & (whole | ~repeats)), self.ready.eq(room & ~(whole & repeats)),
            leaves.eq(self._parted(m, result, again)),
        ]  # fmt: skip
        return m

    def _replayed(self, m: Module, write: Value, word: Any, leaves: Value, result: Any) -> Module:
        """The rest of the module for words that are given to several runs."""
        shape = self.shape
        turn, again = Signal(shape.turns, name="turn"), Signal(name="again")
        m.d.comb += again.eq(turn + 1 < self.turns)
        with m.If(leaves & result.ends):
            m.d.sync += turn.eq(Mux(again, turn + 1, 0))
        self.use(
            m, Replay(self.module_name, shape.word.width, shape.depth), "fifo", write=write, word=word, read=leaves,
            final=result.ends, again=again, result=result, valid=self.valid, room=self.ready,
        )  # fmt: skip
        m.d.comb += leaves.eq(self._parted(m, result, Const(0, 1)))
        return m

    def _turn(self, m: Module, write: Value, word: Any, leaves: Value, result: Any) -> tuple[Value, Value]:
        """(1 if the words go round once more, 1 if a whole row is there: its last word was written)."""
        shape = self.shape
        turn, rows = Signal(shape.turns, name="turn"), Signal(shape.rows_bits, name="rows_there")
        again = Signal(name="again")
        ends = leaves & result.ends
        comes, goes = write & word.ends, ends & ~again
        m.d.comb += again.eq(turn + 1 < self.turns)
        with m.If(ends):
            m.d.sync += turn.eq(Mux(again, turn + 1, 0))
        with m.If(comes & ~goes):
            m.d.sync += rows.eq(rows + 1)
        with m.Elif(goes & ~comes):
            m.d.sync += rows.eq(rows - 1)
        return again, rows.any()

    def _marked(self) -> Value:
        """1 if a run ends with the beat; empty where no beat of the field says so."""
        return self.last & self.final.replicate(len(self.last))

    def _gathered(self, m: Module) -> tuple[Value, Any]:
        """Hold the beats of the memory until the last one of a field's beat."""
        shape = self.shape
        count = Signal(clog2(shape.gathers), name="gathered")
        takes, whole = Signal(name="takes"), Signal(name="whole")
        narrow, beats = self._is_narrow(), shape.gathers // shape.ratio
        m.d.comb += [
            takes.eq(self.offered & self.ready),
            whole.eq(Mux(narrow, count == beats - 1, count == shape.gathers - 1)),
            self.broken.eq(takes & self.final & (~whole | (self.units != shape.port_units))),
        ]
        with m.If(takes):
            m.d.sync += count.eq(Mux(whole | self.final, 0, count + 1))
        narrowed = self._narrowed(m)
        found = [self._given(number, narrowed) for number in range(shape.gathers)]
        for number, given in enumerate(found[:-1]):
            mine = Mux(narrow, count == number // shape.ratio, count == number)
            held = register(m, len(given), f"part{number}", takes & mine, given)
            at_once = number // shape.ratio == beats - 1
            found[number] = Mux(narrow, given, held) if at_once and shape.narrow_bits else held
        return takes & whole, joined(shape.word, beats=Cat(*found), ends=self._marked())

    def _is_narrow(self) -> Value:
        return self.narrow if self.shape.narrow_bits else Const(0, 1)

    def _narrowed(self, m: Module) -> list[Value]:
        """The elements that a beat of the memory has in narrow containers, as the field has them."""
        shape, bits = self.shape, self.shape.narrow_bits
        found = parts(self.beat, bits) if bits else []
        if shape.converts:
            found = [_converted(self, m, one, *shape.converts, at) for at, one in enumerate(found)]
        sign = int(shape.signed and not shape.converts)
        return [Cat(one, (one[-1] & sign).replicate(shape.element_bits - len(one))) for one in found]

    def _given(self, number: int, narrowed: list[Value]) -> Value:
        """The bits that a beat of the memory gives to the ``number``-th part of a beat of the field."""
        chosen = self._chosen(self.beat, number)
        if not narrowed:
            return chosen
        count = len(narrowed) // self.shape.ratio
        first = number % self.shape.ratio * count
        return Mux(self.narrow, Cat(*narrowed[first : first + count]), chosen)

    def _chosen(self, beat: Value, number: int) -> Value:
        """The bits of a beat of the memory that are kept."""
        return Cat(*(beat[low : low + count] for low, count in self.shape.places(number)))

    def _kept(self, m: Module) -> Any:
        """The word of the FIFO that a beat of the memory makes."""
        shape = self.shape
        takes = self.offered & self.ready
        fields = [self._chosen(beat, 0) for beat in parts(self.beat, 8 * shape.beat_bytes)[: shape.parts]]
        if shape.parts == 1:
            fields = [self._chosen(self.beat, 0)]
        if shape.parts == 1:
            m.d.comb += self.broken.eq(takes & self.final & (self.units != shape.port_units))
            return joined(shape.word, beats=Cat(*fields), ends=self._marked())
        number, broken = self._number()
        m.d.comb += self.broken.eq(takes & self.final & broken)
        return joined(shape.word, beats=Cat(*fields), ends=self._marked(), more=number)

    def _number(self) -> tuple[Value, Value]:
        """(beats of the field in the last beat of a transfer, less one; whether the rest is no whole one)."""
        shape = self.shape
        width = clog2(shape.parts)
        if shape.beat_bytes >= UNIT_BYTES:
            low = clog2(shape.beat_bytes // UNIT_BYTES)
            beats, broken = self.units[low:], self.units[:low].any()
        else:
            beats = Cat(Const(0, clog2(UNIT_BYTES // shape.beat_bytes)), self.units)
            broken = Const(0, 1)
        return (beats - 1)[:width], broken

    def _parted(self, m: Module, result: Any, again: Value) -> Value:
        """Give the beats of the field in a word one after the other; returns whether the word leaves."""
        shape = self.shape
        last = result.ends & (~again).replicate(shape.marks)
        if shape.parts == 1:
            m.d.comb += [self.word.eq(elements(result.beats)[0]), self.ends.eq(last)]
            return self.take
        part, final = Signal(clog2(shape.parts), name="part"), Signal(name="final_part")
        lines = [part == place for place in range(shape.parts)]
        with m.If(self.take):
            m.d.sync += part.eq(Mux(final, 0, part + 1))
        m.d.comb += [
            final.eq(part == result.more),
            self.word.eq(one_of(lines, elements(result.beats))),
            self.ends.eq(last & final.replicate(shape.marks)),
        ]
        return self.take & final


@dataclass(frozen=True)
class _Way:
    """Beats of an output in one of its containers, with the signals that say that they are wanted and taken."""

    shape: Outlets
    wanted: Value
    take: Value
    valid: Signal
    read: Signal
    broken: Signal

    @property
    def prefix(self) -> str:
        """The prefix of the names of signals."""
        return "narrow_" * self.shape.narrow


class Outlet(Block):
    """Beats of a field to beats for a store.

    Guarantees: every element has a container of its own, with its sign or zeros above it; beats of the field that are
    less than one of the memory are gathered, one a cycle, and only those that the transfer needs. In ``narrow``
    containers integers saturate to symmetric ones, and floats are rounded to the nearest, ties to even; those of a unit
    whose results another one takes in a wider format are widened.
    Does not: gather before a transfer is ``wanted``, or ahead of it.

    ``needs`` are the units that the transfer takes of the next beat, ``final`` says that it is the last one; one that
    ends within a beat of the field is ``broken``.
    """

    place = "staging"
    latency = "1 cycle from a beat of the field to the first of the memory"
    throughput = "one beat in, and one beat out per cycle or as many cycles as it has beats of the field"

    def __init__(self, name: str, shape: Outlets) -> None:
        self.shape = shape
        ports = {
            "write": In(1),
            "word": In(shape.bits),
            "narrow": In(len(shape.ways) - 1),
            "room": Out(1),
            "wanted": In(1),
            "needs": In(shape.units_width),
            "valid": Out(1),
            "beat": Out(shape.port_bits),
            "take": In(1),
            "final": In(1),
            "broken": Out(1),
        }
        super().__init__(name, ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m, shape = self.module(), self.shape
        read, there = Signal(name="read"), Signal(name="there")
        word = Signal(shape.bits, name="result")
        self.use(
            m, Fifo(self.module_name, shape.bits, shape.depth, ahead=False, refills=False, in_memory=shape.in_memory),
            "fifo", write=self.write, word=self.word, read=read, room=self.room, result=word, valid=there,
        )  # fmt: skip
        ways = [self._way(way) for way in shape.ways]
        beats = []
        for way in ways:
            made = self._gather if way.shape.parts > 1 else self._part
            beats.append(made(m, way, there, word))
        wide, narrow = ways[0], ways[-1]
        m.d.comb += [
            read.eq(wide.read | narrow.read), self.valid.eq(wide.valid | narrow.valid),
            self.broken.eq(wide.broken | narrow.broken),
            self.beat.eq(Mux(self.narrow, beats[1], beats[0]) if len(ways) > 1 else beats[0]),
        ]  # fmt: skip
        return m

    def _way(self, shape: Outlets) -> _Way:
        chosen: Value = Const(1, 1)
        if self.shape.staged.packs:
            chosen = self.narrow if shape.narrow else ~self.narrow
        ones = (Signal(name=f"{'narrow_' * shape.narrow}{name}") for name in ("gives", "reads", "cut"))
        gives, reads, cut = ones
        return _Way(shape, self.wanted & chosen, self.take & chosen, gives, reads, cut)

    def _saturated(self, word: Value) -> Value:
        """The low bits of every element, or those of the largest magnitude."""
        bits, found = self.shape.staged.packs, []
        for element in parts(word, self.shape.element_bits):
            sign, above = element[-1], element[bits - 1 : -1]
            most = Const(PACKED_LEVELS, bits - 1)
            least = Const((1 << bits - 1) - PACKED_LEVELS, bits - 1)
            low = element[: bits - 1]
            beyond = Mux(sign, ~above.all() | ~low.any(), above.any())
            found.append(Cat(Mux(beyond, Mux(sign, least, most), low), sign))
        return Cat(*found)

    def _contained(self, m: Module, word: Value, shape: Outlets) -> Value:
        """Every element of a beat or of a part of one in its container, a float in the format of that."""
        if shape.saturates:
            return self._saturated(word)
        found = []
        for number, element in enumerate(parts(word, shape.element_bits)):
            if shape.converts:
                element = _converted(self, m, element, *shape.converts, number)
            above = shape.container_bits - len(element)
            sign = element[-1] & Const(int(shape.signed), 1)
            found.append(Cat(element, sign.replicate(above)))
        return Cat(*found)

    def _part(self, m: Module, way: _Way, valid: Value, word: Value) -> Value:
        """A beat of the field as one of the memory, or as several; returns it. Elements are chosen, then converted."""
        count = way.shape.gathers
        place = Signal(clog2(count), name=f"{way.prefix}place")
        last: Value = place == count - 1 if count > 1 else Const(1, 1)
        lines = [place == number for number in range(count)]
        if way.shape.converts:
            some = one_of(lines, parts(word, len(word) // count)) if count > 1 else word
            choice = self._contained(m, some, way.shape)
        else:
            whole = self._contained(m, word, way.shape)
            choice = one_of(lines, parts(whole, self.shape.port_bits)) if count > 1 else whole
        ends = last & (self.needs == self.shape.port_units)
        m.d.comb += [
            way.valid.eq(valid & way.wanted), way.read.eq(way.take & last),
            way.broken.eq(way.take & self.final & ~ends),
        ]  # fmt: skip
        if count > 1:
            with m.If(way.take):
                m.d.sync += place.eq(Mux(last, 0, place + 1))
        return choice

    def _gather(self, m: Module, way: _Way, valid: Value, word: Value) -> Value:
        """Several beats of the field as one of the memory, which is returned."""
        shape, whole = way.shape, self._contained(m, word, way.shape)
        gathered = Signal(shape.port_bits, name=f"{way.prefix}gathered", reset_less=True)
        count = Signal(bit_length(shape.parts), name=f"{way.prefix}count")
        enough = Signal(name=f"{way.prefix}enough")
        have = _units(shape, count)
        m.d.comb += [
            enough.eq((count != 0) & (have >= self.needs)),
            way.valid.eq(enough & way.wanted),
            way.read.eq(valid & way.wanted & (~enough | (way.take & ~self.final))),
            way.broken.eq(way.take & self.final & self._odd(shape)),
        ]
        first = (count == 0) | way.take
        with m.If(way.read):
            for number, lane in enumerate(parts(gathered, len(whole))):
                with m.If(Mux(first, Const(int(number == 0), 1), count == number)):
                    m.d.sync += lane.eq(whole)
            m.d.sync += count.eq(Mux(first, 1, count + 1))
        with m.Elif(way.take):
            m.d.sync += count.eq(0)
        return gathered

    def _odd(self, shape: Outlets) -> Value:
        """1 if a transfer ends within a beat of the field."""
        low = clog2(max(1, shape.beat_bytes // UNIT_BYTES))
        return self.needs[:low].any() if low else Const(0, 1)


def _converted(
    block: Block, m: Module, element: Value, source: FloatFormat, target: FloatFormat, number: int
) -> Value:
    """A float in another format."""
    found = Signal(target.width, name=f"converted{number}")
    converter = FloatConvert(source, target)
    converter.place = block.place
    block.use(m, converter, f"convert{number}", a=element, result=found)
    return found


def _units(shape: Outlets, count: Value) -> Value:
    """Units in so many beats of the field; a part of one counts as none."""
    beat = shape.beat_bytes
    if beat >= UNIT_BYTES:
        return Cat(Const(0, clog2(beat // UNIT_BYTES)), count)
    return zero_extend(count[clog2(UNIT_BYTES // beat) :], max(1, len(count) - clog2(UNIT_BYTES // beat)))
