"""Schedule of a ternary-LUT core: sweeps of tables by token group, output tile, tile and column group."""

from __future__ import annotations

import numpy as np

from blueprint.families.ternary_lut.parameters import TernaryLutParameters
from blueprint.family import Arrays, always_exact, for_all_values
from blueprint.numbers import Number, choose, larger, possible, whole_bytes
from blueprint.timing import Access, Channel, Loop, Node, TimingGraph
from blueprint.workloads.tasks import Gemm


def cycles(p: TernaryLutParameters, task: Gemm) -> Number:
    """Cycles of a run: one per token group, tile and column group, plus one fill cycle per register stage.

    A pipelined accumulator adder makes a tile take at least as long as a column needs to come back, unless the next
    tile is the first of another output tile. Where sums stay in carry-save form, results are as far apart as the
    addition of their two words takes.
    """
    groups, tiles, columns = p.loops(task)
    again = choose(p.accumulate_stages > 0, p.sweep_stages + 1, 1)
    swept = (groups * tiles - 1) * larger(columns, again) + columns
    if possible(p.tiled):
        passes, whole, rest = p.output_tiles(task)
        first = (passes - 1) * ((tiles - 1) * larger(whole, again) + whole)
        swept = choose(p.tiled, groups * (first + (tiles - 1) * larger(rest, again) + rest), swept)
    if possible(p.saves):
        swept = choose(p.saves, _resolved(p, task), swept)
    return swept + p.load_stages + p.build_stages + p.sweep_stages + p.resolving + 2


def _resolved(p: TernaryLutParameters, task: Gemm) -> Number:
    """Cycles from the first beat to the last, where a result has a register in which its two words are added."""
    groups, tiles, _ = p.loops(task)
    passes, whole, rest = p.output_tiles(task)
    apart = 1 + p.resolving

    def swept(columns: Number) -> tuple[Number, Number]:
        """Beats up to the first result of a sweep, and cycles from the last result before it to its own last."""
        first = (tiles - 1) * columns + 1
        return first, larger(first, apart) + (columns - 1) * apart

    opening, turn = swept(choose(passes > 1, whole, rest))
    total = groups * ((passes - 1) * swept(whole)[1] + swept(rest)[1])
    return total - larger(apart - opening, 0)


cycles_of, exact = for_all_values(cycles), always_exact


def graph(p: TernaryLutParameters, task: Gemm, operands: Arrays | None) -> TimingGraph:
    """Timing graph: activations load tables, column groups sweep them, and sums wait until the last tile."""
    counts = p.loops(task)
    token, tile, column = (Loop(n, c) for n, c in zip(("token", "tile", "column"), counts, strict=True))
    stages = 1 + p.build_stages
    passes = _passes(p, task)
    nest = (token, *passes, tile, _columns(p, task))
    loads, loaded = _loads(p, token, passes, tile)
    if p.buffered or p.saves:
        result = Access("results", "column", only=(("tile", "last"),))
    else:
        result = Access("results", "output" if passes else "token")
    tiles = Access("tiles", "tile")
    sums = Access("sums", "column")
    depth = p.sweep_stages
    channels = [
        Channel("tiles", stages, stages, stall="input"),
        Channel("results", 1, 1 + p.resolving, stall="output"),
        *loaded,
    ]
    swept, taken = [sums if depth else result], [tiles]
    summed, written = [sums], [result]
    if p.accumulate_stages and not p.tiled:
        # A column is not fetched again before its accumulator is written.
        channels.append(Channel("columns", counts[2], 1, response=1, stall="dependency"))
        swept.append(Access("columns", "column"))
        summed.append(Access("columns", "column"))
    elif p.accumulate_stages and counts[1] > 1:
        # The same holds between the tiles of an output tile; the next output tile begins with new sums.
        channels.append(Channel("columns", p.depth, 1, stall="dependency"))
        taken.append(Access("columns", "column", only=(("tile", "but_first"),)))
        written.append(Access("columns", "column", only=(("tile", "but_last"),)))
    sweep = Node("sweep", nest, tuple(taken), tuple(swept), stream="wgt", stall="memory")
    nodes = [*loads, sweep]
    if depth:
        channels.append(Channel("sums", depth, depth, stall="output"))
        nodes.append(Node("accumulate", nest, tuple(summed), tuple(written)))
    drain = (token, column)
    nodes.append(Node("drain", drain, (Access("results", "column"),), stream="out", direction="out"))
    return TimingGraph(tuple(nodes), tuple(channels), issue="sweep")


def _passes(p: TernaryLutParameters, task: Gemm) -> tuple[Loop, ...]:
    """The loop over output tiles, where a design has one."""
    return (Loop("output", p.output_tiles(task)[0]),) if p.tiled else ()


def _columns(p: TernaryLutParameters, task: Gemm) -> Loop:
    """The column groups of a sweep, by token group, output tile and tile where they differ."""
    passes, whole, rest = p.output_tiles(task)
    if whole == rest:
        return Loop("column", whole)
    groups, tiles, _ = p.loops(task)
    turn = np.repeat([whole] * (passes - 1) + [rest], tiles)
    return Loop("column", np.tile(turn, groups))


def _loads(
    p: TernaryLutParameters, token: Loop, passes: tuple[Loop, ...], tile: Loop
) -> tuple[list[Node], list[Channel]]:
    """Nodes that load tiles, and the channels between them.

    Where activations are kept, the first pass takes them from the stream and the others from a memory; both wait in one
    register stage, so the next token group comes when the last tile of this one has left it.
    """
    tiles = (Access("tiles", "tile"),)
    if not p.keeps_activations:
        return [Node("load", (token, *passes, tile), (), tiles, stream="act", stall="input")], []
    first = Access("fresh", "tile", only=(("output", "first"),))
    end = Access("group", "tile", only=(("output", "last"), ("tile", "last")))
    begin = Access("group", "tile", only=(("tile", "first"),))
    load = Node("load", (token, tile), (), (Access("fresh", "tile"), begin), stream="act", stall="input")
    recall = Node("recall", (token, *passes, tile), (first, end), tiles)
    return [load, recall], [Channel("fresh", 1, stall="input"), Channel("group", 1, stall="input")]


def occupied(p: TernaryLutParameters, task: Gemm) -> Number:
    """A beat of keys a cycle."""
    groups, tiles, columns = p.loops(task)
    return groups * tiles * columns


def traffic(p: TernaryLutParameters, task: Gemm) -> dict[str, Number]:
    """Traffic of weights, activations and results in bits; beats are whole bytes.

    Activations come again for every output tile, unless they are kept on chip.
    """
    groups, tiles, columns = p.loops(task)
    passes = choose(p.keeps_activations, 1, p.output_tiles(task)[0])
    beats = {
        "weights": (groups * tiles * columns, p.key_bits),
        "activations": (groups * passes * tiles, p.tile_bits),
        "results": (groups * columns, p.token_lanes * p.fetch_count * p.output_bits),
    }
    return {purpose: count * whole_bytes(bits) for purpose, (count, bits) in beats.items()}
