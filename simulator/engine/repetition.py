"""Number of times that the activity since a snapshot is certain to repeat.

The future depends on the past only through: the place of each node in its nest, the cycles left of its interval, the
phase of its stall pattern, the credits and waiting tokens of each channel, and the arrival times of tokens in flight.
Where these repeat (relative to ``now``) after a period, the future repeats too, as long as no node reaches a firing
that acquires or releases differently (``_loop_limit``). Counts that differ do not matter while they are ample: a FIFO
that fills up behaves like one that does not until it is full. A node that did not fire in the period bounds the skip by
the cycle in which it can (``_idle_limit``). Hence a skip is exact; no tolerance is involved.

A limit is a number of periods: 0 where the state is not periodic, NEVER where nothing ends the repetition. ``then`` is
the row of a snapshot, of the same type as the row it is compared with.
"""

from __future__ import annotations

from simulator.engine.channels import available, credits, in_flight, sent_in, waiting
from simulator.engine.compiled import inner
from simulator.engine.eventloop import acquires
from simulator.engine.machine import NEVER, SINK, Access, Channel, Machine, Node
from simulator.engine.patterns import next_closed, next_open, ready


@inner
def take_snapshot(m: Machine, d: int) -> None:
    """Keep the state as what detector ``d`` compares with."""
    clock, detector = m.clock[0], m.detectors[d]
    detector.since = clock.now
    for reason in range(len(clock.stalls)):
        detector.stalls[reason] = clock.stalls[reason]
    for n in range(len(m.nodes)):
        m.seen_nodes[d, n] = m.nodes[n]
        for level in range(m.nodes[n].depth):
            m.seen_levels[d, n, level] = m.levels[n, level]
    for c in range(len(m.channels)):
        _keep_flights(m, d, m.channels[c])
        m.seen_channels[d, c] = m.channels[c]


@inner
def _keep_flights(m: Machine, d: int, channel: Channel) -> None:
    """Keep how long ago each token in flight was sent, the last one first."""
    channel.in_flight = in_flight(m, channel)
    for back in range(channel.in_flight):
        m.seen_flights[d, channel.flights + back] = _age(m, channel, back)


@inner
def _age(m: Machine, channel: Channel, back: int) -> int:
    """Cycles since the last but ``back`` token of a channel was sent."""
    return m.clock[0].now - sent_in(m, channel, channel.sent - 1 - back)


@inner
def periods_ahead(m: Machine, d: int) -> int:
    """Periods since the snapshot of detector ``d`` that surely follow once more; 0 if the state is not periodic."""
    limit = _pattern_limits(m, d)  # first what is quickly refuted
    n = 0
    while limit > 0 and n < len(m.nodes):
        limit = min(limit, _node_limit(m, d, n))
        n += 1
    c = 0
    while limit > 0 and c < len(m.channels):
        limit = min(limit, _credit_limit(m.channels[c], m.seen_channels[d, c]))
        if limit > 0:
            limit = min(limit, _token_limit(m, d, c))
        c += 1
    return _uneven_limit(m, d, limit) if limit > 0 and m.clock[0].uneven == 1 else limit


@inner
def _pattern_limits(m: Machine, d: int) -> int:
    """Periods for which the stall patterns of all nodes that fired repeat."""
    limit = NEVER
    for n in range(len(m.nodes)):
        if m.nodes[n].pattern_length > 0 and m.nodes[n].fired > m.seen_nodes[d, n].fired:
            limit = min(limit, _pattern_limit(m, m.nodes[n], m.detectors[d].since))
            if limit <= 0:
                return 0
    return limit


@inner
def _pattern_limit(m: Machine, node: Node, since: int) -> int:
    """Periods for which the stall pattern of a node repeats: for ever in phase, else until it closes."""
    now = m.clock[0].now
    period = now - since
    if period % node.pattern_length == 0:
        return NEVER
    return max(next_closed(m, node, since + 1) - 1 - now, 0) // period


@inner
def _node_limit(m: Machine, d: int, n: int) -> int:
    """Periods for which node ``n`` does what it did in the last one."""
    if m.nodes[n].fired == m.seen_nodes[d, n].fired:
        return _idle_limit(m, d, m.nodes[n])
    return _loop_limit(m, d, n) if _equally_far(m, d, n) else 0


@inner
def _idle_limit(m: Machine, d: int, node: Node) -> int:
    """Periods for which a node that did not fire in the last one surely stays idle."""
    if node.fired == node.firings:
        return NEVER
    now = m.clock[0].now
    until = ready(m, node)
    for a in range(node.first_access, node.end_access):
        if acquires(node, a):
            known = available(m, m.accesses[a])
            if known < NEVER:
                until = max(until, known)
            elif not _other_end_moved(m, d, m.accesses[a]):
                return NEVER
    if node.kind == SINK:
        until = next_open(m, node, max(until, now + 1))
    return NEVER if until >= NEVER else (until - 1 - now) // (now - m.detectors[d].since)


