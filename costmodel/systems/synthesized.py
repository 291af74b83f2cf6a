"""A whole system that was synthesized, part by part: its units, and what stands around them; predictions alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from blueprint.numbers import alone
from blueprint.systems.control import Hardware
from blueprint.systems.inventory import Around
from blueprint.unit import Unit, flip_flops
from costmodel.groundtruth.synthesis import Mapped
from costmodel.model import estimate
from costmodel.model.evaluate import cost_of
from costmodel.model.glitches import cost
from costmodel.systems.estimate import AROUND
from costmodel.technology.technology import Technology


@dataclass(frozen=True)
class Part:
    """A unit, or what stands around the units: cells in um2 by place, memories in um2, flip-flops, slowest path.

    ``path_ps`` is 0 where it was not looked at: of a netlist it is known for the whole alone.
    """

    places: Mapping[str, float]
    memory_area_um2: float
    flip_flops: int
    path_ps: float = 0.0

    @property
    def logic_area_um2(self) -> float:
        """Area of the cells."""
        return sum(self.places.values())

    @property
    def area_um2(self) -> float:
        """Area of cells and memories."""
        return self.logic_area_um2 + self.memory_area_um2


class _Sums:
    """A part that is being added up."""

    def __init__(self) -> None:
        self.places: dict[str, float] = {}
        self.memory = 0.0
        self.flip_flops = 0


def measured(found: Mapped, manifest: Mapping[str, Any]) -> dict[str, Part]:
    """The parts of a synthesized system; ``manifest`` says which module is a unit, and the place of every module.

    Units that are the same module have equal shares of its instances.
    """
    technology, netlists = found.technology, found.netlists
    units: dict[str, list[str]] = {}
    for name, entry in manifest["units"].items():
        units.setdefault(entry["module"], []).append(name)
    sums = {name: _Sums() for name in (*manifest["units"], AROUND)}

    def visit(name: str, times: int, part: str) -> None:
        kinds = Counter(cell["type"] for cell in netlists[name]["cells"].values())
        total, place = sums[part], manifest["modules"][name]["place"]
        total.places.setdefault(place, 0.0)
        for kind, count in kinds.items():
            cell = technology.cells.get(kind)
            if kind in netlists:
                parts = units.get(kind, [part])
                for one in parts:
                    visit(kind, times * count // len(parts), one)
            elif cell is None:
                total.memory += times * count * float(technology.sram.area_um2(*found.memories[kind]))
            else:
                total.places[place] += times * count * cell.area
                total.flip_flops += times * count * (cell.sequential is not None)

    visit(found.top, 1, AROUND)
    return {name: Part(total.places, total.memory, total.flip_flops) for name, total in sums.items()}


def predicted(hardware: Hardware, technology: Technology) -> dict[str, Part]:
    """The same parts as the model has them. Raises ``ParamError`` where the technology was not calibrated."""
    costs = {name: (spec.units(), cost_of(spec, technology)) for name, spec in hardware.units.items()}
    around = Around(hardware)
    costs[AROUND] = around.units(), cost(around, technology)
    return {
        name: Part(_cells(units, technology), float(estimate.macro_area(units, technology)),
                   int(flip_flops(units)), alone(found.path_ps))
        for name, (units, found) in costs.items()
    }  # fmt: skip


def whole(parts: Iterable[Part]) -> Part:
    """All parts together; their places are not kept apart by part."""
    every = list(parts)
    places: dict[str, float] = {}
    for part in every:
        for place, area in part.places.items():
            places[place] = places.get(place, 0.0) + area
    memory = sum(part.memory_area_um2 for part in every)
    slowest = max(part.path_ps for part in every)
    return Part(places, memory, sum(part.flip_flops for part in every), slowest)


def _cells(units: tuple[Unit, ...], technology: Technology) -> dict[str, float]:
    """Cells in um2 by place; the place of memories has none."""
    found = {place: alone(area) for place, area in estimate.cell_areas(units, technology).items()}
    return {place: area for place, area in found.items() if area}
