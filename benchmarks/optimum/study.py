"""The whole study as one JSON document: everything measured, nothing concluded."""

from __future__ import annotations

from typing import Any

from benchmarks.optimum import baselines, measure, model, switching, variants
from benchmarks.optimum.cores import Core
from benchmarks.optimum.points import (
    FETCHES,
    FLOATS,
    INTEGERS,
    KINDS,
    Kind,
    Point,
    long_points,
    neighbors,
    parts,
    per_mac,
    points,
    shares,
)

SCHEMA = "ternforge/optimum/v1"
TECHNOLOGIES = ("asap7", "sky130hd")
#: Fetches of the cores that are timed, run and mapped as a whole.
WHOLE = 32
#: Cores that are flattened as well, and their fetches: select-add and the best, as large as takes a minute.
FLAT = (
    (Point(Kind("int8", "integer"), 1), 8),
    (Point(Kind("int8", "integer"), 2), 8),
    (Point(Kind("fp16", "exact"), 1), 4),
    (Point(Kind("fp16", "exact"), 2), 4),
    (Point(Kind("fp16", "float"), 1), 2),
    (Point(Kind("fp16", "float"), 3), 2),
)
#: Figures of a complete run, for the estimate of the time that is left.
FRESH = 650


def run(quick: bool = False) -> dict[str, Any]:
    """Measure everything, or in ``quick`` the smaller half of the designs in the first technology alone."""
    measure.progress.__init__(FRESH // (4 if quick else 1))  # type: ignore[misc]
    names = TECHNOLOGIES[:1] if quick else TECHNOLOGIES
    found = {name: _technology(name, quick) for name in names}
    return _rounded({"schema": SCHEMA, "quick": quick, "fetches": list(FETCHES), "technologies": found})  # type: ignore[no-any-return]


def _technology(name: str, quick: bool) -> dict[str, Any]:
    few = quick or name != TECHNOLOGIES[0]
    choices = [row for kind in KINDS for row in model.choices(kind, name)]
    wanted = dict.fromkeys(point for kind in KINDS for point in points(kind, name, quick))
    wanted |= dict.fromkeys(near for row in choices for near in _confirmation(row))
    designs = [_design(point, name) for point in wanted]
    return {
        "choices": choices,
        "designs": designs,
        "long": [_design(point, name) for point in long_points()],
        "baselines": {kind: baselines.multipliers(_kind(kind), name) for kind in (*INTEGERS, *FLOATS)},
        "select_add": baselines.select_add(name, WHOLE),
        "conversions": {
            kind.name: baselines.conversions(kind, name) for kind in KINDS if kind.arithmetic == "exact"
        },
        "published": [baselines.published_design(row, name) for row in baselines.PUBLISHED],
        "cores": [_core(point, name) for point in _chosen(designs)],
        "flat": [] if few else [_flat(*row, name) for row in FLAT],
        "variants": [] if few else list(variants.rows(name)),
    }


def _confirmation(choice: dict[str, Any]) -> list[Point]:
    """The cost model's winner and its neighbors."""
    kind = Kind(choice["format"], choice["arithmetic"])
    reduction = "carry_save" if kind.arithmetic == "float" else choice["reduction"]
    winner = Point(kind, choice["mu"], choice["table_style"], reduction)
    return [winner, *neighbors(winner)]


def _kind(name: str) -> Kind:
    return Kind(name, "integer" if name in INTEGERS else "float")


def _design(point: Point, technology: str) -> dict[str, Any]:
    """A design's modules and what they add up to."""
    modules, spec = parts(point, technology), point.spec()
    once, column = shares(modules, spec)
    acts = int(spec.tile_k)
    return {
        "format": point.kind.format, "arithmetic": point.kind.arithmetic, "mu": point.mu,
        "table_style": point.table_style, "reduction": str(spec.reduction), "tables": spec.lut_count, "acts": acts,
        "modules": {key: item["um2"] for key, item in modules.items()},
        "once_um2": once, "column_um2": column,
        "um2_per_mac": {str(count): per_mac(once, column, count, acts) for count in FETCHES},
        "predicted": {str(count): model.predicted(point, technology, count) for count in FETCHES},
    }  # fmt: skip


def _chosen(designs: list[dict[str, Any]]) -> list[Point]:
    """For every kind, select-add and the smallest design for each number of fetches."""
    chosen: dict[Point, None] = {}
    for kind in KINDS:
        rows = [
            row for row in designs if (row["format"], row["arithmetic"]) == (kind.format, kind.arithmetic)
        ]
        best = [min(rows, key=lambda row: row["um2_per_mac"][str(count)]) for count in FETCHES]
        alone = min((row for row in rows if row["mu"] == 1), key=lambda row: row["um2_per_mac"]["32"])
        for row in (alone, *best):
            chosen[Point(kind, row["mu"], row["table_style"], row["reduction"])] = None
    chosen[Point(Kind("fp16", "exact"), 2, stretch=2)] = None
    return list(chosen)


def _core(point: Point, technology: str) -> dict[str, Any]:
    """A core of ``WHOLE`` fetches, mapped, timed and run as a whole, beside the sum of its modules."""
    spec = point.spec(WHOLE)
    found, macs = switching.core(spec, technology), int(spec.peak_macs)
    return {
        "format": point.kind.format, "arithmetic": point.kind.arithmetic, "mu": point.mu,
        "table_style": point.table_style, "reduction": str(spec.reduction), "fetches": WHOLE,
        "acts": int(spec.tile_k), "um2_per_mac": found["um2"] / macs,
        "ns": found["ps"] / 1000, "fj_per_mac": found["fj"] / macs,
    }  # fmt: skip


def _flat(point: Point, fetches: int, technology: str) -> dict[str, Any]:
    """A small core beside the sum of its modules."""
    spec = point.spec(fetches)
    once, column = shares(parts(point, technology), spec)
    return {
        "format": point.kind.format, "arithmetic": point.kind.arithmetic, "mu": point.mu, "fetches": fetches,
        "um2": once + fetches * column, "flat_um2": measure.flattened(Core(spec), technology)["um2"],
    }  # fmt: skip


def _rounded(item: Any) -> Any:
    """Round to five digits: more than any figure is accurate to, and the same on every machine."""
    if isinstance(item, float):
        return float(f"{item:.5g}")
    if isinstance(item, dict):
        return {key: _rounded(value) for key, value in item.items()}
    return [_rounded(value) for value in item] if isinstance(item, list) else item
