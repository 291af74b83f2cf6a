"""Movers in machine code: what ``simulator/systems/dma.py`` does in every cycle, register by register.

Only a mover by itself is modeled here: its stream is always open, or always closed. The model in Python has every
event; `tests/systems/test_passes.py` compares both for random transfers and memories.
"""

from __future__ import annotations

from typing import NamedTuple

from blueprint.timing import Ints
from simulator.engine.compiled import compiled, inner
from simulator.engine.machine import Table
from simulator.engine.memory_port import Port, moves, opened, wait

#: Steps of the generator of bursts.
REST, INDEXING, MULTIPLYING, OPENING, CUTTING = range(5)
#: Rings of what is in flight: bursts that were requested, words that arrived, requests and answers of the memory.
WORDS, FIRST, LAST, FINAL, UNITS, ENDS, WAITING, SINCE, ANSWERS = range(9)
RINGS = 9
#: Cycles after which a transfer is stuck.
STUCK = 1 << 40


class Mover(NamedTuple):
    """A mover: the parameters of ``blueprint.systems.dma.Dma`` in units and words."""

    word_bytes: int
    unit_bytes: int
    word_units: int
    beat_units: int
    burst_words: int
    page_words: int
    outstanding: int
    buffer_words: int
    index_width: int


class Moving:
    """A mover's registers, and its memory's; its table has one row."""

    # The transfer.
    address: int
    row_bytes: int
    rows: int
    stride: int
    gather: int
    #: 1 while it waits to be taken.
    offered: int
    # The generator of bursts: words of the row from the next burst on, where it begins and ends in its words.
    step: int
    steps_left: int
    offset: int
    word: int
    end: int
    begins: int
    first: int
    last: int
    #: Words of the request that stands at the port, 0 without one.
    request: int
    # Rings: heads and counts.
    asked: int
    asks: int
    came: int
    comes: int
    waiting: int
    waits: int
    answering: int
    answers: int
    # The packer and the rest.
    held: int
    ending: int
    place: int
    reserved: int
    accepted: int
    # Of a writer.
    full: int
    busy: int
    serving: int
    draining: int
    unanswered: int
    # The end of a store's stream, as `simulator.systems.machine` has it.
    opened: int
    total: int
    left: int
    row: int
    whole: int
    parts: int
    count: int
    beats: int


@inner
def offer(m: Moving, address: int, row_bytes: int, rows: int, stride: int, gather: int) -> None:
    """Offer a transfer to a mover at rest; ``address`` includes the index of a gathered transfer."""
    m.address, m.row_bytes, m.rows, m.stride, m.gather = address, row_bytes, rows, stride, gather
    m.offered, m.offset = 1, 0


# The generator of bursts ----------------------------------------------------------------------------------------------


@inner
def _burst_words(mover: Mover, m: Moving) -> int:
    """Words of the burst that is asked for next."""
    page = mover.page_words - m.word % mover.page_words
    return min(min(m.end - m.word, mover.burst_words), page)


