"""When things happen: the timing graph of a run, its cycles in closed form, its traffic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from blueprint.arithmetic.pruning import CODE_BITS
from blueprint.arithmetic.softmax.arithmetic import GRAPHS
from blueprint.families.streaming_attention import dataflow, order
from blueprint.families.streaming_attention.dataflow import Edge
from blueprint.families.streaming_attention.parameters import SCALE_WORD, SCALE_WORDS, Parameters
from blueprint.numbers import Number, ceil_div, choose, clog2, larger
from blueprint.spec import Arrays, Rule, Spec, refuse
from blueprint.timing import Access, Channel, Loop, Node, TimingGraph
from blueprint.workloads.workload import Attention, Task

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


def cycles(p: Parameters, workload: Any) -> Number:
    """Cycles from the first query to the last row, both accepted: all keys, rows waited for, the fill.

    In closed form, where no FIFO is shallower than full speed needs; see :func:`capacity`.
    """
    late = dataflow.latencies(p)
    waiting = order.longest(p, workload)
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
    passes = order.passes(p, workload)
    scored = passes * order.pass_length(p, workload)
    screened = 2 * workload.keys + late["screen"] - 1 + p.pruning.search_cycles
    pruned = passes * screened + waiting + 1
    return choose(p.prunes, pruned, scored) + late["score"] + ending


def timing(p: Parameters, workload: Attention, operands: Arrays | None = None) -> TimingGraph:
    """The timing graph of a run; it depends on no values. Raises ``ParamError``, see :func:`check_workload`."""
    check_workload(p, workload)
    late, deep, nests = dataflow.latencies(p), dataflow.depths(p), _nests(p, workload)
    wires = dataflow.edges(p.graph, bool(p.has_gains), bool(p.prunes))
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


def _nests(p: Parameters, workload: Attention) -> dict[str, tuple[Loop, ...]]:
    """The loops around each node, nodes in the order of the data."""
    lengths, count = order.row_lengths(p, workload), int(order.passes(p, workload))
    turn, row = Loop("pass", count), Loop("row", len(lengths))
    same = len(set(lengths)) == 1
    key = Loop("key", lengths[0] if same else tuple(lengths) * count)
    nests: dict[str, tuple[Loop, ...]] = {"tune": (turn,), "load": (turn, row)}
    if p.prunes:
        nests["screen"] = (turn, Loop("code", workload.keys))
        nests["search"] = (turn, Loop("step", int(p.pruning.search_cycles) + workload.keys))
        nests["pick"] = (turn, row, key)
    for name in dataflow.NODES[p.graph]:
        by_row = name == "divide" and not p.softmax.divides_first
        nests[name] = (turn, row) if by_row else (turn, row, key)
    return {**nests, "drain": (turn, row)}


def _access(edge: Edge, nest: tuple[Loop, ...], produces: bool) -> Access:
    """One token per iteration of the loop of the FIFO's kind; a row's result takes its slot with the last key only."""
    loop = {"long": "key", "short": "key", "row": "row", "pass": "pass"}[edge.kind]
    if edge.name == "codes" and not produces:
        loop = "pass"  # which has one row
    if produces and edge.kind == "row" and nest[-1].name == "key":
        return Access(edge.name, "key", only=(("key", "last"),))
    return Access(edge.name, loop)


# What a design runs -----------------------------------------------------------------------------------------------


def capacity(p: Parameters, tasks: Iterable[Task]) -> Iterator[Rule]:
    """That a design is large enough for every task, and that :func:`cycles` is right for it.

    The closed form counts no wait for a FIFO that is shallower than full speed needs.
    """
    tasks = tuple(tasks)
    yield from Spec.capacity(p, tasks)
    yield from _suits(p, tasks)
    reason = (
        "FIFOs must be deep enough for full speed, 0 for that depth; the simulator knows the cycles of others"
    )
    yield Rule("long_depth", dataflow.full_speed(p), reason, lambda: reason)


def check_workload(p: Parameters, workload: Any) -> None:
    """Refuse a task that the counters and the mask of a design were not made for. Raises ``ParamError``.

    Shallow FIFOs are not refused: the simulator runs them, or names the deadlock.
    """
    p.check_task(workload)
    for rule in (*Spec.capacity(p, (workload,)), *_suits(p, (workload,))):
        if not rule.holds:
            raise refuse(rule.parameter, rule.message())
    p.check_sizes(workload)


def _suits(p: Parameters, tasks: Iterable[Any]) -> Iterator[Rule]:
    """That heads are as long as the design's, and that its sequencing covers every mask."""
    for task in tasks:
        yield Rule(
            "dim",
            p.dim == task.dim,
            f"dim must be {task.dim}, that of the workload's heads",
            lambda task=task: f"Attention dim must be {p.dim}, the design's dim, not {task.dim}",  # type: ignore[misc]
        )
        fit = order.masks_for(task)
        named = f"mask must be {' or '.join(fit)} for mask {task.mask} of the workload"
        yield Rule(
            "mask" if fit else "sinks",
            np.isin(p.mask, fit),
            named if fit else "sinks of the workload must be at least 1 for its mask lambda",
            lambda task=task: _unsuited(p, task),  # type: ignore[misc]
        )


def _unsuited(p: Parameters, task: Attention) -> str:
    if task.mask == p.mask == "lambda":
        return "Attention sinks must be at least 1 for mask lambda, not 0; without sinks it is window"
    return f"Attention mask must be {order.masks_of(p)} for a design of mask {p.mask}, not {task.mask}"


def dram_bits(p: Parameters, workload: Attention) -> dict[str, Number]:
    """Bits that cross the boundary in one run, by stream purpose."""
    count, rows = order.passes(p, workload), order.row_count(p, workload)
    taken = count * order.pass_length(p, workload)
    row = 8 * -(-p.dim * p.element_width // 8)
    lanes = p.lanes * p.dim * p.softmax.in_width
    numbers = 8 * ceil_div(clog2(p.keys_max), 8)
    screened = choose(p.prunes, count, 0)
    return {
        "keys": taken * row,
        "values": taken * row,
        "codes": screened * workload.keys * 8 * ceil_div(CODE_BITS * p.dim, 8),
        "picks": screened * order.longest(p, workload) * numbers,
        "queries": count * rows * lanes,
        "scales": count * SCALE_WORDS * SCALE_WORD,
        "results": count * rows * lanes,
    }
