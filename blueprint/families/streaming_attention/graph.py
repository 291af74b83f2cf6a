"""The four graphs: which nodes there are, what joins them, how deep each FIFO is, and how long a run takes.

Every node is a pipeline that never stalls: it fires only with room for its result in the FIFO behind it, so tokens in
flight count as stored, and a FIFO of ``depth`` words is a channel of capacity ``depth`` whose latency is the node's.
Source: Sohn, Zhang, Olukotun, "Implementing and optimizing the scaled dot-product attention on streaming dataflow"
(arXiv 2404.16629) for the graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from blueprint.numbers import Number, ceil_div, choose, larger, smaller
from blueprint.timing import Access, Channel, Loop, Node, TimingGraph

if TYPE_CHECKING:
    from blueprint.families.streaming_attention.spec import StreamingAttentionSpec

GRAPHS = ("naive", "scaled", "reordered", "memory_free")
MASKS = ("none", "causal", "window", "lambda")

#: Slots between a port and the first node: a row is loaded while the one before is used.
LOAD_DEPTH = 2

Kind = Literal["long", "short", "row", "pass"]


@dataclass(frozen=True)
class Edge:
    """A FIFO from one node to another.

    ``long``: a token per key that waits for the end of its row. ``short``: a token per key. ``row``: a token per row.
    ``pass``: a token per pass.
    """

    name: str
    source: str
    target: str
    kind: Kind


_FRONT = (Edge("queries", "load", "score", "row"), Edge("scales", "tune", "score", "pass"))

#: The FIFOs of a screening that leaves few keys. ``counted`` and ``found`` say that a step is done with a pass.
SCREEN = (
    Edge("codes", "load", "screen", "row"),
    Edge("counted", "screen", "search", "pass"),
    Edge("found", "search", "pick", "pass"),
    Edge("picked", "pick", "score", "short"),
)

#: The FIFOs of each graph in the order of the data; ``gains`` is there where results are integers.
EDGES: dict[str, tuple[Edge, ...]] = {
    "naive": (
        Edge("weights", "score", "sum", "short"),
        Edge("long_weights", "score", "divide", "long"),
        Edge("sums", "sum", "divide", "row"),
        Edge("shares", "divide", "output", "short"),
        Edge("rows", "output", "drain", "row"),
        Edge("gains", "tune", "output", "pass"),
    ),
    "scaled": (
        Edge("scores", "score", "maximum", "short"),
        Edge("long_scores", "score", "exponential", "long"),
        Edge("maxima", "maximum", "exponential", "row"),
        Edge("weights", "exponential", "sum", "short"),
        Edge("long_weights", "exponential", "divide", "long"),
        Edge("sums", "sum", "divide", "row"),
        Edge("shares", "divide", "output", "short"),
        Edge("rows", "output", "drain", "row"),
        Edge("gains", "tune", "output", "pass"),
    ),
    "reordered": (
        Edge("scores", "score", "maximum", "short"),
        Edge("long_scores", "score", "exponential", "long"),
        Edge("maxima", "maximum", "exponential", "row"),
        Edge("weights", "exponential", "sum", "short"),
        Edge("shares", "exponential", "output", "short"),
        Edge("sums", "sum", "divide", "row"),
        Edge("totals", "output", "divide", "row"),
        Edge("rows", "divide", "drain", "row"),
        Edge("gains", "tune", "sum", "pass"),
    ),
    "memory_free": (
        Edge("scores", "score", "maximum", "short"),
        Edge("weights", "maximum", "sum", "short"),
        Edge("shares", "maximum", "output", "short"),
        Edge("sums", "sum", "divide", "row"),
        Edge("totals", "output", "divide", "row"),
        Edge("rows", "divide", "drain", "row"),
        Edge("gains", "tune", "sum", "pass"),
    ),
}

#: Nodes of each graph in the order of the data, ports left out.
NODES: dict[str, tuple[str, ...]] = {
    "naive": ("score", "sum", "divide", "output"),
    "scaled": ("score", "maximum", "exponential", "sum", "divide", "output"),
    "reordered": ("score", "maximum", "exponential", "sum", "output", "divide"),
    "memory_free": ("score", "maximum", "sum", "output", "divide"),
}

#: FIFOs that exist in some graph, in the order of the data.
FIFOS = tuple(dict.fromkeys(edge.name for graph in GRAPHS for edge in (*_FRONT, *SCREEN, *EDGES[graph])))


def edges(graph: str, gains: bool, prunes: bool) -> tuple[Edge, ...]:
    """The FIFOs of a graph, those of the ports first."""
    screen = SCREEN if prunes else ()
    return (*_FRONT, *screen, *(edge for edge in EDGES[graph] if gains or edge.name != "gains"))


def latencies(p: StreamingAttentionSpec) -> dict[str, Number]:
    """Cycles from the firing of a node to its result at the far end of the FIFO, by node, whatever the graph."""
    naive, free = choose(p.graph == "naive", 1, 0), choose(p.graph == "memory_free", 1, 0)
    return {
        "load": 1,
        "tune": 1,
        "screen": 1 + p.dot_stages,
        "search": 1,
        "pick": 1,
        "score": 1 + p.dot_stages + p.scale_stages + naive * p.exp_stages,
        "maximum": 1 + free * p.exp_stages,
        "exponential": 1 + p.exp_stages,
        "sum": 2 + p.reciprocal_stages,
        "output": 2 + p.product_stages,
        "divide": 1 + p.divide_stages,
    }


def waits(p: StreamingAttentionSpec) -> dict[str, Number]:
    """Cycles from taking a slot of a FIFO to its release at full speed, the row's own length left out."""
    late = latencies(p)
    both = larger(late["sum"], late["output"])
    divided = (p.graph == "naive") | (p.graph == "scaled")
    front = late["score"] + choose(p.graph == "naive", 0, late["maximum"])
    front = front + choose((p.graph == "scaled") | (p.graph == "reordered"), late["exponential"], 0)
    all_of_it = front + choose(divided, late["sum"] + late["divide"] + late["output"], both + late["divide"])
    weighing = choose(
        p.graph == "naive",
        late["score"],
        choose(p.graph == "memory_free", late["maximum"], late["exponential"]),
    )
    return {
        **dict.fromkeys(("queries", "scales", "codes", "counted", "found", "picked"), 1),
        "scores": late["score"],
        "long_scores": late["score"] + late["maximum"],
        "maxima": late["maximum"],
        "weights": weighing,
        "long_weights": weighing + late["sum"],
        "sums": choose(divided, late["sum"], both),
        "shares": choose(divided, late["divide"], weighing),
        "totals": both,
        "rows": choose(divided, late["output"], late["divide"]),
        "gains": all_of_it + 2,
    }


