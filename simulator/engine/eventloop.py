"""One cycle of a run: find the nodes that can fire, and update their state.

All functions are compiled. Time is synchronous: the state after cycle ``now`` holds every firing up to it, so a node's
next firing depends on token times that are known.
"""

from __future__ import annotations

from simulator.engine.channels import available, credits, note_sent
from simulator.engine.compiled import inner
from simulator.engine.machine import (
    ANY,
    BUT_FINAL,
    BUT_FIRST,
    DEPENDENCY,
    FINAL,
    NEVER,
    REASONS,
    SINK,
    SOURCE,
    Level,
    Machine,
    Node,
)
from simulator.engine.patterns import next_open, offered, ready


@inner
def cycle(m: Machine) -> int:
    """Fire what can fire in the current cycle; return the next cycle to look at, NEVER if nothing will ever fire."""
    clock = m.clock[0]
    later = NEVER
    clock.rescan = 1
    while clock.rescan == 1:
        clock.rescan = 0
        for n in range(len(m.nodes)):
            if m.nodes[n].fired > 0 and m.nodes[n].last == clock.now:
                continue
            due = _next_firing(m, m.nodes[n])
            if due <= clock.now:
                _fire(m, n)
                later = clock.now + 1
            else:
                later = min(later, due)
    return later


@inner
def _next_firing(m: Machine, node: Node) -> int:
    """The cycle of a node's next firing; NEVER while that is unknown or there is none."""
    if node.fired == node.firings:
        return NEVER
    due = ready(m, node)
    for a in range(node.first_access, node.end_access):
        if acquires(node, a):
            due = max(due, available(m, m.accesses[a]))
    if node.kind == SINK:  # after a skip ``due`` may lie far back: look from now on
        return next_open(m, node, max(due, m.clock[0].now))
    return due


@inner
def acquires(node: Node, access: int) -> bool:
    """True if the node's next firing acquires this access."""
    return (node.acquires >> (access - node.first_access)) & 1 == 1


@inner
def _releases(node: Node, access: int) -> bool:
    """True if the node's next firing releases this access."""
    return (node.releases >> (access - node.first_access)) & 1 == 1


@inner
def _fire(m: Machine, n: int) -> None:
    """Let node ``n`` fire in the current cycle."""
    node, now = m.nodes[n], m.clock[0].now
    _count_firing(m, n)
    end = _busy_until(m, node)
    for a in range(node.first_access, node.end_access):
        if acquires(node, a):
            _acquire(m, a)
    for a in range(node.first_access, node.end_access):
        if _releases(node, a):
            _release(m, n, a, end)
    if node.record >= 0:
        m.memory[node.record + node.fired] = now
    node.fired += 1
    node.last = now
    _next_iteration(m, n)


@inner
def _count_firing(m: Machine, n: int) -> None:
    """Start the run at its first firing, and count the cycles of the issue node up to its next firing."""
    clock = m.clock[0]
    issues = n == clock.issue
    if clock.start < 0 and (clock.starts_anywhere == 1 or m.nodes[n].kind == SOURCE or issues):
        clock.start = clock.now
        clock.counted = clock.now - 1
    if issues:
        count_stalls(m, clock.now - 1)
        clock.counted = clock.now


@inner
def _busy_until(m: Machine, node: Node) -> int:
    """The last cycle of the firing that begins now; a node with durations is given the interval of this one."""
    now: int = m.clock[0].now
    if node.durations < 0:
        return now
    node.interval = m.memory[node.durations + node.fired]
    return now + node.interval - 1


@inner
def _acquire(m: Machine, a: int) -> None:
    """Reserve a slot, or receive a token."""
    access = m.accesses[a]
    channel = m.channels[access.channel]
    if access.produces == 0:
        channel.received += 1
        return
    channel.reserved += 1
    # Every free slot but the one freed last was free before the consumer fired again; the last one may still have to
    # # wait for the end of a long firing.
    if m.clock[0].uneven == 1 and credits(channel) == 1:
        channel.credit_since = channel.last_credit


