"""Fits to made-up measurements, and estimates by a made-up model, as recorded in `tests/golden/fits.json`.

    python -m tests.costmodel.recorded_fits

Neither depends on how a technology is calibrated: what a coefficient is called gives its value. Recorded are the
coefficients and the errors of a fit, the loss of the fit of delays with its slope at a place that was drawn, what a
comparison with measurements says, and every number of an estimate.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import numpy as np

from benchmarks.bench_strength import DESIGNS
from blueprint import registry
from blueprint.numbers import alone
from blueprint.spec import Spec
from blueprint.workloads.tasks import Gemm
from costmodel.calibration import calibration, fitting, path_fit, validation
from costmodel.calibration.measuring import Sample
from costmodel.groundtruth.activity import Accesses, Activity, Glitches
from costmodel.model import estimate, evaluate, explain, features, glitches, provenance, wires
from costmodel.technology.technology import Technology
from tests.costmodel import recorded

FILE = Path(__file__).resolve().parent.parent / "golden" / "fits.json"
NAMES = tuple(DESIGNS)


def drawn(*words: Any) -> float:
    """A number from 0.5 to 1.5 that belongs to these words."""
    return 0.5 + crc32(" ".join(map(str, words)).encode()) / 2**32


@cache
def spec(name: str) -> Spec:
    family, parameters = DESIGNS[name]
    return registry.get(family).from_mapping(parameters)


def places() -> list[str]:
    return sorted({unit.place for name in NAMES for unit in spec(name).units()})


@cache
def technology() -> Technology:
    """The drawn library with a made-up model: coefficients of every kind anywhere, and others at every third place."""
    tables = {"area": features.AREA, "energy": features.ENERGY, "delay": features.DELAY}
    model: dict[str, Any] = {}
    for group, kinds in tables.items():
        scale = {"area": 2.0, "energy": 0.004, "delay": 11.0}[group]
        value = {
            place: {
                kind: {term: scale * drawn(group, place, kind, term) for term in terms}
                for kind, terms in kinds.items()
            }
            for place in (estimate.ANY, *places()[::3])
        }
        error = {"mean": 0.02, "worst": 0.11, "held_out_mean": 0.03, "held_out_worst": 0.17, "rows": 9}
        errors = (
            error
            if group == "delay"
            else {"lane": error, "shell": error | {"rows": 4, "held_out_mean": 0.07}}
        )
        model[group] = {"unit": "", "source": "made up, recipe buffered/1", "value": value, "error": errors}
    model["delay"] |= {estimate.START: 43.0, wires.WIRES: 0.7}
    model[glitches.GROUP] = {
        "value": {
            place: {
                kind: {
                    term: 0.1 * drawn("glitch", place, kind, term)
                    for term in (glitches.INSIDE, glitches.LATE)
                }
                for kind in features.AREA
            }
            for place in (estimate.ANY, *places()[1::4])
        }
    }
    model["leakage"] = {"unit": "nW/um2", "source": "made up", "value": 0.37}
    return recorded.imported("whole").with_model(model)


def estimated(name: str) -> dict[str, Any]:
    """Every number of an estimate of one design, and the lines that explain each."""
    one, facts = spec(name), technology()
    task = one.typical_workload()
    found = evaluate.of_design(one, facts)
    slow = evaluate.of_design(one, facts, 0.5 * found.clock_mhz)
    cost = evaluate.cost_of(one, facts)
    _, steps = explain.clock(one, facts)
    seconds = 1e-6 / found.clock_mhz
    return {
        "estimate": json.loads(json.dumps(asdict(found))),
        "slow": [slow.energy_pj, slow.meets_clock, slow.cycle_energy_breakdown_pj],
        "fast": evaluate.of_design(one, facts, 1.01 * found.clock_mhz).meets_clock,
        "cost": {
            key: alone(getattr(cost, key)) for key in ("clock_pj", "switching_pj", "glitch_pj", "leakage_nw")
        },
        "parts": {
            key: alone(part) for key, part in cost.energy_parts(1000, estimate.Busy(300, 300), 1e-6).items()
        },
        "paths": evaluate.TechnologyCosts(facts).paths(one),
        "explained": {
            "area": [
                explain.total(explain.area(one, facts)),
                recorded.digest([line.what for line in explain.area(one, facts)]),
            ],
            "clock": [explain.total(steps), recorded.digest([line.what for line in steps])],
            "energy": [
                explain.total(explain.energy(one, facts, seconds)),
                len(explain.energy(one, facts, seconds)),
            ],
        },
        "arrivals": {" ".join(key): alone(value) for key, value in glitches.arrivals(one, facts).items()},
        "cycles": int(one.cycles(task)),
    }


def bands() -> dict[str, Any]:
    """Sources and bands of figures, of fits and of a validation."""
    facts = technology()
    checked = facts.with_model(
        {**facts.model, provenance.VALIDATION: {"source": "some", "area": {"mean": 0.01, "worst": 0.02}}}
    )
    return {
        "figures": provenance.figures(facts),
        "validated": provenance.figures(checked),
        "texts": [provenance.text(provenance.band(each, "area")) for each in (facts, checked)]
        + [provenance.text(provenance.band(recorded.imported("whole"), "area"))],
    }


# Fits -----------------------------------------------------------------------------------------------------------------


def sample(name: str, number: int) -> Sample:
    """A design, measured near what the made-up model says of it."""
    one, facts = spec(name), technology()
    noise = lambda *words: 1 + 0.1 * (drawn(name, number, *words) - 1)  # noqa: E731
    units = tuple(unit for unit in one.units() if unit.kind not in estimate.MEMORIES and unit.count)
    areas = {place: alone(area) * noise("area", place) for place, area in estimate.area(units, facts).items()}
    task = one.typical_workload()
    cycles = int(one.cycles(task))
    parts = estimate.energies_by_place(units, facts)
    energies = {
        place: (alone(clock) + 0.4 * alone(moved)) * noise("pj", place)
        for place, (clock, moved) in parts.items()
    }
    more = {place: 0.2 * energy * noise("glitch", place) for place, energy in energies.items()}
    paths = {
        path.name: 43 + float(estimate.steps(path, facts, estimate.wiring(one, facts)))
        for path in one.paths()
    }
    slowest = max(paths.values()) * noise("ps")
    ends = {path_fit._end(path) for path in one.paths()} - {None}
    switched = Activity(
        energies, cycles, task, {place: 0.1 * energy for place, energy in energies.items()},
        {place: 0.3 * area for place, area in areas.items()}, {"ram_8x4": Accesses(7, 3)},
        Glitches(more, 0.012, 64, 999.0, 5, 0.1), {"ram_8x4": (8, 4, "two_port")},
    )  # fmt: skip
    registers = {place: int(5 * drawn(place, number)) for place in areas}
    return Sample(
        one, areas, alone(estimate.macro_area(one.units(), facts)) * noise("macro"), registers, slowest, ("a", "b"),
        {str(end): slowest * (0.2 + 0.7 * drawn(name, end) / 1.5) for end in sorted(map(str, ends))},
        0.3 * sum(areas.values()), switched,
    )  # fmt: skip


@cache
def samples() -> tuple[Sample, ...]:
    return tuple(sample(name, number) for number, name in enumerate(NAMES))


@contextmanager
def one_step(seen: list[Any]) -> Iterator[None]:
    """What finds coefficients replaced by what gives the same on every machine.

    Delays take one step down the slope. Of areas and energies, which are fewer than their terms, the smallest
    coefficients are taken of those that fit equally well.
    """
    from scipy import optimize

    real, least = optimize.minimize, optimize.nnls

    def smallest(rows: Any, values: Any, **options: Any) -> Any:
        pull = 0.03 * np.eye(rows.shape[1])
        return least(np.vstack([rows, pull]), np.concatenate([values, np.zeros(len(pull))]), **options)

    def step(loss: Any, start: Any, given: Any, **options: Any) -> Any:
        value, slope = loss(start, *given)
        seen.append([given[3], options, value, float(np.abs(slope).sum())])
        return SimpleNamespace(x=start - 0.02 * slope / max(1e-9, float(np.abs(slope).max())), fun=value)

    optimize.minimize, optimize.nnls = step, smallest
    try:
        yield
    finally:
        optimize.minimize, optimize.nnls = real, least


def fitted() -> dict[str, Any]:
    """The groups of a model that is fitted to the samples."""
    seen: list[Any] = []
    facts = replace(technology(), name=calibration.REFERENCE)
    with one_step(seen):
        found = calibration.model(samples(), facts, 5, "buffered/1")
    values = {
        group: {
            place: float(sum(value for terms in kinds.values() for value in terms.values()))
            for place, kinds in found[group]["value"].items()
        }
        for group in ("area", "energy", "delay", glitches.GROUP)
    }
    return {
        "values": values,
        "errors": {group: found[group]["error"] for group in values},
        "start": found["delay"][estimate.START],
        "wires": found["delay"].get(wires.WIRES),
        "leakage": found["leakage"]["value"],
        "units": [found[group]["unit"] for group in found],
        "steps": [[each[0], str(each[1]), each[2], each[3]] for each in seen[:8]],
        "searches": len(seen),
    }


def expected() -> dict[str, Any]:
    """Areas fitted with what another technology says of every term."""
    tables = [calibration.area_table(one.spec.units()) for one in samples()]
    known = estimate.law(technology(), "area")
    areas, wholes = [one.areas for one in samples()], [one.area_um2 for one in samples()]
    with one_step([]):
        found, errors = calibration.fit_places(tables, areas, known=known)
        shared, _ = calibration.fit_places(tables, areas, wholes)
    return {
        name: {
            place: float(sum(v for terms in kinds.values() for v in terms.values()))
            for place, kinds in each.items()
        }
        for name, each in (("known", found), ("shared", shared))
    } | {"errors": errors}


def losses() -> dict[str, Any]:
    """The loss of delays, its slope, and paths of some of the designs, at a place that was drawn."""
    tables = [[path_fit.path_terms(path) for path in one.spec.paths()] for one in samples()]
    names = list(dict.fromkeys(name for table in tables for path in table for name in path))
    groups = [
        group
        for number, (one, table) in enumerate(zip(samples(), tables, strict=True))
        for group in path_fit._groups(
            number, one, [[path.get(name, 0.0) for name in names] for path in table], technology().sram
        )
    ]
    paths = path_fit.Paths.of(groups)
    kinds = list(dict.fromkeys(name[1:] for name in names))
    member = np.array([kinds.index(name[1:]) for name in names])
    guess = np.log([10 * drawn("guess", *kind) for kind in kinds])
    at = np.concatenate(
        [guess + [0.1 * drawn("off", *kind) for kind in kinds], [0.2 * drawn(*name) - 0.2 for name in names]]
    )
    found: dict[str, Any] = {"groups": len(groups), "names": len(names), "known": float(paths.known.sum())}
    for smooth in (0.3, 0.01):
        loss, slope = path_fit._miss(at, paths, member, guess, smooth)
        found[f"smooth {smooth}"] = [loss, float(slope.sum()), float(np.abs(slope).sum())]
    some = paths.only(np.array([1, 3]))
    values = np.exp(at[: len(guess)][member])
    found["some"] = [len(some.measured), some.slowest(values).tolist(), some.misses(values).tolist()]
    found["misses"] = paths.misses(values).tolist()
    return found


def least() -> dict[str, Any]:
    """Coefficients of drawn rows, with outliers, priors and shares."""
    random = np.random.default_rng(3)
    rows = random.random((24, 5)) * np.array([1, 10, 0, 3, 0.2])
    values = rows @ np.array([2.0, 0.3, 1.0, 0.0, 7.0]) * (1 + 0.02 * random.standard_normal(24))
    values[5] *= 3
    prior, shares = np.array([1.0, 0.5, 2.0, 0.1, 0.0]), random.random(24)
    plain, near = fitting.fit(rows, values), fitting.fit(rows, values, prior, shares=shares, trust=0.2)
    return {
        "plain": plain.tolist(),
        "near": near.tolist(),
        "errors": asdict(fitting.errors(rows, values, near, prior, 4, shares=shares, trust=0.2)),
        "rounded": fitting.errors(rows, values, plain).plain(),
    }


def compared() -> dict[str, Any]:
    """A comparison of the samples with predictions, and the page that shows it."""
    found = replace(
        validation.compare(samples(), technology(), 9), date=datetime.date(2026, 1, 2).isoformat()
    )
    page = validation.page([found])
    return {
        "rows": [
            [row.predicted_um2, row.measured_um2, row.predicted_flip_flops, row.measured_flip_flops, row.predicted_ps,
             row.predicted_pj, row.measured_pj, row.memory_error, row.error, row.delay_error, row.energy_error]
            for row in found.rows
        ],
        "judged": found.judged(),
        "group": found.group(),
        "ok": found.ok,
        "errors": [found.mean_error, found.worst_error],
        "worst": [[row.spec.name for row in found.worst(3, each)] for each in validation.BOUNDS],
        "page": [hashlib.sha256(page.encode()).hexdigest()[:12], len(page.splitlines())],
    }  # fmt: skip


def measured() -> dict[str, Any]:
    """What is read off one sample."""
    one = samples()[0]
    return {
        "totals": [one.area_um2, one.energy_pj, one.flip_flops, one.utilization],
        "split": {place: one.switched.split(place, 800.0) for place in one.areas},
        "memory": one.switched.memory_pj(technology()),
        "useful": one.switched.energy_pj,
        "gates": [float(sum(features.rough_gates(unit) for unit in spec(name).units())) for name in NAMES],
        "gemm": int(one.spec.cycles(Gemm(2, 20, 5))),
    }


def kept() -> dict[str, Any]:
    """The record."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


WHOLE: Mapping[str, Any] = {
    "bands": bands, "fitted": fitted, "expected": expected, "losses": losses, "least": least, "compared": compared,
    "measured": measured,
}  # fmt: skip


def recorded_now() -> dict[str, Any]:
    """Everything, computed now."""
    found: dict[str, Any] = {"recipe": "python -m tests.costmodel.recorded_fits"}
    found["estimated"] = {name: estimated(name) for name in NAMES}
    return found | {part: make() for part, make in WHOLE.items()}


if __name__ == "__main__":
    from tests.systems.recorded import lines

    FILE.write_text(lines(recorded_now()), encoding="utf-8")
