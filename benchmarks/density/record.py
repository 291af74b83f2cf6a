"""The record of the page, docs/density.yaml: the best designs as predicted, and what was synthesized."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import yaml

from benchmarks.density import goals, measure, search
from benchmarks.density.spaces import BY_LABEL, TECHNOLOGIES
from blueprint import registry
from costmodel.model import provenance
from costmodel.technology import technology
from costmodel.technology.technology import Technology

RECORD = Path(__file__).resolve().parents[2] / "docs" / "density.yaml"
#: Quantities of a prediction that have a band.
BANDS = ("area", "clock", "energy")
_DIGITS = 5
#: Cases that are searched at once.
PROCESSES = 2


def kept() -> dict[str, Any]:
    """What was found before."""
    empty: dict[str, Any] = {"predicted": {}, "designs": {}}
    return dict(yaml.safe_load(RECORD.read_text(encoding="utf-8"))) if RECORD.exists() else empty


def write(content: dict[str, Any]) -> None:
    """Write the record."""
    RECORD.write_text(yaml.safe_dump(content, sort_keys=False, width=120), encoding="utf-8")


def predict(content: dict[str, Any], told: Callable[[str], None]) -> None:
    """Search in every technology, and predict again what was synthesized."""
    for name in TECHNOLOGIES:
        tech = technology.load(name)
        told(f"searching in {name}")
        with ProcessPoolExecutor(PROCESSES) as pool:
            found = pool.map(_found, repeat(name), BY_LABEL)
            best = dict(zip(BY_LABEL, found, strict=True))
        content["predicted"][name] = {
            "recipe": tech.recipe,
            "bands": {what: provenance.text(provenance.band(tech, what)) for what in BANDS},
            "best": best,
        }
    tech = technology.load(measure.TECHNOLOGY)
    for one in content["designs"].values():
        spec = registry.get(BY_LABEL[one["case"]].family).from_mapping(one["parameters"])
        one["predicted"] = measure.predicted(spec, tech)


def _found(name: str, label: str) -> dict[int, dict[str, Any]]:
    return of_case(label, technology.load(name))


def of_case(label: str, tech: Technology, sizes: tuple[int, ...] = ()) -> dict[int, dict[str, Any]]:
    """The best designs of a case as the record has them: parameters other than defaults, and figures."""
    case = search.case_of(label)
    kind = registry.get(case.family)
    return {
        size: {
            goal: {
                "parameters": search.stated(kind, one.parameters),
                **{key: float(f"{value:.{_DIGITS}g}") for key, value in one.figures.items()},
            }
            for goal, one in sorted(found.items())
        }
        for size, found in search.best(case, tech, sizes).items()
    }


def queue(content: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What is to be synthesized, by design hash; ``um2`` is the predicted area.

    Designs that a goal asks about come first, of these and of the others the smallest.
    """
    asked = {case for goal in goals.GOALS for case in goal.cases}
    tech = technology.load(measure.TECHNOLOGY)
    found = measure.wanted(content["predicted"])
    for one in found.values():
        one["um2"] = measure.predicted(one["spec"], tech)["um2"]
    return sorted(found.items(), key=lambda item: (item[1]["case"] not in asked, float(item[1]["um2"])))
