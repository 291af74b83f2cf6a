"""Estimates as sums: every line of an inventory, of a path or of a closed form with its numbers.

The lines of an explanation add up to the estimate that they explain.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import numpy as np

from blueprint.spec import Spec
from blueprint.unit import Path, Terms, Unit
from blueprint.workloads.tasks import Task
from costmodel.model import estimate, features, glitches
from costmodel.technology.technology import Technology

#: The access of a memory in a path, which wires between cells do not make longer.
_ACCESS = "access"


@dataclass(frozen=True)
class Line:
    """``amount`` = ``count`` x ``coefficient`` x ``term``, in um2, ps or pJ.

    ``what`` is the kind of a unit and the name of its term, ``dims`` its size.
    """

    place: str
    what: str
    dims: Mapping[str, float]
    count: float
    coefficient: float
    term: float

    @property
    def amount(self) -> float:
        """Contribution of the line to the total."""
        return self.count * self.coefficient * self.term


def area(spec: Spec, technology: Technology) -> list[Line]:
    """The area of a design in um2, line by line. Raises `ParamError` where the technology was not calibrated."""
    law, found = estimate.law(technology, "area"), []
    for unit in spec.units():
        found += _lines(unit, law, features.AREA, float(unit.count))
        if unit.kind in estimate.MEMORIES:
            area_um2 = technology.sram.area_um2(*estimate.memory_shape(unit))
            found.append(_line(unit, "area of a memory", float(unit.count), area_um2))
    return _gathered(found)


def clock(spec: Spec, technology: Technology) -> tuple[str, list[Line]]:
    """The slowest path of a design in ps: its name, and its steps line by line."""
    longer = estimate.wiring(spec, technology)
    path = max(spec.paths(), key=lambda path: float(estimate.steps(path, technology, longer)))
    start = float(estimate.group(technology, "delay")[estimate.START])
    begin = Line("register", "clock to output, setup", {}, 1.0, start, 1.0)
    steps = list(_steps(path, technology))
    without = total([line for line in steps if not line.what.endswith(_ACCESS)])
    wires = Line(estimate.ANY, "wires of a block of this area, once", {}, 1.0, float(longer) - 1, without)
    return path.name, _gathered([begin, *steps, wires])


def _steps(path: Path, technology: Technology) -> Iterator[Line]:
    law = estimate.law(technology, "delay")
    overlapping, term = features.OVERLAPPING
    ripple = 0.0
    for unit in path.steps:
        if unit.kind in estimate.MEMORIES:
            access_ps = technology.sram.access_ps(*estimate.memory_shape(unit))
            yield _line(unit, _ACCESS, float(unit.count), access_ps)
        if unit.kind == overlapping and unit.count > 0:
            ripple = max(ripple, float(unit.dims[term]))
        yield from (
            line
            for line in _lines(unit, law, features.DELAY, float(unit.count))
            if line.amount and line.what != f"{overlapping} {term}"
        )
    carry = law.get(estimate.ANY, {}).get(overlapping, {}).get(term, 0.0)
    if ripple * carry:
        yield Line(estimate.ANY, f"{overlapping} {term}, once", {}, 1.0, carry, ripple)


def energy(spec: Spec, technology: Technology, seconds: float) -> list[Line]:
    """The energy in pJ of one cycle of full throughput that lasts ``seconds``, line by line."""
    units = spec.units()
    found = [_line_of(term, term.name) for term in estimate.energy_terms(units, technology)]
    found += [_line_of(term, f"{term.name}, glitches") for term in glitches.energy_terms(spec, technology)]
    for unit in estimate.memories(units):
        leaked = (
            float(technology.sram.leakage_nw(*estimate.memory_shape(unit))) * seconds * estimate.PJ_PER_NW_S
        )
        found.append(_line(unit, "leakage", float(unit.count), leaked))
    cells = float(sum(estimate.cell_areas(units, technology).values()))
    leak = estimate.leakage_per_um2(technology) * seconds * estimate.PJ_PER_NW_S
    found.append(Line("all", "leakage of um2 of cells", {}, 1.0, leak, cells))
    return _gathered(found)


def _gathered(lines: Iterable[Line]) -> list[Line]:
    """Lines that amount to anything, those that differ in nothing but their count as one."""
    found: dict[tuple[Any, ...], Line] = {}
    for line in lines:
        if line.amount:
            key = (line.place, line.what, *line.dims.items(), line.coefficient, line.term)
            found[key] = replace(line, count=line.count + found[key].count) if key in found else line
    return list(found.values())


def _line_of(term: estimate.Term, name: str) -> Line:
    unit = term.unit
    return Line(
        unit.place,
        f"{unit.kind} {name}",
        _plain(unit),
        float(term.times),
        float(term.coefficient),
        float(term.value),
    )


def _lines(unit: Unit, law: estimate.Coefficients, table: Mapping[str, Terms], count: float) -> list[Line]:
    return [
        Line(
            unit.place,
            f"{unit.kind} {name}",
            _plain(unit),
            count,
            value,
            float(table[unit.kind][name](unit.dims)),
        )
        for name, value in estimate.coefficients(law, unit).items()
    ]


def _line(unit: Unit, what: str, count: float, value: Any) -> Line:
    return Line(unit.place, f"{unit.kind} {what}", _plain(unit), count, float(value), 1.0)


def _plain(unit: Unit) -> dict[str, float]:
    return {name: float(value) for name, value in unit.dims.items()}


def total(lines: Sequence[Line]) -> float:
    """Sum of the lines of an explanation."""
    return sum(line.amount for line in lines)


@dataclass(frozen=True)
class Statement:
    """One statement of a closed form and the value that it had."""

    text: str
    value: Any


def cycles(spec: Spec, task: Task) -> tuple[int, list[Statement]]:
    """The cycles of one run of a task, and the statements of the family's closed form with their values."""
    form = inspect.unwrap(spec.facets.schedule.cycles)
    module = form.__module__
    seen: list[Statement] = []

    def leave(frame: FrameType, event: str, value: Any) -> None:
        if event == "return" and frame.f_globals.get("__name__") == module:
            function = frame.f_globals.get(frame.f_code.co_name)
            if inspect.isfunction(function):
                seen.extend(_statements(function, frame.f_locals, value))

    before = sys.getprofile()
    sys.setprofile(leave)
    try:
        found = spec.cycles(task)
    finally:
        sys.setprofile(before)
    return int(found), seen


def _statements(function: Any, values: Mapping[str, Any], result: Any) -> Iterator[Statement]:
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    for node in definition.body:
        if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Dict):
            names = [
                name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)
            ]
            known = [_number(values.get(name)) for name in names]
            if all(value is not None for value in known):
                yield Statement(ast.unparse(node), known if len(known) > 1 else known[0])
        elif isinstance(node, ast.Return) and node.value is not None:
            yield Statement(f"{function.__name__} = {ast.unparse(node.value)}", _number(result))


def _number(value: Any) -> Any:
    """A plain number, ``None`` for what is none."""
    if isinstance(value, (bool, int, float)):
        return value
    return value.item() if isinstance(value, (np.generic, np.ndarray)) and np.size(value) == 1 else None
