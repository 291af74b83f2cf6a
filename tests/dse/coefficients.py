"""A cost model of round numbers, so that tests of the evaluator depend on no technology."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from blueprint.unit import Path, Unit
from costmodel.model.estimate import Cost

_AREA = {"register": 0.3, "sram": 0.03, "broadcast": 0.0}
_DELAY = {"adder": 60.0, "compressor": 25.0, "select": 50.0, "decoder": 40.0, "broadcast": 15.0}


def _size(unit: Unit) -> Any:
    return prod(size for name, size in unit.dims.items() if name not in ("enable", "reset"))


def area(units: tuple[Unit, ...]) -> dict[str, Any]:
    """um2 by place."""
    places: dict[str, Any] = {}
    for unit in units:
        places[unit.place] = places.get(unit.place, 0.0) + _AREA.get(unit.kind, 0.1) * unit.count * _size(
            unit
        )
    return places


def delay(paths: tuple[Path, ...]) -> Any:
    """ps of the slowest path."""
    return max_of(
        [
            sum(_DELAY.get(u.kind, 20.0) * u.count + 2.0 * (u.count > 0) * _width(u) for u in p.steps)
            for p in paths
        ]
    )


def _width(unit: Unit) -> Any:
    return unit.dims.get("width", 1)


def max_of(values: list[Any]) -> Any:
    """Elementwise largest."""
    best = values[0]
    for value in values[1:]:
        best = np.maximum(best, value)
    return best + 40.0


def costs(designs: Any) -> Cost:
    """What :class:`costmodel.model.evaluate.Estimator` asks for."""
    units = designs.units()
    energy = sum(0.002 * unit.count * _size(unit) * unit.activity for unit in units)
    clocks = 0.0004 * sum(unit.flip_flops for unit in units)
    areas = area(units)
    return Cost(areas, delay(designs.paths()), clocks, energy, 0.9 * sum(areas.values()))
