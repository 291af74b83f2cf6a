"""Stall patterns inside the engine: when a stream is open next, and when it is closed next.

A pattern stands in memory as two tables with one number per phase: the cycles to the next open one, then the cycles to
the next closed one.
"""

from __future__ import annotations

from blueprint.timing import Ints
from simulator.engine.compiled import compiled, inner
from simulator.engine.machine import NEVER, SOURCE, Machine, Node
from simulator.stall_patterns import Pattern


@compiled
def distances(pattern: Pattern, opens: Ints, closes: Ints) -> None:
    """Fill in, per phase of a periodic pattern, the cycles to the next open one and to the next closed one."""
    to_open, to_closed = NEVER, NEVER
    for i in range(2 * len(pattern) - 1, -1, -1):
        phase = i % len(pattern)
        to_open = 0 if pattern[phase] else min(to_open + 1, NEVER)
        to_closed = min(to_closed + 1, NEVER) if pattern[phase] else 0
        opens[phase] = to_open
        closes[phase] = to_closed


@inner
def next_open(m: Machine, node: Node, cycle: int) -> int:
    """The first cycle from ``cycle`` on in which the stream of the node is open."""
    if node.pattern_length == 0 or cycle >= NEVER:
        return cycle
    wait: int = m.memory[node.pattern + cycle % node.pattern_length]
    return NEVER if wait >= NEVER else cycle + wait


@inner
def next_closed(m: Machine, node: Node, cycle: int) -> int:
    """The first cycle from ``cycle`` on in which the stream of the node is closed."""
    if node.pattern_length == 0:
        return NEVER
    wait: int = m.memory[node.pattern + node.pattern_length + cycle % node.pattern_length]
    return cycle + wait


@inner
def offered(m: Machine, node: Node) -> int:
    """The cycle from which the world offers a source its next beat; 0 for any other node."""
    if node.kind != SOURCE:
        return 0
    return next_open(m, node, node.last + 1 if node.fired > 0 else 0)


@inner
def ready(m: Machine, node: Node) -> int:
    """The cycle from which neither its interval nor, for a source, its stall pattern keeps a node from firing."""
    return max(node.last + node.interval, offered(m, node))
