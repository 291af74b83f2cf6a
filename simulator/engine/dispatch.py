"""A pass of a program in machine code: when every instruction begins and ends, in the order of the program.

The sequencer dispatches in that order and every unit executes in it, so a cycle follows from those of instructions
before: when fetch shows the instruction, when its queue has room, when its unit is free and its tokens are given. No
cycle in between is simulated, except for fetch.
"""

from __future__ import annotations

from typing import NamedTuple

from blueprint.timing import Ints
from simulator.engine.compiled import compiled, inner
from simulator.engine.loads import DONE, Loads, take
from simulator.engine.machine import NEVER, Table
from simulator.engine.memory_port import Port
from simulator.engine.movers import Mover, Moving, at_rest, offer, read_cycle, write

#: Kinds of instruction by how they are executed.
AT_ONCE, WRITE, RUN, MOVE, INTERRUPT, END = range(6)
#: Result of a pass whose cycles do not follow from the order of the program.
UNKNOWN = -1
#: Number of units that a system has at most, and number of times that are remembered for each pair of them. A number
#: of this file, as compiled code is kept for the texts of this folder; ``tests/systems/test_prefill.py`` compares it.
COUNT, KEPT = 7, 64


class Steps(NamedTuple):
    """Durations of steps: names as in ``blueprint.systems.control``, and the numbers of units that are movers.

    ``itself`` is what an instruction waited for where that is no unit, the number behind those of all units.
    """

    write: int
    offer: int
    first_beat: int
    done: int
    staged: int
    first_look: int
    look: int
    answer: int
    queue: int
    tokens: int
    load: int
    asked: int
    load_tokens: int
    flights: int
    itself: int


class Side(NamedTuple):
    """A mover with its memory."""

    port: Port
    mover: Mover
    state: Table[Moving]
    rings: Ints


class Code(NamedTuple):
    """A program: kind, unit, masks of the tokens that are taken and given, and number of the run or transfer.

    ``alone`` is 1 for what begins when no load is under way.
    """

    kinds: Ints
    units: Ints
    waits: Ints
    signals: Ints
    jobs: Ints
    alone: Ints


class Jobs(NamedTuple):
    """Runs and transfers of a program.

    Of a run, ``spans`` are cycles to the end of its instruction, ``needs`` is the load that brings its last input and
    ``tails`` the cycles from the end of that load. Of a transfer, ``shapes`` are the arguments of `movers.timed`, and
    ``times`` the cycles of a store by phase of the memory, 0 where not known yet.
    """

    spans: Ints
    needs: Ints
    tails: Ints
    shapes: Ints
    times: Ints


class Book(NamedTuple):
    """Begin and end of instructions, the reasons and lengths of their waits, and the state of a pass."""

    begins: Ints
    ends: Ints
    reasons: Ints
    waited: Ints
    #: The last cycle of an instruction in the queue of its unit.
    leaves: Ints
    #: By unit: from when it is free, instructions so far, and the last ones.
    free: Ints
    queued: Ints
    queue: Ints
    #: By pair of units: tokens given and taken, and when.
    given: Ints
    taken: Ints
    gives: Ints
    takes: Ints
    #: The next cycle of fetch, the run that waits for a load, -1 for none, and how many loads were taken.
    clock: Ints
    #: When the last loads are done.
    landed: Ints


@compiled
def run_pass(
    steps: Steps, fetch: Side, loads: Loads, store: Side, code: Code, jobs: Jobs, book: Book, now: int
) -> int:
    """Run a pass, its program requested in cycle ``now``; the cycle in which its end is dispatched, or UNKNOWN."""
    _reset(book, now, len(code.kinds))
    offer(fetch.state[0], 0, 8 * len(code.kinds), 1, 0, 0)
    for i in range(len(code.kinds)):
        kind, unit = code.kinds[i], code.units[i]
        room = (
            _room(steps, book, unit, i) if kind < INTERRUPT else max(_all_free(book), loads.clock[DONE] + 1)
        )
        if room >= NEVER:
            return UNKNOWN
        at = _dispatched(fetch, book, room)
        if kind >= INTERRUPT:
            book.begins[i] = book.ends[i] = at
            book.reasons[i], book.waited[i] = steps.itself, 0
            continue
        ready = max(at + 1, _flown(steps, loads, code, book, i, unit))
        begin = _begin(steps, code, book, i, unit, ready, loads.clock[DONE] + 1)
        if begin >= NEVER:
            return UNKNOWN
        _execute(steps, loads, store, code, jobs, book, i, begin)
    return book.ends[len(code.kinds) - 1] if _settled(book) else UNKNOWN


