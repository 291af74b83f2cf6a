"""One cycle of a run: which nodes can fire, and what that changes.

All functions are compiled. Time is synchronous: the state after cycle ``NOW`` holds every firing up to it, so a node's
next firing depends on token times that are known.
"""

from __future__ import annotations

from simulator.engine.compiled import compiled
from simulator.engine.machine import (
    ACCESS_END,
    ACCESS_START,
    ACQUIRES,
    AGAIN,
    ANY,
    ANY_STARTS,
    BUSY_START,
    CAPACITY,
    CHANNEL,
    CHARGED,
    CLAIMED,
    CODES,
    COUNT,
    COUNTS_START,
    DEPENDENCY,
    EVENTS,
    FILLED,
    FINAL,
    FIRED,
    FIRINGS,
    FLAG,
    FLAGGED,
    FORWARD,
    FREE_LAST,
    FREE_SINCE,
    FREED,
    INDEX,
    INTERVAL,
    ISSUE,
    KIND,
    LAST,
    LATENCY,
    LEVELS,
    LIMIT,
    MASK_LENGTH,
    MASK_START,
    NEVER,
    NOW,
    ORDER,
    PRODUCER,
    PRODUCES,
    QUEUE,
    RANK,
    REASON,
    RECORD_START,
    RELEASES,
    RESPONSE,
    RING_LENGTH,
    RING_START,
    RUN,
    SINK,
    SOURCE,
    STALLS,
    START,
    STREAM_REASON,
    TAKEN,
    UNEVEN,
    VALID,
    Machine,
)


@compiled
def next_open(m: Machine, n: int, cycle: int) -> int:
    """First cycle from ``cycle`` on in which the mask of node ``n`` is open."""
    length = m.nodes[n, MASK_LENGTH]
    if length == 0 or cycle >= NEVER:
        return cycle
    wait = m.memory[m.nodes[n, MASK_START] + cycle % length]
    return NEVER if wait >= NEVER else cycle + wait


@compiled
def next_closed(m: Machine, n: int, cycle: int) -> int:
    length = m.nodes[n, MASK_LENGTH]
    if length == 0:
        return NEVER
    result: int = cycle + m.memory[m.nodes[n, MASK_START] + length + cycle % length]
    return result


@compiled
def _offered(m: Machine, n: int) -> int:
    """Cycle from which the world offers node ``n`` its next beat; 0 for what is no source."""
    if m.nodes[n, KIND] != SOURCE:
        return 0
    return next_open(m, n, m.nodes[n, LAST] + 1 if m.nodes[n, FIRED] > 0 else 0)


@compiled
def ready(m: Machine, n: int) -> int:
    """Cycle from which neither its interval nor, for a source, its mask keeps node ``n`` from firing."""
    result: int = max(m.nodes[n, LAST] + m.nodes[n, INTERVAL], _offered(m, n))
    return result


@compiled
def condition(m: Machine, a: int) -> int:
    """Cycle from which the token (or slot) that access ``a`` acquires next is there; NEVER while unknown."""
    c = m.accesses[a, CHANNEL]
    if m.accesses[a, PRODUCES] == 1:
        if m.channels[c, TAKEN] - m.channels[c, FREED] >= m.channels[c, CAPACITY]:
            return NEVER
        result: int = m.channels[c, FREE_SINCE]
        return result
    token = m.channels[c, CLAIMED]
    if m.channels[c, FILLED] == token:
        return NEVER
    result = m.memory[m.channels[c, RING_START] + token % m.channels[c, RING_LENGTH]] + m.channels[c, LATENCY]
    return result


@compiled
def _candidate(m: Machine, n: int) -> int:
    """Cycle of the next firing of node ``n``; NEVER while that is unknown or there is none."""
    if m.nodes[n, FIRED] == m.nodes[n, FIRINGS]:
        return NEVER
    cycle = ready(m, n)
    start = m.nodes[n, ACCESS_START]
    for a in range(start, m.nodes[n, ACCESS_END]):
        if (m.nodes[n, ACQUIRES] >> (a - start)) & 1:
            cycle = max(cycle, condition(m, a))
    if m.nodes[n, KIND] == SINK:  # a skip leaves times of what is long there as they were: look from now on
        return next_open(m, n, max(cycle, m.scalars[NOW]))
    return cycle


@compiled
def charge(m: Machine, until: int) -> None:
    """Charge the idle cycles of the issue node up to and including ``until`` to their reasons."""
    n = m.scalars[ISSUE]
    begin = m.scalars[CHARGED] + 1
    if m.scalars[START] < 0 or begin > until or m.nodes[n, FIRED] == m.nodes[n, FIRINGS]:
        return
    m.scalars[CHARGED] = until
    start = m.nodes[n, ACCESS_START]
    for reason in range(4):
        satisfied = 0
        if reason == DEPENDENCY:
            satisfied = m.nodes[n, LAST] + m.nodes[n, INTERVAL]
        if m.nodes[n, STREAM_REASON] == reason:
            satisfied = max(satisfied, _offered(m, n))
        for a in range(start, m.nodes[n, ACCESS_END]):
            if (m.nodes[n, ACQUIRES] >> (a - start)) & 1 and m.accesses[a, REASON] == reason:
                satisfied = max(satisfied, condition(m, a))
        if satisfied > begin:
            end = min(satisfied, until + 1)
            m.scalars[STALLS + reason] += end - begin
            begin = end
    # Nothing is missing but an open cycle of a sink's mask.
    m.scalars[STALLS + m.nodes[n, STREAM_REASON]] += until + 1 - begin


@compiled
def _admits(m: Machine, n: int, level: int, code: int) -> bool:
    at = m.nests[n, level, INDEX]
    return code in (ANY, at) or (code == FINAL and at == m.nests[n, level, COUNT] - 1)


