"""Movers cycle by cycle: what the RTL of ``generator/systems/dma.py`` does, register by register, without data.

docs/adr/0019 says why this is no timing graph. In each cycle, signals follow from registers and from what the memory
and the ends of the stream show; then :meth:`tick` is the edge of the clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from blueprint.systems.dma import Dma, Transfer, cut
from blueprint.systems.memory_port import MemoryPort
from simulator.systems.memory import Reads, Writes

#: Whether something is open in a cycle: a source that may begin to offer, a sink that is ready.
Pattern = Callable[[int], bool]
#: Cycles without any event after which a run is stuck.
STUCK = 20_000


@dataclass(frozen=True)
class Event:
    """An event of a cycle: ``request`` (address, words), ``beat``, ``done`` (error, misframed), ``refused``."""

    cycle: int
    kind: str
    first: int = 0
    second: int = 0


@dataclass(frozen=True)
class Ends:
    """Surroundings of a mover: its transfers, their indices, and when the other end of each stream is open."""

    transfers: Sequence[Transfer]
    indices: Sequence[int]
    index_open: Pattern
    stream_open: Pattern
    frames: Sequence[int] = ()  # for a writer, beats up to each ``tlast``


@dataclass(frozen=True)
class Burst:
    """A requested burst; its row begins at unit ``first`` of the first word and ends at unit ``last`` of the last."""

    address: int
    words: int
    first: int
    last: int
    final: bool


class Source:
    """A source of beats that begins to offer in open cycles and then holds."""

    def __init__(self, opened: Pattern) -> None:
        self._opened, self._held = opened, False

    def valid(self, cycle: int, more: bool) -> bool:
        """True if a beat is offered in the cycle."""
        self._held = more and (self._held or self._opened(cycle))
        return self._held

    def tick(self, taken: bool) -> None:
        """The edge of the clock."""
        self._held = self._held and not taken


class Bursts:
    """The generator of bursts."""

    def __init__(self, dma: Dma, ends: Ends) -> None:
        self.dma, self.ends = dma, ends
        self.step, self.steps_left, self.refused = "", 0, False
        self.request: Burst | None = None
        self._bursts: deque[Burst] = deque()
        self._transfers, self._indices = deque(ends.transfers), deque(ends.indices)
        self._source = Source(ends.index_open)
        self._transfer = Transfer(0, 0)
        self._row = 0
        self._offset = 0

    @property
    def burst(self) -> Burst | None:
        """The burst that is asked for next."""
        return self._bursts[0] if self.step == "cutting" else None

    def offer(self, transfer: Transfer, indices: Sequence[int] = ()) -> None:
        """Offer another transfer, with the indices of its rows if it is a gathered one."""
        self._transfers.append(transfer)
        self._indices.extend(indices)

    @property
    def offers(self) -> bool:
        """True if another transfer waits."""
        return bool(self._transfers)

    def tick(self, cycle: int, takes: bool, asks: bool, accepted: bool) -> None:
        """The edge: a transfer is taken, a burst asked for, a request accepted."""
        fetched = self._source.valid(cycle, bool(self._indices)) and self.step == "indexing"
        self._source.tick(fetched)
        self.refused = False
        if accepted:
            self.request = None
        if takes:
            self._take()
        elif fetched:
            self._offset, self.step = self._indices.popleft() * self._transfer.stride, "multiplying"
            self.steps_left = self.dma.index_width
        elif self.step == "multiplying":
            self.steps_left -= 1
            self.step = "multiplying" if self.steps_left else "opening"
        elif self.step == "opening":
            self._open()
        elif asks:
            self._ask()

    def _take(self) -> None:
        transfer = self._transfers.popleft()
        self.refused = transfer.refusal(self.dma) is not None
        if not self.refused:
            self._transfer, self._row, self._offset = transfer, 0, 0
            self.step = self._first_step

    @property
    def _first_step(self) -> str:
        return "indexing" if self._transfer.gather else "opening"

    def _open(self) -> None:
        dma, size = self.dma, self._transfer.row_bytes
        start = (self._transfer.address + self._offset) % (1 << dma.address_width)
        self._offset += self._transfer.stride
        pieces = list(cut(dma, start, size))
        for number, (address, words) in enumerate(pieces):
            begins, ends = number == 0, number == len(pieces) - 1
            first = start // dma.unit_bytes % dma.word_units if begins else 0
            last = ((start + size) // dma.unit_bytes - 1) % dma.word_units if ends else dma.word_units - 1
            final = ends and self._row == self._transfer.rows - 1
            self._bursts.append(Burst(address, words, first, last, final))
        self.step = "cutting"

    def _ask(self) -> None:
        self.request = self._bursts.popleft()
        if not self._bursts:
            self._row += 1
            self.step = self._first_step if self._row < self._transfer.rows else ""


class Packer:
    """Units between words and beats: how many are held, and whether the last one is among them."""

    def __init__(self, leaves: int) -> None:
        self.leaves, self.held, self.ending = leaves, 0, False

    def rest(self, take: int | None, clears: bool) -> int:
        """Units that stay where ``take`` units leave (``None``: none); with ``clears`` all of them leave."""
        if take is None:
            return self.held
        return 0 if clears else max(self.held - take, 0)

    def accepts(self, take: int | None, clears: bool) -> bool:
        """True if more units can enter in this cycle."""
        return (not self.ending or (take is not None and clears)) and self.rest(take, clears) < self.leaves

    def tick(self, take: int | None, clears: bool, enter: int, final: bool) -> None:
        """The edge: some leave, some ``enter``."""
        self.ending = self.ending and not (take is not None and clears)
        self.held = self.rest(take, clears) + enter
        if enter:
            self.ending = final


class Run(ABC):
    """Base of the models: what a mover does with its generator of bursts, and what happened.

    ``moved_now`` is true if something passed the stream or the port to memory in the last cycle.
    """

    def __init__(self, dma: Dma, ends: Ends, port: MemoryPort) -> None:
        self.dma, self.ends, self.port = dma, ends, port
        self.bursts = Bursts(dma, ends)
        self.word_bytes = dma.data_width // 8
        self.events: list[Event] = []
        self.place = 0
        self.worst = 0
        self.asked: deque[Burst] = deque()
        self.moved_now = False

    def lanes(self, burst: Burst) -> tuple[int, int]:
        """First and last unit of the word of a burst that comes next."""
        first = burst.first if self.place == 0 else 0
        last = burst.last if self.place == burst.words - 1 else self.dma.word_units - 1
        return first, last

    def moved(self, burst: Burst) -> bool:
        """Count a word; returns whether it is the last of its burst."""
        ends = self.place == burst.words - 1
        self.place = 0 if ends else self.place + 1
        return ends

    def note(self, cycle: int, kind: str, first: int = 0, second: int = 0) -> None:
        """Record an event."""
        self.events.append(Event(cycle, kind, first, second))

    def requests(self, cycle: int, ready: bool) -> tuple[int, int] | None:
        """The request that is accepted in the cycle."""
        request = self.bursts.request
        if request is None or not ready:
            return None
        self.note(cycle, "request", request.address, request.words)
        return request.address, request.words

    def cycles(self) -> list[Event]:
        """Run until every transfer is done or refused. Raises ``RuntimeError`` where nothing happens any more."""
        cycle, left, before = 0, len(self.ends.transfers), 0
        while left:
            self.cycle(cycle)
            left -= sum(event.kind in ("done", "refused") for event in self.events[before:])
            before = len(self.events)
            if cycle - (self.events[-1].cycle if self.events else 0) > STUCK:
                raise RuntimeError(
                    f"A mover must end its transfers, not be stuck from cycle {cycle - STUCK} on"
                )
            cycle += 1
        return self.events

    @abstractmethod
    def cycle(self, cycle: int) -> None:
        """One cycle."""


class Reader(Run):
    """Memory to a stream."""

    def __init__(self, dma: Dma, ends: Ends, port: MemoryPort) -> None:
        super().__init__(dma, ends, port)
        self.memory, self.packer = Reads(port), Packer(dma.beat_units)
        self.reserved = 0
        self.words: deque[tuple[int, bool, int]] = deque()  # units, whether final, response

    def cycle(self, cycle: int) -> None:
        """One cycle."""
        dma, packer, bursts = self.dma, self.packer, self.bursts
        request = self.requests(cycle, self.memory.ready(cycle))
        if bursts.refused:
            self.note(cycle, "refused")
        burst = bursts.burst
        room = len(self.asked) < dma.outstanding and burst is not None
        asks = (
            burst is not None
            and room
            and self.reserved + burst.words <= dma.buffer_words
            and (bursts.request is None or request is not None)
        )
        word = self.memory.valid(cycle)
        valid = packer.ending or packer.held >= dma.beat_units
        last = packer.ending and packer.held <= dma.beat_units
        beat = valid and self.ends.stream_open(cycle)
        take = dma.beat_units if beat else None
        enters = bool(self.words) and packer.accepts(take, last)
        if beat:
            self.note(cycle, "beat", int(last))
        self.moved_now = beat or word or request is not None
        if beat and last:
            self.note(cycle, "done", self.worst)
            self.worst = 0
        units, final, response = self.words[0] if enters else (0, False, 0)
        packer.tick(take, last, units, final)
        if enters:
            self.words.popleft()
            self.worst = max(self.worst, response)
        self._arrives(word)
        self.reserved += (burst.words if asks and burst else 0) - enters
        if asks and burst is not None:
            self.asked.append(burst)
        bursts.tick(cycle, bursts.offers and not bursts.step, asks, request is not None)
        self.memory.tick(cycle, request, word, self.word_bytes)

    def _arrives(self, word: bool) -> None:
        if word:
            burst = self.asked[0]
            first, last = self.lanes(burst)
            response = self.port.response(self.memory.address)
            ends = self.moved(burst)
            self.words.append((last - first + 1, ends and burst.final, response))
            if ends:
                self.asked.popleft()


class Writer(Run):
    """A stream to memory."""

    def __init__(self, dma: Dma, ends: Ends, port: MemoryPort) -> None:
        super().__init__(dma, ends, port)
        self.memory, self.packer = Writes(port), Packer(dma.word_units)
        self.source, self.frames, self.beat = Source(ends.stream_open), deque(ends.frames), 0
        self.busy = self.serving = self.draining = self.misframed = self.full = False
        self.unanswered = 0

    def cycle(self, cycle: int) -> None:
        """One cycle."""
        bursts, memory = self.bursts, self.memory
        request = self.requests(cycle, memory.ready(cycle))
        refused = bursts.refused
        burst = bursts.burst
        asks = (
            burst is not None
            and self.unanswered < self.dma.outstanding
            and (bursts.request is None or request is not None)
        )
        answer = memory.answer(cycle)
        word = self.full and memory.takes(cycle)
        begins = bursts.offers and not bursts.step and not self.busy
        done = self.busy and not self.serving and not self.draining and self.unanswered == 0
        if refused:
            self.note(cycle, "refused")
        if done:
            self.note(cycle, "done", self.worst, int(self.misframed))
        self.moved_now = word or answer is not None or request is not None
        goes, final = self._serves(cycle, not self.full or word, begins)
        self.full = goes or (self.full and not word)
        self.worst = max(0 if begins else self.worst, answer or 0)
        self.unanswered += asks - (answer is not None)
        self.busy = begins or (self.busy and not (refused or done))
        self.serving = begins or (self.serving and not (refused or final))
        if asks and burst is not None:
            self.asked.append(burst)
        bursts.tick(cycle, begins, asks, request is not None)
        memory.tick(cycle, request, word, self.word_bytes)

    def _serves(self, cycle: int, free: bool, begins: bool) -> tuple[bool, bool]:
        """A word leaves the packer and a beat enters; returns (whether one leaves, whether it is the last)."""
        packer, burst = self.packer, self.asked[0] if self.asked else None
        first, last = self.lanes(burst) if burst else (0, 0)
        count = last - first + 1
        goes = free and burst is not None and (packer.held >= count or packer.ending)
        final = burst is not None and goes and burst.final and self.place == burst.words - 1
        ending, enough = packer.ending, packer.held >= count
        surplus = packer.held >= count + self.dma.beat_units
        take, clears = count if goes or self.draining else None, final or self.draining
        offered = self.source.valid(cycle, bool(self.frames))
        enters = offered and packer.accepts(take, clears)
        packer.tick(take, clears, self.dma.beat_units if enters else 0, self._beat(cycle, enters))
        self.source.tick(enters)
        wrong = (goes and not enough) or (final and (not ending or surplus))
        self.misframed = not begins and (self.misframed or wrong)
        self.draining = (final and not ending) or (self.draining and not ending)
        if goes and burst is not None and self.moved(burst):
            self.asked.popleft()
        return goes, final

    def _beat(self, cycle: int, enters: bool) -> bool:
        """Count a beat that enters; returns whether it is the last of its frame."""
        if not enters:
            return False
        self.moved_now = True
        self.note(cycle, "beat")
        self.beat += 1
        last = self.beat == self.frames[0]
        if last:
            self.frames.popleft()
            self.beat = 0
        return last


def events(dma: Dma, ends: Ends, port: MemoryPort) -> list[Event]:
    """Everything that happens at the ports of a mover. Raises ``RuntimeError`` for a run that does not end."""
    return (Reader if dma.direction == "read" else Writer)(dma, ends, port).cycles()
