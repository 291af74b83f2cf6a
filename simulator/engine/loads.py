"""A reader whose loads overlap: the next one is requested while data of those before are still to come.

The end of a load does not depend on later loads, so it is known as soon as the load is taken. The next load begins
from the *state* of mover and memory once all bursts of this one are requested. Equal states have equal numbers; what a
load of some shape does from a state, in a phase of the memory, is simulated once. For a memory that answers at random
only the last state is remembered.
"""

from __future__ import annotations

from typing import NamedTuple

from blueprint.timing import Ints
from simulator.engine.compiled import compiled, inner
from simulator.engine.machine import Table
from simulator.engine.memory_port import Port
from simulator.engine.movers import (
    ENDS,
    FINAL,
    FIRST,
    LAST,
    REST,
    SINCE,
    UNITS,
    WAITING,
    WORDS,
    Mover,
    Moving,
    offer,
    read_cycle,
)

#: Places in ``clock``: the cycle from which the next load can be taken, the one in which the last load is done, the
#: number of the state in the former cycle, the number of known states, and that of known followers.
FREE, DONE, STATE, STATES, FOLLOWERS = range(5)
CLOCKS = 5
#: Words of a state in front of its rings: its length, registers, and counts of the rings.
_HEAD = 11
#: Columns of a follower: state, shape (or cycles without a load, negative), phase; then cycles up to the next load, its
#: state, cycles to the end.
KEYS = 6


class Loads(NamedTuple):
    """A reader with its memory, and what is known of it. ``phases`` is 0 for a memory that answers at random."""

    port: Port
    mover: Mover
    phases: int
    state: Table[Moving]
    rings: Ints
    clock: Ints
    #: A state in each row, the one at rest first; their numbers, by a hash of the state.
    states: Ints
    numbers: Ints
    followers: Ints


def state_words(mover: Mover, port: Port) -> int:
    """Words of the largest state."""
    return _HEAD + 4 * mover.outstanding + 2 * mover.buffer_words + 2 * port.depth


@inner
def _clear(m: Moving) -> None:
    m.step, m.offered = REST, 0
    m.asked, m.came, m.waiting = 0, 0, 0


@inner
def _restore(loads: Loads, m: Moving, now: int) -> None:
    """Put mover and memory into the state that the next load finds, which is there in cycle ``now``."""
    _clear(m)
    number, states, rings = loads.clock[STATE], loads.states, loads.rings
    m.request, m.held, m.ending = states[number, 1], states[number, 2], states[number, 3]
    m.place, m.reserved, m.accepted = states[number, 4], states[number, 5], states[number, 6]
    m.asks, m.comes, m.waits = states[number, 8], states[number, 9], states[number, 10]
    at = _HEAD
    for i in range(m.asks):
        rings[WORDS, i], rings[FIRST, i] = states[number, at], states[number, at + 1]
        rings[LAST, i], rings[FINAL, i] = states[number, at + 2], states[number, at + 3]
        at += 4
    for i in range(m.comes):
        rings[UNITS, i], rings[ENDS, i] = states[number, at], states[number, at + 1]
        at += 2
    for i in range(m.waits):
        rings[WAITING, i], rings[SINCE, i] = states[number, at], states[number, at + 1] + now
        at += 2


@inner
def _capture(loads: Loads, m: Moving, now: int, flights: int) -> int:
    """The number of the state in cycle ``now``, with ``flights`` loads to be done; -1 if all others are forgotten."""
    states, rings, size = loads.states, loads.rings, loads.rings.shape[1]
    row = loads.clock[STATES] if loads.phases > 0 else 1
    forgets = row == len(states)
    if forgets:
        _forget(loads)
        row = 1
    states[row, 1], states[row, 2], states[row, 3] = m.request, m.held, m.ending
    states[row, 4], states[row, 5] = m.place, m.reserved
    states[row, 6] = 0 if loads.phases > 0 else m.accepted
    states[row, 7], states[row, 8], states[row, 9], states[row, 10] = flights, m.asks, m.comes, m.waits
    at = _HEAD
    for i in range(m.asks):
        place = (m.asked + i) % size
        states[row, at], states[row, at + 1] = rings[WORDS, place], rings[FIRST, place]
        states[row, at + 2], states[row, at + 3] = rings[LAST, place], rings[FINAL, place]
        at += 4
    for i in range(m.comes):
        place = (m.came + i) % size
        states[row, at], states[row, at + 1] = rings[UNITS, place], rings[ENDS, place]
        at += 2
    for i in range(m.waits):
        place = (m.waiting + i) % size
        states[row, at], states[row, at + 1] = rings[WAITING, place], max(0, rings[SINCE, place] - now)
        at += 2
    states[row, 0] = at
    loads.clock[STATE] = _number(loads, row, at) if loads.phases > 0 else row
    return -1 if forgets else loads.clock[STATE]


