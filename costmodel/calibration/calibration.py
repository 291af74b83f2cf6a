"""Fit a technology's cost model to synthesized designs: the work of `ternforge tech calibrate`.

A seeded set of random designs is generated and synthesized module by module. Hierarchy is kept, so the area of each
place is measured separately and the coefficients of each place are fitted separately: they are non-negative, they
minimize the relative error, and outliers count less (:mod:`costmodel.calibration.fitting`). Synthesis results are
cached, so an interrupted calibration continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from blueprint.spec import Spec
from blueprint.unit import Unit
from costmodel.calibration import fitting, path_fit, pool, sampling
from costmodel.calibration.measuring import Generate, Sample
from costmodel.groundtruth import recipe as recipes
from costmodel.model import estimate, features, glitches, wires
from costmodel.model.estimate import ANY, Coefficients
from costmodel.technology import importing
from costmodel.technology.technology import Technology, load
from costmodel.words import GATED, PARTS
from toolchain import files, yosys

SEED = 0
#: The groups of a technology file that each part of a model is; glitches depend on delays and on energies.
_GROUPS: Mapping[str, tuple[str, ...]] = dict(
    zip(PARTS, (("area", "leakage"), ("delay",), ("energy",)), strict=True)
)
#: The technology whose areas, in proportion, are what is expected of another one, and how far that is trusted: a place
#: of which few designs were measured has more terms than rows. `docs/cost_model.md` has what it brings.
REFERENCE, _TRUST_REFERENCE = "asap7", 0.3
Note = Callable[[str], None]
#: Place, kind and name of a term of a law.
Term = tuple[str, str, str]
Table = dict[Term, float]


def calibrate(
    technology: Technology,
    generate: Generate,
    *,
    designs: int | Mapping[str, int] | None = None,
    seed: int = SEED,
    note: Note = lambda _: None,
    recipe: str | None = None,
    only: str | None = None,
) -> Technology:
    """Fit a model to synthesized designs of every family and return the technology with it.

    `designs` is how many of each, or numbers by family; a family without a number says how many. `seed` draws the
    designs. `recipe` names the synthesis recipe, by default that of the technology, and is recorded in the model.
    `only` is one of `costmodel.words.PARTS`: that part is fitted, and the technology keeps the others. Raises what
    generation and synthesis raise, and `ParamError` for an unknown part or where there are no others.
    """
    check_part(technology, only, recipe)
    specs: list[Spec] = []
    asked = _asked(designs)
    for kind in registry.families().values():
        count = asked.get(kind.family, kind.facets.samples.calibration.designs)
        note(f"drawing {count} designs of {kind.family}")
        specs += sampling.designs(kind, count, seed)
    chosen = recipe or recipes.of(technology)
    samples = pool.measure_all(specs, technology, generate, note, chosen)
    fitted = model(samples, technology, seed, chosen)
    if only is not None:
        fitted = {**technology.model, **{name: fitted[name] for name in _GROUPS[only]}}
        if only != "area":
            timed = technology.with_model(fitted)
            fitted[glitches.GROUP] = _glitches(samples, timed, source(len(samples), seed, chosen))
    return technology.with_model(fitted)


def _asked(designs: int | Mapping[str, int] | None) -> Mapping[str, int]:
    """Numbers of designs by family, as far as they are given."""
    known = registry.families()
    if isinstance(designs, int):
        return dict.fromkeys(known, designs)
    for name in designs or {}:
        registry.get(name)
    return designs or {}


def check_part(technology: Technology, only: str | None, recipe: str | None) -> None:
    """Check early that a part of the model can be fitted alone. Raises `ParamError`."""
    if only is None:
        return
    if only not in PARTS:
        raise ParamError(f"only must be one of {', '.join(PARTS)}, not {only!r}{suggestion(only, PARTS)}")
    if technology.recipe is None:
        raise ParamError(
            f"only must be given for a technology that is calibrated, not for {technology.name}, which is not"
        )
    if recipe not in (None, technology.recipe):
        what = f"Recipe must be {technology.recipe} where only {only} is fitted, that of the other parts"
        raise ParamError(f"{what}, not {recipe}")


def source(designs: int, seed: int, recipe: str) -> str:
    """The text that states where the coefficients come from."""
    return f"{designs} random designs, seed {seed}, synthesized by {yosys.version()}, recipe {recipe}"


def write(technology: Technology, path: str | Path) -> Path:
    """Write a calibrated technology as a technology file; the same model gives the same bytes."""
    return files.write(path, importing.dump(technology))


def model(samples: Sequence[Sample], technology: Technology, seed: int, recipe: str) -> dict[str, Any]:
    """Fit the groups of a technology's `model`; each states its unit, its source and the errors of its fit.

    The designs of the samples were drawn with `seed` and synthesized by `recipe`.
    """
    origin = source(len(samples), seed, recipe)
    tables = [area_table(sample.spec.units()) for sample in samples]
    areas = [sample.areas for sample in samples]
    area, errors = fit_places(tables, areas, known=known_areas(technology), least=least_areas(technology))
    tables = [energy_table(sample, recipe == GATED) for sample in samples]
    wholes = [sample.energy_pj for sample in samples]
    energy, misses = fit_places(tables, [sample.switched.energies for sample in samples], wholes)
    loads = [float(wires.load(technology, sample.area_um2)) for sample in samples]
    delay = path_fit.fit_delay(samples, technology.sram, loads)
    timed = technology.with_model({"area": {"value": area}, "delay": delay, "energy": {"value": energy}})
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
        glitches.GROUP: _glitches(samples, timed, origin),
        "leakage": {"unit": "nW/um2", "source": origin, "value": _digits(leak)},
    }


def _glitches(samples: Sequence[Sample], timed: Technology, origin: str) -> dict[str, Any]:
    """The group of glitches, with the delays and the energies of `timed`."""
    more = [sample.switched.glitches for sample in samples]
    tables = [glitch_table(sample, timed) for sample in samples]
    wholes = [sample.energy_pj for sample in samples]
    value, error = fit_places(tables, [found.energies if found else {} for found in more], wholes)
    return {
        "unit": "pJ",
        "source": f"{origin}; toggles with the library's delays beyond those without, in a sample of the same cycles",
        "value": value,
        "error": error,
    }


def known_areas(technology: Technology) -> Coefficients | None:
    """Area coefficients of the reference, unless that is the technology itself."""
    return None if technology.name == REFERENCE else estimate.law(load(REFERENCE), "area")


def least_areas(technology: Technology) -> dict[tuple[str, str], float]:
    """What a bit of a register costs at least: its cell. Bits are counted exactly, so no fit has to find that."""
    roles = technology.roles
    chosen = roles.flip_flop or roles.clear_flip_flop or roles.set_flip_flop
    return {("register", "width"): technology.cells[chosen.cell].area} if chosen else {}


def area_table(units: Sequence[Unit]) -> Table:
    """Area terms of an inventory by place, kind and name."""
    table: Table = {}
    for unit in units:
        for name, value in features.terms(unit).items():
            key = (unit.place, unit.kind, name)
            table[key] = table.get(key, 0.0) + float(value)
    return table


def energy_table(sample: Sample, gated: bool) -> Table:
    """Energy terms of the mean cycle of the measured run, by place, kind and name.

    Activities are those of a design that is just large enough for the run, times the share of the run in which it
    works; terms of the clock count in every cycle, but for clock pins behind clock gates if the netlist is ``gated``.
    """
    spec, full = sample.spec, sample.busy
    small = spec.sized_for(sample.switched.task)
    table: Table = {}
    for unit, run in zip(spec.units(), small.units(), strict=True):
        for name, term in features.ENERGY[unit.kind].items():
            key = (unit.place, unit.kind, name)
            always, more = features.occurrences(replace(unit, activity=run.activity), name, gated)
            busy = full.clocked if name in features.CLOCKED else full.switched
            table[key] = table.get(key, 0.0) + float((always + busy * more) * term(unit.dims))
    return table


def glitch_table(sample: Sample, technology: Technology) -> Table:
    """Terms of the glitch energy of the mean cycle of the measured run, like :func:`energy_table`."""
    spec, busy = sample.spec, float(sample.busy.switched)
    small = spec.sized_for(sample.switched.task)
    late, energy = glitches.arrivals(spec, technology), estimate.law(technology, "energy")
    table: Table = {}
    for unit, run in zip(spec.units(), small.units(), strict=True):
        often = busy * float(run.activity * unit.count)
        useful = glitches.useful(unit, energy)
        for name, value in glitches.terms(unit, glitches.arrival(late, unit), useful).items():
            key = (unit.place, unit.kind, name)
            table[key] = table.get(key, 0.0) + float(value) * often
    return table


def fit_places(
    tables: Sequence[Table],
    measured: Sequence[Mapping[str, float]],
    wholes: Sequence[float] | None = None,
    known: Coefficients | None = None,
    least: Mapping[tuple[str, str], float] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fit coefficients; returns them by place, kind and term, and the errors of each place's fit.

    `tables` and `measured` have one entry per design. `wholes` are the totals of the designs, if given; a place then
    counts in proportion to its share of the total. ``known`` are the coefficients of another technology: what a term
    costs is expected to be as there, times what its kind costs here. ``least`` is what terms cost at least, by kind and
    term, the same at every place: what they cost beyond it is fitted.
    """
    least = least or {}
    groups: dict[str, list[_Row]] = {}
    for place in dict.fromkeys(place for row in measured for place in row):
        rows = [
            _row(table, place, row[place], 1.0 if wholes is None else row[place] / wholes[number], least)
            for number, (table, row) in enumerate(zip(tables, measured, strict=True))
            if row.get(place, 0.0) > 0
        ]
        groups[place] = [row for row in rows if any(row.terms.values())]
    # The fit of a place starts from the cost of each kind over all places.
    names, matrix, values, shares, stay = _system([row for rows in groups.values() for row in rows])
    anywhere = fitting.fit(matrix, values, shares=shares, known=stay)
    prior = dict(zip(names, anywhere, strict=True))
    expected = _expected(groups, known) if known else {}
    trust = _TRUST_REFERENCE if known else fitting.TRUST
    found: dict[str, Any] = {ANY: _nested(names, anywhere, least)}
    errors: dict[str, Any] = {}
    for place, rows in groups.items():
        if rows:
            names, matrix, values, shares, stay = _system(rows)
            beyond = [expected.get((place, *name), 0.0) - least.get(name, 0.0) for name in names]
            start = np.array(
                [max(cost, 0.0) or prior[name] for name, cost in zip(names, beyond, strict=True)]
            )
            solution = fitting.fit(matrix, values, start, shares=shares, trust=trust, known=stay)
            found[place] = _nested(names, solution, least)
            missed = fitting.errors(matrix, values, solution, start, shares=shares, trust=trust, known=stay)
            errors[place] = missed.plain()
    return found, errors


