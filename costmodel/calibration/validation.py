"""Predictions against synthesis on held-out designs: the work of `ternforge tech validate`."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.spec import Spec
from blueprint.unit import flip_flops
from costmodel.calibration import calibration, pool, sampling
from costmodel.calibration.measuring import Generate, Sample
from costmodel.groundtruth import recipe as recipes
from costmodel.model import estimate, glitches, provenance
from costmodel.technology.technology import Technology

#: Largest unsigned relative errors, mean and worst, of a calibrated technology, by quantity. Predicted and measured
#: memories are priced by the same law, so their error shows whether inventory and RTL have the same memories.
BOUNDS = {"area": (0.05, 0.15), "clock": (0.08, 0.20), "energy": (0.10, 0.20), "memories": (0.001, 0.001)}
#: The property of :class:`Comparison` that is the error of each quantity.
_ERRORS = {"area": "error", "clock": "delay_error", "energy": "energy_error", "memories": "memory_error"}
#: Smallest and largest size of a large design, in gates.
LARGE = (100_000.0, 400_000.0)


@dataclass(frozen=True)
class Comparison:
    """One design, predicted and measured: area (um2, without memory macros), flip-flops, slowest path (ps), energy.

    Energy is that of the mean cycle of a run, in pJ.
    """

    spec: Spec
    predicted_um2: float
    measured_um2: float
    predicted_areas: Mapping[str, float]
    measured_areas: Mapping[str, float]
    predicted_flip_flops: int
    measured_flip_flops: int
    predicted_ps: float
    measured_ps: float
    predicted_pj: float
    measured_pj: float
    predicted_macro_um2: float = 0.0
    measured_macro_um2: float = 0.0

    @property
    def memory_error(self) -> float:
        """Relative error of the area of memory macros; 1 if only the prediction has any."""
        if not self.measured_macro_um2:
            return 1.0 if self.predicted_macro_um2 else 0.0
        return self.predicted_macro_um2 / self.measured_macro_um2 - 1

    @property
    def error(self) -> float:
        """Relative error of the area of logic, without memory macros."""
        return self.predicted_um2 / self.measured_um2 - 1

    @property
    def delay_error(self) -> float:
        """Relative error of the slowest path."""
        return self.predicted_ps / self.measured_ps - 1

    @property
    def energy_error(self) -> float:
        """Relative error of the energy of a cycle."""
        return self.predicted_pj / self.measured_pj - 1


@dataclass(frozen=True)
class Validation:
    """All comparisons in one technology."""

    technology: str
    seed: int
    rows: tuple[Comparison, ...]
    recipe: str = ""
    date: str = ""

    @property
    def mean_error(self) -> float:
        """Mean relative error of area, unsigned."""
        return float(np.mean([abs(row.error) for row in self.rows]))

    @property
    def worst_error(self) -> float:
        """Largest relative error of area, unsigned."""
        return max(abs(row.error) for row in self.rows)

    @property
    def ok(self) -> bool:
        """True if all errors are within :data:`BOUNDS` and all flip-flop counts are exact."""
        exact = all(row.predicted_flip_flops == row.measured_flip_flops for row in self.rows)
        return exact and all(item["ok"] for item in self.judged().values())

    def judged(self) -> dict[str, dict[str, Any]]:
        """Errors ``mean`` and ``worst`` by quantity, with their bounds; ``ok`` is true if both are met."""
        found = {}
        for quantity, (most_mean, most_worst) in BOUNDS.items():
            mean, worst = self.errors(_ERRORS[quantity])
            kept = bool(mean <= most_mean and worst <= most_worst)
            found[quantity] = {
                "mean": mean,
                "worst": worst,
                "mean_bound": most_mean,
                "worst_bound": most_worst,
                "ok": kept,
            }
        return found

    def group(self) -> dict[str, Any]:
        """The error bands as the group ``validation`` of a technology's model."""
        bands: dict[str, Any] = {
            quantity: {"mean": _digits(item["mean"]), "worst": _digits(item["worst"])}
            for quantity, item in self.judged().items()
        }
        source = f"{len(self.rows)} random designs outside the fit, seed {self.seed}, recipe {self.recipe}, {self.date}"
        return {"source": source, "seed": self.seed, "designs": len(self.rows), "date": self.date, **bands}

    def errors(self, name: str) -> tuple[float, float]:
        """Mean and largest unsigned value of an error of :class:`Comparison`, by the name of its property."""
        found = [abs(getattr(row, name)) for row in self.rows]
        return float(np.mean(found)), max(found)

    def worst(self, count: int = 5, quantity: str = "area") -> list[Comparison]:
        """The `count` designs with the largest unsigned error of a quantity of :data:`BOUNDS`."""
        return sorted(self.rows, key=lambda row: -abs(getattr(row, _ERRORS[quantity])))[:count]


