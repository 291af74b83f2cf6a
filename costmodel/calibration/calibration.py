"""Fit a technology's cost model to synthesized designs: the work of `ternforge tech calibrate`.

A seeded set of random designs is generated and synthesized module by module. Since hierarchy is kept, the area of
a place is measured by itself, and each place's coefficients are fitted apart from the others: non-negative, of
least relative error, robust. Interrupted calibration goes on where it stopped, since synthesis results are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blueprint import registry
from blueprint.spec import Spec
from blueprint.unit import Unit
from costmodel.calibration import fitting, path_fit, pool, sampling
from costmodel.calibration.measuring import Generate, Sample
from costmodel.groundtruth import recipe as recipes
from costmodel.model import features, glitches
from costmodel.model.estimate import ANY
from costmodel.technology import importing
from costmodel.technology.technology import Technology
from toolchain import files, yosys

SEED = 0
Note = Callable[[str], None]
Table = dict[tuple[str, str, str], float]


def calibrate(
    technology: Technology,
    generate: Generate,
    *,
    designs: int | None = None,
    seed: int = SEED,
    note: Note = lambda _: None,
    recipe: str | None = None,
) -> Technology:
    """The technology with a model fitted to `designs` synthesized designs of every family, its own number if `None`.

    `recipe` is how they are synthesized, by default as the technology says; the model states it. Raises what
    generation and synthesis raise.
    """
    specs: list[Spec] = []
    for kind in registry.families().values():
        count = kind.facets.samples.calibration.designs if designs is None else designs
        note(f"drawing {count} designs of {kind.family}")
        specs += sampling.designs(kind, count, seed)
    chosen = recipe or recipes.of(technology)
    samples = pool.measure_all(specs, technology, generate, note, chosen)
    return technology.with_model(model(samples, technology, seed, chosen))


def source(designs: int, seed: int, recipe: str) -> str:
    """Source statement of the coefficients."""
    return f"{designs} random designs, seed {seed}, synthesized by {yosys.version()}, recipe {recipe}"


def write(technology: Technology, path: str | Path) -> Path:
    """Write a calibrated technology as a technology file; the same model gives the same bytes."""
    return files.write(path, importing.dump(technology))


def model(samples: Sequence[Sample], technology: Technology, seed: int, recipe: str) -> dict[str, Any]:
    """The groups of a technology's `model`, each with its source and the errors of its fit.

    `seed` is what the designs were drawn by, `recipe` how they were synthesized.
    """
    origin = source(len(samples), seed, recipe)
    tables = [area_table(sample.spec.units()) for sample in samples]
    area, errors = fit_places(tables, [sample.areas for sample in samples])
    tables = [energy_table(sample) for sample in samples]
    wholes = [sample.energy_pj for sample in samples]
    energy, misses = fit_places(tables, [sample.switched.energies for sample in samples], wholes)
    delay = path_fit.fit_delay(samples, technology.sram)
    timed = technology.with_model({"delay": delay, "energy": {"value": energy}})
    more = [sample.switched.glitches for sample in samples]
    tables = [glitch_table(sample, timed) for sample in samples]
    glitch, lost = fit_places(tables, [found.energies if found else {} for found in more], wholes)
    leak = sum(s.leakage_nw for s in samples) / sum(s.area_um2 for s in samples)
    return {
        "area": {"unit": "um2", "source": origin, "seed": seed, "value": area, "error": errors},
        "delay": {"unit": "ps", "source": origin, **delay},
        "energy": {
            "unit": "pJ",
            "source": f"{origin}; toggles of typical random data counted in the netlists, without glitches and "
            "clock tree",
            "value": energy,
            "error": misses,
        },
        glitches.GROUP: {
            "unit": "pJ",
            "source": f"{origin}; toggles with the library's delays beyond those without, in a sample of the same "
            "cycles",
            "value": glitch,
            "error": lost,
        },
        "leakage": {"unit": "nW/um2", "source": origin, "value": _digits(leak)},
    }


def area_table(units: Sequence[Unit]) -> Table:
    """Area terms of an inventory by place, kind and name."""
    table: Table = {}
    for unit in units:
        for name, value in features.terms(unit).items():
            key = (unit.place, unit.kind, name)
            table[key] = table.get(key, 0.0) + float(value)
    return table


def energy_table(sample: Sample) -> Table:
    """Energy terms of a mean cycle of the run that was measured.

    Activities are those of a design just large enough for the run, as far as it kept the operators busy.
    """
    spec, busy = sample.spec, sample.utilization
    small = spec.sized_for(sample.switched.task)
    table: Table = {}
    for unit, run in zip(spec.units(), small.units(), strict=True):
        for name, value in features.terms(unit, features.ENERGY).items():
            key = (unit.place, unit.kind, name)
            often = 1.0 if name == features.CLOCK else busy * float(run.activity)
            table[key] = table.get(key, 0.0) + float(value) * often
    return table


def glitch_table(sample: Sample, technology: Technology) -> Table:
    """Terms of the energy of glitches of a mean cycle of the run, as :func:`energy_table`."""
    spec, busy = sample.spec, sample.utilization
    small = spec.sized_for(sample.switched.task)
    late = glitches.arrivals(spec.paths(), technology)
    table: Table = {}
    for unit, run in zip(spec.units(), small.units(), strict=True):
        often = busy * float(run.activity * unit.count)
        useful = glitches.useful(unit, technology)
        for name, value in glitches.terms(unit, glitches.arrival(late, unit), useful).items():
            key = (unit.place, unit.kind, name)
            table[key] = table.get(key, 0.0) + float(value) * often
    return table


def fit_places(
    tables: Sequence[Table],
    measured: Sequence[Mapping[str, float]],
    wholes: Sequence[float] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Coefficients by place, kind and term, and the errors of each place's fit.

    With `wholes`, what the places of each design are parts of, a place counts as much as its part.
    """
    groups: dict[str, list[_Row]] = {}
    for place in dict.fromkeys(place for row in measured for place in row):
        rows = [
            _Row(
                {key[1:]: value for key, value in table.items() if key[0] == place},
                row[place],
                1.0 if wholes is None else row[place] / wholes[number],
            )
            for number, (table, row) in enumerate(zip(tables, measured, strict=True))
            if row.get(place, 0.0) > 0
        ]
        groups[place] = [row for row in rows if any(row.terms.values())]
    # What a kind costs anywhere is where the fit of a place starts from.
    names, matrix, values, shares = _system([row for rows in groups.values() for row in rows])
    anywhere = fitting.fit(matrix, values, shares=shares)
    prior = dict(zip(names, anywhere, strict=True))
    found: dict[str, Any] = {ANY: _nested(names, anywhere)}
    errors: dict[str, Any] = {}
    for place, rows in groups.items():
        if rows:
            names, matrix, values, shares = _system(rows)
            start = np.array([prior[name] for name in names])
            solution = fitting.fit(matrix, values, start, shares=shares)
            found[place] = _nested(names, solution)
            errors[place] = fitting.errors(matrix, values, solution, start, shares=shares).plain()
    return found, errors


class _Row(NamedTuple):
    """A place of one design: its terms by kind and name, what was measured, and its share of the whole design."""

    terms: dict[tuple[str, str], float]
    measured: float
    share: float


def _system(
    rows: Sequence[_Row],
) -> tuple[list[tuple[str, str]], fitting.Floats, fitting.Floats, fitting.Floats]:
    """The linear system: column names, matrix, measured values and shares."""
    names, matrix = fitting.matrix([row.terms for row in rows])
    values, shares = np.array([[row.measured, row.share] for row in rows]).reshape(-1, 2).T
    return names, matrix, values, shares


def _nested(names: Sequence[tuple[str, str]], values: Any) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for (kind, term), value in zip(names, values, strict=True):
        found.setdefault(kind, {})[term] = _digits(float(value))
    return found


def _digits(value: float) -> float:
    return float(f"{value:.5g}")
