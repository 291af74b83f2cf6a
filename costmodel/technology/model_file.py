"""Calibrated coefficients of a technology file: groups that each name their source, and hold numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blueprint.files.document import Section

#: Levels of keys above a coefficient: place, kind and term. Leakage is one number.
_LEVELS = {"area": 3, "delay": 3, "energy": 3, "glitches": 3, "leakage": 0}
_HELD_OUT = ("held_out_mean", "held_out_worst", "rows")
_VALIDATION = "validation"


def read(document: Section) -> Mapping[str, Any]:
    """The section ``model`` of a technology file; empty where there is none. Raises ``SpecError``."""
    if "model" not in document:
        return {}
    section = document.section("model")
    for name in section.raw():
        group = section.section(name)
        if not group.take("source", str).strip():
            raise group.error("source", "source must be text, not empty")
        if name in _LEVELS:
            _check_group(group, _LEVELS[name])
        elif name == _VALIDATION:
            for quantity in (key for key, value in group.raw().items() if isinstance(value, dict)):
                _check_amounts(group.section(quantity), ("mean", "worst"))
    return section.raw()


def _check_group(group: Section, levels: int) -> None:
    if "value" in group:
        _check_coefficients(group, "value", levels)
    _check_amounts(group, tuple(key for key in ("start", "wires") if key in group))
    if "error" in group:
        errors = group.section("error")
        rows = [errors] if _HELD_OUT[0] in errors else [errors.section(place) for place in errors.raw()]
        for row in rows:
            _check_amounts(row, _HELD_OUT)


def _check_coefficients(section: Section, key: str, levels: int) -> None:
    if levels == 0:
        _check_amounts(section, (key,))
        return
    inner = section.section(key)
    for name in inner.raw():
        _check_coefficients(inner, name, levels - 1)


def _check_amounts(section: Section, keys: tuple[str, ...]) -> None:
    for key in keys:
        section.take(key, float, minimum=0)