@compiled
def place(m: Machine, n: int) -> None:
    """Note which accesses node ``n`` acquires and releases in its next firing."""
    acquires = 0
    releases = 0
    start = m.nodes[n, ACCESS_START]
    for a in range(start, m.nodes[n, ACCESS_END]):
        acquired = True
        released = True
        for level in range(m.nodes[n, LEVELS]):
            acquired &= _admits(m, n, level, m.accesses[a, CODES + 2 * level])
            released &= _admits(m, n, level, m.accesses[a, CODES + 2 * level + 1])
        acquires |= int(acquired) << (a - start)
        releases |= int(released) << (a - start)
    m.nodes[n, ACQUIRES] = acquires
    m.nodes[n, RELEASES] = releases


@compiled
def _step(m: Machine, n: int) -> None:
    """Move node ``n`` to its next iteration and flag the detector of the loop that went on."""
    level = m.nodes[n, LEVELS] - 1
    deepest = m.nests.shape[1]
    while level >= 0:
        m.nests[n, level, INDEX] += 1
        if m.nests[n, level, INDEX] < m.nests[n, level, COUNT]:
            break
        m.nests[n, level, INDEX] = 0
        if m.nests[n, level, COUNTS_START] >= 0:
            m.nests[n, level, RUN] += 1
            m.nests[n, level, COUNT] = m.memory[m.nests[n, level, COUNTS_START] + m.nests[n, level, RUN]]
        m.detectors[n * deepest + level, VALID] = 0
        m.detectors[n * deepest + level, EVENTS] = 0
        m.detectors[n * deepest + level, LIMIT] = 1
        level -= 1
    if level >= 0:
        place(m, n)
        detector = n * deepest + level
        if m.scalars[FORWARD] == 1 and m.detectors[detector, FLAG] == 0:
            m.detectors[detector, FLAG] = 1
            m.detectors[m.scalars[FLAGGED], QUEUE] = detector
            m.scalars[FLAGGED] += 1


@compiled
def _next_slot(m: Machine, c: int) -> None:
    """Note from when on the slot is seen empty that the producer of channel ``c`` takes next.

    All but the one freed last are so before their consumer fires again; that one may still have to wait for the end
    of a long firing.
    """
    if m.channels[c, TAKEN] - m.channels[c, FREED] == m.channels[c, CAPACITY] - 1:
        m.channels[c, FREE_SINCE] = m.channels[c, FREE_LAST]


@compiled
def _fire(m: Machine, n: int) -> None:
    """Let node ``n`` fire in the current cycle."""
    now = m.scalars[NOW]
    if m.scalars[START] < 0 and (
        m.scalars[ANY_STARTS] == 1 or m.nodes[n, KIND] == SOURCE or n == m.scalars[ISSUE]
    ):
        m.scalars[START] = now
        m.scalars[CHARGED] = now - 1
    if n == m.scalars[ISSUE]:
        charge(m, now - 1)
        m.scalars[CHARGED] = now
    released = now
    if m.nodes[n, BUSY_START] >= 0:
        m.nodes[n, INTERVAL] = m.memory[m.nodes[n, BUSY_START] + m.nodes[n, FIRED]]
        released = now + m.nodes[n, INTERVAL] - 1
    start = m.nodes[n, ACCESS_START]
    for a in range(start, m.nodes[n, ACCESS_END]):
        c = m.accesses[a, CHANNEL]
        if (m.nodes[n, ACQUIRES] >> (a - start)) & 1:
            if m.accesses[a, PRODUCES] == 0:
                m.channels[c, CLAIMED] += 1
                continue
            m.channels[c, TAKEN] += 1
            if m.scalars[UNEVEN] == 1:
                _next_slot(m, c)
    for a in range(start, m.nodes[n, ACCESS_END]):
        if (m.nodes[n, RELEASES] >> (a - start)) & 1:
            c = m.accesses[a, CHANNEL]
            if m.accesses[a, PRODUCES] == 1:
                m.memory[m.channels[c, RING_START] + m.channels[c, FILLED] % m.channels[c, RING_LENGTH]] = (
                    released
                )
                m.channels[c, FILLED] += 1
                continue
            m.channels[c, FREE_LAST] = released + m.channels[c, RESPONSE]
            if m.channels[c, TAKEN] - m.channels[c, FREED] == m.channels[c, CAPACITY]:
                m.channels[c, FREE_SINCE] = m.channels[c, FREE_LAST]
                if m.channels[c, RESPONSE] == 0 and m.nodes[m.channels[c, PRODUCER], RANK] < m.nodes[n, RANK]:
                    m.scalars[AGAIN] = 1
            m.channels[c, FREED] += 1
    if m.nodes[n, RECORD_START] >= 0:
        m.memory[m.nodes[n, RECORD_START] + m.nodes[n, FIRED]] = now
    m.nodes[n, FIRED] += 1
    m.nodes[n, LAST] = now
    _step(m, n)


@compiled
def cycle(m: Machine) -> int:
    """Fire what can fire in the current cycle; return the next cycle to look at, NEVER if nothing will ever fire."""
    now = m.scalars[NOW]
    later = NEVER
    m.scalars[AGAIN] = 1
    while m.scalars[AGAIN] == 1:
        m.scalars[AGAIN] = 0
        for rank in range(m.nodes.shape[0]):
            n = m.nodes[rank, ORDER]
            if m.nodes[n, FIRED] > 0 and m.nodes[n, LAST] == now:
                continue
            candidate = _candidate(m, n)
            if candidate <= now:
                _fire(m, n)
                later = now + 1
            elif candidate < later:
                later = candidate
    return later
