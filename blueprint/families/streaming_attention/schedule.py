"""Schedule of attention: timing graph, cycles in closed form, traffic."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from blueprint.arithmetic.pruning import CODE_BITS
from blueprint.families.streaming_attention import dataflow, order
from blueprint.families.streaming_attention.dataflow import Edge
from blueprint.families.streaming_attention.parameters import (
    SCALE_WORD,
    SCALE_WORDS,
    StreamingAttentionParameters,
)
from blueprint.family import Arrays, for_all_values
from blueprint.numbers import Number, choose, flag, larger, whole_bytes
from blueprint.parameters import Rule
from blueprint.timing import Access, Channel, Ints, Loop, Node, TimingGraph
from blueprint.workloads.tasks import Attention

#: The stream of each node that has one.
_PORTS = {
    "tune": "scale",
    "load": "query",
    "screen": "code",
    "pick": "pick",
    "score": "key",
    "output": "value",
    "drain": "out",
}


def cycles(p: StreamingAttentionParameters, task: Attention) -> Number:
    """Cycles from accepting the first query to accepting the last row: all keys, waits for rows, and the fill.

    In closed form, where no FIFO is shallower than full speed needs; see :func:`exact`.
    """
    late = dataflow.latencies(p)
    late |= {node: late[node] + p.ending for node in dataflow.SUMMING}
    waiting = order.longest(p, task)
    both = larger(late["sum"], late["output"])
    maximum, exponential = late["maximum"], late["exponential"]
    tail = {
        "naive": waiting + late["sum"] + late["divide"] + late["output"],
        "scaled": 2 * waiting - 1 + maximum + exponential + late["sum"] + late["divide"] + late["output"],
        "reordered": waiting + maximum + exponential + both + late["divide"],
        "memory_free": 1 + maximum + both + late["divide"],
    }
    ending = sum(flag(p.graph == graph) * fill for graph, fill in tail.items())
    passes = order.passes(p, task)
    # Every row but the last keeps the next one waiting until its partial sums are added.
    endings = (passes * order.row_count(p, task) - 1) * p.ending
    scored = passes * order.pass_length(p, task) + endings
    screened = 2 * task.keys + late["screen"] - 1 + p.pruning.search_cycles
    pruned = passes * screened + waiting + 1
    return choose(p.prunes, pruned, scored) + late["score"] + ending


cycles_of = for_all_values(cycles)


def exact(p: StreamingAttentionParameters) -> Iterator[Rule]:
    """The closed form is exact where every FIFO is deep enough for full throughput."""
    reason = (
        "FIFOs must be deep enough for full speed, 0 for that depth; the simulator knows the cycles of others"
    )
    yield Rule("long_depth", dataflow.full_speed(p), reason, lambda: reason)


def graph(p: StreamingAttentionParameters, task: Attention, operands: Arrays | None) -> TimingGraph:
    """Every node fires once per key, row or pass; a FIFO is a channel with the latency of its producer."""
    late, deep, nests = dataflow.latencies(p), dataflow.depths(p), _nests(p, task)
    wires = dataflow.edges(p.graph, p.has_gains > 0, p.prunes > 0)
    nodes = []
    for name, nest in nests.items():
        nodes.append(
            Node(
                name,
                nest,
                tuple(_access(edge, nest, False) for edge in wires if edge.target == name),
                tuple(_access(edge, nest, True) for edge in wires if edge.source == name),
                stream=_PORTS.get(name),
                direction="out" if name in ("drain", "pick") else "in",
                stall="memory" if name == "score" else "input",
                durations=_durations(p, task) if name in dataflow.SUMMING and p.ending else None,
            )
        )
    channels = tuple(
        Channel(
            edge.name,
            deep[edge.name],
            late[edge.source],
            0 if edge.kind == "long" else 1,
            stall="input" if edge.target == "score" else "output",
        )
        for edge in wires
    )
    return TimingGraph(tuple(nodes), channels, issue="score")


def _nests(p: StreamingAttentionParameters, task: Attention) -> dict[str, tuple[Loop, ...]]:
    """The loops around each node, nodes in the order of the data."""
    lengths, count = order.row_lengths(p, task), order.passes(p, task)
    turn, row = Loop("pass", count), Loop("row", len(lengths))
    same = len(set(lengths)) == 1
    key = Loop("key", lengths[0] if same else tuple(lengths) * count)
    nests: dict[str, tuple[Loop, ...]] = {"tune": (turn,), "load": (turn, row)}
    if p.prunes:
        nests["screen"] = (turn, Loop("code", task.keys))
        nests["search"] = (turn, Loop("step", p.pruning.search_cycles + task.keys))
        nests["pick"] = (turn, row, key)
    for name in dataflow.NODES[p.graph]:
        by_row = name == "divide" and not p.softmax.divides_first
        nests[name] = (turn, row) if by_row else (turn, row, key)
    return {**nests, "drain": (turn, row)}


def _durations(p: StreamingAttentionParameters, task: Attention) -> Ints:
    """Cycles that a running sum takes for each key: the partial sums of a row are added behind its last one."""
    lengths = order.row_lengths(p, task)
    found = np.ones(sum(lengths), dtype=np.int64)
    found[np.cumsum(lengths) - 1] += p.ending
    return np.tile(found, order.passes(p, task))


def _access(edge: Edge, nest: tuple[Loop, ...], produces: bool) -> Access:
    """One token per iteration of the loop of the FIFO's kind; a row's result takes its slot with the last key only."""
    loop = {"long": "key", "short": "key", "row": "row", "pass": "pass"}[edge.kind]
    if edge.name == "codes" and not produces:
        loop = "pass"  # a pass has one row
    if produces and edge.kind == "row" and nest[-1].name == "key":
        return Access(edge.name, "key", only=(("key", "last"),))
    return Access(edge.name, loop)


def occupied(p: StreamingAttentionParameters, task: Attention) -> Number:
    """A key a cycle for every row of queries."""
    return order.passes(p, task) * order.pass_length(p, task)


def traffic(p: StreamingAttentionParameters, task: Attention) -> dict[str, Number]:
    """Traffic of one run in bits, by purpose of the stream."""
    count, rows = order.passes(p, task), order.row_count(p, task)
    taken = count * order.pass_length(p, task)
    row = whole_bytes(p.dim * p.element_width)
    lanes = p.lanes * p.dim * p.softmax.in_width
    numbers = p.pick_bits
    screened = p.prunes * count
    return {
        "keys": taken * row,
        "values": taken * row,
        "codes": screened * task.keys * whole_bytes(CODE_BITS * p.dim),
        "picks": screened * order.longest(p, task) * numbers,
        "queries": count * rows * lanes,
        "scales": count * SCALE_WORDS * SCALE_WORD,
        "results": count * rows * lanes,
    }
