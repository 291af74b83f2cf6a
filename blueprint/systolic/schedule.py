"""When an array does what: loop nests, the timing graph and the cycles of an unstalled run in closed form.

Where sums stay: token group, column group, beat of the reduction. Where weights stay: token group, column group, tile
of the reduction, token. Neither order needs more hardware for a larger matrix: any product is a sequence of tiles on
one array of fixed size (temporal scaling, as in Tempus), operands of the next beat or tile arriving meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blueprint.numbers import Number, choose, larger
from blueprint.timing import Access, Channel, Loop, Node, TimingGraph
from blueprint.workload import Gemm

if TYPE_CHECKING:
    from blueprint.systolic.spec import SystolicSpec

#: Column groups whose partial sums have room at once, where weights stay.
BANKS = 2


def cycles(p: SystolicSpec, workload: Gemm) -> Number:
    """Cycles of one unstalled run."""
    groups, columns, beats, tokens = p.loops(workload)
    tiles = groups * columns
    return choose(p.stationary, _weights_stay(p, tiles, beats, tokens), _sums_stay(p, tiles, beats))


def _sums_stay(p: SystolicSpec, tiles: Number, beats: Number) -> Number:
    """The last beat of a tile waits until all results of the tile before have left."""
    drained = p.stages + p.rows
    return beats + (tiles - 1) * larger(beats, drained) + drained


def _weights_stay(p: SystolicSpec, columns: Number, beats: Number, tokens: Number) -> Number:
    """A tile takes as long as its tokens or the loading of the next; a column group needs the bank of the last but one."""
    tile = larger(tokens, p.rows)
    computed = (beats - 1) * tile + tokens
    freed = computed - 1 + p.stages + 1 + tokens  # from a column group's first issue to the reuse of its bank
    last = columns - 1
    begun = last // BANKS * larger(BANKS * beats * tile, freed) + last % BANKS * beats * tile
    return p.rows + begun + freed + 1


def graph(p: SystolicSpec, workload: Gemm) -> TimingGraph:
    """The timing graph of a run."""
    counts = tuple(map(int, p.loops(workload)))
    return _stationary(p, counts) if p.stationary else _summing(p, counts)


def _summing(p: SystolicSpec, counts: tuple[int, ...]) -> TimingGraph:
    nest = tuple(Loop(n, c) for n, c in zip(("group", "column", "beat"), counts, strict=False))
    given = (*nest[:2], Loop("row", p.rows))
    act, wgt = Access("acts", "beat"), Access("weights", "beat")
    done = Access("results", "column", only=(("beat", "last"),))
    nodes = (
        Node("load", nest, (), (act,), stream="act", stall="input"),
        Node("fetch", nest, (), (wgt,), stream="wgt", stall="memory"),
        Node("issue", nest, (act, wgt), (done,)),
        Node("drain", given, (Access("results", "column"),), stream="out", direction="out"),
    )
    channels = (
        Channel("acts", 1, stall="input"),
        Channel("weights", 1, stall="memory"),
        Channel("results", 1, int(p.stages), response=1, stall="output"),
    )
    return TimingGraph(nodes, channels, issue="issue")


def _stationary(p: SystolicSpec, counts: tuple[int, ...]) -> TimingGraph:
    names = ("group", "column", "tile", "token")
    nest = tuple(Loop(n, c) for n, c in zip(names, counts, strict=True))
    loaded = (*nest[:3], Loop("row", p.rows))
    given = (*nest[:2], nest[3])
    act, result, leaving = Access("acts", "token"), Access("results", "column"), Access("leaving", "token")
    held = Access("tiles", "token", only=(("token", "first"),))  # the elements copy it as the first token passes
    nodes = (
        Node("load", nest, (), (act,), stream="act", stall="input"),
        Node("fetch", loaded, (), (Access("tiles", "tile"),), stream="wgt", stall="memory"),
        Node("issue", nest, (act, held), (result,)),
        Node("collect", given, (result,), (leaving,)),
        Node("drain", given, (leaving,), stream="out", direction="out"),
    )
    channels = (
        Channel("acts", 1, stall="input"),
        Channel("tiles", 1, stall="memory"),
        Channel("results", BANKS, int(p.stages) + 1, response=1, stall="output"),
        Channel("leaving", 1, stall="output"),
    )
    return TimingGraph(nodes, channels, issue="issue")