def _expected(groups: Mapping[str, Sequence[_Row]], known: Coefficients) -> dict[Term, float]:
    """Coefficients of another technology times one factor for each kind, which is fitted to what was measured here."""
    rows: list[_Row] = []
    terms: dict[Term, float] = {}
    for place, group in groups.items():
        for row in group:
            costs: dict[tuple[str, str], float] = {}
            for (kind, name), value in row.terms.items():
                cost = estimate.place_coefficients(known, place, kind).get(name, 0.0)
                terms[place, kind, name] = cost
                costs[kind, ""] = costs.get((kind, ""), 0.0) + cost * value
            if any(costs.values()):
                rows.append(row._replace(terms=costs))
    if not rows:
        return {}
    names, matrix, values, shares, _ = _system(rows)
    (overall,) = fitting.fit(matrix.sum(axis=1, keepdims=True), values, shares=shares)
    factors = fitting.fit(matrix, values, np.full(len(names), overall), shares=shares)
    factor = {kind: value or overall for (kind, _), value in zip(names, factors.tolist(), strict=True)}
    return {term: cost * factor.get(term[1], overall) for term, cost in terms.items()}


class _Row(NamedTuple):
    """A place of one design: its terms by kind and name, what was measured, and its share of the whole design.

    ``known`` is what the terms make of it at least.
    """

    terms: dict[tuple[str, str], float]
    measured: float
    share: float
    known: float