@inner
def _reset(book: Book, now: int, length: int) -> None:
    book.clock[0], book.clock[1], book.clock[2] = now, -1, 0
    for i in range(length):
        book.ends[i] = book.leaves[i] = -1
    for unit in range(COUNT):
        book.queued[unit] = 0
    for pair in range(COUNT * COUNT):
        book.given[pair] = 0
        book.taken[pair] = 0


@inner
def _settled(book: Book) -> bool:
    """True if every token was taken and no run waits."""
    for pair in range(COUNT * COUNT):
        if book.given[pair] != book.taken[pair]:
            return False
    nobody_waits: bool = book.clock[1] < 0
    return nobody_waits


@inner
def _room(steps: Steps, book: Book, unit: int, i: int) -> int:
    """The cycle from which the queue of a unit has room for instruction ``i``, which enters it."""
    number = book.queued[unit]
    at = number % steps.queue
    room = 0 if number < steps.queue else book.leaves[book.queue[unit, at]] + 1
    book.queue[unit, at] = i
    book.queued[unit] = number + 1
    return room


@inner
def _all_free(book: Book) -> int:
    room = 0
    for unit in range(COUNT):
        room = max(room, book.free[unit])
    return room


@inner
def _dispatched(fetch: Side, book: Book, room: int) -> int:
    """The cycle in which the sequencer takes the next instruction, from ``room`` on."""
    m = fetch.state[0]
    while True:
        now = book.clock[0]
        beat = read_cycle(fetch.port, fetch.mover, m, fetch.rings, now, now >= room)
        book.clock[0] = now + 1
        if beat > 0:
            here: int = now
            return here
        if now < room and at_rest(fetch.mover, m):
            book.clock[0] = room


@inner
def _flown(steps: Steps, loads: Loads, code: Code, book: Book, i: int, unit: int) -> int:
    """The cycle from which an instruction need not wait for loads under way."""
    if unit != steps.load:
        return 0
    if code.alone[i] == 1:
        alone: int = loads.clock[DONE] + 1
        return alone
    number = book.clock[2]
    if code.kinds[i] != MOVE or number < steps.flights:
        return 0
    room: int = book.landed[number % steps.flights] + 1
    return room


@inner
def _begin(steps: Steps, code: Code, book: Book, i: int, unit: int, ready: int, idle: int) -> int:
    """The cycle in which an instruction begins: its tokens are taken."""
    free = book.free[unit]
    begin, last, reason = max(ready, free), -1, steps.itself
    for other in range(COUNT):
        if code.waits[i] >> other & 1:
            pair = other * COUNT + unit
            number = book.taken[pair]
            if number >= book.given[pair]:
                return NEVER
            at = book.gives[pair, number % KEPT]
            if at > last:
                last, reason = at, other
            begin = max(begin, at + 1)
    begin = _given_room(steps, code, book, i, unit, begin)
    if begin >= NEVER:
        return NEVER
    for other in range(COUNT):
        if code.waits[i] >> other & 1:
            pair = other * COUNT + unit
            book.takes[pair, book.taken[pair] % KEPT] = begin
            book.taken[pair] += 1
    book.begins[i], book.reasons[i] = begin, reason
    if unit == steps.load:
        free = max(free, idle)
    book.waited[i] = max(0, min(begin - free, last + 1 - free))
    since: int = begin
    return since


@inner
def _given_room(steps: Steps, code: Code, book: Book, i: int, unit: int, begin: int) -> int:
    """The cycle from which all counters have room for the tokens that an instruction gives."""
    while True:
        before = begin
        for other in range(COUNT):
            if code.signals[i] >> other & 1:
                begin = max(begin, _room_for_token(steps, book, unit, unit * COUNT + other, begin))
        # While the instruction waited for one unit, loads may have given tokens to others.
        if begin in (before, NEVER) or unit != steps.load:
            room: int = begin
            return room


