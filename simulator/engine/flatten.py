"""A timing graph as integer arrays: the structure once per shape of graph, the numbers in every run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from blueprint.timing import STALL_REASONS, Access, Node, TimingGraph, check_node, reduced
from simulator.arrays import Ints, Mask
from simulator.engine import machine as loop
from simulator.engine.machine import Machine

_ANY, _FIRST, _LAST = range(3)
_RESOLVED = np.array([loop.ANY, loop.FIRST, loop.FINAL])


@dataclass(frozen=True)
class Structure:
    """What graphs with the same nodes, loops and accesses share."""

    nodes: tuple[str, ...]
    channels: tuple[str, ...]
    streams: tuple[str | None, ...]
    #: Per node, the loops that make up each level: neighbors that no access tells apart count as one.
    levels: tuple[tuple[tuple[int, ...], ...], ...]
    scalars: Ints
    node_table: Ints
    edges: Ints  # [node, level]
    accesses: Ints
    codes: Ints  # [access, 2 * level (+ 1)] acquiring (releasing) iteration: _ANY, _FIRST or _LAST
    owner: Ints  # [access] node
    ends: Ints  # [channel] producer, consumer


@dataclass(frozen=True)
class Flat:
    """A graph ready to run."""

    structure: Structure
    machine: Machine


def flatten(
    graph: TimingGraph, masks: Mapping[str, Mask], record: frozenset[str], fast_forward: bool
) -> Flat:
    """The arrays of ``graph`` under ``masks``; nodes named in ``record`` keep every firing cycle."""
    structure = _structure_of(graph)
    nests = np.ones((*structure.edges.shape, 5), np.int64)
    nests[:, :, loop.EDGES] = structure.edges
    nests[:, :, loop.INDEX :] = 0, -1, 0
    nodes = structure.node_table.copy()
    nodes[:, loop.BUSY_START] = -1
    #: Where in ``memory`` they go: durations of a node, counts of a level.
    kept: list[tuple[Ints, int, Ints]] = []
    uneven: list[int] = []
    for n, (node, levels) in enumerate(zip(graph.nodes, structure.levels, strict=True)):
        counts = [item.count for item in node.loops]
        if node.durations is not None or np.ndarray in map(type, counts):
            kept += _uneven(node, levels, nests[n], nodes[n])
            uneven.append(n)
            continue
        nests[n, : len(levels), loop.COUNT] = [prod([counts[i] for i in level]) for level in levels]
        nodes[n, loop.FIRINGS], nodes[n, loop.INTERVAL] = prod(counts), node.interval
    channels = _channels(graph, structure, nests, nodes, uneven)
    rings = int(channels[:, loop.RING_LENGTH].sum())
    end = _records(graph, nodes, record, rings)
    used = _used_masks(graph, masks)
    many = 2 * sum(len(mask) for _, mask in used)
    memory = np.zeros(end + many + sum(len(numbers) + 1 for *_, numbers in kept), np.int64)
    _masks(nodes, used, memory, end)
    _keep(kept, memory, end + many)
    scalars = structure.scalars.copy()
    scalars[loop.FORWARD], scalars[loop.UNEVEN] = int(fast_forward), int(bool(kept))
    accesses = np.concatenate((structure.accesses, _RESOLVED[structure.codes]), axis=1)
    return Flat(structure, _machine(scalars, nodes, nests, accesses, channels, memory))


def _uneven(
    node: Node, levels: tuple[tuple[int, ...], ...], nest: Ints, row: Ints
) -> list[tuple[Ints, int, Ints]]:
    """Fill in the nest of a node with durations or ragged loops; the counts that stand in memory."""
    check_node(node)
    kept: list[tuple[Ints, int, Ints]] = []
    row[loop.FIRINGS], row[loop.INTERVAL] = node.firings, node.interval
    if node.durations is not None:
        kept.append((row, loop.BUSY_START, np.asarray(node.durations)))
        row[loop.INTERVAL] = 1
    for level, members in enumerate(levels):
        counts = reduced([node.loops[i] for i in members])
        if isinstance(counts, np.ndarray) and (counts == counts[0]).all():
            counts = counts[0]
        if isinstance(counts, np.ndarray):
            kept.append((nest[level], loop.COUNTS_START, counts))
            counts = counts[0]
        nest[level, loop.COUNT] = counts
    return kept


def _keep(kept: list[tuple[Ints, int, Ints]], memory: Ints, start: int) -> None:
    """Put numbers in memory, one to spare behind them (a run after the last), and their place in their column."""
    for row, column, numbers in kept:
        row[column] = start
        memory[start : start + len(numbers)] = numbers
        start += len(numbers) + 1


def _machine(
    scalars: Ints, nodes: Ints, nests: Ints, accesses: Ints, channels: Ints, memory: Ints
) -> Machine:
    count, levels, _ = nests.shape
    detectors = count * levels
    flights = int(np.minimum(channels[:, loop.LATENCY], channels[:, loop.RING_LENGTH]).sum())
    return Machine(
        scalars=scalars,
        nodes=nodes,
        nests=nests,
        accesses=accesses,
        channels=channels,
        memory=memory,
        detectors=np.zeros((detectors, 10), np.int64),
        snap_nodes=np.zeros((detectors, count, loop.SNAP_INDEX + 2 * levels), np.int64),
        snap_channels=np.zeros((detectors, len(channels), 6), np.int64),
        snap_flights=np.zeros((detectors, flights), np.int64),
    )


def _channels(graph: TimingGraph, structure: Structure, nests: Ints, nodes: Ints, uneven: list[int]) -> Ints:
    table = np.zeros((len(graph.channels), 14), np.int64)
    for c, channel in enumerate(graph.channels):
        table[c, : loop.RING_START] = channel.capacity, channel.latency, channel.response
    table[:, loop.PRODUCER : loop.CONSUMER + 1] = structure.ends
    moved = np.where(structure.codes[:, ::2] == _ANY, nests[structure.owner, :, loop.COUNT], 1).prod(axis=1)
    for n in uneven:
        accesses = (*graph.nodes[n].consumes, *graph.nodes[n].produces)
        moved[structure.owner == n] = [graph.nodes[n].tokens(access) for access in accesses]
    tokens = np.zeros((2, len(table)), np.int64)
    tokens[structure.accesses[:, loop.PRODUCES], structure.accesses[:, loop.CHANNEL]] = moved
    _check(graph, table, tokens, nodes, nests)
    table[:, loop.RING_LENGTH] = length = np.minimum(table[:, loop.CAPACITY], tokens[0])
    table[:, loop.RING_START] = np.cumsum(length) - length
    flights = np.minimum(table[:, loop.LATENCY], length)
    table[:, loop.FLIGHT_START] = np.cumsum(flights) - flights
    return table


def _check(graph: TimingGraph, table: Ints, tokens: Ints, nodes: Ints, nests: Ints) -> None:
    """The numbers of :meth:`TimingGraph.check`, which has the words for what is wrong and is slower."""
    response = table[:, loop.RESPONSE]
    fine = (
        bool((tokens[0] == tokens[1]).all())
        and bool((table[:, : loop.RESPONSE] > 0).all())
        and bool(((response == 0) | (response == 1)).all())
        and bool((nodes[:, loop.INTERVAL] > 0).all())
        and bool((nests[:, :, loop.COUNT] > 0).all())
    )
    if not fine:
        graph.check()


def _used_masks(graph: TimingGraph, masks: Mapping[str, Mask]) -> list[tuple[int, Mask]]:
    """The masks that ever close, by node."""
    if not masks:
        return []
    streams = {node.stream: n for n, node in enumerate(graph.nodes) if node.stream is not None}
    for name, mask in masks.items():
        if name not in streams:
            raise ValueError(f"Mask must be for one of {', '.join(streams) or 'no stream'}, not {name!r}")
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 1:
            raise TypeError(f"Mask of stream {name!r} must be a one-dimensional boolean array, not {mask!r}")
    return [(streams[name], mask) for name, mask in masks.items() if len(mask) and not mask.all()]


def _masks(nodes: Ints, used: list[tuple[int, Mask]], memory: Ints, start: int) -> None:
    for n, mask in used:
        length = len(mask)
        opens, closes = memory[start : start + length], memory[start + length : start + 2 * length]
        loop.mask_distances(np.ascontiguousarray(mask), opens, closes)
        nodes[n, loop.MASK_START], nodes[n, loop.MASK_LENGTH] = start, length
        start += 2 * length


def _records(graph: TimingGraph, nodes: Ints, record: frozenset[str], start: int) -> int:
    nodes[:, loop.RECORD_START] = -1
    for name in record:
        n = graph.nodes.index(graph.node(name))
        nodes[n, loop.RECORD_START] = start
        start += int(nodes[n, loop.FIRINGS])
    return start


def _structure_of(graph: TimingGraph) -> Structure:
    nodes = tuple(
        (
            n.name,
            tuple([item.name for item in n.loops]),
            n.consumes,
            n.produces,
            n.stream,
            n.direction,
            n.stall,
        )
        for n in graph.nodes
    )
    channels = tuple([(c.name, c.stall) for c in graph.channels])
    return _structure(_Shape(nodes, channels, graph.issue, graph))


class _Shape:
    """Key of the cache of structures: compares everything but the numbers, and carries a graph to build from."""

    def __init__(
        self, nodes: tuple[Any, ...], channels: tuple[Any, ...], issue: str, graph: TimingGraph
    ) -> None:
        self.key = (nodes, channels, issue)
        self.graph = graph

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shape) and self.key == other.key


@lru_cache(maxsize=256)
def _structure(shape: _Shape) -> Structure:
    graph = shape.graph
    graph.check()
    names = tuple(node.name for node in graph.nodes)
    channel_names = tuple(channel.name for channel in graph.channels)
    merged = [_merge(node) for node in graph.nodes]
    deepest = max(len(levels) for levels, _ in merged)
    patterns = [pair for _, pairs in merged for pair in pairs]
    codes = np.zeros((len(patterns), 2 * deepest), np.int64)
    for i, (first, last) in enumerate(patterns):
        codes[i, : 2 * len(first) : 2], codes[i, 1 : 2 * len(last) : 2] = first, last
    accesses, ends, table = _tables(graph, channel_names)
    table[:, loop.RANK], table[:, loop.ORDER] = _order(ends, len(names))
    table[:, loop.LEVELS] = [len(levels) for levels, _ in merged]
    scalars = np.zeros(loop.STALLS + 4, np.int64)
    scalars[loop.ISSUE] = names.index(graph.issue)
    scalars[loop.ANY_STARTS] = int(not (table[:, loop.KIND] == loop.SOURCE).any())
    return Structure(
        nodes=names,
        channels=channel_names,
        streams=tuple(node.stream for node in graph.nodes),
        levels=tuple(levels for levels, _ in merged),
        scalars=scalars,
        node_table=table,
        edges=_edges(table, codes),
        accesses=accesses,
        codes=codes,
        owner=np.repeat(np.arange(len(names)), table[:, loop.ACCESS_END] - table[:, loop.ACCESS_START]),
        ends=ends,
    )


def _merge(node: Node) -> tuple[tuple[tuple[int, ...], ...], list[tuple[list[int], list[int]]]]:
    """Levels of the nest after merging, and per access the codes of its acquiring and releasing iterations."""
    codes = [_codes(node, access) for access in (*node.consumes, *node.produces)]
    groups: list[list[int]] = []
    for i in range(len(node.loops)):
        if groups and all(row[i] == row[i - 1] for pair in codes for row in pair):
            groups[-1].append(i)
        else:
            groups.append([i])
    merged = [([row[g[0]] for g in groups], [last[g[0]] for g in groups]) for row, last in codes]
    return tuple(tuple(group) for group in groups) or ((),), merged


def _codes(node: Node, access: Access) -> tuple[list[int], list[int]]:
    only = {name: _FIRST if which == "first" else _LAST for name, which in access.only}
    acquire, release = [], []
    inside = access.loop is None
    for item in node.loops:
        acquire.append(only.get(item.name, _FIRST if inside else _ANY))
        release.append(only.get(item.name, _LAST if inside else _ANY))
        inside = inside or item.name == access.loop
    return acquire, release


def _tables(graph: TimingGraph, channels: tuple[str, ...]) -> tuple[Ints, Ints, Ints]:
    """Accesses; producer and consumer of each channel; nodes."""
    rows: list[tuple[int, int, int]] = []
    ends = np.zeros((len(channels), 2), np.int64)
    table = np.zeros((len(graph.nodes), 17), np.int64)
    for n, node in enumerate(graph.nodes):
        table[n, loop.ACCESS_START] = len(rows)
        for access in node.consumes:
            c = channels.index(access.channel)
            rows.append((c, 0, STALL_REASONS.index(graph.channels[c].stall)))
            ends[c, 1] = n
        for access in node.produces:
            c = channels.index(access.channel)
            rows.append((c, 1, STALL_REASONS.index(graph.channels[c].space_stall)))
            ends[c, 0] = n
        table[n, loop.ACCESS_END] = len(rows)
        table[n, loop.KIND] = _kind(node)
        table[n, loop.STREAM_REASON] = STALL_REASONS.index(node.stall)
    return np.array(rows, np.int64).reshape(-1, 3), ends, table


def _kind(node: Node) -> int:
    if node.stream is None:
        return loop.PLAIN
    return loop.SINK if node.direction == "out" else loop.SOURCE


def _edges(table: Ints, codes: Ints) -> Ints:
    edges = np.zeros((len(table), codes.shape[1] // 2), np.int64)
    for n, row in enumerate(table):
        mine = codes[row[loop.ACCESS_START] : row[loop.ACCESS_END]]
        for bit, code in ((loop.EDGE_FIRST, _FIRST), (loop.EDGE_LAST, _LAST)):
            seen = (mine == code).any(axis=0)
            edges[n] |= np.where(seen[::2] | seen[1::2], bit, 0)
    return edges


def _order(ends: Ints, count: int) -> tuple[Ints, Ints]:
    """Rank of each node and the nodes by rank: consumers before producers, as far as there are no cycles."""
    order: list[int] = []
    seen: set[int] = set()

    def visit(n: int) -> None:
        if n in seen:
            return
        seen.add(n)
        for producer, consumer in ends:
            if producer == n:
                visit(int(consumer))
        order.append(n)

    for n in range(count):
        visit(n)
    rank = np.zeros(count, np.int64)
    rank[order] = np.arange(count)
    return rank, np.array(order, np.int64)
