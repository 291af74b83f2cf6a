"""Schedule of a vector unit: a beat per cycle in, the factor of a row, a beat per cycle out."""

from __future__ import annotations

from typing import Any

from blueprint.families.vector.parameters import VectorParameters
from blueprint.family import Arrays, always_exact, for_all_values
from blueprint.numbers import Number, larger, whole_bytes
from blueprint.timing import Access, Channel, Loop, Node, TimingGraph
from blueprint.workloads.tasks import Rowwise


def needs(task: Rowwise) -> tuple[bool, bool]:
    """Two flags: the run takes a second operand; the run takes a gain."""
    return any(map(task.does, ("gate", "add", "rotate"))), task.does("norm") or task.does("dot")


def graph(p: VectorParameters, task: Rowwise, operands: Arrays | None) -> TimingGraph:
    """Timing graph: rows enter while the buffer has room, each gives a factor, and rows leave multiplied by it.

    The pipeline in front of the row buffer never waits, so it is nothing but latency.
    """
    rows, beats = p.loops(task)
    row, nest = (Loop("row", rows),), (Loop("row", rows), Loop("beat", beats))
    beside = [name for name, there in zip(("operand", "gain"), needs(task), strict=True) if there]
    held = tuple(Access(name, "beat") for name in beside)
    kept = Access("kept", "row")
    sums, factor, result = Access("sums", "row"), Access("factors", "row"), Access("results", "beat")
    cycles = [p.factor_cycles] * rows
    nodes = (
        *(
            Node(f"load_{name}", nest, (), (Access(name, "beat"),), stream=name, stall="input")
            for name in beside
        ),
        Node("load", nest, held, (kept, sums), stream="x", stall="memory"),
        Node("factor", row, (sums,), (factor,), durations=cycles),
        Node("scale", nest, (kept, factor), (result,)),
        Node("drain", nest, (result,), stream="out", direction="out"),
    )
    channels = (
        *(Channel(name, 1, stall="input") for name in beside),
        Channel("kept", p.rows_kept, response=1, stall="output"),
        Channel("sums", p.rows_kept, latency=p.front_stages + 1, stall="output"),
        Channel("factors", p.rows_kept, stall="output"),
        Channel("results", p.out_stages, latency=p.out_stages, stall="output"),
    )
    return TimingGraph(nodes, channels, issue="load")


def cycles(p: VectorParameters, task: Rowwise) -> Number:
    """Cycles of a run: the first row in and out, and for each further row its slowest step or a buffer turn.

    A row steps every ``max(beats, factor_cycles)`` cycles. With ``rows_kept`` rows in the buffer the row after those
    waits for the first to leave it, a turn of ``2 beats + front_stages + factor_cycles`` cycles.
    """
    rows, beats = p.loops(task)
    once = 2 * beats + p.front_stages + p.factor_cycles
    step: Any = larger(beats, p.factor_cycles)
    turns = (rows - 1) // p.rows_kept
    turning: Any = turns * once + (rows - 1 - turns * p.rows_kept) * step
    return larger((rows - 1) * step, turning) + once + p.out_stages + int(any(needs(task)))


cycles_of, exact = for_all_values(cycles), always_exact


def occupied(p: VectorParameters, task: Rowwise) -> Number:
    """All cycles: stages that hold nothing take what comes."""
    return cycles(p, task)


def traffic(p: VectorParameters, task: Rowwise) -> dict[str, Number]:
    """Bits of every stream that the run uses; a beat is whole bytes."""
    rows, beats = p.loops(task)
    operand, gain = needs(task)
    widths = {
        "rows": p.x_bits,
        "operands": p.operand_bits * operand,
        "gains": p.element_bits * gain,
        "results": p.out_bits,
    }
    return {purpose: rows * beats * whole_bytes(bits) for purpose, bits in widths.items()}
