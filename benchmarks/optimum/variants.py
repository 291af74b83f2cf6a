"""Hardware variants beside what the generator makes: each row a module of ours and the same job done otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.optimum import measure
from benchmarks.optimum.fetches import KeyFetch, OpenFetch, SharedRound, TreeFetch, ZerolessFetch
from benchmarks.optimum.points import Kind, Point
from blueprint.arithmetic import floating, ternary
from blueprint.families.ternary_lut import TernaryLutSpec
from generator.arithmetic.floating import FixedToFloat
from generator.block import Block
from generator.families.ternary_lut.fetch import Fetch, TritUnpack
from generator.families.ternary_lut.table import TableBuild

INT8, FP16, EXACT = Kind("int8", "integer"), Kind("fp16", "float"), Kind("fp16", "exact")


def rows(technology: str) -> Iterator[dict[str, Any]]:
    """Every variant: what it is of, areas in um2 and delays in ns of ours and of the variant."""
    for kind in (INT8, FP16, EXACT):
        for mu in (2, 3, 4) if kind is not EXACT else (2, 3):
            spec = Point(kind, mu).spec()
            ours = Fetch(spec)
            told = (
                "all of an index compared" if ternary.sparse_keys(mu) else "no more than told from legal keys"
            )
            for label, other in (
                ("tree of multiplexers on key bits", TreeFetch(spec)),
                (told, KeyFetch(spec)),
                ("decoded lines from outside", OpenFetch(spec)),
                ("no zero groups", ZerolessFetch(spec)),
            ):
                yield _row(f"fetch, {kind.name}, mu = {mu}", label, ours, other, technology)
    for mu in (2, 3):
        spec = Point(INT8, mu).spec()
        for label, changes in (
            ("all entries, no sign (`full`)", {"table_style": "full", "key_encoding": "full_index"}),
            ("`two_bit` weights", {"key_encoding": "two_bit"}),
            ("`full_index` keys", {"key_encoding": "full_index"}),
        ):
            other = Fetch(_changed(spec, changes))
            yield _row(f"fetch, int8, mu = {mu}", label, Fetch(spec), other, technology)
    for lanes in (2, 4):
        spec = Point(INT8, 2).spec()
        shared = Fetch(_changed(spec, {"token_lanes": lanes}))
        yield _row(
            "fetch, int8, mu = 2", f"{lanes} token lanes, each", Fetch(spec), shared, technology, lanes
        )
    for mu in (2, 3, 4):
        spec = Point(INT8, mu).spec()
        direct = TableBuild(_changed(spec, {"build_style": "direct"}))
        yield _row(
            f"build, int8, mu = {mu}", "every entry summed on its own", TableBuild(spec), direct, technology
        )
    spec = Point(EXACT, 2).spec()
    ours = FixedToFloat(floating.get(EXACT.format), floating.get(EXACT.format), int(spec.result_width))
    for columns in (8, 64):
        shared = SharedRound(spec, columns)
        yield _row(
            "rounding, fp16 exact", f"one for {columns} columns, each", ours, shared, technology, columns
        )
    five = Point(INT8, 5).spec(key_encoding="five_trits")
    found = measure.block(TritUnpack(five), technology)
    yield {
        "what": "five-trit byte", "variant": "unpacking of a byte, per weight", "ours_um2": 0.0, "ours_ns": 0.0,
        "um2": found["um2"] / 5, "ns": found["ps"] / 1000,
    }  # fmt: skip


def _changed(spec: TernaryLutSpec, changes: dict[str, Any]) -> TernaryLutSpec:
    return TernaryLutSpec(**(spec.parameters | changes))


def _row(what: str, label: str, ours: Block, other: Block, technology: str, share: int = 1) -> dict[str, Any]:
    first, second = (measure.block(block, technology) for block in (ours, other))
    return {
        "what": what, "variant": label, "ours_um2": first["um2"], "ours_ns": first["ps"] / 1000,
        "um2": second["um2"] / share, "ns": second["ps"] / 1000,
    }  # fmt: skip
