"""When the instructions of a compiled pass run, each in a closed form of its cycles.

One pass over the program in its order: an instruction is dispatched when it is fetched and its queue has room, begins
when the one before in its queue has ended and its tokens were given, and ends after the cycles of a run in the closed
form of its unit, or of a transfer. With ``W`` words of ``I`` cycles each and a memory that answers in ``L``, one takes
``L + 4 + max(I W, issue, answers)``: rows are opened one by one, and so many bursts wait for their answers. A load
behind others takes ``I W`` where memory still answers those once its requests are there.
The simulator, which has the movers and the memory cycle by cycle, decides.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blueprint.numbers import ceil_div
from blueprint.systems import control
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import (
    FLIGHTS,
    INDICES,
    LAST_BIT,
    MOVED,
    MOVERS,
    NARROW_BIT,
    WIDTH,
    WORDS,
    Instruction,
)
from blueprint.systems.memory_port import MemoryPort
from blueprint.systems.runs import Runs
from blueprint.systems.starved import Starved

_ADDRESS, _ROW_BYTES, _ROWS, _STRIDE, _PLACE, _INDEX = range(len(MOVED))
#: Cycles from the offer of a transfer to its first request, and from its last word (included) to its end.
_OPENING, _LEAVING = 3, 1
#: Cycles between the requests of two rows, and from an answer to the request that was waiting for it.
_ROW, _ANSWERED = 2, 1
#: Cycles from the arrival of a word of memory to the instruction in it.
_WORD = 2


@dataclass(frozen=True)
class Started:
    """A transfer or a run: number of its instruction, unit, begin, end; bytes, and the buffer that they pass.

    A load begins behind the end of the one before.
    """

    number: int
    unit: str
    begin: int
    end: int
    size: int = 0
    buffer: str = ""

    @property
    def cycles(self) -> int:
        """Cycles from begin to end."""
        return self.end - self.begin + 1


@dataclass(frozen=True)
class Schedule:
    """A pass: its cycles to the one of the next, what was started, and registers of the runs by instruction."""

    cycles: int
    starts: tuple[Started, ...]
    registers: Mapping[int, Mapping[int, int]]

    @property
    def moved(self) -> int:
        """Bytes that transfers move."""
        return sum(start.size for start in self.starts)


class Pass:
    """A pass of a program at a position."""

    def __init__(self, hardware: Hardware, port: MemoryPort, runs: Runs, position: int) -> None:
        self.hardware, self.port, self.runs, self.position = hardware, port, runs, position
        self._starved = Starved(hardware)
        self._registers: dict[str, dict[int, int]] = {unit: {} for unit in hardware.queues}
        self._free = dict.fromkeys(hardware.queues, 0)
        self._reader = Reader(hardware, port)
        self._queues: dict[str, deque[int]] = {unit: deque() for unit in hardware.queues}
        self._given: dict[tuple[str, str], deque[int]] = defaultdict(deque)
        self._starts: list[Started] = []
        self._ran: dict[int, dict[int, int]] = {}
        self._late: tuple[int, Instruction, int] | None = None

    def run(self, program: Sequence[Instruction]) -> Schedule:
        """All instructions."""
        fetch = Fetch(self.hardware, self.port)
        for number, one in enumerate(program):
            queue = self._queues[one.unit] if one.unit else deque[int]()
            room = queue[0] + 1 if len(queue) == control.QUEUE_DEPTH else 0
            if not one.unit:
                room = max(*self._free.values(), self._reader.done + 1)
            self._execute(number, one, fetch.dispatch(number, room) + control.DISPATCH)
        return Schedule(fetch.last, tuple(self._starts), self._ran)

    def _execute(self, number: int, one: Instruction, ready: int) -> None:
        if not one.unit:
            return
        begin = max(ready, self._free[one.unit])
        for other in one.wait:
            begin = max(begin, self._given[other, one.unit].popleft() + 1)
        mine = self._registers[one.unit]
        if one.unit == "load":
            begin = max(begin, self._reader.room(one, mine))
        if one.kind == "start":
            self._start(number, one, begin, mine)
            return
        written = one.unit not in MOVERS and one.kind in ("set", "setp") and one.register < WORDS
        if one.kind != "sync":
            more = control.added(self.hardware.window, one.unit, self.position)
            mine[one.register] = one.value + more * (one.kind == "setp")
        self._ended(one, begin + control.WRITE * written)

    def _ended(self, one: Instruction, end: int, left: int | None = None) -> None:
        """Note the end of an instruction: its unit is free, its tokens are given, its place in the queue is.

        A load ``left`` its place in the queue before.
        """
        last = end if left is None else left
        self._free[one.unit] = last + 1
        queue = self._queues[one.unit]
        queue.append(last)
        if len(queue) > control.QUEUE_DEPTH:
            queue.popleft()
        for other in one.signal:
            self._given[one.unit, other].append(end)

    def _start(self, number: int, one: Instruction, begin: int, mine: dict[int, int]) -> None:
        if one.unit not in MOVERS:
            self._ran[number] = dict(mine)
            if self._starved.begins(one.unit, mine):
                self._late = (number, one, begin)
                return
            end = control.run_end(begin, self.runs(one.unit, mine))
            self._starts.append(Started(number, one.unit, begin, end))
            self._ended(one, end)
            return
        offer, since, left = begin + control.OFFER, begin, None
        if one.unit == "load":
            since = max(begin, self._reader.done + 1)
            left = self._reader.take(mine, offer) + control.ASKED
            end = self._reader.done
        else:
            end = offer + transfer(self.hardware, self.port, one.unit, mine, offer)
        size, buffer = mine[_ROW_BYTES] * mine[_ROWS], self.hardware.buffer(one.unit, mine[_PLACE])
        self._starts.append(Started(number, one.unit, since, end, size, buffer))
        self._ended(one, end, left)
        if one.unit == "load":
            self._arrived(mine, end)

    def _arrived(self, mine: Mapping[int, int], end: int) -> None:
        """What a load brings; the run that waits for it ends a known time behind."""
        self._starved.loads(mine)
        if self._late is None or not self._starved.whole:
            return
        number, one, begin = self._late
        tail = self._starved.tail(one.unit, self._registers[one.unit], self.runs, self._starved.last)
        cycles = end + control.STAGED + tail - begin - control.FIRST_BEAT + 1
        self._late = None
        last = control.run_end(begin, cycles)
        self._starts.append(Started(number, one.unit, begin, last))
        self._ended(one, last)


class Fetch:
    """The words of a program as they arrive, prefetched as far as the fetch buffer holds bursts."""

    def __init__(self, hardware: Hardware, port: MemoryPort) -> None:
        self.port = port
        width = hardware.fetch.data_width
        self._burst = max(1, hardware.fetch.burst_words * width // WIDTH)
        self._ahead = max(1, hardware.fetch.buffer_words // hardware.fetch.burst_words)
        self._words = max(1, WIDTH // width)  # words of the port in an instruction
        self._whole = max(1, width // WIDTH)  # instructions in a word
        self._asked = control.NEXT_PASS + _OPENING - 1
        self._emptied: deque[int] = deque(maxlen=self._ahead)
        self._word = 0
        self.last = 0

    def dispatch(self, number: int, room: int) -> int:
        """The cycle in which the next instruction is dispatched; its queue has room from cycle ``room`` on."""
        if number % self._burst == 0:
            if number:
                self._emptied.append(self.last)
                self._asked += 1
            if len(self._emptied) == self._ahead:
                self._asked = max(self._asked, self._emptied[0])
        if number % self._whole == 0:
            asked = self._asked + 1 + self.port.latency
            self._word = max(self.port.move(self._word, self._words), self.port.move(asked))
        self.last = max(self.last + 1, self._word + _WORD, room)
        return self.last


class Reader:
    """Loads one behind the other: when each is taken and done, and from when the next one can be taken."""

    def __init__(self, hardware: Hardware, port: MemoryPort) -> None:
        self.hardware, self.port = hardware, port
        self.done, self._free = -1, 0
        #: The last loads: when they are done, and cycles of their words.
        self._under_way: deque[tuple[int, int]] = deque(maxlen=FLIGHTS)

    def room(self, one: Instruction, registers: Mapping[int, int]) -> int:
        """The cycle from which an instruction need not wait for loads under way."""
        if one.kind != "start":
            return self.done + 1 if one.signal else 0
        if registers[_INDEX] == INDICES.index("token"):
            return self.done + 1
        return self._under_way[0][0] + 1 if len(self._under_way) == FLIGHTS else 0

    def take(self, registers: Mapping[int, int], offer: int) -> int:
        """The cycle in which a load that is offered in cycle ``offer`` is taken."""
        mover, port = self.hardware.load, self.port
        taken = max(offer, self._free)
        shape = _shape(self.hardware, port, "load", registers)
        alone = taken + _alone(port, shape, taken)
        moves, room = port.cycles(shape.words), port.cycles(int(mover.buffer_words))
        ahead = sum(min(cycles, max(0, done - taken)) for done, cycles in self._under_way)
        most = min(int(mover.outstanding), port.depth)
        turn = port.latency + _ANSWERED + shape.first
        waits = shape.bursts * turn // most if shape.bursts > most else 0
        self.done = max(alone, self.done + max(moves, waits))
        self._free = taken + _OPENING + shape.gather + shape.issue
        if ahead + moves > room:  # the last burst waits for room
            self._free = max(self._free, self.done - room)
        if waits:  # or for answers
            self._free = max(self._free, self.done - max(turn, most * shape.first))
        self._under_way.append((self.done, moves))
        return taken


@dataclass(frozen=True)
class _Shape:
    """A transfer: words, bursts, and cycles of its first and last one, for its index, requests, answers and beats."""

    words: int
    bursts: int
    first: int
    last: int
    gather: int
    issue: int
    answers: int
    beats: int


def transfer(
    hardware: Hardware, port: MemoryPort, unit: str, registers: Mapping[int, int], offer: int
) -> int:
    """Cycles of a transfer by itself from its offer to its end."""
    return _alone(port, _shape(hardware, port, unit, registers), offer)


def _alone(port: MemoryPort, shape: _Shape, offer: int) -> int:
    moved = max(port.cycles(shape.words), shape.issue + shape.last, shape.answers, shape.beats) - (
        port.cycles(1) - 1
    )
    return port.move(offer + _OPENING + shape.gather + port.latency) + moved + _LEAVING - offer


def _shape(hardware: Hardware, port: MemoryPort, unit: str, registers: Mapping[int, int]) -> _Shape:
    rows, size, stride = registers[_ROWS], registers[_ROW_BYTES], registers.get(_STRIDE, 0)
    mover, word = hardware.load if unit == "load" else hardware.store, hardware.width // 8
    words = ceil_div(registers[_ADDRESS] % word + size, word)
    whole = rows * words if stride % word == 0 else ceil_div(rows * size, word) + rows // 2
    gather = (int(mover.index_width) + 1) if registers[_INDEX] else 0
    cuts = ceil_div(words, int(mover.burst_words))
    bursts, last = rows * cuts, port.cycles(words - (cuts - 1) * int(mover.burst_words))
    first = port.cycles(min(words, int(mover.burst_words)))
    issue = (rows - 1) * (_ROW + gather) + bursts - rows
    turns, rest = divmod(bursts - 1, min(int(mover.outstanding), port.depth))
    answers = turns * (port.latency + _ANSWERED + first) + rest * (_ROW if cuts == 1 else 1) + last
    beats = 0
    if unit == "store":  # beats that are gathered to words, one a cycle
        place = registers[_PLACE]
        staged = hardware.outputs[place % (1 << LAST_BIT)]
        beats = ceil_div(rows * size, staged.moved_bytes(bool(place >> NARROW_BIT & 1)))
    return _Shape(whole, bursts, first, last, gather, issue, answers, beats)
