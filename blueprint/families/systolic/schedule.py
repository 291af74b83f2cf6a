"""Schedule of an array: loop nests, timing graph, and cycles of an unstalled run in closed form.

Where sums stay: token group, column group, beat of the reduction, and the sums of an element where its adder has
registers. Where weights stay: token group, column group, tile of the reduction, token. Neither order needs more
hardware for a larger matrix: any product is a sequence of tiles on one array of fixed size (temporal scaling, as in
Tempus), and operands of the next beat or tile arrive meanwhile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic.processing import cycles_per_operand
from blueprint.families.systolic.parameters import BANKS, SystolicParameters
from blueprint.family import Arrays, always_exact
from blueprint.numbers import Number, ceil_div, choose, larger, whole_bytes
from blueprint.timing import Access, Channel, Loop, Node, TimingGraph
from blueprint.workloads.tasks import Gemm

Integers = npt.NDArray[np.int64]


def cycles(p: SystolicParameters, task: Gemm) -> Number:
    """Cycles of one unstalled run; the expected number where the digits of activations set the cycles of a beat."""
    groups, columns, beats, tokens = p.loops(task)
    tiles, steps = groups * columns, _expected_steps(p)
    summed = choose(p.interleaves, _sums_turn(p, tiles, beats), _sums_stay(p, tiles, beats, steps))
    return choose(p.stationary, _weights_stay(p, tiles, beats, tokens), summed)


exact = always_exact


def _sums_stay(p: SystolicParameters, tiles: Number, beats: Number, steps: Number) -> Number:
    """The last beat of a tile starts when all results of the tile before have left."""
    drained = p.stages + p.rows
    return (
        beats * steps + (tiles - 1) * larger(beats * steps, drained + steps - 1) + drained + p.resolve_stages
    )


def _sums_turn(p: SystolicParameters, tiles: Number, beats: Number) -> Number:
    """A sum of every element is taken when the results before it have left, and the next tile begins after the last."""
    drained, steps = p.stages + p.rows, beats * p.sums
    taken = p.adder_stages * drained
    return steps + 1 + taken + (tiles - 1) * (taken + larger(steps + 1, drained)) + drained


def _expected_steps(p: SystolicParameters) -> Number:
    """Cycles of a beat: one, or the largest number of digits to expect of an activation of the beat.

    Evenly spread numbers have EN-T digits in half of all places, rounded up; several lanes wait for the slowest of
    them, which then mostly has them all.
    """
    digits = ceil_div(p.act_width, 2)
    several = p.rows * p.act_lanes > 1
    sparse = choose(several, digits, larger(1, digits - 1))
    return choose(p.serial, choose(p.pe == "booth_serial", digits, sparse), 1)


def _durations(p: SystolicParameters, task: Gemm, act: Integers) -> Integers:
    """Cycles of every beat, by token group and beat: all activations of a beat take as long as the slowest."""
    groups, _, beats, _ = p.loops(task)
    taken = cycles_per_operand(p.element, act)
    padded = np.ones((groups * p.rows, beats * p.act_lanes), np.int64)
    if p.pe == "booth_serial":
        padded *= ceil_div(p.act_width, 2)
    padded[: act.shape[0], : act.shape[1]] = taken
    slowest: Integers = padded.reshape(groups, p.rows, beats, -1).max(axis=(1, 3))
    return slowest


def cycles_of(p: SystolicParameters, task: Gemm, operands: Arrays) -> int:
    """Cycles of one unstalled run on these operands: ``act`` of shape (m, k), ``wgt`` of shape (k, n)."""
    if p.flexible:
        groups, columns, beats, _ = p.loops(task, whole=p.takes_integers(operands["wgt"]))
        return _sums_stay(p, groups * columns, beats, 1)
    if not p.serial:
        return cycles(p, task)
    _, columns, _, _ = p.loops(task)
    drained, now, free = p.stages + p.rows, 0, 0
    for steps in _durations(p, task, operands["act"]):
        for _ in range(columns):
            last = int(steps[-1])
            begin = max(now + int(steps.sum()) - last, free)
            now = begin + last
            free = now + drained - 1
    return now + drained + p.resolve_stages


def _weights_stay(p: SystolicParameters, columns: Number, beats: Number, tokens: Number) -> Number:
    """A tile takes as long as its tokens or the loading of the next.

    A column group begins when the bank of the one before the last is free.
    """
    tile = larger(tokens, p.rows)
    computed = (beats - 1) * tile + tokens
    # From the first issue of a column group to one cycle after its last read.
    collected = computed + p.stages + tokens
    freed = collected + p.in_sram  # a memory's last word is read while it waits at the port
    last = columns - 1
    begun = last // BANKS * larger(BANKS * beats * tile, freed) + last % BANKS * beats * tile
    return p.rows + begun + collected + 1


def occupied(p: SystolicParameters, task: Gemm) -> Number:
    """A beat or a token a cycle, and every digit and every sum of an element where a beat takes longer."""
    groups, columns, beats, tokens = p.loops(task)
    return groups * columns * beats * choose(p.stationary, tokens, _expected_steps(p) * p.sums)


def traffic(p: SystolicParameters, task: Gemm) -> dict[str, Number]:
    """Traffic of weights, activations and results in bits; beats are whole bytes."""
    groups, columns, beats, tokens = p.loops(task)
    loaded = choose(p.stationary, p.rows, 1)
    given = choose(p.stationary, tokens, p.rows * p.sums)
    moved = {
        "weights": (beats * loaded * p.sums, p.cols * p.element_bits),
        "activations": (beats * tokens, p.rows * p.act_lanes * p.act_width),
        "results": (given, p.cols * p.output_bits),
    }
    return {purpose: groups * columns * count * whole_bytes(bits) for purpose, (count, bits) in moved.items()}


def graph(p: SystolicParameters, task: Gemm, operands: Arrays | None) -> TimingGraph:
    """Operands join when a beat or token issues; results wait for the port, in banks where weights stay."""
    whole = operands is not None and p.takes_integers(operands["wgt"])
    counts = p.loops(task, whole=whole)
    if p.stationary:
        return _stationary(p, counts)
    if p.interleaves:
        return _turning(p, counts)
    if not p.serial:
        return _summing(p, counts, {})
    # Dense digits take the same time for all values.
    act = np.zeros((task.m, task.k), np.int64) if operands is None else operands["act"]
    taken = np.repeat(_durations(p, task, act)[:, None], counts[1], axis=1).reshape(-1)
    return _summing(p, counts, {"durations": taken})


def _summing(p: SystolicParameters, counts: tuple[int, ...], issue: dict[str, Any]) -> TimingGraph:
    nest = tuple(Loop(n, c) for n, c in zip(("group", "column", "beat"), counts, strict=False))
    given = (*nest[:2], Loop("row", p.rows))
    act, wgt = Access("acts", "beat"), Access("weights", "beat")
    done = Access("results", "column", only=(("beat", "last"),))
    nodes = (
        Node("load", nest, (), (act,), stream="act", stall="input"),
        Node("fetch", nest, (), (wgt,), stream="wgt", stall="memory"),
        Node("issue", nest, (act, wgt), (done,), **issue),
        *_drain(p, given, Access("results", "column")),
    )
    channels = (
        Channel("acts", 1, stall="input"),
        Channel("weights", 1, stall="memory"),
        Channel("results", 1, p.stages, response=1, stall="output"),
        *_resolving(p),
    )
    return TimingGraph(nodes, channels, issue="issue")


def _drain(p: SystolicParameters, given: tuple[Loop, ...], result: Access) -> tuple[Node, ...]:
    """Rows of results leave through the port, or through the registers of their addition and then the port."""
    if not p.resolve_stages:
        return (Node("drain", given, (result,), stream="out", direction="out"),)
    piece = Access("pieces", "row")
    return (
        Node("resolve", given, (result,), (piece,)),
        Node("drain", given, (piece,), stream="out", direction="out"),
    )


def _resolving(p: SystolicParameters) -> tuple[Channel, ...]:
    """The registers between the pieces of an addition."""
    count = p.resolve_stages
    return (Channel("pieces", count, count, stall="output"),) if count else ()


def _turning(p: SystolicParameters, counts: tuple[int, ...]) -> TimingGraph:
    """Sums take turns: a beat of activations stays for all of them, and their results leave one after the other."""
    nest = tuple(Loop(n, c) for n, c in zip(("group", "column", "beat"), counts, strict=False))
    turns = (*nest, Loop("sum", p.sums))
    taken = (*nest[:2], turns[-1])
    act, wgt = Access("acts", "beat"), Access("weights", "sum")
    summed, result = Access("sums", "column"), Access("results", "sum")
    nodes = (
        Node("load", nest, (), (act,), stream="act", stall="input"),
        Node("fetch", turns, (), (wgt,), stream="wgt", stall="memory"),
        Node("issue", turns, (act, wgt), (summed,)),
        Node("take", taken, (summed,), (result,)),
        Node("drain", (*taken, Loop("row", p.rows)), (result,), stream="out", direction="out"),
    )
    channels = (
        Channel("acts", 1, stall="input"),
        Channel("weights", 1, stall="memory"),
        Channel("sums", 1, response=1, stall="output"),
        Channel("results", 1, p.stages, response=1, stall="output"),
    )
    return TimingGraph(nodes, channels, issue="issue")


def _stationary(p: SystolicParameters, counts: tuple[int, ...]) -> TimingGraph:
    names = ("group", "column", "tile", "token")
    nest = tuple(Loop(n, c) for n, c in zip(names, counts, strict=True))
    loaded = (*nest[:3], Loop("row", p.rows))
    given = (*nest[:2], nest[3])
    act, result, leaving = Access("acts", "token"), Access("results", "column"), Access("leaving", "token")
    # The elements copy a tile as its first token passes.
    held = Access("tiles", "token", only=(("token", "first"),))
    latency = p.stages + 1
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
