"""The run itself: cycle by cycle, with repetition skipped exactly.

The future depends on the past only through: the place of each node in its nest, the cycles left of its interval, the
phase of its mask, the free slots and waiting tokens of each channel, and the arrival times of tokens still in flight.
Where these repeat (relative to ``NOW``) after ``T`` cycles, the future repeats too, as long as no node reaches a
firing that acquires or releases differently (``_nest_limit``). Counts that differ do not matter while they are ample:
a FIFO that fills up behaves like one that does not until it is full. A node that did not fire in the period bounds the
skip by the cycle in which it can (``_idle_limit``). Hence a skip is exact; no tolerance is involved.
"""

from __future__ import annotations

from simulator.engine.compiled import compiled
from simulator.engine.eventloop import charge, condition, cycle, next_closed, next_open, place, ready
from simulator.engine.machine import (
    ACCESS_END,
    ACCESS_START,
    ACQUIRES,
    BUSY_START,
    CAPACITY,
    CHANNEL,
    CHARGED,
    CLAIMED,
    COUNT,
    COUNTS_START,
    DEADLOCK,
    DONE,
    EDGE_FIRST,
    EDGE_LAST,
    EDGES,
    EVENTS,
    FILLED,
    FIRED,
    FIRINGS,
    FLAG,
    FLAGGED,
    FLIGHT_START,
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
    NEVER,
    NOW,
    PAUSED,
    PRODUCES,
    QUEUE,
    RECORD_START,
    RING_LENGTH,
    RING_START,
    RUN,
    SINCE,
    SINK,
    SKIPPED,
    SNAP_CLAIMED,
    SNAP_FILLED,
    SNAP_FIRED,
    SNAP_FLIGHTS,
    SNAP_FREE,
    SNAP_FREED,
    SNAP_INDEX,
    SNAP_READY,
    SNAP_RESTED,
    SNAP_STALLS,
    SNAP_TAKEN,
    STALLS,
    START,
    TAKEN,
    UNEVEN,
    VALID,
    Machine,
)


@compiled
def _flights(m: Machine, c: int) -> int:
    """Tokens of channel ``c`` that wait to be acquired but cannot be in the next cycle: the last ones released."""
    base, length = m.channels[c, RING_START], m.channels[c, RING_LENGTH]
    horizon = m.scalars[NOW] + 1 - m.channels[c, LATENCY]
    token = m.channels[c, FILLED]
    while token > m.channels[c, CLAIMED] and m.memory[base + (token - 1) % length] > horizon:
        token -= 1
    result: int = m.channels[c, FILLED] - token
    return result


@compiled
def _rested(m: Machine, n: int) -> int:
    """Cycle from which node ``n`` is not busy: until then it stalls by another reason than a beat that comes late."""
    result: int = m.nodes[n, LAST] + m.nodes[n, INTERVAL]
    return result


@compiled
def _snapshot(m: Machine, d: int) -> None:
    """Keep the state, relative to the current cycle, as what detector ``d`` compares with."""
    now = m.scalars[NOW]
    m.detectors[d, SINCE] = now
    for reason in range(4):
        m.detectors[d, SNAP_STALLS + reason] = m.scalars[STALLS + reason]
    for n in range(m.nodes.shape[0]):
        m.snap_nodes[d, n, SNAP_FIRED] = m.nodes[n, FIRED]
        m.snap_nodes[d, n, SNAP_READY] = max(ready(m, n) - now, 1)
        for level in range(m.nodes[n, LEVELS]):
            m.snap_nodes[d, n, SNAP_INDEX + level] = m.nests[n, level, INDEX]
    for c in range(m.channels.shape[0]):
        for column in range(4):
            m.snap_channels[d, c, column] = m.channels[c, TAKEN + column]
        flights = _flights(m, c)
        m.snap_channels[d, c, SNAP_FLIGHTS] = flights
        for i in range(flights):
            m.snap_flights[d, m.channels[c, FLIGHT_START] + i] = now - _released(m, c, i)
    if m.scalars[UNEVEN] == 1:
        _snapshot_uneven(m, d)


@compiled
def _snapshot_uneven(m: Machine, d: int) -> None:
    """What else there is to compare where firings take long or loops are ragged."""
    now = m.scalars[NOW]
    for n in range(m.nodes.shape[0]):
        m.snap_nodes[d, n, SNAP_RESTED] = max(_rested(m, n) - now, 1)
        for level in range(m.nodes[n, LEVELS]):
            m.snap_nodes[d, n, SNAP_INDEX + m.nests.shape[1] + level] = m.nests[n, level, RUN]
    for c in range(m.channels.shape[0]):
        m.snap_channels[d, c, SNAP_FREE] = max(m.channels[c, FREE_LAST] - now, 1)


