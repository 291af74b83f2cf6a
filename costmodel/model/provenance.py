"""Sources and error bands of the figures of an estimate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costmodel.technology.macros import TWO
from costmodel.technology.sram import Law
from costmodel.technology.technology import Technology

#: Possible sources of a figure: a formula, a netlist, a placed and routed netlist, the library itself, another
#: technology from which it is scaled, or an assumption.
SOURCES = ("analytic", "synthesized", "routed", "library", "scaled", "assumed")
#: The group of a model that validation writes: errors for designs that were not used in the fit.
VALIDATION = "validation"
#: Figures of an estimate with the quantity whose errors apply to them; other figures are counted and have no error.
_FIGURES: Mapping[str, str] = {
    "area_um2": "area",
    "logic_area_um2": "area",
    "critical_path_ps": "clock",
    "clock_mhz": "clock",
    "energy_pj": "energy",
    "leakage_nw": "leakage",
    "flip_flops": "",
    "peak_macs": "",
    "cycles": "",
}
_GROUPS = {"area": "area", "clock": "delay", "energy": "energy"}

Band = dict[str, Any]


def figures(technology: Technology) -> dict[str, dict[str, Any]]:
    """Source and band of every figure of an estimate, by name."""
    found = {name: {"source": "analytic", "band": band(technology, what)} for name, what in _FIGURES.items()}
    laws = {"macro_area_um2": "area", "memory_area_um2": "area", "macro_energy_pj": "read_energy"}
    return found | {name: _of_memories(technology.sram.law(what, TWO)) for name, what in laws.items()}


def band(technology: Technology, quantity: str) -> Band | None:
    """Mean and worst unsigned relative error of a quantity, and what designs they are of; ``None`` where none is known.

    Errors of a validation come first; without one they are those of designs held out of the fit, place by place.
    """
    model = technology.model
    validated = model.get(VALIDATION, {}).get(quantity)
    if validated:
        return {**validated, "of": model[VALIDATION]["source"]}
    errors = model.get(_GROUPS.get(quantity, ""), {}).get("error", {})
    if not errors:
        return None
    rows = [errors] if "held_out_mean" in errors else list(errors.values())
    of = "designs held out of the fit" + ("" if "held_out_mean" in errors else ", place by place")
    mean = sum(row["held_out_mean"] * row["rows"] for row in rows) / sum(row["rows"] for row in rows)
    return {"mean": mean, "worst": max(row["held_out_worst"] for row in rows), "of": of}


def text(found: Band | None) -> str:
    """A band for people: ``+-2.1 % mean, 7.7 % worst``."""
    return (
        f"+-{found['mean']:.1%} mean, {found['worst']:.1%} worst".replace("%", " %") if found else "no band"
    )


def _of_memories(law: Law) -> dict[str, Any]:
    return {"source": source_of(law), "band": _of_fit(law)}


def source_of(law: Law) -> str:
    """Kind of a memory law: ``library`` if it was fitted to macros, else the kind that its source states."""
    said = law.source.lower()
    return next((kind for kind in ("assumed", "scaled") if kind in said), "library")


def _of_fit(law: Law) -> Band | None:
    """The worst error over macros left out of the fit, else over those in it; ``None`` for a law of no macro."""
    if law.left_out is not None:
        return {"worst": law.left_out, "mean": law.left_out, "of": "macros left out of the fit"}
    return {"worst": law.error, "mean": law.error, "of": "macros of the fit"} if law.error else None
