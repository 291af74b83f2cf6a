"""Boundary of a ternary-LUT core: fields, order of beats, and the weights behind a key."""

from __future__ import annotations

from blueprint.arithmetic import ternary
from blueprint.families.ternary_lut.parameters import TernaryLutParameters
from blueprint.numbers import flag
from blueprint.port import BeatLoop, Operation, Stream
from blueprint.product import product, product_sizes, product_values
from blueprint.record import Field, Place, Record
from blueprint.shell import RegisterFile

#: What each stall counter counts.
_WAITS = {
    "input": "cycles without a table to sweep",
    "memory": "cycles without a weight beat",
    "output": "cycles held up by the output",
    "dependency": "cycles a column waited for its own accumulator",
}


def operation(p: TernaryLutParameters) -> Operation:
    """A product of activations and ternary weights."""
    return product("weights -1, 0 and 1, a column per output")


register_values = product_values


def register_file(p: TernaryLutParameters) -> RegisterFile:
    """Size registers of a product; a run reads those that it counts."""
    outputs = (p.n_max, p.counts_outputs)
    sizes = {"tokens": (p.m_max, p.regroups), "k": (p.k_max, p.accumulates), "n": outputs}
    return RegisterFile(product_sizes(sizes), _WAITS, dependency=flag(p.accumulate_stages > 0))


def streams(p: TernaryLutParameters) -> tuple[Stream, ...]:
    """The AXI4-Stream ports: activations, weights, results."""
    group = BeatLoop("token_group", f"ceil(tokens / {p.token_lanes})")
    tile = BeatLoop("tile", f"ceil(k / {p.tile_k})")
    column = BeatLoop("column_group", f"ceil(n / {p.fetch_count})")
    passes: tuple[BeatLoop, ...] = (tile,)
    swept: tuple[BeatLoop, ...] = (tile, column)
    if p.tiled:
        pass_ = BeatLoop("output_tile", f"ceil(n / {p.tile_n})")
        passes = (tile,) if p.keeps_activations else (pass_, tile)
        swept = (pass_, tile, _column_of_tile(p))
    return (
        Stream("act", "in", Record((_activation(p),)), (group, *passes)),
        Stream("wgt", "in", Record((_weights(p),)), (group, *swept)),
        Stream("out", "out", Record((_result(p),)), (group, column)),
    )


def _column_of_tile(p: TernaryLutParameters) -> BeatLoop:
    """The column groups of an output tile; the last tile of a run may have fewer."""
    before = f"output_tile * {p.depth}"
    count = f"min({p.depth}, ceil(n / {p.fetch_count}) - {before})"
    return BeatLoop("column_in_tile", count, {"column_group": f"{before} + column_in_tile"})


def _activation(p: TernaryLutParameters) -> Field:
    return Field(
        "activation",
        p.act_width,
        (p.token_lanes, p.lut_count, p.mu),
        signed=p.activation == "int",
        format=p.activation,
        axes=("token", "table", "place"),
        meaning="one activation",
        holds=Place("act", (_token(p), f"tile * {p.tile_k} + table * {p.mu} + place")),
    )


def _result(p: TernaryLutParameters) -> Field:
    number = str(p.output_format)
    return Field(
        "result",
        p.output_bits,
        (p.token_lanes, p.fetch_count),
        signed=number == "int",
        format=number,
        axes=("token", "column"),
        meaning="one result, an integer with its sign extended to whole bytes",
        holds=Place("out", (_token(p), f"column_group * {p.fetch_count} + column")),
    )


def _token(p: TernaryLutParameters) -> str:
    return f"token_group * {p.token_lanes} + token"


def _weights(p: TernaryLutParameters) -> Field:
    """One key per output column and table, however it is encoded."""
    if p.key_encoding == "five_trits":
        return ternary.key_field(p.key_encoding, p.mu, p.fetch_count, p.lut_count, _trits(p))
    row, column = f"tile * {p.tile_k} + table * {p.mu} + place", f"column_group * {p.fetch_count} + column"
    members = None if p.key_encoding == "two_bit" else ("place", p.mu)
    place = Place("wgt", (row, column), members)
    return ternary.key_field(p.key_encoding, p.mu, p.fetch_count, p.lut_count, place)


def _trits(p: TernaryLutParameters) -> Place:
    """The weights of a beat in the order of columns, tables and places, five to a byte; none behind the last."""
    number, width = "(byte * 5 + trit)", p.tile_k
    row = f"tile * {width} + {number} % {width}"
    column = f"column_group * {p.fetch_count} + {number} // {width}"
    there = f"{number} < {p.fetch_count * width}"
    return Place("wgt", (row, f"{column} if {there} else -1"), ("trit", 5))
