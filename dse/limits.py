"""Limits of a design: the largest contribution to each metric, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blueprint.spec import Spec
from costmodel.model.evaluate import DRAM, Estimator, TechnologyCosts
from costmodel.model.metrics import METRICS
from costmodel.model.quantity import metric_text, shown
from costmodel.model.work import run
from dse.axis import Axis

_OF_TIME = ("tokens_per_second", "time_to_first_token_s", "utilization", "dram_share")
_OF_CORE_ENERGY = ("core_energy_pj_per_token", "energy_efficiency")
_OF_ENERGY = ("energy_pj_per_token", "power_mw", *_OF_CORE_ENERGY)


def limited_by(
    estimator: Estimator, axes: Sequence[Axis], spec: Spec, metric: str, clock_mhz: float | None = None
) -> str | None:
    """The limiting contribution to a metric of one design, in words; ``None`` if there is none.

    ``clock_mhz`` is the clock it runs at, without it its highest.
    """
    base = METRICS[metric].base if metric in METRICS else metric
    if base in ("clock_mhz", "clock_margin", "critical_path_ps"):
        return _path(estimator, spec)
    if base in ("area_um2", "area_efficiency"):
        areas = {place: float(area) for place, area in estimator.costs(spec).areas.items()}
        return _largest("largest place", areas, lambda area: metric_text("area_um2", area))
    if base == "flip_flops":
        return _largest("most stand in", _flip_flops(spec), lambda count: f"{count:,.0f}")
    if base == "cycles":
        return _cycles(estimator, spec)
    if base in _OF_TIME:
        return _time(estimator, spec, base, clock_mhz)
    return _energy(estimator, spec, base, clock_mhz) if base in _OF_ENERGY else at_ends(axes, spec)


def at_ends(axes: Sequence[Axis], spec: Spec) -> str | None:
    """The ordered parameters that stand at an end of what the space offers."""
    ends = [
        f"{axis.name} {getattr(spec, axis.name):,}"
        for axis in axes
        if axis.ordered and getattr(spec, axis.name) in (min(axis.values), max(axis.values))
    ]
    return f"at the end of their range in the space: {', '.join(ends)}" if ends else None


def _path(estimator: Estimator, spec: Spec) -> str | None:
    if not isinstance(estimator.costs, TechnologyCosts):
        return None
    paths = estimator.costs.paths(spec)
    name = max(paths, key=lambda each: paths[each])
    return f"slowest path {name!r}, {metric_text('critical_path_ps', paths[name])}"


def _largest(what: str, parts: Mapping[str, float], text: Any) -> str | None:
    total = sum(parts.values())
    if not total > 0:
        return None
    name = max(parts, key=lambda each: parts[each])
    return f"{what} {name!r}, {text(parts[name])} ({100 * parts[name] / total:.0f} %)"


def _flip_flops(spec: Spec) -> dict[str, float]:
    places: dict[str, float] = {}
    for unit in spec.units():
        places[unit.place] = places.get(unit.place, 0) + float(unit.flip_flops)
    return places


def _cycles(estimator: Estimator, spec: Spec) -> str | None:
    cycles = {task.name: task.count * float(spec.cycles(task)) for task in estimator.work.tasks}
    return _largest("longest task", cycles, lambda count: f"{count:,.0f} cycles")


def _time(estimator: Estimator, spec: Spec, base: str, clock_mhz: float | None) -> str | None:
    work = estimator.prompt if base == "time_to_first_token_s" and estimator.prompt else estimator.work
    clock = float(clock_mhz or estimator.costs(spec).clock_mhz)
    time = run(spec, work, clock, estimator.dram)
    share = float(time.dram_seconds / time.seconds)
    if share >= 0.5:
        return f"DRAM is the bottleneck in {100 * share:.0f} % of the time"
    return f"compute takes {100 * (1 - share):.0f} % of the time at {metric_text('clock_mhz', clock)}"


def _energy(estimator: Estimator, spec: Spec, base: str, clock_mhz: float | None) -> str | None:
    cost = estimator.costs(spec)
    done = estimator.on_work(spec, cost, clock_mhz or cost.clock_mhz)
    parts = {cause: float(energy) for cause, energy in done.energies.items()}
    if base in _OF_CORE_ENERGY:
        del parts[DRAM]
    tokens = estimator.work.tokens
    return _largest(
        "largest part", parts, lambda energy: shown("pJ", [energy / tokens]).text(energy / tokens)
    )
