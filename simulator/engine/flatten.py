"""A timing graph as tables: the structure once per shape of graph, the numbers in every run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from blueprint.timing import Ints, Node, TimingGraph, check_node, reduced
from simulator.engine import machine as rows
from simulator.engine.machine import Machine, Table, copied, table
from simulator.engine.patterns import distances
from simulator.engine.structure import Structure, structure_of
from simulator.stall_patterns import Pattern


@dataclass(frozen=True)
class Flat:
    """A graph ready to run."""

    graph: TimingGraph
    structure: Structure
    machine: Machine

    @property
    def rows(self) -> list[tuple[Node, int]]:
        """The nodes in the graph's order, each with its row in the table of nodes."""
        return list(zip(self.graph.nodes, self.structure.row_of, strict=True))


@dataclass(frozen=True)
class _Kept:
    """Numbers that go to memory, and the field of a table that says where they stand."""

    column: Ints
    at: tuple[int, ...]
    numbers: Ints


def flatten(
    graph: TimingGraph, patterns: Mapping[str, Pattern], record: frozenset[str], fast_forward: bool
) -> Flat:
    """The tables of ``graph`` under stall ``patterns``; nodes named in ``record`` keep every firing cycle."""
    structure = structure_of(graph)
    ordered = [graph.nodes[i] for i in structure.order]
    nodes, levels = copied(structure.nodes), copied(structure.levels)
    kept, uneven = _counts(ordered, structure, nodes, levels)
    tokens = _tokens(ordered, structure, levels, uneven)
    _check(graph, tokens, nodes, levels)
    channels = _channels(graph, structure, tokens[0])
    start = _records(graph, structure, nodes, record, int(channels["ring_length"].sum()))
    used = _used_patterns(graph, structure, patterns)
    many = 2 * sum(len(pattern) for _, pattern in used)
    memory = np.zeros(start + many + sum(len(item.numbers) + 1 for item in kept), np.int64)
    _keep_patterns(nodes, used, memory, start)
    _keep(kept, memory, start + many)
    clock = copied(structure.clock)
    clock["fast_forward"], clock["uneven"] = fast_forward, bool(kept)
    return Flat(graph, structure, _machine(structure, clock, nodes, levels, channels, memory))


def _counts(
    ordered: list[Node], structure: Structure, nodes: Table[rows.Node], levels: Table[rows.Level]
) -> tuple[list[_Kept], list[int]]:
    """Fill in counts and intervals; the numbers that go to memory, and the rows of the nodes that have some."""
    kept: list[_Kept] = []
    uneven: list[int] = []
    count, firings, interval = levels["count"], nodes["firings"], nodes["interval"]
    nodes["durations"] = -1
    for n, (node, merged) in enumerate(zip(ordered, structure.merged, strict=True)):
        counts = [loop.count for loop in node.loops]
        if node.durations is not None or np.ndarray in map(type, counts):
            check_node(node)
            kept += _durations(node, nodes, n) + _ragged(node, merged, levels, n)
            uneven.append(n)
            continue
        count[n, : len(merged)] = [prod([counts[i] for i in members]) for members in merged]
        firings[n], interval[n] = prod(counts), node.interval
    return kept, uneven


def _durations(node: Node, nodes: Table[rows.Node], n: int) -> list[_Kept]:
    """Fill in the firings of a node that may have durations, which go to memory."""
    nodes["firings"][n], nodes["interval"][n] = node.firings, node.interval
    if node.durations is None:
        return []
    nodes["interval"][n] = 1
    return [_Kept(nodes["durations"], (n,), np.asarray(node.durations))]


def _ragged(
    node: Node, merged: tuple[tuple[int, ...], ...], levels: Table[rows.Level], n: int
) -> list[_Kept]:
    """Fill in the nest of a node that may have ragged loops, whose counts go to memory."""
    kept: list[_Kept] = []
    for level, members in enumerate(merged):
        counts = reduced([node.loops[i] for i in members])
        if isinstance(counts, np.ndarray):
            if not (counts == counts[0]).all():
                kept.append(_Kept(levels["counts"], (n, level), counts))
            counts = counts[0]
        levels["count"][n, level] = counts
    return kept


def _keep(kept: list[_Kept], memory: Ints, start: int) -> None:
    """Put numbers in memory, one to spare behind them (a run after the last), and note where they stand."""
    for item in kept:
        item.column[item.at] = start
        memory[start : start + len(item.numbers)] = item.numbers
        start += len(item.numbers) + 1