#: The parameter that overrides the depth of a FIFO.
_ASKED = {
    **dict.fromkeys(("long_scores", "long_weights"), "long_depth"),
    **dict.fromkeys(("scores", "weights", "shares"), "short_depth"),
    **dict.fromkeys(("maxima", "sums", "totals", "rows"), "row_depth"),
}


def depths(p: StreamingAttentionSpec) -> dict[str, Number]:
    """Words of every FIFO there may be: what was asked for, or the fewest that never cost a cycle."""
    found = full_depths(p)
    for name, asked in _ASKED.items():
        words = getattr(p, asked)
        found[name] = choose(words == 0, found[name], words)
    return found


def full_speed(p: StreamingAttentionSpec) -> Any:
    """Whether no FIFO is shallower than full speed needs."""
    needed, there = full_depths(p), present(p)
    fine: Any = True
    for name, asked in _ASKED.items():
        words = getattr(p, asked)
        fine = fine & ((there[name] == 0) | (words == 0) | (words >= needed[name]))
    return fine


def full_depths(p: StreamingAttentionSpec) -> dict[str, Number]:
    """The fewest words of every FIFO that never cost a cycle, whatever the lengths of the rows.

    A long FIFO refills the slot that empties; the others see it a cycle later and so need one more. Where rows differ
    in length, many short ones may end while a long one is still divided: of the lengths 1, 2, 3 ... as many as add up
    to the longest.
    """
    waiting = waits(p)
    ragged = (p.mask != "none") & (p.graph != "memory_free")
    found: dict[str, Number] = {}
    for name, wait in waiting.items():
        if name in ("queries", "scales", "codes"):
            found[name] = LOAD_DEPTH
        elif name in ("counted", "found"):
            found[name] = 1
        elif name == "picked":
            found[name] = larger(p.candidates, 1)
        elif name.startswith("long"):
            found[name] = p.row_max - 1 + wait
        elif name in ("maxima", "sums"):
            found[name] = larger(choose(ragged, rows_within(p.row_max + wait), wait + 1), wait + 1)
        else:
            found[name] = wait + 1
    return found


