"""A system with other parameters of its units, buffers, memory or block, by dotted name: ``units.matrix.lut_count``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from blueprint.errors import ParamError
from blueprint.parameters import Parameter
from blueprint.systems import rules
from blueprint.systems.description import System, Unit
from blueprint.systems.limits import BUFFERS, MEMORY, MODEL

#: The sections of a system file that have parameters beside its units, with their limits.
_PARTS: Mapping[str, Mapping[str, Parameter]] = {"buffers": BUFFERS, "memory": MEMORY, "model": MODEL}


class Unbuildable(ParamError):
    """A system that cannot be built; ``reason`` is the sentence without its value, so that many systems share it."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message.rsplit(", not ", 1)[0]


def parameters(system: System) -> dict[str, Parameter]:
    """Limits of every parameter of a system that may be varied, by its dotted name."""
    units = {
        f"units.{name}.{parameter}": limit
        for name, unit in system.units.items()
        for parameter, limit in unit.spec.limits().items()
    }
    parts = {f"{part}.{name}": limit for part, limits in _PARTS.items() for name, limit in limits.items()}
    return units | parts


def check_name(system: System, name: str) -> None:
    """Raise ``ParamError`` for the former name of a parameter of a unit."""
    section, _, rest = name.partition(".")
    unit, _, parameter = rest.partition(".")
    if section == "units" and unit in system.units:
        system.units[unit].spec.check_name(parameter)


def changed(system: System, values: Mapping[str, Any]) -> System:
    """The system with these parameters. Raises :class:`Unbuildable` where a unit or the whole cannot be built."""
    units: dict[str, dict[str, Any]] = {}
    parts: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
    for name, value in values.items():
        section, _, rest = name.partition(".")
        if section == "units":
            unit, _, parameter = rest.partition(".")
            units.setdefault(unit, {})[parameter] = value
        else:
            parts[section][rest] = value
    made = {
        name: _unit(name, unit, units[name]) if name in units else unit for name, unit in system.units.items()
    }
    found = replace(
        system,
        units=made,
        buffers=dataclasses.replace(system.buffers, **parts["buffers"]),
        memory=dataclasses.replace(system.memory, **parts["memory"]),
        **parts["model"],
    )
    for fault in rules.faults(found):
        raise Unbuildable(fault.message)
    return found


def _unit(name: str, unit: Unit, values: Mapping[str, Any]) -> Unit:
    """A unit with other parameters, which runs the same work."""
    kind, wanted = type(unit.spec), {**unit.spec.parameters, **values}
    try:
        spec = kind.from_mapping(wanted)
    except ParamError as problem:
        _, code, reasons = kind.columns(wanted).feasible()
        raise Unbuildable(f"unit {name}: {problem}", f"unit {name}: {reasons[int(code)]}") from None
    lost = [work for work in unit.works if work not in spec.works]
    if lost:
        raise Unbuildable(f"unit {name} must run {' and '.join(lost)}, and such a {spec.family} unit cannot")
    return Unit(spec, unit.works)
