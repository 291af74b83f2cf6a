"""The sequencer of a system cycle by cycle: fetch, queues, tokens, movers, and units by the cycles of their runs.

What the RTL of ``generator/systems`` does, without data: cycle 0 is the one in which ``start`` reaches the sequencer.
Movers are those of ``simulator/systems/dma.py``. A unit takes as long as it is said to; how long its executor takes
around a run is in ``blueprint/systems/control.py``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from blueprint.numbers import ceil_div
from blueprint.systems import control
from blueprint.systems.control import Hardware
from blueprint.systems.dma import PAGE_BYTES, Transfer
from blueprint.systems.instructions import (
    FLIGHTS,
    INDICES,
    LAST_BIT,
    MOVED,
    MOVERS,
    NARROW_BIT,
    UNITS,
    WORD_BYTES,
    WORDS,
    Instruction,
    tokens_most,
)
from blueprint.systems.memory_port import MemoryPort
from blueprint.systems.starved import Cycles
from simulator.systems import dma

#: A function that gives the value of a token, from the address that a load into its register read.
Token = Callable[[int], int]
#: Cycles without any event after which a program is stuck.
STUCK = 100_000


@dataclass(frozen=True)
class Span:
    """An executed instruction: its pass, its number in the program, and the cycles of its begin and end."""

    place: int
    number: int
    text: Instruction
    begin: int
    end: int


@dataclass
class Trace:
    """Record of a run: the instructions of every unit in their order, requests of the movers, and when it was over.

    ``stuck`` says that nothing moved for as long as the host is patient, ``owed`` which movers wait for memory then.
    ``positions`` are those of the passes, ``window`` is that of the hardware.
    """

    spans: dict[str, list[Span]] = field(default_factory=lambda: {unit: [] for unit in UNITS})
    requests: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    cycles: int = -1
    stuck: bool = False
    owed: tuple[str, ...] = ()
    positions: Sequence[int] = ()
    window: int = 0

    def value(self, span: Span) -> int:
        """The values that an instruction wrote."""
        if span.text.kind != "setp":
            return span.text.value
        return span.text.value + control.added(self.window, span.text.unit, self.positions[span.place])


def stored_beat(hardware: Hardware, place: int) -> int:
    """Bytes that a beat of a field has in memory, by the register ``place`` of a store."""
    return hardware.outputs[place % (1 << LAST_BIT)].moved_bytes(bool(place >> NARROW_BIT & 1))


class _Never(dma.Source):
    """The end of a store's stream: beats as staging gives them."""

    def __init__(self) -> None:
        super().__init__(lambda _: False)
        self.opened, self.total, self.left, self.row, self.whole = False, 0, 0, 0, 1
        self.parts, self.count, self.halts = 1, 0, False

    def begin(self, transfer: Transfer, whole: int, parts: int) -> None:
        """A transfer was taken: units of a row, units of a beat, and beats of the field in one."""
        self.row, self.whole, self.parts = transfer.row_bytes // control.UNIT_BYTES, whole, parts
        self.total, self.left, self.opened, self.count = self.row, transfer.rows - 1, True, 0

    @property
    def _known(self) -> bool:
        return self.opened and (not self.left or self.total >= self.whole)

    @property
    def _gathered(self) -> bool:
        """True if there are as many beats of the field as the next beat of the transfer needs."""
        needs = min(self.total, self.whole)
        return self.parts == 1 or (self.count > 0 and self.count * self.whole // self.parts >= needs)

    def valid(self, cycle: int, more: bool) -> bool:
        return self.opened if self.halts else self._known and self._gathered

    def tick(self, taken: bool) -> None:
        if self.halts:
            self.opened = self.opened and not taken
            return
        final = not self.left and self.total <= self.whole
        reads = self.parts > 1 and self._known and (not self._gathered or (taken and not final))
        if reads:
            self.count = 1 if taken else self.count + 1
        elif taken:
            self.count = 0
        if not self.opened:
            return
        more = self.left > 0
        self.total += (self.row if more else 0) - (self.whole if taken else 0)
        self.left -= more
        self.opened = not (taken and final)


@dataclass
class _Executor:
    """One unit: its queue, its registers, and what runs."""

    queue: deque[tuple[int, Instruction]] = field(default_factory=deque)
    registers: dict[int, int] = field(default_factory=dict)
    begun: int = -1
    end: int = -1  # where it is known
    #: Loads under way: where they stand in the program, and when they began.
    flights: deque[tuple[int, Instruction, int]] = field(default_factory=deque)


class Machine:
    """A system that runs the passes of a program. Raises ``RuntimeError`` for one that does not end.

    Where the host has ``patience``, such a program ends as in hardware, as long as units that run do not wait for
    longer than that. ``position`` is that of the first pass, and each one goes on by its number in ``steps``, or by 1.
    """

    def __init__(
        self,
        hardware: Hardware,
        programs: Sequence[Sequence[Instruction]],
        pages: Sequence[int],
        memories: Sequence[MemoryPort],
        cycles: Cycles,
        *,
        position: int = 0,
        steps: Sequence[int] = (),
        token: Token = lambda address: 0,
        patience: int = 0,
    ) -> None:
        self.hardware, self.cycles, self.token_at = hardware, cycles, token
        self.position, self.token = position, 0
        self.programs, self.pages = list(programs), list(pages)
        self.steps = [*steps, *[1] * (len(self.programs) - len(steps))]
        always: dma.Pattern = lambda _: True  # noqa: E731
        ends = dma.Ends((), (), always, self._takes)
        self.fetch = dma.Reader(hardware.fetch, ends, memories[0])
        self.load = dma.Reader(hardware.load, dma.Ends((), (), always, always), memories[1])
        self.store = dma.Writer(hardware.store, dma.Ends((), (), always, always), memories[2])
        self.drain = self.store.source = _Never()
        self.units = {unit: _Executor() for unit in hardware.queues}
        self.tokens: Counter[tuple[str, str]] = Counter()
        self.offers: dict[str, tuple[int, Transfer, list[int]]] = {}
        places = [position + sum(self.steps[:n]) for n in range(len(self.programs))]
        spans: dict[str, list[Span]] = {unit: [] for unit in hardware.queues}
        self.trace = Trace(spans, positions=places, window=hardware.window)
        self.next, self.number, self.dispatched = 0, 0, ""
        self.over = -1
        self.seen = {"fetch": 0, "load": 0, "store": 0}
        self.patience, self.still, self.waited = patience, 0, False
        self.fetching = self.halts = self.moves = False

    def run(self) -> Trace:
        """All passes, to the cycle in which the interrupt is high.

        Raises ``RuntimeError`` for a program that does not end.
        """
        self._ask(control.NEXT_PASS)
        cycle = last = 0
        while self.over < 0:
            owed = self._owed(cycle)
            if self._cycle(cycle):
                last = cycle
            if self.patience and self.over < 0:
                self._watch(cycle, owed)
            if cycle - last > STUCK:
                raise RuntimeError(f"A program must run to its end, not be stuck from cycle {last} on")
            cycle += 1
        return self._told()

    def _told(self) -> Trace:
        """The trace, whose spans are in the order of their begins: loads end behind what began later."""
        self.trace.cycles = self.over
        self.trace.spans["load"].sort(key=lambda span: span.begin)
        return self.trace

    def _owed(self, cycle: int) -> tuple[str, ...]:
        """The movers that have a transfer."""
        started = [unit for unit in MOVERS if 0 <= self.units[unit].begun < cycle or self.units[unit].flights]
        return ("fetch",) * self.fetching + tuple(started)

    def _watch(self, cycle: int, owed: tuple[str, ...]) -> None:
        """End a program in which nothing moves, and no longer wait for movers that ``owed`` something at the cycle."""
        if self.halts and not owed:
            self.over = cycle + control.CLEAR + 1
        elif self.halts and self.waited and not self.moves:
            self.over, self.trace.owed = cycle + 1, owed
        elif self.waited and not self.halts:
            self.halts = self.drain.halts = self.trace.stuck = True
        idle = cycle >= control.NEXT_PASS and not self.moves
        self.waited = idle and self.still >= self.patience
        self.still = self.still + 1 if idle else 0

    def _ask(self, cycle: int) -> None:
        """Have the program of the next pass fetched from a cycle on."""
        page, program = self.pages[self.next], self.programs[self.next]
        self.offers["fetch"] = cycle, Transfer(page * PAGE_BYTES, WORD_BYTES * len(program)), []
        self.number = 0

    def _cycle(self, cycle: int) -> bool:
        """One cycle; returns whether anything happened."""
        self.pushed: list[tuple[str, int, Instruction]] = []
        self.given: list[tuple[str, str]] = []
        self.taken: list[tuple[str, str]] = []
        self.now, self.ended = cycle, False
        self.moves = any(one.begun >= 0 for unit, one in self.units.items() if unit not in MOVERS)
        if self.halts and self.drain.opened:
            self.store.frames[0] = self.store.beat + 1
        self.waiting = {unit: len(one.queue) for unit, one in self.units.items()}
        self.under_way = len(self.units["load"].flights)
        done = self._movers(cycle)
        if done.get("load"):
            self._lands(cycle)
        for unit, one in self.units.items():
            self._execute(cycle, unit, one, done)
        for unit, number, instruction in self.pushed:
            self.units[unit].queue.append((number, instruction))
        self.tokens.subtract(self.taken)
        self.tokens.update(self.given)
        if self.ended:
            self._end(cycle)
        return bool(done or self.pushed or self.given or self.taken or self.ended)

    def _movers(self, cycle: int) -> dict[str, bool]:
        """One cycle of the movers; those whose transfer is done."""
        found = {}
        for name, mover in (("fetch", self.fetch), ("load", self.load), ("store", self.store)):
            offer = self.offers.get(name)
            if offer and offer[0] <= cycle:
                mover.bursts.offer(offer[1], offer[2])
                del self.offers[name]
                self.seen[name] += 1
                if name == "store":
                    self.opening = offer[1]
            waits = mover.bursts.offers
            mover.cycle(cycle)
            if name == "load" and waits and not mover.bursts.offers:
                self.units[name].end = cycle + control.ASKED
            self.moves |= mover.moved_now
            for event in mover.events:
                if event.kind == "request":
                    self.trace.requests.setdefault(name, []).append((cycle, event.first, event.second))
                elif event.kind == "done" or (event.kind == "refused" and name != "load"):
                    found[name] = True
            mover.events.clear()
            if name == "store" and offer and name not in self.offers:
                self._open(self.opening)
            if name == "fetch":
                self.fetching = (
                    self.fetching or bool(offer and name not in self.offers)
                ) and name not in found
        return found

    def _open(self, transfer: Transfer) -> None:
        """The stream of a store from the cycle after its transfer was taken on."""
        place = self.units["store"].registers[MOVED.index("place")]
        beat, port = stored_beat(self.hardware, place), self.hardware.width // 8
        self.drain.begin(transfer, port // control.UNIT_BYTES, max(1, port // beat))
        self.store.frames.append(ceil_div(transfer.row_bytes * transfer.rows, port))

    def _takes(self, cycle: int) -> bool:
        """True if the sequencer takes the instruction that fetch shows."""
        if self.halts:
            return True
        program = self.programs[self.next]
        one = program[self.number]
        if one.unit:
            if self.waiting[one.unit] == control.QUEUE_DEPTH:
                return False
            self.pushed.append((one.unit, self.number, self._positioned(one)))
        elif any(self.waiting.values()) or self.under_way:
            return False
        self.ended = one.kind == "end"
        self.number += 1
        return True

    def _positioned(self, one: Instruction) -> Instruction:
        if one.kind != "setp":
            return one
        more = control.added(self.hardware.window, one.unit, self.position)
        value = (one.value + more) % (1 << 40)
        return Instruction("set", one.unit, one.wait, one.signal, one.register, value)

    def _end(self, cycle: int) -> None:
        self.position += self.steps[self.next]
        self.next += 1
        if self.next < len(self.programs):
            self._ask(cycle + control.NEXT_PASS)
        else:
            self.over = cycle + 1 + control.CLEAR + 1

    def _execute(self, cycle: int, unit: str, one: _Executor, done: Mapping[str, bool]) -> None:
        if not self.waiting[unit]:
            return
        number, instruction = one.queue[0]
        if one.begun < 0:
            if self.halts or any(self._lacks(unit, instruction)) or self._held_back(unit, instruction):
                return
            self.moves = True
            self.taken += [(other, unit) for other in instruction.wait]
            one.begun, one.end = cycle, self._begin(cycle, unit, one, instruction)
        if one.end == cycle and unit == "load" and instruction.kind == "start":
            one.queue.popleft()
            one.flights.append((number, instruction, one.begun))
            one.begun = -1
        elif one.end == cycle or (one.begun < cycle and unit == "store" and done.get(unit)):
            self.moves = True
            one.queue.popleft()
            self.given += [(unit, other) for other in instruction.signal]
            self.trace.spans[unit].append(
                Span(self.next, number, self.programs[self.next][number], one.begun, cycle)
            )
            one.begun = -1

    def _lands(self, cycle: int) -> None:
        """The first load under way is done."""
        number, instruction, begun = self.units["load"].flights.popleft()
        self.moves = True
        self.given += [("load", other) for other in instruction.signal]
        self.trace.spans["load"].append(
            Span(self.next, number, self.programs[self.next][number], begun, cycle)
        )

    def _held_back(self, unit: str, one: Instruction) -> bool:
        """True if an instruction waits for loads under way."""
        if unit != "load":
            return False
        if one.kind != "start":
            return bool(one.signal) and self.under_way > 0
        by_token = INDICES[self.units[unit].registers[MOVED.index("index")]] == "token"
        return self.under_way == FLIGHTS or (by_token and self.under_way > 0)

    def _lacks(self, unit: str, one: Instruction) -> Iterator[bool]:
        yield from (not self.tokens[other, unit] for other in one.wait)
        yield from (self.tokens[unit, other] >= tokens_most(unit) for other in one.signal)

    def _begin(self, cycle: int, unit: str, executor: _Executor, one: Instruction) -> int:
        """The cycle in which an instruction that begins now ends; -1 for a transfer, whose end the mover reports."""
        if one.kind == "set":
            executor.registers[one.register] = one.value
            return cycle + (control.WRITE if unit not in MOVERS and one.register < WORDS else 0)
        if one.kind == "sync":
            return cycle
        if unit not in MOVERS:
            return control.run_end(cycle, self.cycles(unit, executor.registers))
        self.offers[unit] = (cycle + control.OFFER, *self._transfer(unit, executor.registers))
        return -1

    def _transfer(self, unit: str, registers: Mapping[int, int]) -> tuple[Transfer, list[int]]:
        values = {name: registers[number] for number, name in enumerate(MOVED)}
        place, kind = values["place"] % (1 << LAST_BIT), INDICES[values["index"]]
        index = control.indexed(self.hardware.window, self.position, self.token)[kind]
        transfer = Transfer(
            values["address"], values["row_bytes"], values["rows"], values["stride"], kind != "none"
        )
        if unit == "load" and place == len(self.hardware.inputs):
            self.token = self.token_at(transfer.address + index * transfer.stride)
        return transfer, [index] * transfer.rows if transfer.gather else []
