"""Best design by the cost model, over every group size, table style and reduction at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.optimum import measure
from benchmarks.optimum.points import FETCHES, TABLES, Kind, Point
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.unit import Unit
from costmodel.model import estimate

#: Places that the cores of this study have; exact sums have their conversions in two more.
PLACES = ("build", "fetch", "lane")
CONVERSIONS = ("tile", "result")


def choices(kind: Kind, technology: str) -> list[dict[str, Any]]:
    """For every number of fetches the design of least area per multiply-accumulate; none where floats are unknown."""
    table = _table(kind)
    areas = _areas(TernaryLutSpec.columns(table), technology)
    if areas is None:
        return []
    found = []
    for fetches in FETCHES:
        rows = np.flatnonzero(table["fetch_count"] == fetches)
        row = rows[np.argmin(areas[rows])]
        found.append({
            "format": kind.format, "arithmetic": kind.arithmetic, "fetches": fetches, "designs": len(rows),
            "mu": int(table["mu"][row]), "table_style": str(table["table_style"][row]),
            "reduction": str(table["reduction"][row]), "um2_per_mac": float(areas[row]),
        })  # fmt: skip
    return found


def _table(kind: Kind) -> dict[str, Any]:
    """Columns of parameters: all combinations."""
    reductions = ("adder_tree",) if kind.arithmetic == "float" else ("carry_save", "adder_tree")
    axes = np.meshgrid(sorted(TABLES), ("half", "full"), reductions, FETCHES, indexing="ij")
    mu, style, reduction, fetches = (axis.ravel() for axis in axes)
    return Point(kind, 1).spec().parameters | {
        "mu": mu, "lut_count": np.array([TABLES[int(group)] for group in mu]), "table_style": style,
        "reduction": reduction, "fetch_count": fetches, "n_max": fetches,
    }  # fmt: skip


def predicted(point: Point, technology: str, fetches: int) -> float | None:
    """The cost model's area per multiply-accumulate of a cycle in um2; ``None`` where it does not know floats."""
    found = _areas(point.spec(fetches), technology)
    return None if found is None else float(found)


def _areas(spec: Any, technology: str) -> Any:
    """Area per multiply-accumulate of a cycle in um2, of one design or of columns of them."""
    tech = measure.technology(technology)
    places = PLACES + CONVERSIONS * bool(np.all(spec.fixed))
    units = [unit for unit in spec.units() if unit.place in places]
    law = estimate.law(tech, "area")
    if any(not estimate.coefficients(law, unit) for unit in units if _costs(unit)):
        return None
    return sum(estimate.area(units, tech).values()) / spec.peak_macs


def _costs(unit: Unit) -> bool:
    return bool(np.any(unit.count)) and unit.kind not in ("sram", "sram_1rw", "broadcast")
