"""The event loop over integer arrays: every firing of every node, in order of time, repetition skipped exactly.

All functions are compiled. Time is synchronous: the state after cycle ``NOW`` holds every firing up to it, so a node's
next firing depends on token times that are known. Everything a run needs lives in the arrays of :class:`Machine`, so
a run can be stopped and continued.

Fast-forward
------------
The future depends on the past only through: the place of each node in its nest, the cycles left of its interval, the
phase of its mask, the free slots and waiting tokens of each channel, and the arrival times of tokens still in flight.
Where these repeat (relative to ``NOW``) after ``T`` cycles, the future repeats too, as long as no node reaches a
firing that acquires or releases differently (``_nest_limit``). Counts that differ do not matter while they are ample:
a FIFO that fills up behaves like one that does not until it is full. A node that did not fire in the period bounds the
skip by the cycle in which it can (``_idle_limit``). Hence a skip is exact; no tolerance is involved.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.compiled import compiled

Ints = npt.NDArray[np.int64]

NEVER = 1 << 60

# Machine.scalars: stalls by reason last; then the columns of the other arrays.
NOW, START, CHARGED, FLAGGED, SKIPPED, AGAIN, ISSUE, FORWARD, ANY_STARTS, STALLS = range(10)
FIRINGS, INTERVAL, KIND, MASK_START, MASK_LENGTH, RECORD_START, ACCESS_START, ACCESS_END = range(8)
RANK, ORDER, LEVELS, FIRED, LAST, ACQUIRES, RELEASES, STREAM_REASON = range(8, 16)
COUNT, EDGES, INDEX = range(3)
CHANNEL, PRODUCES, REASON, CODES = range(4)
CAPACITY, LATENCY, RESPONSE, RING_START, RING_LENGTH, FLIGHT_START, PRODUCER, CONSUMER = range(8)
TAKEN, FILLED, CLAIMED, FREED, FREE_SINCE = range(8, 13)
EVENTS, LIMIT, VALID, FLAG, QUEUE, SINCE, SNAP_STALLS = range(7)
SNAP_FIRED, SNAP_READY, SNAP_INDEX = range(3)
SNAP_TAKEN, SNAP_FILLED, SNAP_CLAIMED, SNAP_FREED, SNAP_FLIGHTS = range(5)

# Values of KIND; of acquiring and releasing iterations; bits of EDGES; results of advance(); reasons that count here.
PLAIN, SOURCE, SINK = range(3)
ANY = -1
EDGE_FIRST, EDGE_LAST = 1, 2
DONE, DEADLOCK, PAUSED = range(3)
OUTPUT, DEPENDENCY = range(2)


class Machine(NamedTuple):
    """A run: what it does and how far it is.

    Separate arrays because a compiled function that takes them one by one is ten times as fast as one that takes
    a tuple of them.
    """

    scalars: Ints
    #: [node]: firings, interval, kind, mask, record, accesses, rank; ORDER of row i is the node of rank i; state.
    nodes: Ints
    #: [node, level]: iterations, whether the first or last one differs from the others, the current one.
    nests: Ints
    #: [access]: channel, side, stall reason; then per level the acquiring and the releasing iteration, or ANY.
    accesses: Ints
    #: [channel]: size, ring of release cycles, ends; tokens acquired and released by either end.
    channels: Ints
    #: Rings of release cycles, recorded firings, and per mask phase the cycles to the next open and closed one.
    memory: Ints
    #: [node * levels + level]: looks for a repetition whenever that loop goes on; its snapshots follow.
    detectors: Ints
    snap_nodes: Ints
    snap_channels: Ints
    snap_flights: Ints


@compiled
def _next_open(nodes: Ints, memory: Ints, n: int, cycle: int) -> int:
    """First cycle from ``cycle`` on in which the mask of node ``n`` is open."""
    length = nodes[n, MASK_LENGTH]
    if length == 0 or cycle >= NEVER:
        return cycle
    wait = memory[nodes[n, MASK_START] + cycle % length]
    return NEVER if wait >= NEVER else cycle + wait


@compiled
def _next_closed(nodes: Ints, memory: Ints, n: int, cycle: int) -> int:
    length = nodes[n, MASK_LENGTH]
    if length == 0:
        return NEVER
    return cycle + memory[nodes[n, MASK_START] + length + cycle % length]


@compiled
def _ready(nodes: Ints, memory: Ints, n: int) -> int:
    """Cycle from which neither its interval nor, for a source, its mask keeps node ``n`` from firing."""
    ready = nodes[n, LAST] + nodes[n, INTERVAL]
    if nodes[n, KIND] == SOURCE:
        offered = _next_open(nodes, memory, n, nodes[n, LAST] + 1 if nodes[n, FIRED] > 0 else 0)
        return max(ready, offered)
    return ready


@compiled
def condition(accesses: Ints, channels: Ints, memory: Ints, a: int) -> int:
    """Cycle from which the token (or slot) that access ``a`` acquires next is there; NEVER while unknown."""
    c = accesses[a, CHANNEL]
    if accesses[a, PRODUCES] == 1:
        if channels[c, TAKEN] - channels[c, FREED] >= channels[c, CAPACITY]:
            return NEVER
        return channels[c, FREE_SINCE]
    token = channels[c, CLAIMED]
    if channels[c, FILLED] == token:
        return NEVER
    return memory[channels[c, RING_START] + token % channels[c, RING_LENGTH]] + channels[c, LATENCY]


@compiled
def _candidate(nodes: Ints, accesses: Ints, channels: Ints, memory: Ints, n: int) -> int:
    """Cycle of the next firing of node ``n``; NEVER while that is unknown or there is none."""
    if nodes[n, FIRED] == nodes[n, FIRINGS]:
        return NEVER
    cycle = _ready(nodes, memory, n)
    start = nodes[n, ACCESS_START]
    for a in range(start, nodes[n, ACCESS_END]):
        if (nodes[n, ACQUIRES] >> (a - start)) & 1:
            cycle = max(cycle, condition(accesses, channels, memory, a))
    if nodes[n, KIND] == SINK:
        return _next_open(nodes, memory, n, cycle)
    return cycle


@compiled
def _charge(scalars: Ints, nodes: Ints, accesses: Ints, channels: Ints, memory: Ints, until: int) -> None:
    """Charge the idle cycles of the issue node up to and including ``until`` to their reasons."""
    n = scalars[ISSUE]
    begin = scalars[CHARGED] + 1
    if scalars[START] < 0 or begin > until or nodes[n, FIRED] == nodes[n, FIRINGS]:
        return
    scalars[CHARGED] = until
    start = nodes[n, ACCESS_START]
    for reason in range(4):
        satisfied = 0
        if reason == DEPENDENCY:
            satisfied = nodes[n, LAST] + nodes[n, INTERVAL]
        if nodes[n, KIND] == SOURCE and nodes[n, STREAM_REASON] == reason:
            satisfied = max(satisfied, _ready(nodes, memory, n))
        for a in range(start, nodes[n, ACCESS_END]):
            if (nodes[n, ACQUIRES] >> (a - start)) & 1 and accesses[a, REASON] == reason:
                satisfied = max(satisfied, condition(accesses, channels, memory, a))
        if satisfied > begin:
            end = min(satisfied, until + 1)
            scalars[STALLS + reason] += end - begin
            begin = end
    scalars[STALLS + OUTPUT] += until + 1 - begin  # nothing is missing but an open cycle of a sink's mask


@compiled
def _place(nodes: Ints, nests: Ints, accesses: Ints, n: int) -> None:
    """Note which accesses node ``n`` acquires and releases in its next firing."""
    acquires = 0
    releases = 0
    start = nodes[n, ACCESS_START]
    for a in range(start, nodes[n, ACCESS_END]):
        acquired = True
        released = True
        for level in range(nodes[n, LEVELS]):
            at = nests[n, level, INDEX]
            acquired &= accesses[a, CODES + 2 * level] == ANY or accesses[a, CODES + 2 * level] == at
            released &= accesses[a, CODES + 2 * level + 1] == ANY or accesses[a, CODES + 2 * level + 1] == at
        acquires |= int(acquired) << (a - start)
        releases |= int(released) << (a - start)
    nodes[n, ACQUIRES] = acquires
    nodes[n, RELEASES] = releases


@compiled
def _step(scalars: Ints, nodes: Ints, nests: Ints, accesses: Ints, detectors: Ints, n: int) -> None:
    """Move node ``n`` to its next iteration and flag the detector of the loop that went on."""
    level = nodes[n, LEVELS] - 1
    deepest = nests.shape[1]
    while level >= 0:
        nests[n, level, INDEX] += 1
        if nests[n, level, INDEX] < nests[n, level, COUNT]:
            break
        nests[n, level, INDEX] = 0
        detectors[n * deepest + level, VALID] = 0
        detectors[n * deepest + level, EVENTS] = 0
        detectors[n * deepest + level, LIMIT] = 1
        level -= 1
    if level >= 0:
        _place(nodes, nests, accesses, n)
        detector = n * deepest + level
        if scalars[FORWARD] == 1 and detectors[detector, FLAG] == 0:
            detectors[detector, FLAG] = 1
            detectors[scalars[FLAGGED], QUEUE] = detector
            scalars[FLAGGED] += 1


@compiled
def _fire(
    scalars: Ints,
    nodes: Ints,
    nests: Ints,
    accesses: Ints,
    channels: Ints,
    memory: Ints,
    detectors: Ints,
    n: int,
) -> None:
    """Let node ``n`` fire in the current cycle."""
    now = scalars[NOW]
    if scalars[START] < 0 and (scalars[ANY_STARTS] == 1 or nodes[n, KIND] == SOURCE or n == scalars[ISSUE]):
        scalars[START] = now
        scalars[CHARGED] = now - 1
    if n == scalars[ISSUE]:
        _charge(scalars, nodes, accesses, channels, memory, now - 1)
        scalars[CHARGED] = now
    start = nodes[n, ACCESS_START]
    for a in range(start, nodes[n, ACCESS_END]):
        c = accesses[a, CHANNEL]
        if (nodes[n, ACQUIRES] >> (a - start)) & 1:
            channels[c, TAKEN if accesses[a, PRODUCES] == 1 else CLAIMED] += 1
    for a in range(start, nodes[n, ACCESS_END]):
        if (nodes[n, RELEASES] >> (a - start)) & 1:
            c = accesses[a, CHANNEL]
            if accesses[a, PRODUCES] == 1:
                memory[channels[c, RING_START] + channels[c, FILLED] % channels[c, RING_LENGTH]] = now
                channels[c, FILLED] += 1
                continue
            if channels[c, TAKEN] - channels[c, FREED] == channels[c, CAPACITY]:
                channels[c, FREE_SINCE] = now + channels[c, RESPONSE]
                if channels[c, RESPONSE] == 0 and nodes[channels[c, PRODUCER], RANK] < nodes[n, RANK]:
                    scalars[AGAIN] = 1
            channels[c, FREED] += 1
    if nodes[n, RECORD_START] >= 0:
        memory[nodes[n, RECORD_START] + nodes[n, FIRED]] = now
    nodes[n, FIRED] += 1
    nodes[n, LAST] = now
    _step(scalars, nodes, nests, accesses, detectors, n)


@compiled
def _cycle(
    scalars: Ints, nodes: Ints, nests: Ints, accesses: Ints, channels: Ints, memory: Ints, detectors: Ints
) -> int:
    """Fire what can fire in the current cycle; return the next cycle to look at, NEVER if nothing will ever fire."""
    now = scalars[NOW]
    later = NEVER
    scalars[AGAIN] = 1
    while scalars[AGAIN] == 1:
        scalars[AGAIN] = 0
        for rank in range(nodes.shape[0]):
            n = nodes[rank, ORDER]
            if nodes[n, FIRED] > 0 and nodes[n, LAST] == now:
                continue
            candidate = _candidate(nodes, accesses, channels, memory, n)
            if candidate <= now:
                _fire(scalars, nodes, nests, accesses, channels, memory, detectors, n)
                later = now + 1
            elif candidate < later:
                later = candidate
    return later


@compiled
def _flights(scalars: Ints, channels: Ints, memory: Ints, c: int) -> int:
    """Tokens of channel ``c`` that wait to be acquired but cannot be in the next cycle: the last ones released."""
    base, length = channels[c, RING_START], channels[c, RING_LENGTH]
    horizon = scalars[NOW] + 1 - channels[c, LATENCY]
    token = channels[c, FILLED]
    while token > channels[c, CLAIMED] and memory[base + (token - 1) % length] > horizon:
        token -= 1
    return channels[c, FILLED] - token


@compiled
def _snapshot(
    scalars: Ints,
    nodes: Ints,
    nests: Ints,
    channels: Ints,
    memory: Ints,
    detectors: Ints,
    snap_nodes: Ints,
    snap_channels: Ints,
    snap_flights: Ints,
    d: int,
) -> None:
    """Keep the state, relative to the current cycle, as what detector ``d`` compares with."""
    now = scalars[NOW]
    detectors[d, SINCE] = now
    for reason in range(4):
        detectors[d, SNAP_STALLS + reason] = scalars[STALLS + reason]
    for n in range(nodes.shape[0]):
        snap_nodes[d, n, SNAP_FIRED] = nodes[n, FIRED]
        snap_nodes[d, n, SNAP_READY] = max(_ready(nodes, memory, n) - now, 1)
        for level in range(nodes[n, LEVELS]):
            snap_nodes[d, n, SNAP_INDEX + level] = nests[n, level, INDEX]
    for c in range(channels.shape[0]):
        for column in range(4):
            snap_channels[d, c, column] = channels[c, TAKEN + column]
        flights = _flights(scalars, channels, memory, c)
        snap_channels[d, c, SNAP_FLIGHTS] = flights
        for i in range(flights):
            snap_flights[d, channels[c, FLIGHT_START] + i] = now - _released(channels, memory, c, i)


@compiled
def _released(channels: Ints, memory: Ints, c: int, back: int) -> int:
    """Cycle in which the last but ``back`` token of channel ``c`` was released."""
    token = channels[c, FILLED] - 1 - back
    return memory[channels[c, RING_START] + token % channels[c, RING_LENGTH]]


@compiled
def _idle_limit(
    scalars: Ints,
    nodes: Ints,
    accesses: Ints,
    channels: Ints,
    memory: Ints,
    snap_channels: Ints,
    d: int,
    n: int,
    period: int,
) -> int:
    """Periods for which node ``n``, which did not fire in the last one, surely stays idle."""
    if nodes[n, FIRED] == nodes[n, FIRINGS]:
        return NEVER
    cycle = _ready(nodes, memory, n)
    start = nodes[n, ACCESS_START]
    for a in range(start, nodes[n, ACCESS_END]):
        if (nodes[n, ACQUIRES] >> (a - start)) & 1:
            c = accesses[a, CHANNEL]
            known = condition(accesses, channels, memory, a)
            if known < NEVER:
                cycle = max(cycle, known)
                continue
            other = FREED if accesses[a, PRODUCES] == 1 else FILLED
            if channels[c, other] == snap_channels[d, c, other - TAKEN]:
                return NEVER
    if nodes[n, KIND] == SINK:
        cycle = _next_open(nodes, memory, n, cycle)
    return NEVER if cycle >= NEVER else (cycle - 1 - scalars[NOW]) // period


@compiled
def _nest_limit(nodes: Ints, nests: Ints, snap_nodes: Ints, d: int, n: int) -> int:
    """Periods that node ``n`` can go on before an iteration that acquires or releases differently; 0: not periodic."""
    for level in range(nodes[n, LEVELS]):
        before = snap_nodes[d, n, SNAP_INDEX + level]
        step = nests[n, level, INDEX] - before
        if step == 0:
            continue
        for deeper in range(level + 1, nodes[n, LEVELS]):
            if nests[n, deeper, INDEX] != snap_nodes[d, n, SNAP_INDEX + deeper]:
                return 0
        if nests[n, level, EDGES] & EDGE_FIRST and before == 0:
            return 0
        last = nests[n, level, COUNT] - (2 if nests[n, level, EDGES] & EDGE_LAST else 1)
        return max(last - nests[n, level, INDEX], 0) // step
    return 0


@compiled
def _mask_limit(scalars: Ints, nodes: Ints, memory: Ints, n: int, since: int, period: int) -> int:
    """Periods for which the mask of node ``n`` repeats: for ever in phase, else until it closes."""
    length = nodes[n, MASK_LENGTH]
    if length == 0 or period % length == 0:
        return NEVER
    return max(_next_closed(nodes, memory, n, since + 1) - 1 - scalars[NOW], 0) // period


@compiled
def _slot_limit(channels: Ints, snap_channels: Ints, d: int, c: int) -> int:
    """Periods for which the producer of channel ``c`` finds slots as in the last one."""
    taken = channels[c, TAKEN] - snap_channels[d, c, SNAP_TAKEN]
    if taken == 0:
        return NEVER
    before = channels[c, CAPACITY] - snap_channels[d, c, SNAP_TAKEN] + snap_channels[d, c, SNAP_FREED]
    free = channels[c, CAPACITY] - channels[c, TAKEN] + channels[c, FREED]
    if free == before:
        return NEVER
    return (free - 1) // taken if before > taken else 0


@compiled
def _token_limit(
    scalars: Ints, channels: Ints, memory: Ints, snap_channels: Ints, snap_flights: Ints, d: int, c: int
) -> int:
    """Periods for which the consumer of channel ``c`` finds tokens as in the last one."""
    claimed = channels[c, CLAIMED] - snap_channels[d, c, SNAP_CLAIMED]
    if claimed == 0:
        return NEVER
    waiting_before = snap_channels[d, c, SNAP_FILLED] - snap_channels[d, c, SNAP_CLAIMED]
    waiting = channels[c, FILLED] - channels[c, CLAIMED]
    flights = _flights(scalars, channels, memory, c)
    flights_before = snap_channels[d, c, SNAP_FLIGHTS]
    if waiting == waiting_before and flights == flights_before:
        same = True
        for i in range(flights):
            age = scalars[NOW] - _released(channels, memory, c, i)
            same &= age == snap_flights[d, channels[c, FLIGHT_START] + i]
        if same:
            return NEVER
    return (waiting - flights - 1) // claimed if waiting_before - flights_before > claimed else 0


@compiled
def _repeats(
    scalars: Ints,
    nodes: Ints,
    nests: Ints,
    accesses: Ints,
    channels: Ints,
    memory: Ints,
    detectors: Ints,
    snap_nodes: Ints,
    snap_channels: Ints,
    snap_flights: Ints,
    d: int,
) -> int:
    """Periods since the snapshot of detector ``d`` that surely follow once more; 0 if the state is not periodic."""
    since = detectors[d, SINCE]
    period = scalars[NOW] - since
    limit = NEVER
    for n in range(nodes.shape[0]):
        if nodes[n, FIRED] == snap_nodes[d, n, SNAP_FIRED]:
            limit = min(
                limit, _idle_limit(scalars, nodes, accesses, channels, memory, snap_channels, d, n, period)
            )
        elif max(_ready(nodes, memory, n) - scalars[NOW], 1) != snap_nodes[d, n, SNAP_READY]:
            return 0
        else:
            limit = min(limit, _nest_limit(nodes, nests, snap_nodes, d, n))
            if limit > 0:
                limit = min(limit, _mask_limit(scalars, nodes, memory, n, since, period))
        if limit <= 0:
            return 0
    for c in range(channels.shape[0]):
        limit = min(limit, _slot_limit(channels, snap_channels, d, c))
        if limit > 0:
            limit = min(limit, _token_limit(scalars, channels, memory, snap_channels, snap_flights, d, c))
        if limit <= 0:
            return 0
    return limit


@compiled
def _skip_node(
    nodes: Ints, nests: Ints, memory: Ints, snap_nodes: Ints, d: int, n: int, times: int, period: int
) -> None:
    fired = nodes[n, FIRED] - snap_nodes[d, n, SNAP_FIRED]
    if fired == 0:
        return
    start = nodes[n, RECORD_START]
    if start >= 0:
        first = start + nodes[n, FIRED]
        for i in range(first, first + times * fired):
            memory[i] = memory[i - fired] + period
    for level in range(nodes[n, LEVELS]):
        nests[n, level, INDEX] += times * (nests[n, level, INDEX] - snap_nodes[d, n, SNAP_INDEX + level])
    nodes[n, FIRED] += times * fired
    nodes[n, LAST] += times * period


@compiled
def _skip_channel(
    channels: Ints,
    memory: Ints,
    snap_channels: Ints,
    snap_flights: Ints,
    d: int,
    c: int,
    times: int,
    period: int,
) -> None:
    filled = channels[c, FILLED]
    per_period = filled - snap_channels[d, c, SNAP_FILLED]
    total = times * per_period
    base, length = channels[c, RING_START], channels[c, RING_LENGTH]
    # Older tokens are long available; what an older token left in their ring slots says the same.
    first = max(total - min(length, channels[c, LATENCY]), 0)
    at = channels[c, FLIGHT_START]
    for ahead in range(first, total):  # in two steps, as the ring overwrites what it repeats
        like = filled - per_period + ahead % per_period
        shift = period * (ahead // per_period + 1)
        snap_flights[d, at + ahead - first] = memory[base + like % length] + shift
    for ahead in range(first, total):
        memory[base + (filled + ahead) % length] = snap_flights[d, at + ahead - first]
    for column in range(4):
        moved = channels[c, TAKEN + column] - snap_channels[d, c, column]
        channels[c, TAKEN + column] += times * moved


@compiled
def _skip(
    scalars: Ints,
    nodes: Ints,
    nests: Ints,
    channels: Ints,
    memory: Ints,
    detectors: Ints,
    snap_nodes: Ints,
    snap_channels: Ints,
    snap_flights: Ints,
    d: int,
    times: int,
) -> None:
    """Repeat what happened since the snapshot of detector ``d`` ``times`` more times."""
    period = scalars[NOW] - detectors[d, SINCE]
    if nodes[scalars[ISSUE], FIRED] > snap_nodes[d, scalars[ISSUE], SNAP_FIRED]:
        for reason in range(4):
            scalars[STALLS + reason] += times * (
                scalars[STALLS + reason] - detectors[d, SNAP_STALLS + reason]
            )
        scalars[CHARGED] += times * period
    for n in range(nodes.shape[0]):
        _skip_node(nodes, nests, memory, snap_nodes, d, n, times, period)
    for c in range(channels.shape[0]):
        _skip_channel(channels, memory, snap_channels, snap_flights, d, c, times, period)
    scalars[NOW] += times * period
    scalars[SKIPPED] += times * period


@compiled
def _detect(
    scalars: Ints,
    nodes: Ints,
    nests: Ints,
    accesses: Ints,
    channels: Ints,
    memory: Ints,
    detectors: Ints,
    snap_nodes: Ints,
    snap_channels: Ints,
    snap_flights: Ints,
) -> None:
    """Let the flagged detectors look for a repetition, and skip it."""
    _charge(scalars, nodes, accesses, channels, memory, scalars[NOW])
    for i in range(scalars[FLAGGED]):
        d = detectors[i, QUEUE]
        detectors[d, FLAG] = 0
        if detectors[d, VALID] == 1:
            times = _repeats(
                scalars,
                nodes,
                nests,
                accesses,
                channels,
                memory,
                detectors,
                snap_nodes,
                snap_channels,
                snap_flights,
                d,
            )
            if times > 0:
                _skip(
                    scalars,
                    nodes,
                    nests,
                    channels,
                    memory,
                    detectors,
                    snap_nodes,
                    snap_channels,
                    snap_flights,
                    d,
                    times,
                )
                detectors[d, VALID] = 0
                detectors[d, EVENTS] = 0
                detectors[d, LIMIT] = 1
                continue
        detectors[d, EVENTS] += 1
        if detectors[d, EVENTS] >= detectors[d, LIMIT]:  # Brent: a period of any length is met in the end
            _snapshot(
                scalars, nodes, nests, channels, memory, detectors, snap_nodes, snap_channels, snap_flights, d
            )
            detectors[d, VALID] = 1
            detectors[d, LIMIT] = 2 * detectors[d, EVENTS]
    scalars[FLAGGED] = 0


@compiled
def begin(scalars: Ints, nodes: Ints, nests: Ints, accesses: Ints, detectors: Ints) -> None:
    """Bring a zeroed state to the moment before cycle 0."""
    scalars[START] = -1
    detectors[:, LIMIT] = 1
    for n in range(nodes.shape[0]):
        nodes[n, LAST] = -nodes[n, INTERVAL]
        _place(nodes, nests, accesses, n)


@compiled
def advance(
    scalars: Ints,
    nodes: Ints,
    nests: Ints,
    accesses: Ints,
    channels: Ints,
    memory: Ints,
    detectors: Ints,
    snap_nodes: Ints,
    snap_channels: Ints,
    snap_flights: Ints,
    budget: int,
) -> int:
    """Run on for at most ``budget`` cycles that are looked at; DONE, DEADLOCK or PAUSED."""
    for _ in range(budget):
        later = _cycle(scalars, nodes, nests, accesses, channels, memory, detectors)
        if later == NEVER:
            for n in range(nodes.shape[0]):
                if nodes[n, FIRED] < nodes[n, FIRINGS]:
                    return DEADLOCK
            return DONE
        if scalars[FLAGGED] > 0:
            before = scalars[NOW]
            _detect(
                scalars,
                nodes,
                nests,
                accesses,
                channels,
                memory,
                detectors,
                snap_nodes,
                snap_channels,
                snap_flights,
            )
            later += scalars[NOW] - before
        scalars[NOW] = later
    return PAUSED


@compiled
def mask_distances(mask: npt.NDArray[np.bool_], opens: Ints, closes: Ints) -> None:
    """Fill in, per phase of a periodic mask, the cycles to the next open and to the next closed one."""
    to_open, to_closed = NEVER, NEVER
    for i in range(2 * len(mask) - 1, -1, -1):
        phase = i % len(mask)
        to_open = 0 if mask[phase] else min(to_open + 1, NEVER)
        to_closed = min(to_closed + 1, NEVER) if mask[phase] else 0
        opens[phase] = to_open
        closes[phase] = to_closed