@inner
def _number(loads: Loads, row: int, length: int) -> int:
    """The number of the state in a row: that of an equal one, or the row's own."""
    states, numbers = loads.states, loads.numbers
    value = 0
    for i in range(length):
        value = (value * 1000003 + states[row, i]) & 0xFFFFFFFFFF
    at = value % len(numbers)
    while numbers[at] > 0:
        other = numbers[at]
        same = states[other, 0] == length
        if same:
            for i in range(1, length):
                if states[other, i] != states[row, i]:
                    same = False
                    break
        if same:
            known: int = other
            return known
        at = (at + 1) % len(numbers)
    numbers[at] = row
    loads.clock[STATES] = row + 1
    return row


@inner
def _forget(loads: Loads) -> None:
    """Forget all states but that at rest, and what follows them."""
    loads.clock[STATES], loads.clock[FOLLOWERS] = 1, 0
    for i in range(len(loads.numbers)):
        loads.numbers[i] = 0
    for i in range(len(loads.followers)):
        loads.followers[i, 0] = -1


@inner
def _place(loads: Loads, state: int, shape: int, phase: int) -> int:
    """The row of ``followers`` for a load from a state, whether it is filled or not."""
    followers = loads.followers
    at = ((state * 1000003 + shape) * 1000003 + phase * 7919) % len(followers)
    while followers[at, 0] >= 0:
        if followers[at, 0] == state and followers[at, 1] == shape and followers[at, 2] == phase:
            return at
        at = (at + 1) % len(followers)
    return at


@inner
def _learn(loads: Loads, state: int, shape: int, phase: int, free: int, done: int) -> None:
    """Remember what followed a state."""
    followers = loads.followers
    if 2 * loads.clock[FOLLOWERS] > len(followers):
        return
    at = _place(loads, state, shape, phase)
    followers[at, 0], followers[at, 1], followers[at, 2] = state, shape, phase
    followers[at, 3], followers[at, 4], followers[at, 5] = free, loads.clock[STATE], done
    loads.clock[FOLLOWERS] += 1


@inner
def _wait(loads: Loads, m: Moving, cycle: int) -> None:
    """Advance the reader to a cycle without a load."""
    clock, phases = loads.clock, loads.phases
    free, before = clock[FREE], clock[STATE]
    clock[FREE] = cycle
    if phases > 0:
        at = _place(loads, before, free - cycle, free % phases)
        if loads.followers[at, 0] >= 0:
            clock[STATE] = loads.followers[at, 4]
            return
    flights = loads.states[before, 7]
    _restore(loads, m, free)
    for now in range(free, cycle):
        if read_cycle(loads.port, loads.mover, m, loads.rings, now, True) == 2:
            flights -= 1
    if _capture(loads, m, cycle, flights) >= 0 and phases > 0:
        _learn(loads, before, free - cycle, free % phases, 0, 0)


@inner
def take(
    loads: Loads, offered: int, number: int, address: int, row_bytes: int, rows: int, stride: int, gather: int
) -> int:
    """The cycle in which a load is taken; it is offered in a cycle, and its shape has a number.

    Loads are offered in their order, each behind the cycle in which the one before was taken.
    """
    clock, phases, m = loads.clock, loads.phases, loads.state[0]
    if offered > clock[DONE]:
        if phases == 0 and clock[STATE] > 0:
            loads.states[0, 6] = m.accepted
        clock[STATE], clock[FREE] = 0, offered
    taken: int = max(offered, clock[FREE])
    if taken > clock[FREE]:
        _wait(loads, m, taken)
    before = clock[STATE]
    if phases > 0:
        at = _place(loads, before, number, taken % phases)
        if loads.followers[at, 0] >= 0:
            clock[FREE] = taken + loads.followers[at, 3]
            clock[STATE] = loads.followers[at, 4]
            clock[DONE] = taken + loads.followers[at, 5]
            return taken
    flights = loads.states[before, 7] + 1
    _restore(loads, m, taken)
    offer(m, address, row_bytes, rows, stride, gather)
    now, free, learns = taken, -1, False
    while flights > 0:
        if read_cycle(loads.port, loads.mover, m, loads.rings, now, True) == 2:
            flights -= 1
        now += 1
        if free < 0 and m.offered == 0 and m.step == REST:
            free = now
            learns = _capture(loads, m, now, flights) >= 0 and phases > 0
    clock[FREE], clock[DONE] = free, now - 1
    if learns:
        _learn(loads, before, number, taken % phases, free - taken, now - 1 - taken)
    return taken


@compiled
def take_load(loads: Loads, offered: int, number: int, shape: Ints) -> int:
    """As `take`, of a shape: address, bytes of a row, rows, stride, 1 if gathered."""
    return take(loads, offered, number, shape[0], shape[1], shape[2], shape[3], shape[4])
