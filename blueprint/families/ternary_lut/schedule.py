"""Schedule of a ternary-LUT core: sweeps of tables by token group, tile and column group."""

from __future__ import annotations

from collections.abc import Iterator

from blueprint.families.ternary_lut.parameters import TernaryLutParameters
from blueprint.family import Arrays
from blueprint.numbers import Number, choose, larger, whole_bytes
from blueprint.parameters import Rule
from blueprint.timing import Access, Channel, Loop, Node, TimingGraph
from blueprint.workloads.tasks import Gemm


def cycles(p: TernaryLutParameters, task: Gemm) -> Number:
    """One sweep cycle per token group, tile and column group; fill is one cycle a register stage.

    A pipelined accumulator adder makes every tile take at least as long as a column needs to come back.
    """
    groups, tiles, columns = p.loops(task)
    again = choose(p.accumulate_stages > 0, p.sweep_stages + 1, 1)
    swept = (groups * tiles - 1) * larger(columns, again) + columns
    return swept + p.build_stages + p.sweep_stages + 2


def cycles_of(p: TernaryLutParameters, task: Gemm, operands: Arrays) -> int:
    """Cycles of any run of the task: the schedule is data-independent."""
    return int(cycles(p, task))


def exact(p: TernaryLutParameters) -> Iterator[Rule]:
    """The closed form holds for every design."""
    return iter(())


def graph(p: TernaryLutParameters, task: Gemm, operands: Arrays | None) -> TimingGraph:
    """Activations are loaded into tables, which are swept once per column group; sums wait until the last tile."""
    counts = p.loops(task)
    token, tile, column = (Loop(n, int(c)) for n, c in zip(("token", "tile", "column"), counts, strict=True))
    stages = int(1 + p.build_stages)
    nest = (token, tile, column)
    if p.buffered:
        result = Access("results", "column", only=(("tile", "last"),))
    else:
        result = Access("results", "token")
    tiles = Access("tiles", "tile")
    sums = Access("sums", "column")
    depth = int(p.sweep_stages)
    channels = [Channel("tiles", stages, stages, stall="input"), Channel("results", 1, stall="output")]
    swept = [sums if depth else result]
    summed = [sums]
    if p.accumulate_stages:
        # A column is not fetched again before its accumulator is written.
        channels.append(Channel("columns", int(counts[2]), 1, response=1, stall="dependency"))
        swept.append(Access("columns", "column"))
        summed.append(Access("columns", "column"))
    sweep = Node("sweep", nest, (tiles,), tuple(swept), stream="wgt", stall="memory")
    nodes = [Node("load", (token, tile), (), (tiles,), stream="act", stall="input"), sweep]
    if depth:
        channels.append(Channel("sums", depth, depth, stall="output"))
        nodes.append(Node("accumulate", nest, tuple(summed), (result,)))
    drain = (token, column)
    nodes.append(Node("drain", drain, (Access("results", "column"),), stream="out", direction="out"))
    return TimingGraph(tuple(nodes), tuple(channels), issue="sweep")


def traffic(p: TernaryLutParameters, task: Gemm) -> dict[str, Number]:
    """Traffic of weights, activations and results in bits; beats are whole bytes."""
    groups, tiles, columns = p.loops(task)
    beats = {
        "weights": (groups * tiles * columns, p.key_bits),
        "activations": (groups * tiles, p.token_lanes * p.tile_k * p.act_width),
        "results": (groups * columns, p.token_lanes * p.fetch_count * p.output_bits),
    }
    return {purpose: count * whole_bytes(bits) for purpose, (count, bits) in beats.items()}
