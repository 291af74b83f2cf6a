"""Boundary of an array: fields, order of beats, and contents of a weight word."""

from __future__ import annotations

from blueprint.families.systolic.parameters import SystolicParameters
from blueprint.port import BeatLoop, Operation, Stream
from blueprint.product import product, product_sizes, product_values
from blueprint.record import Field, Place, Record
from blueprint.shell import RegisterFile

#: What each stall counter counts.
_WAITS = {
    "input": "cycles without a beat of activations",
    "memory": "cycles without weights",
    "output": "cycles without room for results",
    "dependency": "cycles in which digits of a beat are left",
}


def operation(p: SystolicParameters) -> Operation:
    """The matrix product, with the sparsity and the word mode of the weights."""
    weights = "weights, a column per output"
    if p.sparse:
        weights += (
            f"; of every {p.group} that follow one another in k, from a multiple of {p.group} on, at most "
        )
        weights += f"{p.kept} are other than zero"
    ternary = "1 where words hold ternary weights, which those of the run must all be, 0 where they hold one integer"
    return product(
        weights,
        {"ternary": ternary} if p.flexible else {},
        {"held": f"min(tokens, {p.most_tokens})"} if p.stationary else {},
    )


register_values = product_values


def register_file(p: SystolicParameters) -> RegisterFile:
    """Size registers of a product; a run reads those that it counts."""
    sizes = {
        "tokens": (p.m_max, p.regroups | p.stationary * p.several_tokens),
        "k": (p.k_max, p.several_beats),
        "n": (p.n_max, p.several_columns),
    }
    # A beat that ends its tile waits for the output only.
    return RegisterFile(product_sizes(sizes), _WAITS, dependency=p.paced * p.several_beats)


def streams(p: SystolicParameters) -> tuple[Stream, ...]:
    """The AXI4-Stream ports: activations, weights, results."""
    if p.stationary:
        act, wgt, out = _weights_stay(p)
    else:
        act, wgt, out = _sums_stay(p)
    return (
        Stream("act", "in", Record((_activation(p),)), act),
        Stream("wgt", "in", Record((_weights(p),)), wgt),
        Stream("out", "out", Record((_result(p),)), out),
    )


def _sums_stay(p: SystolicParameters) -> tuple[tuple[BeatLoop, ...], ...]:
    outer = _groups(p, p.rows)
    covered = f"({p.act_lanes} if ternary else 1)" if p.flexible else f"{p.act_lanes}"
    beats = (*outer, BeatLoop("beat", f"ceil(k / {covered})"))
    turns = (BeatLoop("sum", f"{p.sums}"),) if p.interleaves else ()
    return beats, (*beats, *turns), (*outer, *turns, BeatLoop("row", f"{p.rows}"))


def _weights_stay(p: SystolicParameters) -> tuple[tuple[BeatLoop, ...], ...]:
    outer = _groups(p, p.most_tokens)
    tile, token = BeatLoop("tile", f"ceil(k / {p.beat_k})"), BeatLoop("token", "held")
    return (*outer, tile, token), (*outer, tile, BeatLoop("row", f"{p.rows}")), (*outer, token)


def _groups(p: SystolicParameters, tokens: int) -> tuple[BeatLoop, ...]:
    return (
        BeatLoop("token_group", f"ceil(tokens / {tokens})"),
        BeatLoop("column_group", f"ceil(n / {p.span})"),
    )


def _activation(p: SystolicParameters) -> Field:
    lanes, row = p.act_lanes, f"token_group * {p.rows} + row"
    if p.stationary:
        place = Place("act", (_held(p), f"tile * {p.beat_k} + row * {lanes} + lane"))
    elif p.flexible:
        place = Place("act", (row, _flexible(lanes, "lane")))
    else:
        place = Place("act", (row, f"beat * {lanes} + lane"))
    return Field(
        "activation",
        p.act_width,
        (p.rows, lanes),
        signed=p.activation == "int",
        format=p.activation,
        axes=("row", "lane"),
        meaning="one activation",
        holds=place,
    )


def _flexible(lanes: int, axis: str) -> str:
    """The place in the reduction of a lane or a digit: ternary weights fill all of them, an integer the first."""
    return f"beat * {lanes} + {axis} if ternary else beat if {axis} == 0 else -1"


def _column(p: SystolicParameters) -> str:
    """The output of a column."""
    turn = f"sum * {p.cols} + " if p.interleaves else ""
    return f"column_group * {p.span} + {turn}column"


def _held(p: SystolicParameters) -> str:
    return f"token_group * {p.most_tokens} + token"


def _result(p: SystolicParameters) -> Field:
    token = _held(p) if p.stationary else f"token_group * {p.rows} + row"
    return Field(
        "result",
        p.output_bits,
        (p.cols,),
        signed=p.activation == "int",
        format=str(p.sum_format),
        axes=("column",),
        meaning="one result, an integer with its sign extended to whole bytes",
        holds=Place("out", (token, _column(p))),
    )


def _weights(p: SystolicParameters) -> Field:
    """Weights with their group index if sparse, or the words of a flexible element."""
    parts = _words(p) if p.flexible else _sparse(p) if p.sparse else Record()
    whole = p.activation == "int" or p.pe == "ternary"
    return Field(
        "weight",
        p.weight_bits,
        (p.cols, p.dot_length),
        signed=whole and not len(parts),
        format="int" if whole else p.activation,
        axes=("column", "slot"),
        encoding="flexible" if p.flexible else "n_of_m" if len(parts) else "",
        meaning=_meaning(p),
        holds=_weights_held(p),
        parts=parts,
    )


def _meaning(p: SystolicParameters) -> str:
    if p.flexible:
        return (
            f"{p.element_digits} ternary weights, one for each lane of activations, or one integer for lane 0"
        )
    one = "one weight: 01 is +1, 00 is 0, 11 is -1; 10 is no weight" if p.pe == "ternary" else "one weight"
    if not p.sparse:
        return one
    return (
        f"{one}; of a group of {p.group} weights {p.kept} travel in rising order of place: all that are not zero, then "
        "zeros at the lowest free places"
    )


def _sparse(p: SystolicParameters) -> Record:
    whole = p.activation == "int" or p.pe == "ternary"
    number = "int" if whole else p.activation
    width = p.index_width
    return Record(
        (
            Field("value", p.weight_width, signed=whole, format=number, meaning="the weight"),
            Field("index", width, signed=False, meaning="place in its group"),
        )
    )


def _words(p: SystolicParameters) -> Record:
    kind = "1 where the word holds ternary weights; the same in all words of a run"
    return Record(
        (
            Field("integer", p.weight_width, meaning="one weight", when="ternary == 0"),
            Field(
                "digits",
                2,
                (p.element_digits,),
                offset=0,
                axes=("digit",),
                meaning="ternary weights: 01 is +1, 00 is 0, 11 is -1",
                when="ternary == 1",
            ),
            Field("ternary", 1, signed=False, offset=p.weight_width, meaning=kind),
        )
    )


def _weights_held(p: SystolicParameters) -> Place:
    lanes, column = p.act_lanes, _column(p)
    if p.flexible:
        return Place("wgt", (_flexible(lanes, "digit"), column), ("digit", p.element_digits))
    first = f"tile * {p.beat_k} + row * {lanes}" if p.stationary else f"beat * {lanes}"
    if not p.sparse:
        return Place("wgt", (f"{first} + slot", column))
    row = f"{first} + slot // {p.kept} * {p.group} + member"
    return Place("wgt", (row, column), ("member", p.group), f"slot % {p.kept}")