@inner
def _other_end_moved(m: Machine, d: int, access: Access) -> bool:
    """True if the other end of a channel returned credits, or sent tokens, since the snapshot."""
    channel, then = m.channels[access.channel], m.seen_channels[d, access.channel]
    if access.produces == 1:
        return channel.freed != then.freed
    return channel.sent != then.sent


@inner
def _equally_far(m: Machine, d: int, n: int) -> bool:
    """True if node ``n`` is as far from its next firing as at the snapshot."""
    node, then = m.nodes[n], m.seen_nodes[d, n]
    now, since = m.clock[0].now, m.detectors[d].since
    if max(ready(m, node) - now, 1) != max(ready(m, then) - since, 1):
        return False
    if m.clock[0].uneven == 0:
        return True
    # As long as a node is busy, it stalls by another reason than a beat that comes late.
    return max(_rested(node) - now, 1) == max(_rested(then) - since, 1)


@inner
def _rested(node: Node) -> int:
    """The cycle from which a node is not busy."""
    return node.last + node.interval


@inner
def _loop_limit(m: Machine, d: int, n: int) -> int:
    """Periods that node ``n`` can go on before an iteration that acquires or releases differently."""
    depth = m.nodes[n].depth
    for at in range(depth):
        level = m.levels[n, at]
        before = m.seen_levels[d, n, at].index
        step = level.index - before
        if step == 0:
            continue
        for deeper in range(at + 1, depth):
            if m.levels[n, deeper].index != m.seen_levels[d, n, deeper].index:
                return 0
        if level.first_differs == 1 and before == 0:
            return 0
        limit = max(level.count - 1 - level.last_differs - level.index, 0) // step
        return limit if m.clock[0].uneven == 0 else _ragged_limit(m, d, n, at, limit)
    return 0


@inner
def _ragged_limit(m: Machine, d: int, n: int, outer: int, limit: int) -> int:
    """Periods up to ``limit`` for which the loops inside level ``outer`` run as often as in the last one."""
    for at in range(outer + 1, m.nodes[n].depth):
        level, then = m.levels[n, at], m.seen_levels[d, n, at]
        if level.counts >= 0 and limit > 0:
            runs = level.run - then.run
            # The run that goes on after the last period is one of them.
            alike = _alike(m, level.counts + then.run, runs, limit * runs + 1)
            limit = max(alike - 1, 0) // runs
    return limit


@inner
def _alike(m: Machine, start: int, period: int, most: int) -> int:
    """Numbers from ``start`` on in memory, up to ``most``, that stand there again ``period`` places on."""
    count = 0
    while count < most and m.memory[start + count] == m.memory[start + count + period]:
        count += 1
    return count


@inner
def _credit_limit(channel: Channel, then: Channel) -> int:
    """Periods for which the producer of a channel finds credits as in the last one."""
    reserved = channel.reserved - then.reserved
    if reserved == 0 or credits(channel) == credits(then):
        return NEVER
    return (credits(channel) - 1) // reserved if credits(then) > reserved else 0


@inner
def _token_limit(m: Machine, d: int, c: int) -> int:
    """Periods for which the consumer of channel ``c`` finds tokens as in the last one."""
    channel, then = m.channels[c], m.seen_channels[d, c]
    received = channel.received - then.received
    if received == 0:
        return NEVER
    flying = in_flight(m, channel)
    if waiting(channel) == waiting(then) and _fly_alike(m, d, channel, then, flying):
        return NEVER
    return (waiting(channel) - flying - 1) // received if waiting(then) - then.in_flight > received else 0


@inner
def _fly_alike(m: Machine, d: int, channel: Channel, then: Channel, flying: int) -> bool:
    """True if as many tokens are in flight as at the snapshot, each as long as then."""
    alike = flying == then.in_flight
    for back in range(flying if alike else 0):
        alike &= _age(m, channel, back) == m.seen_flights[d, channel.flights + back]
    return alike


@inner
def _uneven_limit(m: Machine, d: int, limit: int) -> int:
    """Periods up to ``limit`` in which firings take as long as in the last one."""
    now, since = m.clock[0].now, m.detectors[d].since
    for c in range(len(m.channels)):
        channel, then = m.channels[c], m.seen_channels[d, c]
        if max(channel.last_credit - now, 1) != max(then.last_credit - since, 1):
            return 0
    for n in range(len(m.nodes)):
        node, before = m.nodes[n], m.seen_nodes[d, n].fired
        fired = node.fired - before
        if node.durations >= 0 and fired > 0:
            limit = _alike(m, node.durations + before, fired, limit * fired) // fired
    return limit
