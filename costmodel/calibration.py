"""Fits a technology's cost model to synthesized designs: what `ternforge tech calibrate` does.

A seeded set of random designs is generated and synthesized module by module. Since hierarchy is kept, the area of
a place is measured by itself, and each place's coefficients are fitted apart from the others: non-negative, of
least relative error, robust. Interrupted calibration goes on where it stopped, since synthesis results are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from blueprint import registry
from blueprint.spec import Spec
from costmodel import features, fitting, importing, path_fit, sampling
from costmodel.estimate import ANY
from costmodel.measuring import Generate, Sample, measure
from costmodel.synthesis import _RECIPE as RECIPE
from costmodel.technology import Technology
from toolchain import yosys

DESIGNS = 28
SEED = 0
Note = Callable[[str], None]


def calibrate(
    technology: Technology,
    generate: Generate,
    *,
    designs: int = DESIGNS,
    seed: int = SEED,
    note: Note = lambda _: None,
) -> Technology:
    """The technology with a model fitted to `designs` synthesized designs of every family.

    Raises what generation and synthesis raise.
    """
    samples: list[Sample] = []
    for kind in registry.families().values():
        note(f"drawing {designs} designs of {kind.family}")
        samples += measure_all(sampling.designs(kind, designs, seed), technology, generate, note)
    return technology.with_model(model(samples, source(len(samples), seed)))


def measure_all(
    specs: Iterable[Spec], technology: Technology, generate: Generate, note: Note = lambda _: None
) -> list[Sample]:
    """Synthesizes one design after the other and says how long the rest may take."""
    todo, samples = list(specs), []
    begin = time.monotonic()
    for number, spec in enumerate(todo, start=1):
        samples.append(measure(spec, technology, generate))
        rest = (time.monotonic() - begin) / number * (len(todo) - number)
        note(f"synthesized {number} of {len(todo)} designs in {technology.name}, about {rest:.0f} s to go")
    return samples


def source(designs: int, seed: int) -> str:
    """Where the coefficients come from."""
    return f"{designs} random designs, seed {seed}, synthesized by {yosys.version()}, recipe {RECIPE}"


def write(technology: Technology, path: str | Path) -> Path:
    """Write a calibrated technology as a technology file; the same model gives the same bytes."""
    out = Path(path)
    out.write_text(importing.dump(technology), encoding="utf-8")
    return out


def model(samples: Sequence[Sample], source: str) -> dict[str, Any]:
    """The groups of a technology's `model`, each with its source and the errors of its fit."""
    area, errors = fit_places([sample.spec.units() for sample in samples], [s.areas for s in samples])
    leak = sum(s.leakage_nw for s in samples) / sum(s.area_um2 for s in samples)
    return {
        "area": {"unit": "um2", "source": source, "value": area, "error": errors},
        "delay": {"unit": "ps", "source": source, **path_fit.fit_delay(samples)},
        "leakage": {"unit": "nW/um2", "source": source, "value": _digits(leak)},
    }


def fit_places(
    inventories: Sequence[Sequence[Any]], measured: Sequence[Mapping[str, float]], *, activity: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Coefficients by place, kind and term, and the errors by place and of the total."""
    places = list(dict.fromkeys(place for row in measured for place in row))
    found: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    whole: list[tuple[dict[tuple[str, str], float], float]] = []
    for place in places:
        rows = [
            (_table(units, place, activity), row[place])
            for units, row in zip(inventories, measured, strict=True)
            if row.get(place, 0.0) > 0
        ]
        rows = [(table, value) for table, value in rows if any(table.values())]
        whole += rows
        if rows:
            names, matrix = fitting.matrix([table for table, _ in rows])
            values = np.array([value for _, value in rows])
            solution = fitting.fit(matrix, values)
            found[place] = _nested(names, solution)
            errors[place] = fitting.errors(matrix, values, solution).plain()
    names, matrix = fitting.matrix([table for table, _ in whole])
    found[ANY] = _nested(names, fitting.fit(matrix, np.array([value for _, value in whole])))
    return found, errors


def _table(units: Sequence[Any], place: str, activity: bool) -> dict[tuple[str, str], float]:
    table: dict[tuple[str, str], float] = {}
    for unit in units:
        if unit.place == place:
            for name, value in features.terms(unit).items():
                key = (unit.kind, name)
                table[key] = table.get(key, 0.0) + float(value) * (float(unit.activity) if activity else 1.0)
    return table


def _nested(names: Sequence[tuple[str, str]], values: Any) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for (kind, term), value in zip(names, values, strict=True):
        found.setdefault(kind, {})[term] = _digits(float(value))
    return found


def _digits(value: float) -> float:
    return float(f"{value:.5g}")
