"""Graphs to try the simulator on: random ones, and the streaming attention of the literature."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.timing import STALL_REASONS, Access, Channel, Loop, Node, TimingGraph

Pattern = npt.NDArray[np.bool_]

_BUT_ONE = ("but_first", "but_last")


def random_graph(seed: int, *, longest: int = 5, uneven: bool = False, but_one: bool = False) -> TimingGraph:
    """Any graph: chains, forks, joins, feedback, nests of up to three loops that run up to ``longest`` times.

    ``uneven`` adds ragged loops and firings of different durations, ``but_one`` accesses in all iterations but one.
    """
    draw = Random(seed)
    counts = [draw.choice([1, 2, draw.randint(1, longest), draw.randint(1, longest)]) for _ in range(3)]
    nests = _uneven_nests(draw, counts) if uneven else _nests(counts)
    nodes = [_bare_node(draw, f"n{i}", nests) for i in range(draw.randint(2, 5))]
    if uneven:
        nodes = [_with_durations(draw, node) for node in nodes]
    channels: list[Channel] = []
    for _ in range(draw.randint(len(nodes) - 1, len(nodes) + 2)):
        _connect(draw, nodes, channels, but_one)
    streams = [_with_stream(draw, node) for node in nodes]
    graph = TimingGraph(tuple(streams), tuple(channels), draw.choice(nodes).name)
    graph.check()
    return graph


def _nests(counts: list[int]) -> list[tuple[Any, ...]]:
    a, b, c = counts
    return [(a, b, c), (a, b, c), (a, b), (a * b, c), (a, b * c), (a * b * c,), (b, c), (a,), ()]


def _uneven_nests(draw: Random, counts: list[int]) -> list[tuple[Any, ...]]:
    """Rows that get longer, run long alike, or are of any length; every row cut into columns of any length."""
    a, b, c = counts
    least = draw.randint(1, b)
    kinds = (
        [min(least + row, b) for row in range(a)],
        [draw.randint(1, b) for _ in range(a)],
        [draw.choice([least, b])] * a,
    )
    rows = tuple(draw.choice(kinds))
    cells = tuple(draw.randint(1, c) for _ in range(sum(rows)))
    total = sum(rows)
    return [(a, rows), (a, rows), (a, rows, c), (total,), (total, c), (a, rows, cells), (total, cells), (sum(cells),),
            ((a,), rows), (a,), ()]  # fmt: skip


def _with_durations(draw: Random, node: Node) -> Node:
    """Any durations, or some that repeat, or mostly one cycle."""
    if draw.random() < 0.5:
        return node
    period = draw.choice([1, 2, 5, node.firings])
    most = draw.choice([1, 2, 4, 9])
    pattern = [draw.randint(1, most) if draw.random() < 0.7 else 1 for _ in range(period)]
    return replace(node, durations=[pattern[i % period] for i in range(node.firings)])


def _bare_node(draw: Random, name: str, nests: list[tuple[Any, ...]]) -> Node:
    loops = tuple(Loop(f"l{i}", count) for i, count in enumerate(draw.choice(nests)))
    return Node(name, loops, interval=draw.choice([1, 1, 1, 2, 3]))


def _accesses(node: Node, channel: str, but_one: bool) -> dict[int, list[Access]]:
    """Every access that ``node`` could have, by the number of tokens it moves."""
    found: dict[int, list[Access]] = {}
    names = [None, *(item.name for item in node.loops)]
    for outer, loop in enumerate(names):
        choices = [
            [None, "first", "last", *(_BUT_ONE if but_one and i < outer else ())]
            for i in range(len(names) - 1)
        ]
        for wanted in product(*choices):
            only = tuple((name, which) for name, which in zip(names[1:], wanted, strict=True) if which)
            access = Access(channel, loop, only)  # type: ignore[arg-type]
            if node.tokens(access):
                found.setdefault(node.tokens(access), []).append(access)
    return found


def _connect(draw: Random, nodes: list[Node], channels: list[Channel], but_one: bool) -> None:
    ends = (
        sorted(draw.sample(range(len(nodes)), 2))
        if draw.random() < 0.93
        else draw.choices(range(len(nodes)), k=2)
    )
    producer, consumer = ends if draw.random() < 0.93 else ends[::-1]
    name = f"c{len(channels)}"
    made, used = (_accesses(nodes[end], name, but_one) for end in (producer, consumer))
    common = sorted(set(made) & set(used))
    tokens = common[-1] if draw.random() < 0.7 else draw.choice(common)
    plain = draw.random() < (0.2 if but_one else 0.6)  # few conditions: long-running graphs
    ends_by = [sorted(table[tokens], key=lambda a: len(a.only)) for table in (made, used)]
    first, last = (options[0] if plain else draw.choice(options) for options in ends_by)
    nodes[producer] = replace(nodes[producer], produces=(*nodes[producer].produces, first))
    nodes[consumer] = replace(nodes[consumer], consumes=(*nodes[consumer].consumes, last))
    capacity = draw.choice([1, 1, 2, 2, 3, 4, draw.randint(1, 12), tokens, 1000])
    latency = draw.choice([1, 1, 1, 2, 3, draw.randint(1, 9)])
    channels.append(Channel(name, capacity, latency, draw.randint(0, 1), draw.choice(STALL_REASONS)))


def _with_stream(draw: Random, node: Node) -> Node:
    inner = bool(node.consumes) == bool(node.produces)
    if draw.random() < (0.8 if inner else 0.2):
        return node
    out = draw.random() < 0.5 if inner else bool(node.consumes)
    stall = draw.choice(STALL_REASONS)
    return replace(node, stream=f"s_{node.name}", direction="out" if out else "in", stall=stall)


def tiled_gemm(tokens: int, columns: int, tiles: int, beats: int = 4, *, buffers: int = 2) -> TimingGraph:
    """Weights loaded into ``buffers`` buffers, swept by every token; results leave with the last tile."""
    column, token, tile, beat = (
        Loop("column", columns),
        Loop("token", tokens),
        Loop("tile", tiles),
        Loop("beat", beats),
    )
    weights = (column, tile, beat)
    load = Node("load", weights, (Access("beats", "beat"),), (Access("buffers", "column"),))
    result = Access("results", "tile", only=(("tile", "last"),))
    multiply = Node(
        "multiply", (column, token, tile), (Access("inputs", "tile"), Access("buffers", "column")), (result,)
    )
    nodes = (
        Node("act", (column, token, tile), (), (Access("inputs", "tile"),), stream="act", stall="input"),
        Node("wgt", weights, (), (Access("beats", "beat"),), stream="wgt"),
        load,
        multiply,
        Node("out", (column, token), (Access("results", "token"),), stream="out", direction="out"),
    )
    channels = (
        Channel("inputs", 2),
        Channel("beats", 2, stall="memory"),
        Channel("buffers", buffers, stall="memory"),
        Channel("results", 3, 3, stall="output"),
    )
    return TimingGraph(nodes, channels, "multiply")


def naive_attention(seq: int, latency: int, long: int, *, short: int = 0) -> TimingGraph:
    """Attention without a row maximum: exponentials wait in ``long`` for the sum of their row.

    Every node has the same latency and fires every cycle; FIFOs other than ``long`` hold ``short`` tokens,
    ``latency + 1`` by default.
    """
    row, column = Loop("row", seq), Loop("column", seq)
    nest, depth = (row, column), short or latency + 1
    nodes = (
        Node("score", nest, (), (Access("to_sum", "column"), Access("long", "column"))),
        Node("sum", nest, (Access("to_sum", "column"),), (_at_end("sums"),)),
        Node(
            "divide", nest, (Access("long", "column"), Access("sums", "row")), (Access("weights", "column"),)
        ),
        Node("multiply", nest, (Access("weights", "column"),), (_at_end("outputs"),)),
        Node("result", (row,), (Access("outputs", "row"),), stream="out", direction="out"),
    )
    names = ("to_sum", "long", "sums", "weights", "outputs")
    channels = tuple(Channel(name, long if name == "long" else depth, latency) for name in names)
    return TimingGraph(nodes, channels, "divide")


def _at_end(channel: str) -> Access:
    return Access(channel, "column", only=(("column", "last"),))


def random_patterns(graph: TimingGraph, seed: int, *, longest: int = 13) -> dict[str, Pattern]:
    """A pattern for some of the streams: random, mostly open, mostly closed, or one that opens late."""
    draw = Random(seed)
    patterns = {}
    for node in graph.nodes:
        if node.stream is None or draw.random() < 0.3:
            continue
        length = draw.choice([0, 1, 2, 3, draw.randint(1, longest), draw.randint(1, longest)])
        density = draw.choice([0.1, 0.5, 0.9, 1.0])
        pattern = np.array([draw.random() < density for _ in range(length)], np.bool_)
        if length and draw.random() < 0.95:
            pattern[draw.randrange(length)] = True
        patterns[node.stream] = pattern
    return patterns