@inner
def _open(mover: Mover, m: Moving) -> None:
    """Begin a row."""
    start = m.address + m.offset
    if m.gather == 0:
        m.offset += m.stride
    m.word = start // mover.word_bytes
    m.end = -(-(start + m.row_bytes) // mover.word_bytes)
    m.begins = 1
    m.first = start // mover.unit_bytes % mover.word_units
    m.last = ((start + m.row_bytes) // mover.unit_bytes - 1) % mover.word_units
    m.step = CUTTING


@inner
def _remember(mover: Mover, m: Moving, rings: Ints, words: int) -> None:
    """Remember a requested burst until its data have moved."""
    at = (m.asked + m.asks) % rings.shape[1]
    ends = m.word + words == m.end
    rings[WORDS, at] = words
    rings[FIRST, at] = m.first if m.begins == 1 else 0
    rings[LAST, at] = m.last if ends else mover.word_units - 1
    rings[FINAL, at] = 1 if ends and m.rows == 1 else 0
    m.asks += 1


@inner
def _generate(mover: Mover, m: Moving, takes: bool, asks: bool, accepted: bool) -> None:
    """The edge of the clock: a transfer is taken, a burst asked for, a request accepted."""
    if accepted:
        m.request = 0
    if takes:
        m.offered = 0
        m.step = INDEXING if m.gather == 1 else OPENING
    elif m.step == INDEXING:
        m.step, m.steps_left = MULTIPLYING, mover.index_width
    elif m.step == MULTIPLYING:
        m.steps_left -= 1
        if m.steps_left == 0:
            m.step = OPENING
    elif m.step == OPENING:
        _open(mover, m)
    elif asks:
        m.request = _burst_words(mover, m)
        m.word += m.request
        m.begins = 0
        if m.word == m.end:
            m.rows -= 1
            m.step = (INDEXING if m.gather == 1 else OPENING) if m.rows > 0 else REST


@inner
def _await(port: Port, m: Moving, rings: Ints, words: int, since: int) -> None:
    """Put an accepted request into the queue of the memory."""
    at = (m.waiting + m.waits) % rings.shape[1]
    rings[WAITING, at] = words
    rings[SINCE, at] = since
    m.waits += 1


@inner
def _served(m: Moving, rings: Ints) -> bool:
    """A word of the oldest request moved; returns whether it was the last."""
    rings[WAITING, m.waiting] -= 1
    if rings[WAITING, m.waiting] > 0:
        return False
    m.waiting = (m.waiting + 1) % rings.shape[1]
    m.waits -= 1
    return True


# Reader ---------------------------------------------------------------------------------------------------------------


@inner
def read_cycle(port: Port, mover: Mover, m: Moving, rings: Ints, cycle: int, takes: bool) -> int:
    """One cycle of a reader, whose stream ``takes``: 0, 1 for a beat, 2 for the last of a transfer."""
    accepted = m.request > 0 and opened(port, cycle) and m.waits < port.depth
    words = _burst_words(mover, m) if m.step == CUTTING else 0
    asks = words > 0 and m.asks < mover.outstanding and m.reserved + words <= mover.buffer_words
    asks = asks and (m.request == 0 or accepted)
    word = m.waits > 0 and rings[SINCE, m.waiting] <= cycle and moves(port, cycle)
    valid = m.ending == 1 or m.held >= mover.beat_units
    last = m.ending == 1 and m.held <= mover.beat_units
    beat = valid and takes
    rest = m.held
    if beat:
        rest = 0 if last else max(m.held - mover.beat_units, 0)
    enters = m.comes > 0 and rest < mover.beat_units and (m.ending == 0 or (beat and last))
    if beat and last:
        m.ending = 0
    m.held = rest
    if enters:
        m.held += rings[UNITS, m.came]
        m.ending = rings[ENDS, m.came]
        m.came = (m.came + 1) % rings.shape[1]
        m.comes -= 1
        m.reserved -= 1
    if word:
        _arrives(mover, m, rings)
    if asks:
        m.reserved += words
        _remember(mover, m, rings, words)
    request = m.request
    _generate(mover, m, m.offered == 1 and m.step == REST, asks, accepted)
    if word:
        _served(m, rings)
    if accepted:
        _await(port, m, rings, request, cycle + wait(port, m.accepted))
        m.accepted += 1
    return (2 if last else 1) if beat else 0


@inner
def _arrives(mover: Mover, m: Moving, rings: Ints) -> None:
    """Move a word from memory into the packer."""
    ends = m.place == rings[WORDS, m.asked] - 1
    first = rings[FIRST, m.asked] if m.place == 0 else 0
    last = rings[LAST, m.asked] if ends else mover.word_units - 1
    at = (m.came + m.comes) % rings.shape[1]
    rings[UNITS, at] = last - first + 1
    rings[ENDS, at] = 1 if ends and rings[FINAL, m.asked] == 1 else 0
    m.comes += 1
    m.place = 0 if ends else m.place + 1
    if ends:
        m.asked = (m.asked + 1) % rings.shape[1]
        m.asks -= 1


@inner
def at_rest(mover: Mover, m: Moving) -> bool:
    """True if nothing of a reader changes before its stream takes a beat."""
    if m.waits > 0 or m.request > 0 or m.offered == 1 or (m.held < mover.beat_units and m.ending == 0):
        return False
    if m.step == REST:
        return True
    full = m.asks >= mover.outstanding or m.reserved + _burst_words(mover, m) > mover.buffer_words
    return m.step == CUTTING and full


@inner
def read(port: Port, mover: Mover, m: Moving, rings: Ints, cycle: int) -> int:
    """Cycles from the one in which a reader takes its transfer to the one in which that is done; -1 if never."""
    now = cycle
    while read_cycle(port, mover, m, rings, now, True) < 2:
        now += 1
        if now - cycle > STUCK:
            return -1
    return now - cycle


# Writer ---------------------------------------------------------------------------------------------------------------


@inner
def write_cycle(port: Port, mover: Mover, m: Moving, rings: Ints, cycle: int) -> bool:
    """One cycle of a writer; returns whether its transfer is done."""
    accepted = m.request > 0 and opened(port, cycle) and m.waits + m.answers < port.depth
    words = _burst_words(mover, m) if m.step == CUTTING else 0
    asks = words > 0 and m.unanswered < mover.outstanding and (m.request == 0 or accepted)
    answer = m.answers > 0 and rings[ANSWERS, m.answering] <= cycle
    word = m.full == 1 and m.waits > 0 and moves(port, cycle)
    begins = m.offered == 1 and m.step == REST and m.busy == 0
    done = m.busy == 1 and m.serving == 0 and m.draining == 0 and m.unanswered == 0
    goes = _serves(mover, m, rings, m.full == 0 or word)
    m.full = 1 if goes > 0 or (m.full == 1 and not word) else 0
    m.unanswered += (1 if asks else 0) - (1 if answer else 0)
    m.busy = 1 if begins or (m.busy == 1 and not done) else 0
    m.serving = 1 if begins or (m.serving == 1 and goes < 2) else 0
    if asks:
        _remember(mover, m, rings, words)
    request = m.request
    _generate(mover, m, begins, asks, accepted)
    if answer:
        m.answering = (m.answering + 1) % rings.shape[1]
        m.answers -= 1
    if word and _served(m, rings):
        rings[ANSWERS, (m.answering + m.answers) % rings.shape[1]] = cycle + wait(port, m.accepted)
        m.answers += 1
        m.accepted += 1
    if accepted:
        _await(port, m, rings, request, 0)
    return done


@inner
def _serves(mover: Mover, m: Moving, rings: Ints, free: bool) -> int:
    """A word leaves the packer, where its register is ``free``, and a beat enters: 0, 1 for a word, 2 for the last."""
    count = 0
    if m.asks > 0:
        first = rings[FIRST, m.asked] if m.place == 0 else 0
        ends = m.place == rings[WORDS, m.asked] - 1
        count = (rings[LAST, m.asked] if ends else mover.word_units - 1) - first + 1
    goes = free and m.asks > 0 and (m.held >= count or m.ending == 1)
    final = goes and rings[FINAL, m.asked] == 1 and m.place == rings[WORDS, m.asked] - 1
    ending, leaves = m.ending, goes or m.draining == 1
    clears = final or m.draining == 1
    rest = m.held
    if leaves:
        rest = 0 if clears else max(m.held - (count if goes else 0), 0)
    accepts = rest < mover.word_units and (ending == 0 or (leaves and clears))
    enters = accepts and _offers(m)
    if leaves and clears:
        m.ending = 0
    m.held = rest
    if enters:
        m.held += mover.beat_units
        m.beats -= 1
        m.ending = 1 if m.beats == 0 else 0
    _drain(m, enters)
    m.draining = 1 if (final or m.draining == 1) and ending == 0 else 0
    if goes:
        _leaves(m, rings)
    return (2 if final else 1) if goes else 0


@inner
def _leaves(m: Moving, rings: Ints) -> None:
    """Move a word of the oldest burst to memory."""
    if m.place < rings[WORDS, m.asked] - 1:
        m.place += 1
        return
    m.place = 0
    m.asked = (m.asked + 1) % rings.shape[1]
    m.asks -= 1


@inner
def _known(m: Moving) -> bool:
    return m.opened == 1 and (m.left == 0 or m.total >= m.whole)


@inner
def _gathered(m: Moving) -> bool:
    needs = min(m.total, m.whole)
    return m.parts == 1 or (m.count > 0 and m.count * m.whole // m.parts >= needs)


@inner
def _offers(m: Moving) -> bool:
    """True if staging offers a beat of a store."""
    return m.beats > 0 and _known(m) and _gathered(m)


@inner
def _drain(m: Moving, taken: bool) -> None:
    """The edge of the end of a store's stream."""
    final = m.left == 0 and m.total <= m.whole
    if m.parts > 1 and _known(m) and (not _gathered(m) or (taken and not final)):
        m.count = 1 if taken else m.count + 1
    elif taken:
        m.count = 0
    if m.opened == 0:
        return
    more = 1 if m.left > 0 else 0
    m.total += (m.row if more == 1 else 0) - (m.whole if taken else 0)
    m.left -= more
    if taken and final:
        m.opened = 0


@inner
def write(port: Port, mover: Mover, m: Moving, rings: Ints, cycle: int, whole: int, parts: int) -> int:
    """As `read`, of a writer: units of a beat of its transfer, and beats of the field in one."""
    row, rows = m.row_bytes, m.rows
    now = cycle
    while not write_cycle(port, mover, m, rings, now):
        if now == cycle:
            m.row, m.whole, m.parts = row // mover.unit_bytes, whole, parts
            m.total, m.left, m.opened, m.count = m.row, rows - 1, 1, 0
            m.beats = -(-row * rows // mover.word_bytes)
        now += 1
        if now - cycle > STUCK:
            return -1
    return now - cycle


@compiled
def timed(port: Port, mover: Mover, state: Table[Moving], rings: Ints, cycle: int, shape: Ints) -> int:
    """Cycles of a transfer (address, bytes of a row, rows, stride, 1 if gathered, units of a beat, beats in one)."""
    m = state[0]
    offer(m, shape[0], shape[1], shape[2], shape[3], shape[4])
    if shape[5] > 0:
        return write(port, mover, m, rings, cycle, shape[5], shape[6])
    return read(port, mover, m, rings, cycle)
