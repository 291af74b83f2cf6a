"""FIFO sizing: smallest depths without deadlock, and without loss of throughput."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from blueprint.timing import TimingGraph
from simulator.engine.kernel import Deadlock, run
from simulator.stall_patterns import Pattern


@dataclass(frozen=True)
class Sizing:
    """Capacities of one channel and the cycles they give.

    ``deadlock_free``: the smallest with which the graph gets to its end. ``full_speed``: the smallest that is as fast
    as an unbounded channel.
    """

    channel: str
    deadlock_free: int
    full_speed: int
    cycles_at_deadlock_free: int
    cycles: int


def with_capacity(graph: TimingGraph, channel: str, capacity: int) -> TimingGraph:
    """``graph`` with another capacity of one channel. Raises ``ValueError`` for a channel that is not there."""
    if channel not in [item.name for item in graph.channels]:
        known = ", ".join(item.name for item in graph.channels)
        raise ValueError(f"Channel must be one of {known}, not {channel!r}")
    changed = (replace(c, capacity=capacity) if c.name == channel else c for c in graph.channels)
    return replace(graph, channels=tuple(changed))


def smallest_capacity(
    graph: TimingGraph, channel: str, patterns: Mapping[str, Pattern] | None = None
) -> Sizing:
    """The capacities from which ``channel`` neither deadlocks nor slows down ``graph`` under ``patterns``.

    More capacity never delays a firing, so a binary search is exact. Raises :class:`Deadlock` if no capacity helps.
    """
    most = max(_tokens(graph, channel), 1)

    def cycles(capacity: int) -> int:
        return run(with_capacity(graph, channel, capacity), patterns or {}).cycles

    def lives(capacity: int) -> bool:
        try:
            cycles(capacity)
        except Deadlock:
            return False
        return True

    best = cycles(most)
    alive = _first(lives, 1, most)
    fast = _first(lambda capacity: cycles(capacity) == best, alive, most)
    return Sizing(channel, alive, fast, cycles(alive), best)


def _tokens(graph: TimingGraph, channel: str) -> int:
    return max((n.tokens(a) for n in graph.nodes for a in n.produces if a.channel == channel), default=0)


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Smallest number in ``low..high`` for which ``holds``, which it does from there on and for ``high``."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