@compiled
def _released(m: Machine, c: int, back: int) -> int:
    """Cycle in which the last but ``back`` token of channel ``c`` was released."""
    token = m.channels[c, FILLED] - 1 - back
    result: int = m.memory[m.channels[c, RING_START] + token % m.channels[c, RING_LENGTH]]
    return result


@compiled
def _idle_limit(m: Machine, d: int, n: int, period: int) -> int:
    """Periods for which node ``n``, which did not fire in the last one, surely stays idle."""
    if m.nodes[n, FIRED] == m.nodes[n, FIRINGS]:
        return NEVER
    until = ready(m, n)
    start = m.nodes[n, ACCESS_START]
    for a in range(start, m.nodes[n, ACCESS_END]):
        if (m.nodes[n, ACQUIRES] >> (a - start)) & 1:
            c = m.accesses[a, CHANNEL]
            known = condition(m, a)
            if known < NEVER:
                until = max(until, known)
                continue
            other = FREED if m.accesses[a, PRODUCES] == 1 else FILLED
            if m.channels[c, other] == m.snap_channels[d, c, other - TAKEN]:
                return NEVER
    if m.nodes[n, KIND] == SINK:
        until = next_open(m, n, max(until, m.scalars[NOW] + 1))
    return NEVER if until >= NEVER else (until - 1 - m.scalars[NOW]) // period


@compiled
def _alike(m: Machine, start: int, period: int, most: int) -> int:
    """Numbers from ``start`` on in memory, up to ``most``, that stand there again ``period`` places on."""
    count = 0
    while count < most and m.memory[start + count] == m.memory[start + count + period]:
        count += 1
    return count


@compiled
def _nest_limit(m: Machine, d: int, n: int) -> int:
    """Periods that node ``n`` can go on before an iteration that acquires or releases differently; 0: not periodic."""
    for level in range(m.nodes[n, LEVELS]):
        before = m.snap_nodes[d, n, SNAP_INDEX + level]
        step = m.nests[n, level, INDEX] - before
        if step == 0:
            continue
        for deeper in range(level + 1, m.nodes[n, LEVELS]):
            if m.nests[n, deeper, INDEX] != m.snap_nodes[d, n, SNAP_INDEX + deeper]:
                return 0
        if m.nests[n, level, EDGES] & EDGE_FIRST and before == 0:
            return 0
        last = m.nests[n, level, COUNT] - (2 if m.nests[n, level, EDGES] & EDGE_LAST else 1)
        limit: int = max(last - m.nests[n, level, INDEX], 0) // step
        return limit if m.scalars[UNEVEN] == 0 else _ragged_limit(m, d, n, level, limit)
    return 0


@compiled
def _ragged_limit(m: Machine, d: int, n: int, level: int, limit: int) -> int:
    """Periods up to ``limit`` for which the loops of node ``n`` inside ``level`` run as often as in the last one."""
    for deeper in range(level + 1, m.nodes[n, LEVELS]):
        if m.nests[n, deeper, COUNTS_START] >= 0 and limit > 0:
            before = m.snap_nodes[d, n, SNAP_INDEX + m.nests.shape[1] + deeper]
            runs = m.nests[n, deeper, RUN] - before
            # The run that goes on after the last period is one of them.
            alike = _alike(m, m.nests[n, deeper, COUNTS_START] + before, runs, limit * runs + 1)
            limit = max(alike - 1, 0) // runs
    return limit


@compiled
def _mask_limit(m: Machine, n: int, since: int, period: int) -> int:
    """Periods for which the mask of node ``n`` repeats: for ever in phase, else until it closes."""
    length = m.nodes[n, MASK_LENGTH]
    if length == 0 or period % length == 0:
        return NEVER
    result: int = max(next_closed(m, n, since + 1) - 1 - m.scalars[NOW], 0) // period
    return result


@compiled
def _slot_limit(m: Machine, d: int, c: int) -> int:
    """Periods for which the producer of channel ``c`` finds slots as in the last one."""
    taken = m.channels[c, TAKEN] - m.snap_channels[d, c, SNAP_TAKEN]
    if taken == 0:
        return NEVER
    before = m.channels[c, CAPACITY] - m.snap_channels[d, c, SNAP_TAKEN] + m.snap_channels[d, c, SNAP_FREED]
    free = m.channels[c, CAPACITY] - m.channels[c, TAKEN] + m.channels[c, FREED]
    if free == before:
        return NEVER
    return (free - 1) // taken if before > taken else 0