def _row(
    table: Table, place: str, measured: float, share: float, least: Mapping[tuple[str, str], float]
) -> _Row:
    terms = {key[1:]: value for key, value in table.items() if key[0] == place}
    known = sum(terms.get(name, 0.0) * cost for name, cost in least.items())
    return _Row(terms, measured, share, known)


def _system(
    rows: Sequence[_Row],
) -> tuple[list[tuple[str, str]], fitting.Floats, fitting.Floats, fitting.Floats, fitting.Floats]:
    """The linear system: column names, matrix, measured values, shares and what is known of the values."""
    names, matrix = fitting.matrix([row.terms for row in rows])
    columns = np.array([[row.measured, row.share, row.known] for row in rows]).reshape(-1, 3).T
    return names, matrix, *columns


def _nested(
    names: Sequence[tuple[str, str]], values: Any, least: Mapping[tuple[str, str], float]
) -> dict[str, dict[str, float]]:
    """Coefficients by kind and term; terms of 0 are left out, but the kind stays."""
    found: dict[str, dict[str, float]] = {}
    for (kind, term), value in zip(names, values, strict=True):
        digits = _digits(float(value) + least.get((kind, term), 0.0))
        found.setdefault(kind, {}).update({term: digits} if digits else {})
    return found


def _digits(value: float) -> float:
    return float(f"{value:.5g}")