def rows_within(cycles: Number) -> Number:
    """The most rows, no two of one length, that may end within some cycles, and two more."""
    root = np.floor(np.sqrt(2.0 * np.asarray(cycles))).astype(np.int64)
    return root + 2 if isinstance(cycles, np.ndarray) else int(root) + 2


def passes(p: StreamingAttentionSpec, workload: Any) -> Number:
    """Sweeps over all queries: one per key head and ``group`` of its query heads."""
    return workload.kv_heads * ceil_div(workload.heads // workload.kv_heads, p.group)


def longest(p: StreamingAttentionSpec, workload: Any) -> Number:
    """Keys of the longest row: for a window, those of all ``parallel`` queries of a row together."""
    if workload.mask == "none":
        return choose(p.prunes, smaller(p.candidates, workload.keys), workload.keys + 0 * p.parallel)
    if workload.mask in ("none", "causal"):
        return workload.keys + 0 * p.parallel
    return smaller(workload.keys, p.parallel - 1 + workload.window + workload.sinks)


def row_count(p: StreamingAttentionSpec, workload: Any) -> Number:
    """Rows of one pass: groups of ``parallel`` queries."""
    return ceil_div(workload.queries, p.parallel)


def row_lengths(p: StreamingAttentionSpec, workload: Any) -> list[int]:
    """Keys that each row of one pass takes, in the order of issue: the last queries first where there is a mask."""
    count, most = int(row_count(p, workload)), int(longest(p, workload))
    if workload.mask == "none":
        return [most] * count
    return [min(workload.keys - row * p.parallel, most) for row in range(count)]


def pass_length(p: StreamingAttentionSpec, workload: Any) -> Number:
    """Keys of all rows of one pass together, the sum of :func:`row_lengths`."""
    rows, most = row_count(p, workload), longest(p, workload)
    if workload.mask == "none":
        return rows * most
    full = larger(0 * rows, smaller(rows, (workload.keys - most) // p.parallel + 1))
    triangle = p.parallel * (rows * (rows - 1) - full * (full - 1)) // 2
    return full * most + (rows - full) * workload.keys - triangle


def cycles(p: StreamingAttentionSpec, workload: Any) -> Number:
    """First query to last row, both accepted, where every FIFO is deep enough: all keys, rows waited for, the fill."""
    late = latencies(p)
    waiting = longest(p, workload)
    both = larger(late["sum"], late["output"])
    maximum, exponential = late["maximum"], late["exponential"]
    tail = {
        "naive": waiting + late["sum"] + late["divide"] + late["output"],
        "scaled": 2 * waiting - 1 + maximum + exponential + late["sum"] + late["divide"] + late["output"],
        "reordered": waiting + maximum + exponential + both + late["divide"],
        "memory_free": 1 + maximum + both + late["divide"],
    }
    ending: Number = tail["memory_free"]
    for name in GRAPHS[:-1]:
        ending = choose(p.graph == name, tail[name], ending)
    scored = passes(p, workload) * pass_length(p, workload)
    pruned = passes(p, workload) * (2 * workload.keys + late["screen"] - 1 + search_cycles(p)) + waiting + 1
    return choose(p.prunes, pruned, scored) + late["score"] + ending


def search_cycles(p: StreamingAttentionSpec) -> Number:
    """Cycles in which the buckets of all scores are looked at, from the highest down."""
    return 2 * p.pruning.magnitude_buckets + 1


def timing(p: StreamingAttentionSpec, workload: Any) -> TimingGraph:
    """The graph as the simulator runs it."""
    late, deep = latencies(p), depths(p)
    lengths = row_lengths(p, workload)
    count = int(passes(p, workload))
    turn, row = Loop("pass", count), Loop("row", len(lengths))
    same = len(set(lengths)) == 1
    key = Loop("key", lengths[0] if same else tuple(lengths) * count)
    nests = {"tune": (turn,), "load": (turn, row), "drain": (turn, row)}
    steps = Loop("step", int(search_cycles(p)) + workload.keys)
    nests |= {
        "screen": (turn, Loop("code", workload.keys)),
        "search": (turn, steps),
        "pick": (turn, row, key),
    }
    per_row = {"drain", "load"} | ({"divide"} if p.graph in ("reordered", "memory_free") else set())
    ports = {"tune": "scale", "load": "query", "score": "key", "output": "value", "drain": "out"}
    ports |= {"screen": "code", "pick": "pick"}
    wires = edges(p.graph, bool(p.has_gains), bool(p.prunes))
    front = ("tune", "load", *(("screen", "search", "pick") if p.prunes else ()))
    nodes = []
    for name in (*front, *NODES[p.graph], "drain"):
        nest = nests.get(name, (turn, row) if name in per_row else (turn, row, key))
        nodes.append(
            Node(
                name,
                nest,
                tuple(_access(edge, nest, False) for edge in wires if edge.target == name),
                tuple(_access(edge, nest, True) for edge in wires if edge.source == name),
                stream=ports.get(name),
                direction="out" if name in ("drain", "pick") else "in",
                stall="memory" if name == "score" else "input",
            )
        )
    channels = tuple(
        Channel(
            edge.name,
            int(deep[edge.name]),
            int(late[edge.source]),
            0 if edge.kind == "long" else 1,
            stall="input" if edge.target == "score" else "output",
        )
        for edge in wires
    )
    return TimingGraph(tuple(nodes), channels, issue="score")


def _access(edge: Edge, nest: tuple[Loop, ...], produces: bool) -> Access:
    """One token per iteration of the loop of the FIFO's kind; a row's result takes its slot with the last key only."""
    loop = {"long": "key", "short": "key", "row": "row", "pass": "pass"}[edge.kind]
    if edge.name == "codes" and not produces:
        loop = "pass"  # which has one row
    if produces and edge.kind == "row" and nest[-1].name == "key":
        return Access(edge.name, "key", only=(("key", "last"),))
    return Access(edge.name, loop)


def makers(p: StreamingAttentionSpec) -> dict[str, Number]:
    """The latency of the node that fills each FIFO."""
    late = latencies(p)
    found: dict[str, Number] = {}
    for graph in GRAPHS:
        for edge in (*_FRONT, *SCREEN, *EDGES[graph]):
            before = found.get(edge.name, late[edge.source])
            found[edge.name] = choose(p.graph == graph, late[edge.source], before)
    return found


def present(p: StreamingAttentionSpec) -> dict[str, Number]:
    """1 for every FIFO that a design has, else 0."""
    found: dict[str, Number] = dict.fromkeys(FIFOS, 0)
    for graph in GRAPHS:
        for edge in (*_FRONT, *SCREEN, *EDGES[graph]):
            wanted = choose(p.has_gains, 1, 0) if edge.name == "gains" else 1
            wanted = choose(p.prunes, 1, 0) if edge in SCREEN else wanted
            found[edge.name] = choose(p.graph == graph, wanted, found[edge.name])
    return found