def validate(
    technology: Technology,
    generate: Generate,
    *,
    designs: int = 8,
    large: int = 0,
    seed: int = 1,
    note: Callable[[str], None] = lambda _: None,
) -> Validation:
    """Synthesize random designs of every family and compare the measurements with the predictions.

    Of every family, `designs` have the sizes of calibration and `large` ones lie within :data:`LARGE`. Measurements are
    cached, so the same call continues after an interruption. Raises `ParamError` if the technology is not calibrated,
    if its recipe is unknown, or if `seed` is that of its calibration.
    """
    if estimate.group(technology, "area").get("seed") == seed:
        raise ParamError(f"Validation seed must differ from that of the calibration, not {seed}")
    if technology.recipe != recipes.of(technology):
        known = " or ".join(recipes.RECIPES)
        raise ParamError(
            f"Technology {technology.name} must be calibrated by recipe {known} to be validated, "
            f"not by {technology.recipe}"
        )
    specs: list[Spec] = []
    for kind in registry.families().values():
        note(f"drawing {designs} designs of {kind.family}")
        specs += sampling.designs(kind, designs, seed)
        if large:
            note(f"drawing {large} large designs of {kind.family}")
            specs += sampling.designs(kind, large, seed, smallest=LARGE[0], largest=LARGE[1])
    samples = pool.measure_all(specs, technology, generate, note)
    return compare(samples, technology, seed)


def compare(samples: Sequence[Sample], technology: Technology, seed: int = 0) -> Validation:
    """Compare measured designs with their predictions."""
    rows = tuple(_row(sample, technology) for sample in samples)
    return Validation(technology.name, seed, rows, recipes.of(technology), datetime.date.today().isoformat())


def recorded(technology: Technology, found: Validation) -> Technology:
    """The technology with the errors of a validation as the error bands of its predictions."""
    return technology.with_model({**technology.model, provenance.VALIDATION: found.group()})


def _row(sample: Sample, technology: Technology) -> Comparison:
    units = tuple(unit for unit in sample.spec.units() if unit.kind not in estimate.MEMORIES)
    areas = {place: float(area) for place, area in estimate.area(units, technology).items()}
    found = estimate.law(technology, "energy")
    table = calibration.energy_table(sample, estimate.gated(technology))
    energy = sum(
        value * estimate.place_coefficients(found, place, kind).get(term, 0.0)
        for (place, kind, term), value in table.items()
    )
    measured = sample.switched.energy_pj
    if glitches.counted(technology) and sample.switched.glitches is not None:
        more = estimate.group(technology, glitches.GROUP)["value"]
        measured = sample.energy_pj
        energy += sum(
            value * estimate.place_coefficients(more, place, kind).get(term, 0.0)
            for (place, kind, term), value in calibration.glitch_table(sample, technology).items()
        )
    return Comparison(
        sample.spec,
        sum(areas.values()),
        sample.area_um2,
        areas,
        sample.areas,
        int(flip_flops(units)),
        sample.flip_flops,
        float(estimate.delay(sample.spec, technology)),
        sample.critical_path_ps,
        energy,
        measured,
        float(estimate.macro_area(sample.spec.units(), technology)),
        sample.macro_area_um2,
    )


def _digits(value: float) -> float:
    return float(f"{value:.3g}")


def page(validations: Sequence[Validation]) -> str:
    """The validation tables as a page of the documentation."""
    parts = [_HEAD]
    for found in validations:
        area, delay, energy = (found.errors(name) for name in ("error", "delay_error", "energy_error"))
        parts.append(
            f"## {found.technology}\n\n{found.date}, recipe `{found.recipe}`: {len(found.rows)} designs, "
            f"seed {found.seed}. Unsigned relative errors, mean and worst: area {_both(area)}, "
            f"critical path {_both(delay)}, energy {_both(energy)}. Flip-flops: "
            f"{sum(row.predicted_flip_flops == row.measured_flip_flops for row in found.rows)} of {len(found.rows)} "
            "designs exact.\n\n"
            + _table(found.rows)
            + "\nWorst five by area, place by place (error of the place):\n\n"
            + "\n".join(f"- `{row.spec.name}` {row.error:+.1%}: {_places(row)}" for row in found.worst())
        )
    return "\n\n".join(parts) + "\n"


_HEAD = """# Predictions against synthesis

Written by `python benchmarks/validation_page.py`; `ternforge tech validate NAME` prints the same for other designs.
The designs are random, were not used in the fit, and are small, so that each synthesizes within a minute or two. Areas
are cell areas in um2 without memory macros. Energy is that of a mean cycle of a run, from toggles in the mapped
netlist on typical random data, without clock tree. By the [recipe](synthesis.md) `area/4` critical paths and energies
are without wires and glitches, by `buffered/1` with both, and with real buffers."""


def _both(errors: tuple[float, float]) -> str:
    return f"{errors[0]:.1%} and {errors[1]:.1%}"


def _table(rows: Sequence[Comparison]) -> str:
    lines = [
        "| design | um2 predicted | synthesized | error | flip-flops predicted | synthesized "
        "| ps predicted | timed | error | pJ predicted | counted | error |",
        "| --- |" + " ---: |" * 11,
    ]
    for row in rows:
        cells: list[Any] = [f"`{row.spec.name}`", f"{row.predicted_um2:,.0f}", f"{row.measured_um2:,.0f}"]
        cells += [f"{row.error:+.1%}", row.predicted_flip_flops, row.measured_flip_flops]
        cells += [f"{row.predicted_ps:,.0f}", f"{row.measured_ps:,.0f}", f"{row.delay_error:+.1%}"]
        cells += [f"{row.predicted_pj:.3g}", f"{row.measured_pj:.3g}", f"{row.energy_error:+.1%}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def _places(row: Comparison) -> str:
    pairs = ((place, row.predicted_areas.get(place, 0.0), area) for place, area in row.measured_areas.items())
    return ", ".join(f"{place} {predicted / area - 1:+.1%}" for place, predicted, area in pairs if area)
