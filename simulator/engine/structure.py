"""Structure tables of timing graphs: built once per shape of graph and cached."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from blueprint.timing import STALL_REASONS, Access, Ints, Node, TimingGraph
from simulator.engine import machine as rows
from simulator.engine.machine import (
    ANY,
    BUT_FINAL,
    BUT_FIRST,
    FINAL,
    FIRST,
    PLAIN,
    SINK,
    SOURCE,
    Table,
    table,
)

#: Iterations in which an access acquires or releases, by the value of its ``only``.
_ONLY = {"first": FIRST, "last": FINAL, "but_first": BUT_FIRST, "but_last": BUT_FINAL}


@dataclass(frozen=True)
class Structure:
    """Tables of graphs with the same nodes, loops and accesses. Nodes stand consumers first (:class:`rows.Node`)."""

    #: Of every row of the table of nodes, its place in the graph.
    order: tuple[int, ...]
    #: Of every node of the graph, its row.
    row_of: tuple[int, ...]
    #: Per row, the loops that make up each level: neighbors that no access tells apart count as one.
    merged: tuple[tuple[tuple[int, ...], ...], ...]
    clock: Table[rows.Clock]
    nodes: Table[rows.Node]
    #: [node, level], every count 1
    levels: Table[rows.Level]
    accesses: Table[rows.Access]
    #: [access, level]
    iterations: Table[rows.Iterations]
    #: Row of the node of every access.
    owner: Ints
    #: [access, level]: tokens that a loop moves are its count times ``scale``, plus ``offset``.
    scale: Ints
    offset: Ints
    channels: Table[rows.Channel]


def structure_of(graph: TimingGraph) -> Structure:
    """The structure of a graph. Raises ``ValueError`` as :meth:`TimingGraph.check` does, for a new shape only."""
    nodes = tuple([_shape_of(node) for node in graph.nodes])
    channels = tuple([(c.name, c.stall) for c in graph.channels])
    return _structure(_Shape(nodes, channels, graph.issue, graph))


def _shape_of(node: Node) -> tuple[Any, ...]:
    loops = tuple([loop.name for loop in node.loops])
    return node.name, loops, node.consumes, node.produces, node.stream, node.direction, node.stall


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
    order = _consumers_first(graph)
    ordered = [graph.nodes[i] for i in order]
    merged, iterations = _merge_all(ordered)
    nodes, accesses, channels = _connect(graph, ordered)
    nodes["depth"] = [len(levels) for levels in merged]
    clock = table(rows.Clock, 1)
    clock["issue"] = [node.name for node in ordered].index(graph.issue)
    clock["starts_anywhere"] = not (nodes["kind"] == SOURCE).any()
    acquire = iterations["acquire"]
    but_one = np.isin(acquire, (BUT_FIRST, BUT_FINAL))
    scale = ((acquire == ANY) | but_one).astype(np.int64)
    return Structure(
        order=order,
        row_of=tuple(order.index(place) for place in range(len(order))),
        merged=merged,
        clock=clock,
        nodes=nodes,
        levels=_levels(nodes, iterations),
        accesses=accesses,
        iterations=iterations,
        owner=np.repeat(np.arange(len(nodes)), nodes["end_access"] - nodes["first_access"]),
        scale=scale,
        offset=1 - scale - but_one,
        channels=channels,
    )


def _consumers_first(graph: TimingGraph) -> tuple[int, ...]:
    """Places of the nodes, consumers before producers as far as there are no cycles."""
    ends = {access.channel: i for i, node in enumerate(graph.nodes) for access in node.consumes}
    channels = [channel.name for channel in graph.channels]
    order: list[int] = []
    seen: set[int] = set()

    def visit(i: int) -> None:
        if i in seen:
            return
        seen.add(i)
        produced = {access.channel for access in graph.nodes[i].produces}
        for channel in channels:
            if channel in produced:
                visit(ends[channel])
        order.append(i)

    for i in range(len(graph.nodes)):
        visit(i)
    return tuple(order)


def _merge_all(
    nodes: list[Node],
) -> tuple[tuple[tuple[tuple[int, ...], ...], ...], Table[rows.Iterations]]:
    """Per node the loops of each level, and the iterations of all accesses."""
    merged = [_merge(node) for node in nodes]
    patterns = [pattern for _, found in merged for pattern in found]
    iterations = table(rows.Iterations, len(patterns), max(len(levels) for levels, _ in merged))
    iterations["acquire"] = iterations["release"] = ANY
    for a, pattern in enumerate(patterns):
        iterations["acquire"][a, : len(pattern)] = [acquire for acquire, _ in pattern]
        iterations["release"][a, : len(pattern)] = [release for _, release in pattern]
    return tuple(levels for levels, _ in merged), iterations


def _merge(node: Node) -> tuple[tuple[tuple[int, ...], ...], list[list[tuple[int, int]]]]:
    """Levels of the nest after merging, and per access the acquiring and releasing iteration of each."""
    patterns = [_iterations(node, access) for access in (*node.consumes, *node.produces)]
    groups: list[list[int]] = []
    for i in range(len(node.loops)):
        if groups and all(_alike(pattern[i - 1], pattern[i]) for pattern in patterns):
            groups[-1].append(i)
        else:
            groups.append([i])
    merged = [[pattern[group[0]] for group in groups] for pattern in patterns]
    return tuple(tuple(group) for group in groups) or ((),), merged


def _alike(outer: tuple[int, int], inner: tuple[int, int]) -> bool:
    """True if two loops are one to an access; all but one iteration of both are not all but one of a single loop."""
    return outer == inner and not {BUT_FIRST, BUT_FINAL} & {*outer}


def _iterations(node: Node, access: Access) -> list[tuple[int, int]]:
    """Per loop, the iteration in which an access acquires and the one in which it releases."""
    only = {name: _ONLY[which] for name, which in access.only}
    found = []
    inside = access.loop is None
    for loop in node.loops:
        acquire, release = (FIRST, FINAL) if inside else (ANY, ANY)
        found.append((only.get(loop.name, acquire), only.get(loop.name, release)))
        inside = inside or loop.name == access.loop
    return found


def _connect(
    graph: TimingGraph, nodes: list[Node]
) -> tuple[Table[rows.Node], Table[rows.Access], Table[rows.Channel]]:
    """Nodes with their accesses, and channels with their ends."""
    place = {channel.name: c for c, channel in enumerate(graph.channels)}
    found = table(rows.Node, len(nodes))
    channels = table(rows.Channel, len(place))
    accesses: list[tuple[int, int, int]] = []
    for n, node in enumerate(nodes):
        found["first_access"][n] = len(accesses)
        for access in node.consumes:
            c = place[access.channel]
            accesses.append((c, 0, STALL_REASONS.index(graph.channels[c].stall)))
            channels["consumer"][c] = n
        for access in node.produces:
            c = place[access.channel]
            accesses.append((c, 1, STALL_REASONS.index(graph.channels[c].space_stall)))
            channels["producer"][c] = n
        found["end_access"][n] = len(accesses)
        found["kind"][n] = _kind(node)
        found["stall"][n] = STALL_REASONS.index(node.stall)
    return found, _access_table(accesses), channels


def _access_table(accesses: list[tuple[int, int, int]]) -> Table[rows.Access]:
    found = table(rows.Access, len(accesses))
    for a, (channel, produces, stall) in enumerate(accesses):
        found["channel"][a], found["produces"][a], found["stall"][a] = channel, produces, stall
    return found


def _kind(node: Node) -> int:
    if node.stream is None:
        return PLAIN
    return SINK if node.direction == "out" else SOURCE


def _levels(nodes: Table[rows.Node], iterations: Table[rows.Iterations]) -> Table[rows.Level]:
    """Levels of all nodes, with a count of 1, and whether their first and last iterations differ from the others."""
    levels = table(rows.Level, len(nodes), iterations.shape[1])
    levels["count"], levels["counts"] = 1, -1
    for n, (first, end) in enumerate(zip(nodes["first_access"], nodes["end_access"], strict=True)):
        for name, differing in (("first_differs", (FIRST, BUT_FIRST)), ("last_differs", (FINAL, BUT_FINAL))):
            acquire = np.isin(iterations["acquire"][first:end], differing)
            release = np.isin(iterations["release"][first:end], differing)
            levels[name][n] = (acquire | release).any(axis=0)
    return levels