@compiled
def _token_limit(m: Machine, d: int, c: int) -> int:
    """Periods for which the consumer of channel ``c`` finds tokens as in the last one."""
    claimed = m.channels[c, CLAIMED] - m.snap_channels[d, c, SNAP_CLAIMED]
    if claimed == 0:
        return NEVER
    waiting_before = m.snap_channels[d, c, SNAP_FILLED] - m.snap_channels[d, c, SNAP_CLAIMED]
    waiting = m.channels[c, FILLED] - m.channels[c, CLAIMED]
    flights = _flights(m, c)
    flights_before = m.snap_channels[d, c, SNAP_FLIGHTS]
    if waiting == waiting_before and flights == flights_before:
        same = True
        for i in range(flights):
            age = m.scalars[NOW] - _released(m, c, i)
            same &= age == m.snap_flights[d, m.channels[c, FLIGHT_START] + i]
        if same:
            return NEVER
    return (waiting - flights - 1) // claimed if waiting_before - flights_before > claimed else 0


@compiled
def _as_ready(m: Machine, d: int, n: int) -> bool:
    """Whether node ``n`` is as far from its next firing as when detector ``d`` looked."""
    now = m.scalars[NOW]
    if max(ready(m, n) - now, 1) != m.snap_nodes[d, n, SNAP_READY]:
        return False
    if m.scalars[UNEVEN] == 0:
        return True
    same: bool = max(_rested(m, n) - now, 1) == m.snap_nodes[d, n, SNAP_RESTED]
    return same


@compiled
def _repeats(m: Machine, d: int) -> int:
    """Periods since the snapshot of detector ``d`` that surely follow once more; 0 if the state is not periodic."""
    since = m.detectors[d, SINCE]
    period = m.scalars[NOW] - since
    limit = NEVER
    for n in range(m.nodes.shape[0]):  # first what is quickly refuted
        if m.nodes[n, MASK_LENGTH] > 0 and m.nodes[n, FIRED] > m.snap_nodes[d, n, SNAP_FIRED]:
            limit = min(limit, _mask_limit(m, n, since, period))
            if limit <= 0:
                return 0
    for n in range(m.nodes.shape[0]):
        if m.nodes[n, FIRED] == m.snap_nodes[d, n, SNAP_FIRED]:
            limit = min(limit, _idle_limit(m, d, n, period))
        elif not _as_ready(m, d, n):
            return 0
        else:
            limit = min(limit, _nest_limit(m, d, n))
        if limit <= 0:
            return 0
    for c in range(m.channels.shape[0]):
        limit = min(limit, _slot_limit(m, d, c))
        if limit > 0:
            limit = min(limit, _token_limit(m, d, c))
        if limit <= 0:
            return 0
    return limit if m.scalars[UNEVEN] == 0 else _uneven_limit(m, d, limit)


@compiled
def _uneven_limit(m: Machine, d: int, limit: int) -> int:
    """Periods up to ``limit`` in which firings take as long as in the last one."""
    for c in range(m.channels.shape[0]):
        if max(m.channels[c, FREE_LAST] - m.scalars[NOW], 1) != m.snap_channels[d, c, SNAP_FREE]:
            return 0
    for n in range(m.nodes.shape[0]):
        fired = m.nodes[n, FIRED] - m.snap_nodes[d, n, SNAP_FIRED]
        if m.nodes[n, BUSY_START] >= 0 and fired > 0:
            first = m.nodes[n, BUSY_START] + m.snap_nodes[d, n, SNAP_FIRED]
            limit = _alike(m, first, fired, limit * fired) // fired
    return limit


@compiled
def _skip_node(m: Machine, d: int, n: int, times: int, period: int) -> None:
    fired = m.nodes[n, FIRED] - m.snap_nodes[d, n, SNAP_FIRED]
    if fired == 0:
        return
    start = m.nodes[n, RECORD_START]
    if start >= 0:
        first = start + m.nodes[n, FIRED]
        for i in range(first, first + times * fired):
            m.memory[i] = m.memory[i - fired] + period
    for level in range(m.nodes[n, LEVELS]):
        m.nests[n, level, INDEX] += times * (
            m.nests[n, level, INDEX] - m.snap_nodes[d, n, SNAP_INDEX + level]
        )
    m.nodes[n, FIRED] += times * fired
    m.nodes[n, LAST] += times * period


