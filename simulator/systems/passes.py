"""The same cycles as `timed.Timed` in machine code: passes of programs whose instructions need no simulation of data.

``simulator/engine/dispatch.py`` runs a pass; here are the tables that it reads. What a transfer takes is looked at once
for each shape, place in a page and phase of the memory, of a memory that waits at random each time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import lcm

import numpy as np

from blueprint.record import Integers
from blueprint.systems import control
from blueprint.systems.control import Hardware
from blueprint.systems.dma import PAGE_BYTES, Dma
from blueprint.systems.instructions import (
    EVERY,
    FLIGHTS,
    INDICES,
    LAST_BIT,
    MOVED,
    MOVERS,
    TOKENS_MOST,
    UNITS,
    WORDS,
    Instruction,
    tokens_most,
)
from blueprint.systems.memory_port import MemoryPort
from blueprint.systems.runs import Runs
from blueprint.systems.starved import Starved, Turns
from blueprint.workloads.tasks import Rowwise
from simulator.engine import dispatch, movers
from simulator.engine.dispatch import Book, Code, Jobs, Side, Steps
from simulator.engine.machine import table
from simulator.engine.movers import Moving
from simulator.systems.loads import ring_words, sized, tables, timed

_STEPS = Steps(
    write=control.WRITE, offer=control.OFFER, first_beat=control.FIRST_BEAT, done=control.DONE, staged=control.STAGED,
    first_look=control.FIRST_LOOK, look=control.LOOK, answer=control.ANSWER, queue=control.QUEUE_DEPTH,
    tokens=TOKENS_MOST, load=EVERY.index("load"), asked=control.ASKED, load_tokens=tokens_most("load"),
    flights=FLIGHTS, itself=len(UNITS),
)  # fmt: skip
_ADDRESS, _BYTES, _ROWS, _STRIDE, _PLACE, _INDEX = range(len(MOVED))
_TOKEN, _LOAD = INDICES.index("token"), MOVERS[0]
#: A register of a unit: what is written there at position 0, and 1 where the position is added.
Written = tuple[int, int]


@dataclass(frozen=True)
class Table:
    """A program in columns: `dispatch.Code`, and what its transfers and runs are.

    ``moved`` has a row of `MOVED` for each transfer, ``grows`` a 1 where the position is added. A run has its unit and
    registers in ``registers``, at ``runs``. ``units`` are the names of units by their numbers.
    """

    code: Code
    stores: Integers
    moved: Integers
    grows: Integers
    runs: Integers
    registers: tuple[tuple[str, Mapping[int, Written]], ...]
    needs: Integers
    tails: Integers
    units: tuple[str, ...]
    window: int = 0

    @cached_property
    def _at_first(self) -> tuple[Integers, Integers]:
        """Bytes of every transfer at position 0, and which ones have others at other positions."""
        return self.moved[:, [_BYTES, _ROWS]].prod(axis=1), np.flatnonzero(
            self.grows[:, [_BYTES, _ROWS]].any(axis=1)
        )

    def bytes(self, position: int) -> Integers:
        """Bytes of every transfer."""
        first, growing = self._at_first
        found = first.copy()
        found[growing] = (
            self.moved[growing][:, [_BYTES, _ROWS]]
            + self.grows[growing][:, [_BYTES, _ROWS]] * self.added(position)
        ).prod(axis=1)
        return found

    def added(self, position: int) -> int:
        """The number that is added to registers of loads, the only transfers of which some grow."""
        return control.added(self.window, _LOAD, position)

    @cached_property
    def _growing(self) -> tuple[int, ...]:
        """Kinds of run with a register that the position is added to."""
        each = enumerate(self.registers)
        return tuple(n for n, (_, registers) in each if any(grows for _, grows in registers.values()))

    def of_runs(
        self, position: int, value: Callable[[str, Mapping[int, int]], int], known: Integers
    ) -> Integers:
        """A value of every run; ``known`` keeps those that do not depend on the position, by kind of run."""
        for number in {*self._growing, *np.flatnonzero(known < 0).tolist()}:
            unit, registers = self.registers[number]
            known[number] = value(unit, at(registers, control.added(self.window, unit, position)))
        found: Integers = known[self.runs]
        return found

    def unknown(self) -> Integers:
        """State of `of_runs` at its start."""
        return np.full(len(self.registers), -1, np.int64)


class _Reading:
    """Reads a program from its first instruction to its last."""

    def __init__(self, hardware: Hardware, runs: Runs) -> None:
        self.hardware, self.cycles = hardware, runs
        self._starved, self._turns = Starved(hardware), Turns(hardware)
        self._registers: dict[str, dict[int, Written]] = {unit: {} for unit in hardware.queues}
        self._known: dict[tuple[object, ...], int] = {}
        self._brought: dict[str, list[int]] = defaultdict(list)
        self._used: dict[str, int] = defaultdict(int)
        self.units: list[tuple[str, Mapping[int, Written]]] = []
        self.runs: list[int] = []
        self.needed: list[list[tuple[str, int]]] = []
        self.moved: list[list[Written]] = []
        self.stores: list[bool] = []
        self.alone: list[bool] = []

    def execute(self, number: int, one: Instruction) -> tuple[int, int]:
        """Kind of an instruction for `dispatch`, and the number of its transfer or run."""
        self.alone.append(False)
        if not one.unit:
            return (dispatch.END if one.kind == "end" else dispatch.INTERRUPT), -1
        mover, mine = one.unit in MOVERS, self._registers[one.unit]
        by_token = one.kind == "start" and mover and mine[_INDEX][0] == _TOKEN
        self.alone[-1] = one.unit == "load" and (by_token or (one.kind != "start" and bool(one.signal)))
        if one.kind in ("set", "setp"):
            mine[one.register] = one.value, int(one.kind == "setp")
            return (dispatch.AT_ONCE if mover or one.register >= WORDS else dispatch.WRITE), -1
        if one.kind == "sync":
            return dispatch.AT_ONCE, -1
        if mover:
            return dispatch.MOVE, self._move(number, one.unit, mine)
        return dispatch.RUN, self._run(one.unit, mine)

    def _move(self, number: int, unit: str, mine: Mapping[int, Written]) -> int:
        self.moved.append([mine[register] for register in range(len(MOVED))])
        self.stores.append(unit == "store")
        place = mine[_PLACE][0]
        if unit == "load" and place >> LAST_BIT & 1:
            staged = self.hardware.inputs[place % (1 << LAST_BIT)]
            self._brought[f"{staged.unit}.{staged.stream}"].append(number)
        return len(self.moved) - 1

    def _run(self, unit: str, mine: Mapping[int, Written]) -> int:
        key = (unit, *sorted(mine.items()))
        if key not in self._known:
            self._known[key] = len(self.units)
            self.units.append((unit, dict(mine)))
        self.runs.append(self._known[key])
        needed = []
        registers = at(mine, 0)
        for stream in self._starved.streams(unit, registers):
            needed.append((stream, self._used[stream]))
            self._used[stream] += self._turns.ends(stream, registers)
        self.needed.append(needed)
        return len(self.runs) - 1

    def latest(self) -> tuple[list[int], list[int]]:
        """Of every run the load that brings the last of its inputs, and the cycles behind it, -1 where unknown."""
        loads, tails, known = [], [], dict[tuple[int, str], int]()
        for run, needed in zip(self.runs, self.needed, strict=True):
            places = [(self._brought[stream][place], stream) for stream, place in needed]
            last, stream = max(places, default=(-1, ""))
            if (run, stream) not in known:
                known[run, stream] = self._tail(run, stream)
            loads.append(last)
            tails.append(known[run, stream])
        return loads, tails

    def _tail(self, run: int, stream: str) -> int:
        unit, registers = self.units[run]
        if self.hardware.units[unit].task is not Rowwise:
            return -1
        return self._starved.tail(unit, at(registers, 0), self.cycles, stream.partition(".")[2])


def at(registers: Mapping[int, Written], position: int) -> dict[int, int]:
    """Values of registers where `setp` adds so much."""
    return {number: value + grows * position for number, (value, grows) in registers.items()}


def read_program(hardware: Hardware, runs: Runs, program: Sequence[Instruction]) -> Table:
    """A program in columns."""
    reading = _Reading(hardware, runs)
    done = [reading.execute(number, one) for number, one in enumerate(program)]
    numbers = {unit: number for number, unit in enumerate(hardware.queues)}
    masks: dict[tuple[str, ...], int] = {(): 0}

    def mask(units: tuple[str, ...]) -> int:
        if units not in masks:
            masks[units] = sum(1 << numbers[unit] for unit in units)
        return masks[units]

    columns = [
        [kind for kind, _ in done],
        [numbers.get(one.unit, -1) for one in program],
        [mask(one.wait) for one in program],
        [mask(one.signal) for one in program],
        [job for _, job in done],
        reading.alone,
    ]
    moved = np.array(reading.moved, np.int64).reshape(-1, len(MOVED), 2)
    loads, tails = reading.latest()
    return Table(
        Code(*(np.array(column, np.int64) for column in columns)),
        np.array(reading.stores, np.int64),
        np.ascontiguousarray(moved[..., 0]),
        np.ascontiguousarray(moved[..., 1]),
        np.array(reading.runs, np.int64),
        tuple(reading.units),
        np.array(loads, np.int64),
        np.array(tails, np.int64),
        hardware.queues,
        hardware.window,
    )


@dataclass(frozen=True)
class Ran:
    """A pass: of every instruction begin, end, what it waited for (a number of a unit, or behind them) and how long.

    ``since`` is the cycle from which an instruction alone has its unit: of a load behind the one before, and behind its
    end where a load is under way all the while.
    """

    position: int
    begins: Integers
    ends: Integers
    reasons: Integers
    waited: Integers
    loads: Integers

    @cached_property
    def since(self) -> Integers:
        found = self.begins.copy()
        found[self.loads] = alone(self.begins[self.loads], self.ends[self.loads])
        return found


def alone(begins: Integers, ends: Integers) -> Integers:
    """From when each instruction of a mover alone has it, where some end behind others that began later."""
    before = np.maximum.accumulate(np.concatenate([[-1], ends]))[:-1]
    found: Integers = np.maximum(begins, np.minimum(before, ends) + 1)
    return found


class Passes:
    """A system that runs one pass after the other, from cycle 0 on."""

    def __init__(self, hardware: Hardware, memories: Sequence[MemoryPort], runs: Runs) -> None:
        self.hardware, self.runs = hardware, runs
        self._steps = _STEPS._replace(itself=len(hardware.queues))
        fetch, load, store = memories
        self._fetch, self._store = _side(hardware.fetch, fetch), _side(hardware.store, store)
        self._loads = tables(hardware.load, load)
        self._random = store.spread > 0
        self._phases = lcm(store.period or 1, store.interval)
        self._ids: dict[tuple[int, ...], int] = {}
        self._shapes = np.zeros((0, 7), np.int64)
        self._times = np.zeros((0, 0 if self._random else self._phases), np.int64)
        self._free = np.zeros(dispatch.COUNT, np.int64)
        self._static: dict[int, tuple[Table, Integers, Integers]] = {}
        self._spans: dict[int, Integers] = {}
        self.now = control.NEXT_PASS

    @property
    def cycles(self) -> int:
        """The cycle of the interrupt, where the last pass was the last."""
        return self.now - control.NEXT_PASS + 1 + control.CLEAR + 1

    def run(self, program: Table, position: int, token: int = 0) -> Ran:
        """Run a pass. Raises ``RuntimeError`` where cycles do not follow from the order of the program."""
        known = self._spans.setdefault(id(program), program.unknown())
        spans = program.of_runs(position, lambda unit, mine: control.run_end(0, self.runs(unit, mine)), known)
        code = program.code._replace(jobs=program.code.jobs.copy())
        moves = np.flatnonzero(code.kinds == dispatch.MOVE)
        code.jobs[moves] = self._numbers(program, position, token)[code.jobs[moves]]
        jobs = Jobs(spans, program.needs, program.tails, self._shapes, self._times)
        count = len(code.kinds)
        loads = np.flatnonzero(code.units == _STEPS.load)
        begins, ends, reasons, waited = (np.zeros(count, np.int64) for _ in range(4))
        ran = Ran(position, begins, ends, reasons, waited, loads)
        book = self._book(ran)
        found = dispatch.run_pass(
            self._steps, self._fetch, self._loads, self._store, code, jobs, book, self.now
        )
        if found == dispatch.UNKNOWN:
            raise RuntimeError("A program must have its cycles follow from the order of its instructions")
        self.now = found + control.NEXT_PASS
        return ran

    def _book(self, ran: Ran) -> Book:
        pairs, kept = dispatch.COUNT**2, dispatch.KEPT
        plain = [np.zeros(size, np.int64) for size in (dispatch.COUNT, pairs, pairs, 3)]
        queue = np.zeros((dispatch.COUNT, control.QUEUE_DEPTH), np.int64)
        gives, takes = (np.zeros((pairs, kept), np.int64) for _ in range(2))
        queued, given, taken, clock = plain
        return Book(
            ran.begins,
            ran.ends,
            ran.reasons,
            ran.waited,
            np.zeros_like(ran.ends),
            self._free,
            queued,
            queue,
            given,
            taken,
            gives,
            takes,
            clock,
            np.zeros(FLIGHTS, np.int64),
        )

    # Transfers --------------------------------------------------------------------------------------------------------

    def _numbers(self, program: Table, position: int, token: int) -> Integers:
        """The number of the shape of every transfer."""
        if id(program) not in self._static:
            moving = (program.grows.any(axis=1) | (program.moved[:, _INDEX] > 0)).nonzero()[0]
            self._static[id(program)] = (
                program,
                moving,
                self._shaped(program, np.arange(len(program.moved)), 0, 0),
            )
        _, moving, numbers = self._static[id(program)]
        numbers[moving] = self._shaped(program, moving, position, token)
        return numbers

    def _shaped(self, program: Table, which: Integers, position: int, token: int) -> Integers:
        moved = program.moved[which] + program.grows[which] * program.added(position)
        by = control.indexed(program.window, position, token)
        index = np.array([by[name] for name in INDICES], np.int64)[moved[:, _INDEX]]
        stores, place = program.stores[which], moved[:, _PLACE] % (1 << LAST_BIT)
        parts = np.array(
            [max(1, self.hardware.width // 8 // one.beat_bytes) for one in self.hardware.outputs]
        )
        rows = np.stack([
            (moved[:, _ADDRESS] + index * moved[:, _STRIDE]) % PAGE_BYTES, moved[:, _BYTES], moved[:, _ROWS],
            moved[:, _STRIDE] % PAGE_BYTES, (moved[:, _INDEX] > 0).astype(np.int64),
            stores * (self.hardware.width // 8 // control.UNIT_BYTES),
            stores * parts[place * stores],
        ], axis=1)  # fmt: skip
        if (rows[:, 1:3] < 1).any() or (rows[:, [0, 1, 3]] % control.UNIT_BYTES).any():
            raise RuntimeError(
                f"A transfer must have rows of whole {control.UNIT_BYTES} bytes, and one has not"
            )
        found = [self._ids.setdefault(shape, len(self._ids)) for shape in map(tuple, rows.tolist())]
        self._grow()
        return np.array(found, np.int64)

    def _grow(self) -> None:
        """Have a row in the tables for each number."""
        count, before = len(self._ids), len(self._times)
        if count > before:
            rest = list(self._ids)[before:]
            self._shapes = np.concatenate([self._shapes, np.array(rest, np.int64)])
            more = np.zeros((count - before, self._times.shape[1]), np.int64)
            self._times = np.concatenate([self._times, more])


def _side(mover: Dma, port: MemoryPort) -> Side:
    rings = np.zeros((movers.RINGS, ring_words(mover, port)), np.int64)
    return Side(timed(port), sized(mover), table(Moving, 1), rings)
