"""The four dataflow graphs: nodes, the FIFOs between them, what a word of each FIFO holds and how
many it has.

Every node is a pipeline that never stalls: it fires only with room for its result in the FIFO behind it, so tokens in
flight count as stored, and a FIFO of ``depth`` words is a channel of capacity ``depth`` whose latency is the node's.
Source: Sohn, Zhang, Olukotun, "Implementing and optimizing the scaled dot-product attention on streaming dataflow"
(arXiv 2404.16629) for the graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from blueprint.arithmetic.pruning import CODE_BITS
from blueprint.arithmetic.softmax.arithmetic import (
    GRAPHS,
    OUTPUT_MULTIPLIER_BITS,
    OUTPUT_SHIFT_BITS,
    SHIFT_BITS,
)
from blueprint.families.streaming_attention.parameters import StreamingAttentionParameters
from blueprint.numbers import Number, ceil_div, choose, flag, larger, possible
from blueprint.record import Field, Record, bits

#: Slots between a port and the first node: a row is loaded while the previous one is used.
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

#: Each weight is divided by the sum of its row before values are weighted with it.
_DIVIDED_FIRST = (
    Edge("sums", "sum", "divide", "row"),
    Edge("shares", "divide", "output", "short"),
    Edge("rows", "output", "drain", "row"),
    Edge("gains", "tune", "output", "pass"),
)
#: The sum of weighted values is divided, once for each row.
_DIVIDED_LAST = (
    Edge("sums", "sum", "divide", "row"),
    Edge("totals", "output", "divide", "row"),
    Edge("rows", "divide", "drain", "row"),
    Edge("gains", "tune", "sum", "pass"),
)
#: The scores of a row wait for their maximum.
_MAXIMUM_FIRST = (
    Edge("scores", "score", "maximum", "short"),
    Edge("long_scores", "score", "exponential", "long"),
    Edge("maxima", "maximum", "exponential", "row"),
)

#: The FIFOs of each graph in the order of the data; ``gains`` is there where results are integers.
EDGES: dict[str, tuple[Edge, ...]] = {
    "naive": (
        Edge("weights", "score", "sum", "short"),
        Edge("long_weights", "score", "divide", "long"),
        *_DIVIDED_FIRST,
    ),
    "scaled": (
        *_MAXIMUM_FIRST,
        Edge("weights", "exponential", "sum", "short"),
        Edge("long_weights", "exponential", "divide", "long"),
        *_DIVIDED_FIRST,
    ),
    "reordered": (
        *_MAXIMUM_FIRST,
        Edge("weights", "exponential", "sum", "short"),
        Edge("shares", "exponential", "output", "short"),
        *_DIVIDED_LAST,
    ),
    "memory_free": (
        Edge("scores", "score", "maximum", "short"),
        Edge("weights", "maximum", "sum", "short"),
        Edge("shares", "maximum", "output", "short"),
        *_DIVIDED_LAST,
    ),
}

#: Nodes of each graph in the order of the data, ports left out.
NODES: dict[str, tuple[str, ...]] = {
    "naive": ("score", "sum", "divide", "output"),
    "scaled": ("score", "maximum", "exponential", "sum", "divide", "output"),
    "reordered": ("score", "maximum", "exponential", "sum", "output", "divide"),
    "memory_free": ("score", "maximum", "sum", "output", "divide"),
}

#: Nodes with running sums, which are busy for some cycles behind the last key of a row where partial sums take turns.
SUMMING = ("sum", "output")
#: Cycles that a node adds to the registers of its blocks: that of a running sum, and the word of the FIFO behind it.
_SUM, _WORD = 1, 1
#: Registers around a running maximum of short steps: of the token, before the comparison, and behind it.
MAXIMUM_STAGES = 3


def every(graph: str) -> tuple[Edge, ...]:
    """The FIFOs that designs of a graph may have; FIFOs at the ports come first."""
    return (*_FRONT, *SCREEN, *EDGES[graph])


#: FIFOs that exist in some graph, in the order of the data.
FIFOS = tuple(dict.fromkeys(edge.name for graph in GRAPHS for edge in every(graph)))


def edges(graph: str, gains: bool, prunes: bool) -> tuple[Edge, ...]:
    """The FIFOs of a graph; FIFOs at the ports come first."""
    screen = SCREEN if prunes else ()
    return (*_FRONT, *screen, *(edge for edge in EDGES[graph] if gains or edge.name != "gains"))


def latencies(p: StreamingAttentionParameters) -> dict[str, Number]:
    """Cycles from the firing of a node to its result at the output of the FIFO, by node, for every graph."""
    a = p.softmax
    return {
        "load": _WORD,
        "tune": _WORD,
        "screen": p.dot_stages + _WORD,
        "search": _WORD,
        "pick": _WORD,
        "score": p.short + p.dot_stages + p.scale_stages + p.scale_cuts + a.has_offset * p.exp_stages + _WORD,
        "maximum": MAXIMUM_STAGES * p.short + a.rescales * p.exp_stages + _WORD,
        "exponential": p.short + p.exp_stages + _WORD,
        "sum": p.short + _SUM + p.reciprocal_stages + _WORD,
        "output": p.short + _SUM + p.product_stages + a.divides_first * p.finish_cuts + _WORD,
        "divide": p.divide_stages + choose(a.divides_first, p.short, p.finish_cuts) + _WORD,
    }


def waits(p: StreamingAttentionParameters) -> dict[str, Number]:
    """Cycles from taking a FIFO slot to releasing it at full throughput, not counting the length of the row."""
    a, late = p.softmax, latencies(p)
    late |= {node: late[node] + p.ending for node in SUMMING}
    both = larger(late["sum"], late["output"])
    front = late["score"] + (1 - a.has_offset) * late["maximum"] + a.waits_for_maximum * late["exponential"]
    last = choose(a.divides_first, late["sum"] + late["divide"] + late["output"], both + late["divide"])
    weighing = choose(
        a.has_offset,
        late["score"],
        choose(a.rescales, late["maximum"], late["exponential"]),
    )
    return {
        **dict.fromkeys(("queries", "scales", "codes", "counted", "found", "picked"), 1),
        "scores": late["score"],
        "long_scores": late["score"] + late["maximum"],
        "maxima": late["maximum"],
        "weights": weighing,
        "long_weights": weighing + late["sum"],
        "sums": choose(a.divides_first, late["sum"], both),
        "shares": choose(a.divides_first, late["divide"], weighing),
        "totals": both,
        "rows": choose(a.divides_first, late["output"], late["divide"]),
        "gains": LOAD_DEPTH + front + last,
    }


#: The parameter that overrides the depth of a FIFO.
_ASKED = {
    **dict.fromkeys(("long_scores", "long_weights"), "long_depth"),
    **dict.fromkeys(("scores", "weights", "shares"), "short_depth"),
    **dict.fromkeys(("maxima", "sums", "totals", "rows"), "row_depth"),
}


def depths(p: StreamingAttentionParameters) -> dict[str, Number]:
    """Depth of every FIFO: the given one, or the smallest depth that never costs a cycle."""
    found = full_depths(p)
    for name, asked in _ASKED.items():
        words = getattr(p, asked)
        found[name] = choose(words == 0, found[name], words)
    return found


def full_speed(p: StreamingAttentionParameters) -> Any:
    """True where every FIFO is deep enough for full throughput."""
    needed, there = full_depths(p), present(p)
    fine: Any = True
    for name, asked in _ASKED.items():
        words = getattr(p, asked)
        fine = fine & ((there[name] == 0) | (words == 0) | (words >= needed[name]))
    return fine


def full_depths(p: StreamingAttentionParameters) -> dict[str, Number]:
    """Smallest depth of every FIFO that never costs a cycle, for rows of any length.

    A long FIFO refills the slot that empties; the others see it a cycle later and so need one more. Where rows differ
    in length, many short ones may end while a long one is still divided: as many rows of the lengths 1, 2, 3 ... as add
    up to the longest.
    """
    waiting = waits(p)
    ragged = p.masked & (1 - p.softmax.rescales)
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
        elif name in ("totals", "rows"):
            found[name] = ceil_div(wait + 1, p.ending + 1)  # a row takes at least so many cycles
        else:
            found[name] = wait + 1
    return found


def rows_within(cycles: Number) -> Number:
    """The largest number of rows of different lengths that may end within some cycles, plus two."""
    rows: Any = np.floor(np.sqrt(2.0 * np.asarray(cycles))).astype(np.int64) + 2
    return rows if np.ndim(cycles) else int(rows)


def reserved(p: StreamingAttentionParameters) -> dict[str, Number]:
    """1 for every FIFO whose slots are taken some cycles before their words arrive, else 0.

    A node takes a slot when it fires. A step of the screening takes the slot of a pass with the first key and fills it
    with the last.
    """
    late = latencies(p)
    found: dict[str, Number] = dict.fromkeys(FIFOS, 0)
    for graph in GRAPHS:
        here = flag(p.graph == graph)
        for edge in every(graph) if possible(here) else ():
            slow = 1 if edge.source in ("screen", "search") else flag(late[edge.source] > 1)
            found[edge.name] = found[edge.name] | here & slow
    return found


def present(p: StreamingAttentionParameters) -> dict[str, Number]:
    """1 for every FIFO that a design has, else 0."""
    found: dict[str, Number] = dict.fromkeys(FIFOS, 0)
    for graph in GRAPHS:
        here = flag(p.graph == graph)
        for edge in every(graph) if possible(here) else ():
            wanted = p.prunes if edge in SCREEN else p.has_gains if edge.name == "gains" else 1
            found[edge.name] = found[edge.name] | here & wanted
    return found


def words(p: StreamingAttentionParameters) -> dict[str, Record]:
    """The word of every FIFO."""
    a, lanes, free, gains = p.softmax, p.lanes, p.softmax.rescales, p.has_gains
    # The sum no longer needs its gains at the end of a pass; with a single pass that is the end of the run.
    once = a.divides_last & gains & p.regroups & (1 - p.repeats)
    ends = bits("final", p.final_bits), bits("visible", p.visible_bits), bits("last", 1)
    row = bits("last", 1), bits("visible", p.visible_bits)
    turn, none = bits("turn", p.turn_bits), (bits("last", 0), bits("turn", 0), bits("visible", 0))
    exponent, weight = bits("exponent", a.t_word, lanes), bits("weight", a.p_word, lanes)
    move = bits("shift", a.shift_width, lanes, there=free)
    scales = (
        bits("multiplier", a.multiplier_width),
        bits("shift", SHIFT_BITS, there=1 - a.sums_are_floats),
        bits("offset", a.reference_width, there=a.has_offset),
    )
    down = bits("down", OUTPUT_SHIFT_BITS, there=a.divides_last & gains)
    fields: dict[str, tuple[Field, ...]] = {
        "queries": (bits("query", a.in_width, lanes, p.dim),),
        "scales": scales,
        "gains": (
            bits("gain", OUTPUT_MULTIPLIER_BITS, there=gains),
            bits("down", OUTPUT_SHIFT_BITS, there=gains),
        ),
        "codes": (bits("code", CODE_BITS, p.dim),),
        "counted": (),
        "found": (),
        "picked": (),
        "scores": (
            exponent,
            *row,
            bits("turn", p.turn_bits, there=free),
            bits("final", p.final_bits, there=free),
        ),
        "long_scores": (exponent, *ends, turn),
        "maxima": (bits("reference", a.reference_width, lanes),),
        "weights": (
            weight,
            move,
            *row,
            bits("turn", p.turn_bits, there=a.divides_last),
            bits("final", once),
        ),
        "long_weights": (weight, *ends, turn),
        "sums": (bits("inverse", a.r_width, lanes), down),
        "shares": (weight, move, *ends, bits("turn", p.turn_bits, there=a.divides_first)),
        "totals": (bits("total", a.o_word, lanes, p.dim), bits("final", p.final_bits), *none),
        "rows": (bits("row", a.out_width, lanes, p.dim), bits("final", p.final_bits), *none),
    }
    return {name: Record(found) for name, found in fields.items()}