@compiled
def _skip_channel(m: Machine, d: int, c: int, times: int, period: int) -> None:
    filled = m.channels[c, FILLED]
    per_period = filled - m.snap_channels[d, c, SNAP_FILLED]
    total = times * per_period
    base, length = m.channels[c, RING_START], m.channels[c, RING_LENGTH]
    # Older tokens are long available; what an older token left in their ring slots says the same.
    first = max(total - min(length, m.channels[c, LATENCY]), 0)
    at = m.channels[c, FLIGHT_START]
    for ahead in range(first, total):  # in two steps, as the ring overwrites what it repeats
        like = filled - per_period + ahead % per_period
        shift = period * (ahead // per_period + 1)
        m.snap_flights[d, at + ahead - first] = m.memory[base + like % length] + shift
    for ahead in range(first, total):
        m.memory[base + (filled + ahead) % length] = m.snap_flights[d, at + ahead - first]
    for column in range(4):
        moved = m.channels[c, TAKEN + column] - m.snap_channels[d, c, column]
        m.channels[c, TAKEN + column] += times * moved


@compiled
def _skip_uneven(m: Machine, d: int, times: int, period: int) -> None:
    """Before the rest: runs of ragged loops, and slots that get free when a long firing ends."""
    for n in range(m.nodes.shape[0]):
        for level in range(m.nodes[n, LEVELS]):
            if m.nests[n, level, COUNTS_START] >= 0:
                runs = m.nests[n, level, RUN] - m.snap_nodes[d, n, SNAP_INDEX + m.nests.shape[1] + level]
                m.nests[n, level, RUN] += times * runs
    for c in range(m.channels.shape[0]):
        if m.channels[c, TAKEN] > m.snap_channels[d, c, SNAP_TAKEN]:
            m.channels[c, FREE_SINCE] += times * period
        if m.channels[c, FREED] > m.snap_channels[d, c, SNAP_FREED]:
            m.channels[c, FREE_LAST] += times * period


@compiled
def _skip(m: Machine, d: int, times: int) -> None:
    """Repeat what happened since the snapshot of detector ``d`` ``times`` more times."""
    period = m.scalars[NOW] - m.detectors[d, SINCE]
    if m.nodes[m.scalars[ISSUE], FIRED] > m.snap_nodes[d, m.scalars[ISSUE], SNAP_FIRED]:
        for reason in range(4):
            m.scalars[STALLS + reason] += times * (
                m.scalars[STALLS + reason] - m.detectors[d, SNAP_STALLS + reason]
            )
        m.scalars[CHARGED] += times * period
    if m.scalars[UNEVEN] == 1:
        _skip_uneven(m, d, times, period)
    for n in range(m.nodes.shape[0]):
        _skip_node(m, d, n, times, period)
    for c in range(m.channels.shape[0]):
        _skip_channel(m, d, c, times, period)
    m.scalars[NOW] += times * period
    m.scalars[SKIPPED] += times * period


@compiled
def _detect(m: Machine) -> None:
    """Let the flagged detectors look for a repetition, and skip it."""
    for i in range(m.scalars[FLAGGED]):
        d = m.detectors[i, QUEUE]
        m.detectors[d, FLAG] = 0
        if m.scalars[START] < 0:  # no stall is charged yet
            continue
        charge(m, m.scalars[NOW])  # in every turn, as a skip moves on
        if m.detectors[d, VALID] == 1:
            times = _repeats(m, d)
            if times > 0:
                _skip(m, d, times)
                m.detectors[d, VALID] = 0
                m.detectors[d, EVENTS] = 0
                m.detectors[d, LIMIT] = 1
                continue
        m.detectors[d, EVENTS] += 1
        if m.detectors[d, EVENTS] >= m.detectors[d, LIMIT]:  # Brent: a period of any length is met in the end
            _snapshot(m, d)
            m.detectors[d, VALID] = 1
            m.detectors[d, LIMIT] = 2 * m.detectors[d, EVENTS]
    m.scalars[FLAGGED] = 0


@compiled
def begin(m: Machine) -> None:
    """Bring a zeroed state to the moment before cycle 0."""
    m.scalars[START] = -1
    m.detectors[:, LIMIT] = 1
    for n in range(m.nodes.shape[0]):
        m.nodes[n, LAST] = -m.nodes[n, INTERVAL]
        place(m, n)


@compiled
def advance(m: Machine, budget: int) -> int:
    """Run on for at most ``budget`` cycles that are looked at; DONE, DEADLOCK or PAUSED."""
    for _ in range(budget):
        later = cycle(m)
        if later == NEVER:
            for n in range(m.nodes.shape[0]):
                if m.nodes[n, FIRED] < m.nodes[n, FIRINGS]:
                    return DEADLOCK
            return DONE
        if m.scalars[FLAGGED] > 0:
            before = m.scalars[NOW]
            _detect(m)
            later += m.scalars[NOW] - before
        m.scalars[NOW] = later
    return PAUSED
