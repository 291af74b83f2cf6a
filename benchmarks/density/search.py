"""The best designs of a case: every design of its spaces is predicted, and of each size four are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.density.spaces import BY_LABEL, Case
from blueprint import registry
from blueprint.errors import ParamError
from blueprint.files.document import read_text
from blueprint.spec import Spec
from costmodel.model.evaluate import TechnologyCosts
from costmodel.technology.technology import Technology
from dse.families import Families, design_problem
from dse.problem import MESH, Problem
from dse.space import Space
from dse.space_file import space_from

#: A design of a size sustains this many times its multiply-accumulates a cycle.
SLOWEST, FASTEST = 0.9, 1.5
#: What is best, and whether it is the most: figures of a design by name.
GOALS: Mapping[str, tuple[str, bool]] = {
    "area": ("um2_per_mac", False),
    "work": ("mac_per_ns_mm2", True),
    "energy": ("fj_per_mac", False),
    "clock": ("ghz", True),
}

Floats = npt.NDArray[np.float64]
Figures = Mapping[str, Floats]


@dataclass(frozen=True)
class Best:
    """A design that is best at something: its parameters and its figures."""

    parameters: Mapping[str, Any]
    figures: Mapping[str, float]


Found = dict[int, dict[str, Best]]


def case_of(label: str) -> Case:
    """The case of a label. Raises ``ParamError`` where there is none."""
    if label not in BY_LABEL:
        raise ParamError(f"Case must be one of {'; '.join(BY_LABEL)}, not {label!r}")
    return BY_LABEL[label]


def stated(kind: type[Spec], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that are not the default."""
    defaults = kind.__dataclass_fields__
    return {name: value for name, value in parameters.items() if value != defaults[name].default}


def figures(columns: Mapping[str, Floats], macs: int) -> dict[str, Floats]:
    """What designs are compared by: per multiply-accumulate, of which ``macs`` are done in so many cycles.

    Sustained ones a cycle; area of one a cycle; clock; those of a ns and a mm2; energy of one, without memory outside.
    """
    rate = macs / columns["cycles"]
    area = columns["area_um2"] / rate
    ghz = columns["clock_mhz"] * 1e-3
    return {
        "rate": rate,
        "um2_per_mac": area,
        "ghz": ghz,
        "mac_per_ns_mm2": ghz / area * 1e6,
        "fj_per_mac": 2e3 / columns["energy_efficiency"],
    }


def problems(case: Case, size: int, tech: Technology) -> Iterator[Problem]:
    """The spaces of a case at a size."""
    for text in case.texts(size, tech.name):
        space = space_from(read_text(text, case.label))
        yield design_problem(space, TechnologyCosts(tech), {})


def ranges(case: Case, space: Space, sizes: tuple[int, ...]) -> Iterator[npt.NDArray[np.int64]]:
    """Indices of the designs that may be of one of the sizes, as their outer axes say."""
    (sub,) = space.subspaces
    inner = space.size
    if case.outer:
        last = [axis.name for axis in sub.axes].index(case.outer)
        inner = prod(len(axis.values) for axis in sub.axes[last + 1 :])
    starts = np.arange(0, space.size, inner)
    if case.outer:
        peaks = registry.get(case.family).columns(sub.columns(starts)).peak_macs
        some = [(peaks >= SLOWEST * size) & (peaks <= case.slack * size) for size in sizes]
        starts = starts[np.broadcast_to(np.any(some, axis=0), starts.shape)]
    for start in starts:
        for first in range(int(start), int(start) + inner, MESH):
            yield np.arange(first, min(first + MESH, int(start) + inner))


def best(case: Case, tech: Technology, sizes: tuple[int, ...] = ()) -> Found:
    """The best designs of each size; the first of those that are equal."""
    asked = sizes or case.sizes
    found: Found = {size: {} for size in asked}
    groups: dict[tuple[str, ...], list[int]] = {}
    for size in asked:
        groups.setdefault(case.texts(size, tech.name), []).append(size)
    for group in groups.values():
        for problem in problems(case, group[0], tech):
            _search(case, problem, tuple(group), found)
    return found


def _search(case: Case, problem: Problem, sizes: tuple[int, ...], found: Found) -> None:
    assert isinstance(problem.space.subject, Families)
    macs = sum(task.macs for task in problem.space.subject.workload.tasks)
    for indices in ranges(case, problem.space, sizes):
        batch = problem.evaluate(indices)
        known = figures(batch.columns(), macs)
        for size in sizes:
            rate = known["rate"]
            enough = batch.feasible & (rate >= SLOWEST * size) & (rate <= FASTEST * size)
            which = np.flatnonzero(enough)
            if len(which):
                _keep(
                    problem, indices[which], {key: value[which] for key, value in known.items()}, found[size]
                )


def _keep(problem: Problem, indices: npt.NDArray[np.int64], known: Figures, kept: dict[str, Best]) -> None:
    """Put the designs in that are better than those that are kept; of equal ones, the smaller."""
    for goal, (figure, most) in GOALS.items():
        ordered = -known[figure] if most else known[figure]
        least = np.flatnonzero(ordered == ordered.min())
        place = int(least[np.argmin(known["um2_per_mac"][least])])
        here = Best({}, {key: float(value[place]) for key, value in known.items()})
        if goal not in kept or _rank(here, goal) < _rank(kept[goal], goal):
            _, parameters = problem.space.design(int(indices[place]))
            kept[goal] = Best(parameters, here.figures)


def _rank(one: Best, goal: str) -> tuple[float, float]:
    """What is smaller for the better design."""
    figure, most = GOALS[goal]
    return (-one.figures[figure] if most else one.figures[figure]), one.figures["um2_per_mac"]
