"""Channel activity from the firings of a run: when tokens move, how full FIFOs are, why the issue node waits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from blueprint.timing import ENDS, STALL_REASONS, Access, Channel, Ints, Node, TimingGraph
from simulator.engine.kernel import Timeline
from simulator.engine.patterns import distances
from simulator.stall_patterns import Pattern

#: (reason, first cycle, last cycle + 1), one row per idle stretch.
Stretches = tuple[list[str], Ints, Ints]


def token_firings(node: Node, access: Access) -> tuple[Ints, Ints]:
    """The firings of ``node`` that acquire, and those that release, each token of ``access``."""
    if node.ragged:
        return _ragged_firings(node, access, "first"), _ragged_firings(node, access, "last")
    only = dict(access.only)
    edge = {"first": slice(0, 1), "last": slice(-1, None), "but_first": slice(1, None), "but_last": slice(-1)}
    acquire: list[slice] = []
    release: list[slice] = []
    inside = access.loop is None
    for loop in node.loops:
        wanted = only.get(loop.name)
        acquire.append(edge[wanted or "first"] if wanted or inside else slice(None))
        release.append(edge[wanted or "last"] if wanted or inside else slice(None))
        inside = inside or loop.name == access.loop
    firings = np.arange(node.firings).reshape([int(np.asarray(loop.count)) for loop in node.loops])
    return firings[tuple(acquire)].ravel(), firings[tuple(release)].ravel()


def _ragged_firings(node: Node, access: Access, edge: str) -> Ints:
    """The firings of :func:`token_firings`, found loop by loop from outside."""
    only = dict(access.only)
    chosen = np.zeros(1, np.int64)  # iterations so far, by their number in the whole run
    inside = access.loop is None
    for loop in node.loops:
        counts = np.asarray(loop.count, np.int64)
        count = counts[chosen] if loop.ragged else np.broadcast_to(counts, chosen.shape)
        begin = (np.cumsum(counts) - counts)[chosen] if loop.ragged else chosen * counts
        wanted = only.get(loop.name, edge if inside else None)
        if wanted in ENDS:
            chosen = begin if wanted == "first" else begin + count - 1
        else:
            begin, count = begin + (wanted == "but_first"), count - (wanted is not None)
            after = np.cumsum(count)
            chosen = np.arange(after[-1]) + np.repeat(begin - after + count, count)
        inside = inside or loop.name == access.loop
    return chosen


def token_cycles(graph: TimingGraph, timeline: Timeline, channel: str) -> tuple[Ints, Ints, Ints, Ints]:
    """Per token of ``channel``: its slot reserved by the producer, sent, received by the consumer, its slot freed."""
    cycles: list[Ints] = []
    for side in ("produces", "consumes"):
        node, access = next((n, a) for n in graph.nodes for a in getattr(n, side) if a.channel == channel)
        first, last = token_firings(node, access)
        fired = timeline.fired[node.name]
        cycles += [fired[first], fired[last] + node.busy(last) - 1]
    reserved, sent, received, freed = cycles
    return reserved, sent, received, freed


def occupancy(graph: TimingGraph, timeline: Timeline, channel: str) -> tuple[Ints, Ints]:
    """The cycles in which the number of slots in use changes, and the number from there on."""
    reserved, _, _, freed = token_cycles(graph, timeline, channel)
    # A slot that is refilled in the cycle in which it is freed was never seen empty: count per cycle, then add up.
    cycles, where = np.unique(np.concatenate((reserved, freed)), return_inverse=True)
    steps = np.zeros(len(cycles), np.int64)
    np.add.at(steps, where, np.repeat([1, -1], [len(reserved), len(freed)]))
    moved = steps != 0
    return cycles[moved], np.cumsum(steps)[moved]


def idle(graph: TimingGraph, timeline: Timeline, patterns: Mapping[str, Pattern]) -> Stretches:
    """The stretches of cycles in which the issue node did not fire, each with the reason it counts as."""
    node = graph.node(graph.issue)
    fired = timeline.fired[node.name]
    begin = np.concatenate(([min(timeline.start, int(fired[0]))], fired[:-1] + 1))
    known = _conditions(graph, timeline, node, patterns)
    rows = []
    # Once nothing else is missing, it waits for its stream.
    for reason, since in [*((r, known[r]) for r in STALL_REASONS), (node.stall, fired)]:
        end = np.clip(since, begin, fired)
        rows.append((STALL_REASONS.index(reason), begin, end))
        begin = end
    reasons = np.repeat([row[0] for row in rows], len(fired))
    begins, ends = (np.concatenate([row[i] for row in rows]) for i in (1, 2))
    order = np.lexsort((ends, begins))
    order = order[(ends > begins)[order]]
    return [STALL_REASONS[i] for i in reasons[order]], begins[order], ends[order]


def _conditions(
    graph: TimingGraph, timeline: Timeline, node: Node, patterns: Mapping[str, Pattern]
) -> dict[str, Ints]:
    """Per reason and firing of ``node`` the cycle from which nothing of that reason is missing."""
    fired = timeline.fired[node.name]
    known = {reason: np.zeros(len(fired), np.int64) for reason in STALL_REASONS}
    busy = node.interval if node.durations is None else np.asarray(node.durations)[:-1]
    known["dependency"][1:] = fired[:-1] + busy
    if node.stream is not None and node.direction == "in":
        np.maximum(known[node.stall], _offers(fired, patterns.get(node.stream)), out=known[node.stall])
    channels = {channel.name: channel for channel in graph.channels}
    for access in node.consumes:
        channel = channels[access.channel]
        _wait(known[channel.stall], node, access, _tokens_from(graph, timeline, channel))
    for access in node.produces:
        channel = channels[access.channel]
        _wait(known[channel.space_stall], node, access, _credits_from(graph, timeline, channel))
    return known


def _wait(known: Ints, node: Node, access: Access, since: Ints) -> None:
    """Raise ``known`` of the firings that acquire a token of ``access`` to when each of these is there."""
    firings, _ = token_firings(node, access)
    known[firings] = np.maximum(known[firings], since)


def _tokens_from(graph: TimingGraph, timeline: Timeline, channel: Channel) -> Ints:
    """Per token of ``channel``, the cycle from which its consumer can receive it."""
    return token_cycles(graph, timeline, channel.name)[1] + channel.latency


def _credits_from(graph: TimingGraph, timeline: Timeline, channel: Channel) -> Ints:
    """Per token of ``channel``, the cycle from which its producer can reserve a slot for it."""
    freed = token_cycles(graph, timeline, channel.name)[3]
    first = min(channel.capacity, len(freed))
    return np.concatenate((np.zeros(first, np.int64), freed[: len(freed) - first] + channel.response))


def _offers(fired: Ints, pattern: Pattern | None) -> Ints:
    """Cycle in which each beat is first offered."""
    after = np.concatenate(([0], fired[:-1] + 1))
    if pattern is None or not len(pattern):
        return after
    opens, closes = np.empty(len(pattern), np.int64), np.empty(len(pattern), np.int64)
    distances(pattern, opens, closes)
    offers: Ints = after + opens[after % len(pattern)]
    return offers
