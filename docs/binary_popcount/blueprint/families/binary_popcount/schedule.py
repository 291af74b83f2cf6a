"""When a popcount core does what: a beat a cycle, by token, column group and tile of activations."""

from __future__ import annotations

from blueprint.families.binary_popcount.parameters import BinaryPopcountParameters
from blueprint.family import Arrays, always_exact, for_all_values
from blueprint.numbers import Number, whole_bytes
from blueprint.timing import Access, Channel, Loop, Node, TimingGraph
from blueprint.workloads.tasks import Gemm


def graph(p: BinaryPopcountParameters, task: Gemm, operands: Arrays | None) -> TimingGraph:
    """Activations are registered, then counted with the weights of their beat; a last beat gives results."""
    counts = p.loops(task)
    token, column, tile = (Loop(n, int(c)) for n, c in zip(("token", "column", "tile"), counts, strict=True))
    nest = (token, column, tile)
    held = Access("activations", "tile")
    result = Access("results", "tile", only=(("tile", "last"),))
    nodes = (
        Node("load", nest, (), (held,), stream="act", stall="input"),
        Node("count", nest, (held,), (result,), stream="wgt", stall="memory"),
        Node("drain", (token, column), (Access("results", "column"),), stream="out", direction="out"),
    )
    channels = (Channel("activations", 1, stall="input"), Channel("results", 1, stall="output"))
    return TimingGraph(nodes, channels, issue="count")


def cycles(p: BinaryPopcountParameters, task: Gemm) -> Number:
    """One cycle a beat, one to register the first activations, one to send the last result."""
    tokens, columns, tiles = p.loops(task)
    return tokens * columns * tiles + 2


cycles_of, exact = for_all_values(cycles), always_exact


def occupied(p: BinaryPopcountParameters, task: Gemm) -> Number:
    """A beat a cycle."""
    tokens, columns, tiles = p.loops(task)
    return tokens * columns * tiles


def traffic(p: BinaryPopcountParameters, task: Gemm) -> dict[str, Number]:
    """Bits of weights with thresholds, activations and results, whole bytes a beat."""
    tokens, columns, tiles = p.loops(task)
    beats = {
        "weights": (tokens * columns * tiles, p.cols * (p.lanes + p.threshold_width)),
        "activations": (tokens * columns * tiles, p.lanes),
        "results": (tokens * columns, p.cols * p.result_width),
    }
    return {purpose: count * whole_bytes(bits) for purpose, (count, bits) in beats.items()}