@inner
def _room_for_token(steps: Steps, book: Book, unit: int, pair: int, begin: int) -> int:
    """The cycle from which a counter of tokens has room for one more; tokens of loads under way are not in it yet."""
    before = book.given[pair] - (steps.load_tokens if unit == steps.load else steps.tokens)
    if unit == steps.load:
        for place in range(max(0, book.given[pair] - steps.flights), book.given[pair]):
            before -= book.gives[pair, place % KEPT] >= begin
    if before < 0:
        return 0
    if before >= book.taken[pair] or book.given[pair] - book.taken[pair] >= KEPT:
        return NEVER
    room: int = book.takes[pair, before % KEPT] + 1
    return room


@inner
def _execute(
    steps: Steps, loads: Loads, store: Side, code: Code, jobs: Jobs, book: Book, i: int, begin: int
) -> None:
    kind, job, unit = code.kinds[i], code.jobs[i], code.units[i]
    end, free = begin, -1
    if kind == WRITE:
        end = begin + steps.write
    elif kind == MOVE:
        taken = begin + steps.offer
        if unit == steps.load:
            free = _taken(loads, jobs, job, taken) + steps.asked + 1
            end = loads.clock[DONE]
            book.landed[book.clock[2] % steps.flights] = end
            book.clock[2] += 1
        else:
            end = taken + _moved(store, jobs, job, taken)
    elif kind == RUN:
        end = _run(steps, jobs, book, i, job, begin)
    _ended(code, book, i, unit, end)
    if free >= 0:
        book.free[unit], book.leaves[i] = free, free - 1
    if kind == MOVE and book.clock[1] >= 0:
        late = book.clock[1]
        if jobs.needs[code.jobs[late]] == i:
            book.clock[1] = -1
            _ended(
                code,
                book,
                late,
                code.units[late],
                _run(steps, jobs, book, late, code.jobs[late], book.begins[late]),
            )


@inner
def _run(steps: Steps, jobs: Jobs, book: Book, i: int, job: int, begin: int) -> int:
    """The end of a run; NEVER as long as the load that it waits for comes later in the program."""
    needs = jobs.needs[job]
    if needs < 0:
        alone: int = begin + jobs.spans[job]
        return alone
    if needs > i and book.ends[needs] < 0:
        book.clock[1] = i
        return NEVER
    if book.begins[needs] + steps.offer <= begin:
        planned: int = begin + jobs.spans[job]
        return planned
    if jobs.tails[job] < 0:
        return NEVER
    done = book.ends[needs] + steps.staged + jobs.tails[job] + steps.done - begin
    looks = max(0, -(-(done - steps.first_look) // steps.look))
    found: int = begin + steps.first_look + looks * steps.look + steps.answer
    return found


@inner
def _ended(code: Code, book: Book, i: int, unit: int, end: int) -> None:
    """Note the end of an instruction: its unit is free and its tokens are given."""
    book.ends[i] = book.leaves[i] = end
    book.free[unit] = NEVER if end >= NEVER else end + 1
    if end >= NEVER:
        return
    for other in range(COUNT):
        if code.signals[i] >> other & 1:
            pair = unit * COUNT + other
            book.gives[pair, book.given[pair] % KEPT] = end
            book.given[pair] += 1


@inner
def _taken(loads: Loads, jobs: Jobs, job: int, offered: int) -> int:
    """The cycle in which a load that is offered in a cycle is taken."""
    shape = jobs.shapes[job]
    return take(loads, offered, job, shape[0], shape[1], shape[2], shape[3], shape[4])


@inner
def _moved(side: Side, jobs: Jobs, job: int, cycle: int) -> int:
    """Cycles of a store that is taken in a cycle; they are simulated once for each phase of the memory."""
    shape, phases = jobs.shapes[job], jobs.times.shape[1]
    if phases > 0 and jobs.times[job, cycle % phases] > 0:
        known: int = jobs.times[job, cycle % phases]
        return known
    m = side.state[0]
    offer(m, shape[0], shape[1], shape[2], shape[3], shape[4])
    found = write(side.port, side.mover, m, side.rings, cycle, shape[5], shape[6])
    if phases > 0:
        jobs.times[job, cycle % phases] = found
    return found