@inner
def _release(m: Machine, n: int, a: int, end: int) -> None:
    """Send a token, or return a credit, at the ``end`` of a firing of node ``n``."""
    access = m.accesses[a]
    channel = m.channels[access.channel]
    if access.produces == 1:
        note_sent(m, channel, channel.sent, end)
        channel.sent += 1
        return
    channel.last_credit = end + channel.response
    if credits(channel) == 0:
        channel.credit_since = channel.last_credit
        if channel.response == 0 and channel.producer < n:
            m.clock[0].rescan = 1
    channel.freed += 1


@inner
def _next_iteration(m: Machine, n: int) -> None:
    """Move node ``n`` to its next iteration and wake the detector of the loop that went on."""
    level = m.nodes[n].depth - 1
    while level >= 0 and not _goes_on(m, m.levels[n, level]):
        disarm(m, detector_of(m, n, level))
        level -= 1
    if level >= 0:
        plan_accesses(m, n)
        _wake(m, detector_of(m, n, level))


@inner
def _goes_on(m: Machine, level: Level) -> bool:
    """Move a loop to its next iteration; false if it ends, and is set up for its next run."""
    level.index += 1
    if level.index < level.count:
        return True
    level.index = 0
    if level.counts >= 0:
        level.run += 1
        level.count = m.memory[level.counts + level.run]
    return False


@inner
def plan_accesses(m: Machine, n: int) -> None:
    """Note which accesses node ``n`` acquires and releases in its next firing."""
    node = m.nodes[n]
    node.acquires = 0
    node.releases = 0
    for a in range(node.first_access, node.end_access):
        acquired, released = 1, 1
        for level in range(node.depth):
            acquired &= _admits(m.levels[n, level], m.iterations[a, level].acquire)
            released &= _admits(m.levels[n, level], m.iterations[a, level].release)
        node.acquires |= acquired << (a - node.first_access)
        node.releases |= released << (a - node.first_access)


@inner
def _admits(level: Level, iteration: int) -> bool:
    """True if a loop is in that iteration: ANY, FIRST, FINAL or BUT one."""
    if iteration in (BUT_FIRST, BUT_FINAL):
        return level.index != (0 if iteration == BUT_FIRST else level.count - 1)
    return iteration in (ANY, level.index) or (iteration == FINAL and level.index == level.count - 1)


@inner
def detector_of(m: Machine, n: int, level: int) -> int:
    """The detector of one loop of node ``n``."""
    return n * m.levels.shape[1] + level


@inner
def disarm(m: Machine, d: int) -> None:
    """Reset a detector: its observations are no longer valid."""
    detector = m.detectors[d]
    detector.armed = 0
    detector.visits = 0
    detector.patience = 1


@inner
def _wake(m: Machine, d: int) -> None:
    """Put a detector into the queue, unless it is there."""
    clock, detector = m.clock[0], m.detectors[d]
    if clock.fast_forward == 1 and detector.queued == 0:
        detector.queued = 1
        m.queue[clock.queued] = d
        clock.queued += 1


@inner
def count_stalls(m: Machine, until: int) -> None:
    """Count the idle cycles of the issue node up to and including ``until`` by reason, the first reason first."""
    clock, node = m.clock[0], m.nodes[m.clock[0].issue]
    begin = clock.counted + 1
    if clock.start < 0 or begin > until or node.fired == node.firings:
        return
    clock.counted = until
    for reason in range(REASONS):
        end = min(_held_until(m, node, reason), until + 1)
        if end > begin:
            clock.stalls[reason] += end - begin
            begin = end
    # Nothing is missing but an open cycle of a sink's stall pattern.
    clock.stalls[node.stall] += until + 1 - begin


@inner
def _held_until(m: Machine, node: Node, reason: int) -> int:
    """The cycle from which this reason no longer keeps a node from firing; NEVER while unknown."""
    held = 0
    if reason == DEPENDENCY:
        held = node.last + node.interval
    if reason == node.stall:
        held = max(held, offered(m, node))
    for a in range(node.first_access, node.end_access):
        if m.accesses[a].stall == reason and acquires(node, a):
            held = max(held, available(m, m.accesses[a]))
    return held
