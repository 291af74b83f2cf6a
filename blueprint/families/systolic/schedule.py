"""When an array does what: loop nests, the timing graph and the cycles of an unstalled run in closed form.

Where sums stay: token group, column group, beat of the reduction. Where weights stay: token group, column group, tile
of the reduction, token. Neither order needs more hardware for a larger matrix: any product is a sequence of tiles on
one array of fixed size (temporal scaling, as in Tempus), operands of the next beat or tile arriving meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic.processing import cycles_per_operand
from blueprint.numbers import Number, ceil_div, choose, larger
from blueprint.timing import Access, Channel, Loop, Node, TimingGraph
from blueprint.workloads.tasks import Gemm

if TYPE_CHECKING:
    from blueprint.families.systolic.spec import SystolicSpec

Integers = npt.NDArray[np.int64]

#: Column groups whose partial sums have room at once, where weights stay.
BANKS = 2


def cycles(p: SystolicSpec, workload: Gemm) -> Number:
    """Cycles of one unstalled run."""
    groups, columns, beats, tokens = p.loops(workload)
    tiles, steps = groups * columns, expected_steps(p)
    return choose(p.stationary, _weights_stay(p, tiles, beats, tokens), _sums_stay(p, tiles, beats, steps))


def _sums_stay(p: SystolicSpec, tiles: Number, beats: Number, steps: Number) -> Number:
    """The last beat of a tile starts when all results of the tile before have left."""
    drained = p.stages + p.rows
    return beats * steps + (tiles - 1) * larger(beats * steps, drained + steps - 1) + drained


def expected_steps(p: SystolicSpec) -> Number:
    """Cycles of a beat: one, or the digits to expect of the activation of a beat that has most.

    Half of all places of EN-T digits, rounded up, is what evenly spread numbers have; several lanes wait for the
    slowest of them, which then mostly has them all.
    """
    digits = ceil_div(p.act_width, 2)
    several = p.rows * p.act_lanes > 1
    sparse = choose(several, digits, larger(1, digits - 1))
    return choose(p.serial, choose(p.pe == "booth_serial", digits, sparse), 1)


def durations(p: SystolicSpec, workload: Gemm, act: Integers) -> Integers:
    """Cycles of every beat, by token group and beat: all activations of a beat take as long as the slowest."""
    groups, _, beats, _ = (int(count) for count in p.loops(workload))
    taken = cycles_per_operand(p.element, act)
    padded = np.ones((groups * p.rows, beats * int(p.act_lanes)), np.int64)
    if p.pe == "booth_serial":
        padded *= ceil_div(p.act_width, 2)
    padded[: act.shape[0], : act.shape[1]] = taken
    slowest: Integers = padded.reshape(groups, p.rows, beats, -1).max(axis=(1, 3))
    return slowest


def is_whole(p: SystolicSpec, wgt: Integers) -> bool:
    """Whether a flexible element has to take these weights as integers: not all are ternary."""
    return bool(p.flexible and (wgt.max(initial=0) > 1 or wgt.min(initial=0) < -1))


def cycles_of(p: SystolicSpec, workload: Gemm, operands: Mapping[str, Integers]) -> int:
    """Cycles of one unstalled run on these operands."""
    if p.flexible:
        groups, columns, beats, _ = p.loops(workload, whole=is_whole(p, operands["wgt"]))
        return int(_sums_stay(p, groups * columns, beats, 1))
    if not p.serial:
        return int(cycles(p, workload))
    _, columns, _, _ = p.loops(workload)
    taken = durations(p, workload, operands["act"])
    drained, now, free = int(p.stages) + p.rows, 0, 0
    for steps in taken:
        for _ in range(columns):
            last = int(steps[-1])
            begin = max(now + int(steps.sum()) - last, free)
            now = begin + last
            free = now + drained - 1
    return now + drained


def _weights_stay(p: SystolicSpec, columns: Number, beats: Number, tokens: Number) -> Number:
    """A tile takes as long as its tokens or the loading of the next.

    A column group begins when the bank of the one before the last is free.
    """
    tile = larger(tokens, p.rows)
    computed = (beats - 1) * tile + tokens
    collected = (
        computed + p.stages + tokens
    )  # from a column group's first issue to one cycle after its last read
    freed = collected + choose(p.in_sram, 1, 0)  # a memory's last word is read while it waits at the port
    last = columns - 1
    begun = last // BANKS * larger(BANKS * beats * tile, freed) + last % BANKS * beats * tile
    return p.rows + begun + collected + 1


def graph(p: SystolicSpec, workload: Gemm, operands: Mapping[str, Integers] | None = None) -> TimingGraph:
    """The timing graph of a run."""
    whole = p.flexible and operands is not None and is_whole(p, operands["wgt"])
    counts = tuple(map(int, p.loops(workload, whole=whole)))
    if p.stationary:
        return _stationary(p, counts)
    if not p.serial:
        return _summing(p, counts, {})
    # Dense digits take as long whatever they are.
    act = np.zeros((workload.m, workload.k), np.int64) if operands is None else operands["act"]
    taken = np.repeat(durations(p, workload, act)[:, None], counts[1], axis=1).reshape(-1)
    return _summing(p, counts, {"durations": taken})


def _summing(p: SystolicSpec, counts: tuple[int, ...], issue: dict[str, Any]) -> TimingGraph:
    nest = tuple(Loop(n, c) for n, c in zip(("group", "column", "beat"), counts, strict=False))
    given = (*nest[:2], Loop("row", p.rows))
    act, wgt = Access("acts", "beat"), Access("weights", "beat")
    done = Access("results", "column", only=(("beat", "last"),))
    nodes = (
        Node("load", nest, (), (act,), stream="act", stall="input"),
        Node("fetch", nest, (), (wgt,), stream="wgt", stall="memory"),
        Node("issue", nest, (act, wgt), (done,), **issue),
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
    held = Access(
        "tiles", "token", only=(("token", "first"),)
    )  # the elements copy it as the first token passes
    latency = int(p.stages) + 1
    channels = [
        Channel("acts", 1, stall="input"),
        Channel("tiles", 1, stall="memory"),
        Channel("results", BANKS, latency, response=1, stall="output"),
        Channel("leaving", 1, stall="output"),
    ]
    issued, collected, drained = [result], [result], [leaving]
    if p.in_sram:
        # A memory shows its last word until the port has taken it, so the bank is free only then.
        finished = Access("finished", "column")
        channels.append(Channel("finished", BANKS, latency, response=1, stall="output"))
        issued, collected, drained = [result, finished], [finished], [leaving, result]
    nodes = (
        Node("load", nest, (), (act,), stream="act", stall="input"),
        Node("fetch", loaded, (), (Access("tiles", "tile"),), stream="wgt", stall="memory"),
        Node("issue", nest, (act, held), tuple(issued)),
        Node("collect", given, tuple(collected), (leaving,)),
        Node("drain", given, tuple(drained), stream="out", direction="out"),
    )
    return TimingGraph(nodes, tuple(channels), issue="issue")
