"""Wire-load models of Liberty libraries: capacitance and resistance of a net by its fan-out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from costmodel.technology.liberty_text import Group


@dataclass(frozen=True)
class WireLoad:
    """A wire-load model: length of a net by fan-out, and what a unit of length has (fF, kohm).

    `lengths` holds points `(fan-out, length)`; between them length is linear, beyond the last it grows by `slope`.
    """

    name: str
    capacitance: float
    resistance: float
    slope: float
    lengths: tuple[tuple[int, float], ...]

    def length(self, fanout: int) -> float:
        """Length of a net that drives `fanout` pins."""
        points = self.lengths or ((1, self.slope),)
        before = points[0]
        for point in points:
            if fanout <= point[0]:
                share = (fanout - before[0]) / (point[0] - before[0]) if point[0] > before[0] else 0.0
                return before[1] + share * (point[1] - before[1])
            before = point
        return before[1] + self.slope * (fanout - before[0])


@dataclass(frozen=True)
class Wires:
    """The wire-load models of a library: which one is the default, and `(from, to, name)` by area in um2."""

    loads: tuple[WireLoad, ...]
    default: str
    by_area: tuple[tuple[float, float, str], ...] = ()

    def at(self, area: float) -> WireLoad:
        """The model for a block of `area` um2: the library's selection by area, else its default."""
        named = {load.name: load for load in self.loads}
        for low, high, name in self.by_area:
            if low <= area < high and name in named:
                return named[name]
        if self.by_area and area >= self.by_area[-1][1] and self.by_area[-1][2] in named:
            return named[self.by_area[-1][2]]
        return named[self.default]


def read(group: Group, farad: float, ohm: float) -> Wires | None:
    """The wire-load models of a library; None if it has none.

    `farad` and `ohm` are the factors from its units to fF and kohm. `SpecError` for models that cannot be used.
    """
    loads = tuple(_wire_load(item, farad, ohm) for item in group.all("wire_load"))
    if not loads:
        return None
    default = group.simple.get("default_wire_load", loads[0].name)
    wanted = group.simple.get("default_wire_load_selection")
    areas: list[tuple[float, float, str]] = []
    for item in group.all("wire_load_selection"):
        if wanted in (None, item.names[0]):
            areas += [_by_area(item, text) for text in item.complex.get("wire_load_from_area", [])]
    known = {load.name for load in loads}
    return Wires(loads, default if default in known else loads[0].name, tuple(areas))


def _by_area(group: Group, text: str) -> tuple[float, float, str]:
    """Two areas and the wire-load model for blocks between them. `SpecError` for anything else."""
    parts = [part.strip().strip('"') for part in text.split(",")]
    try:
        low, high, name = float(parts[0]), float(parts[1]), parts[2]
    except (IndexError, ValueError):
        low, high, name = math.nan, math.nan, ""
    if not 0 <= low <= high < math.inf or len(parts) != 3:
        raise group.error(f"wire_load_from_area must be two areas and a wire_load, not ({text})")
    return low, high, name


def _wire_load(group: Group, farad: float, ohm: float) -> WireLoad:
    number = {key: group.number(key, 0.0) or 0.0 for key in ("capacitance", "resistance", "slope")}
    points = [text.split(",")[:2] for text in group.complex.get("fanout_length", [])]
    try:
        lengths = tuple(sorted((int(fanout), float(length)) for fanout, length in points))
        if not all(0 <= length < math.inf for _, length in lengths):
            raise ValueError
    except ValueError:
        raise group.error("fanout_length must be a fan-out and a length") from None
    resistance = number["resistance"] * ohm
    return WireLoad(group.names[0], number["capacitance"] * farad, resistance, number["slope"], lengths)
