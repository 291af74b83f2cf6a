"""The run itself: cycle by cycle, with repetition skipped exactly (see :mod:`simulator.engine.repetition`)."""

from __future__ import annotations

from simulator.engine.channels import note_sent, sent_in
from simulator.engine.compiled import compiled, inner
from simulator.engine.eventloop import count_stalls, cycle, disarm, plan_accesses
from simulator.engine.machine import DEADLOCK, DONE, NEVER, PAUSED, Channel, Level, Machine, Node
from simulator.engine.repetition import periods_ahead, take_snapshot


@compiled
def begin(m: Machine) -> None:
    """Bring a zeroed state to the moment before cycle 0."""
    m.clock[0].start = -1
    for d in range(len(m.detectors)):
        disarm(m, d)
    for n in range(len(m.nodes)):
        m.nodes[n].last = -m.nodes[n].interval
        plan_accesses(m, n)


@compiled
def advance(m: Machine, budget: int) -> int:
    """Run on for at most ``budget`` simulated cycles; DONE, DEADLOCK or PAUSED."""
    clock = m.clock[0]
    for _ in range(budget):
        later = cycle(m)
        if later == NEVER:
            return DONE if _all_fired(m) else DEADLOCK
        if clock.queued > 0:
            before = clock.now
            _detect(m)
            later += clock.now - before
        clock.now = later
    return PAUSED


@inner
def _all_fired(m: Machine) -> bool:
    """True if no node has a firing left."""
    left = 0
    for n in range(len(m.nodes)):
        left += m.nodes[n].firings - m.nodes[n].fired
    return left == 0


@inner
def _detect(m: Machine) -> None:
    """Let the detectors in the queue look for a repetition, and skip it."""
    clock = m.clock[0]
    for i in range(clock.queued):
        d = m.queue[i]
        m.detectors[d].queued = 0
        if clock.start >= 0:  # no stall is counted before the first beat
            count_stalls(m, clock.now)  # in every turn, as a skip changes ``now``
            _look(m, d)
    clock.queued = 0


@inner
def _look(m: Machine, d: int) -> None:
    """Skip what repeats since the snapshot of detector ``d``; where nothing does, take the next snapshot in time.

    Snapshots come at twice the distance every time (Brent), so that a period of any length is met in the end.
    """
    detector = m.detectors[d]
    times = periods_ahead(m, d) if detector.armed == 1 else 0
    if times > 0:
        _skip(m, d, times)
        disarm(m, d)
        return
    detector.visits += 1
    if detector.visits >= detector.patience:
        take_snapshot(m, d)
        detector.armed = 1
        detector.patience = 2 * detector.visits


@inner
def _skip(m: Machine, d: int, times: int) -> None:
    """Repeat what happened since the snapshot of detector ``d`` ``times`` more times."""
    clock = m.clock[0]
    ahead = times * (clock.now - m.detectors[d].since)
    _skip_stalls(m, d, times, ahead)
    for n in range(len(m.nodes)):
        node, then = m.nodes[n], m.seen_nodes[d, n]
        for level in range(node.depth):
            _skip_level(m.levels[n, level], m.seen_levels[d, n, level], times)
        if node.fired > then.fired:
            _skip_node(m, node, then, times, ahead // times)
    for c in range(len(m.channels)):
        _skip_flights(m, d, c, times, ahead // times)
        _skip_channel(m.channels[c], m.seen_channels[d, c], times, ahead)
    clock.now += ahead
    clock.skipped += ahead


@inner
def _skip_stalls(m: Machine, d: int, times: int, ahead: int) -> None:
    """Count the stalls of the cycles ahead, if the issue node fires in them."""
    clock, detector = m.clock[0], m.detectors[d]
    if m.nodes[clock.issue].fired > m.seen_nodes[d, clock.issue].fired:
        for reason in range(len(clock.stalls)):
            clock.stalls[reason] += times * (clock.stalls[reason] - detector.stalls[reason])
        clock.counted += ahead


@inner
def _skip_level(level: Level, then: Level, times: int) -> None:
    """Move one loop on."""
    level.index += times * (level.index - then.index)
    level.run += times * (level.run - then.run)


@inner
def _skip_node(m: Machine, node: Node, then: Node, times: int, period: int) -> None:
    """Let a node fire as in the last period, ``times`` times, and record that."""
    fired = node.fired - then.fired
    if node.record >= 0:
        first = node.record + node.fired
        for i in range(first, first + times * fired):
            m.memory[i] = m.memory[i - fired] + period
    node.fired += times * fired
    node.last += times * period


@inner
def _skip_channel(channel: Channel, then: Channel, times: int, ahead: int) -> None:
    """Let both ends of a channel do what they did in the last period, ``times`` times."""
    if channel.reserved > then.reserved:
        channel.credit_since += ahead
    if channel.freed > then.freed:
        channel.last_credit += ahead
    channel.reserved += times * (channel.reserved - then.reserved)
    channel.sent += times * (channel.sent - then.sent)
    channel.received += times * (channel.received - then.received)
    channel.freed += times * (channel.freed - then.freed)


@inner
def _skip_flights(m: Machine, d: int, c: int, times: int, period: int) -> None:
    """Write down when the tokens of the periods ahead were sent.

    Only the last tokens matter: older ones are long available, and any older cycle in their places of the ring says the
    same. It takes two steps, because the ring overwrites what it repeats; the snapshot is not needed any more.
    """
    channel = m.channels[c]
    sent = channel.sent - m.seen_channels[d, c].sent
    total = times * sent
    first = max(total - min(channel.ring_length, channel.latency), 0)
    for i in range(first, total):
        like = sent_in(m, channel, channel.sent - sent + i % sent)
        m.seen_flights[d, channel.flights + i - first] = like + period * (i // sent + 1)
    for i in range(first, total):
        note_sent(m, channel, channel.sent + i, m.seen_flights[d, channel.flights + i - first])