def _tokens(ordered: list[Node], structure: Structure, levels: Table[rows.Level], uneven: list[int]) -> Ints:
    """Tokens that move over each channel in the whole run, as its consumer and as its producer has it: [2, channel]."""
    moved = (levels["count"][structure.owner] * structure.scale + structure.offset).prod(axis=1)
    for n in uneven:
        accesses = (*ordered[n].consumes, *ordered[n].produces)
        moved[structure.owner == n] = [ordered[n].tokens(access) for access in accesses]
    tokens = np.zeros((2, len(structure.channels)), np.int64)
    tokens[structure.accesses["produces"], structure.accesses["channel"]] = moved
    return tokens


def _check(graph: TimingGraph, tokens: Ints, nodes: Table[rows.Node], levels: Table[rows.Level]) -> None:
    """The numbers of :meth:`TimingGraph.check`, which has the words for what is wrong and is slower."""
    fine = (
        bool((tokens[0] == tokens[1]).all())
        and all(c.capacity > 0 and c.latency > 0 and c.response in (0, 1) for c in graph.channels)
        and bool((nodes["interval"] > 0).all())
        and bool((levels["count"] > 0).all())
    )
    if not fine:
        graph.check()


def _channels(graph: TimingGraph, structure: Structure, tokens: Ints) -> Table[rows.Channel]:
    """Channels with their numbers and places; a ring is no longer than all ``tokens`` of its channel."""
    found = copied(structure.channels)
    found["capacity"] = [channel.capacity for channel in graph.channels]
    found["latency"] = [channel.latency for channel in graph.channels]
    found["response"] = [channel.response for channel in graph.channels]
    found["ring_length"] = length = np.minimum(found["capacity"], tokens)
    found["ring"] = np.cumsum(length) - length
    flights = np.minimum(found["latency"], length)
    found["flights"] = np.cumsum(flights) - flights
    return found


def _records(
    graph: TimingGraph, structure: Structure, nodes: Table[rows.Node], record: frozenset[str], start: int
) -> int:
    """Give nodes to be recorded their places in memory from ``start`` on; return where these end."""
    nodes["record"] = -1
    for name in record:
        n = structure.row_of[graph.nodes.index(graph.node(name))]
        nodes["record"][n] = start
        start += int(nodes["firings"][n])
    return start


def _used_patterns(
    graph: TimingGraph, structure: Structure, patterns: Mapping[str, Pattern]
) -> list[tuple[int, Pattern]]:
    """The stall patterns that ever close, by row of the node."""
    if not patterns:
        return []
    placed = zip(graph.nodes, structure.row_of, strict=True)
    streams = {node.stream: n for node, n in placed if node.stream is not None}
    for name, pattern in patterns.items():
        if name not in streams:
            raise ValueError(
                f"Stall pattern must be for one of {', '.join(streams) or 'no stream'}, not {name!r}"
            )
        if not isinstance(pattern, np.ndarray) or pattern.dtype != np.bool_ or pattern.ndim != 1:
            raise TypeError(
                f"Stall pattern of stream {name!r} must be a one-dimensional boolean array, not {pattern!r}"
            )
    closing = (name for name, pattern in patterns.items() if len(pattern) and not pattern.all())
    return [(streams[name], patterns[name]) for name in closing]


def _keep_patterns(
    nodes: Table[rows.Node], used: list[tuple[int, Pattern]], memory: Ints, start: int
) -> None:
    """Put the distances of stall patterns in memory."""
    for n, pattern in used:
        length = len(pattern)
        opens, closes = memory[start : start + length], memory[start + length : start + 2 * length]
        distances(np.ascontiguousarray(pattern), opens, closes)
        nodes["pattern"][n], nodes["pattern_length"][n] = start, length
        start += 2 * length


def _machine(
    structure: Structure,
    clock: Table[rows.Clock],
    nodes: Table[rows.Node],
    levels: Table[rows.Level],
    channels: Table[rows.Channel],
    memory: Ints,
) -> Machine:
    """The tables with room for snapshots."""
    detectors = levels.shape[0] * levels.shape[1]
    flights = int(np.minimum(channels["latency"], channels["ring_length"]).sum())
    return Machine(
        clock=clock,
        nodes=nodes,
        levels=levels,
        accesses=structure.accesses,
        iterations=structure.iterations,
        channels=channels,
        memory=memory,
        detectors=table(rows.Detector, detectors),
        queue=np.zeros(detectors, np.int64),
        seen_nodes=table(rows.Node, detectors, len(nodes)),
        seen_levels=table(rows.Level, detectors, *levels.shape),
        seen_channels=table(rows.Channel, detectors, len(channels)),
        seen_flights=np.zeros((detectors, flights), np.int64),
    )
