"""What crosses the boundary of a popcount core: bits of activations, of weights with thresholds, and results."""

from __future__ import annotations

from blueprint.families.binary_popcount.parameters import BinaryPopcountParameters
from blueprint.port import BeatLoop, Operand, Operation, Stream
from blueprint.product import product_sizes, product_values
from blueprint.record import Field, Place, Record
from blueprint.shell import RegisterFile

_BITS = "a bit each: 1 is +1, 0 is -1"
_SIZES = {"tokens": "tokens", "k": "k", "n": "n"}
#: What each stall counter counts.
_WAITS = {
    "input": "cycles without activations",
    "memory": "cycles without a weight beat",
    "output": "cycles held up by the output",
}


def operation(p: BinaryPopcountParameters) -> Operation:
    """The matches of activations with weights; bits compare them with thresholds."""
    inputs = (
        Operand("act", ("tokens", "k"), f"activations, {_BITS}"),
        Operand("wgt", ("k", "n"), f"weights, {_BITS}"),
        Operand("thr", ("n",), "the fewest matches that make a result 1"),
    )
    result = Operand("out", ("tokens", "n"), "1 from the threshold on" if p.compares else "matches")
    matches = "act @ wgt + (1 - act) @ (1 - wgt)"
    computes = f"out = {matches} >= thr" if p.compares else f"out = {matches}"
    return Operation(computes, inputs if p.compares else inputs[:2], (result,), _SIZES)


register_values = product_values


def register_file(p: BinaryPopcountParameters) -> RegisterFile:
    """The sizes of a product; a run reads those of which it counts anything."""
    sizes = {"tokens": (p.m_max, p.repeats), "k": (p.k_max, p.accumulates), "n": (p.n_max, p.regroups)}
    return RegisterFile(product_sizes(sizes), _WAITS)


def streams(p: BinaryPopcountParameters) -> tuple[Stream, ...]:
    """The AXI4-Stream ports: activations, weights and thresholds, results."""
    outer = (BeatLoop("token", "tokens"), BeatLoop("column_group", f"ceil(n / {p.cols})"))
    beats = (*outer, BeatLoop("tile", f"ceil(k / {p.lanes})"))
    row, column = f"tile * {p.lanes} + lane", f"column_group * {p.cols} + column"
    activation = Field(
        "activation",
        1,
        (p.lanes,),
        signed=False,
        axes=("lane",),
        meaning="one activation, 1 for +1 and 0 for -1",
        holds=Place("act", ("token", row)),
    )
    weight = Field(
        "weight",
        1,
        (p.cols, p.lanes),
        signed=False,
        axes=("column", "lane"),
        meaning="one weight, 1 for +1 and 0 for -1; beyond the edges 1, which no absent activation matches",
        holds=Place("wgt", (row, column), beyond=1),
    )
    threshold = Field(
        "threshold",
        p.count_width,
        (p.cols,),
        signed=False,
        axes=("column",),
        meaning="the threshold of a column, read in the last beat of the column",
        holds=Place("thr", (column,)),
    )
    result = Field(
        "result",
        p.result_width,
        (p.cols,),
        signed=False,
        axes=("column",),
        meaning="one result",
        holds=Place("out", ("token", column)),
    )
    return (
        Stream("act", "in", Record((activation,)), beats),
        Stream("wgt", "in", Record((weight, threshold) if p.compares else (weight,)), beats),
        Stream("out", "out", Record((result,)), outer),
    )
