"""Area, clock and energy of inventories and paths in a technology, for one design or for arrays of designs.

Cost of a unit = count x sum of coefficient x term (`costmodel.model.features`); the coefficients of a technology were
fitted to synthesis and gate-level switching (`costmodel.calibration`) and stand in its file with their errors. Areas
are cell areas; delays and energies include wires where the fitted netlists had them, by the technology's recipe. Where
wires depend on the area of a block, so do delays (`costmodel.model.wires`).

A run costs clock energy in every cycle it lasts, those of waiting included, switching and clock pins behind clock gates
with the work it does, and leakage over all its time (:meth:`Cost.energy`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from blueprint.errors import ParamError
from blueprint.numbers import Real, Truths, Whole
from blueprint.unit import REGISTER, SRAM, SRAM_1RW, Built, Path, Unit
from costmodel.model import features, wires
from costmodel.technology.macros import SINGLE, TWO
from costmodel.technology.technology import Technology
from costmodel.words import GATED

#: Coefficients by place, kind and term; the place `any` serves places that calibration did not meet.
Coefficients = Mapping[str, Mapping[str, Mapping[str, float]]]
ANY = "any"
START = "start"
#: Kinds of units that are memories, and their ports.
MEMORIES = {SRAM.name: TWO, SRAM_1RW.name: SINGLE}
#: Approximate time of a calibration of all families on two cores: 82 designs of about 20 processor seconds each.
CALIBRATION_MINUTES = 15


#: Energy in pJ of a power of 1 nW over 1 s.
PJ_PER_NW_S = 1e3
#: Name of the energy term of an access of a memory, and of clock pins behind a clock gate that is open.
ACCESSES, OPENED = "accesses", "clock, open"


#: Delays in ps to the output of each step, path by path.
Walks = Sequence[Sequence[Real]]


class Term(NamedTuple):
    """A term of an estimate: ``times`` x ``coefficient`` x ``value``, of the unit's term ``name``."""

    unit: Unit
    name: str
    times: Real
    coefficient: Real
    value: Real | Truths

    @property
    def amount(self) -> Real:
        """The contribution of the term."""
        return self.times * self.coefficient * self.value


class Busy(NamedTuple):
    """Cycles of full throughput that a run is worth: those in which registers take operands, and those of its work."""

    clocked: Real
    switched: Real


class Cost(NamedTuple):
    """Cost of one design, or of arrays of designs.

    Area by place in um2, slowest path in ps, energy in pJ of any cycle (clock pins) and what full throughput adds,
    leakage in nW. ``glitch_pj`` is the part of ``switching_pj`` that glitches are, ``gated_pj`` the one that clock pins
    behind clock gates are.
    """

    areas: Mapping[str, Real]
    path_ps: Real
    clock_pj: Real
    switching_pj: Real
    leakage_nw: Real
    glitch_pj: Real = 0.0
    gated_pj: Real = 0.0

    @property
    def area_um2(self) -> Real:
        """Area of all places."""
        return sum(self.areas.values())

    @property
    def gated(self) -> bool:
        """True if some clock pins are behind clock gates."""
        return not (isinstance(self.gated_pj, int | float) and self.gated_pj == 0)

    @property
    def clock_mhz(self) -> Real:
        """The fastest clock."""
        return 1e6 / self.path_ps

    def energy_parts(self, cycles: Real, busy: Busy, seconds: Real) -> dict[str, Real]:
        """Energy of a run in pJ by cause.

        ``cycles`` are all that the clock runs, waiting included, ``busy`` those that the work would take at full
        throughput, ``seconds`` the whole time.
        """
        return {
            "clock": self.clock_pj * cycles + self.gated_pj * busy.clocked,
            "switching": (self.switching_pj - self.gated_pj) * busy.switched,
            "leakage": self.leakage_nw * seconds * PJ_PER_NW_S,
        }

    def energy(self, cycles: Real, busy: Busy, seconds: Real) -> Real:
        """Energy of a run in pJ, see :meth:`energy_parts`."""
        return sum(self.energy_parts(cycles, busy, seconds).values())


def cost(designs: Built, technology: Technology, walks: Walks | None = None) -> Cost:
    """Cost of one design, or of many (:meth:`blueprint.spec.Spec.columns`). Raises `ParamError` as :func:`area`.

    ``walks`` are those of the designs' paths, where they are known.
    """
    units = designs.units()
    walks = walked(designs, technology) if walks is None else walks
    areas = area(units, technology)
    cells = sum(areas.values()) - macro_area(units, technology)
    return Cost(
        areas,
        _longest(walks, technology),
        *energy_parts(units, technology),
        leakage_per_um2(technology) * cells + macro_leakage(units, technology),
        gated_pj=sum(gated_by_place(units, technology).values()),
    )


def area(units: Sequence[Unit], technology: Technology) -> dict[str, Real]:
    """Cell area by place in um2; memory macros stand under their own place.

    `ParamError` where the technology was not calibrated.
    """
    found = law(technology, "area")
    places: dict[str, Real] = {}
    for unit in units:
        total = places.setdefault(unit.place, 0.0)
        if absent(unit):
            continue
        if unit.kind in MEMORIES:
            total = total + unit.count * technology.sram.area_um2(*memory_shape(unit))
        for name, value in coefficients(found, unit).items():
            if value:
                total = total + unit.count * value * features.AREA[unit.kind][name](unit.dims)
        places[unit.place] = total
    return places


def macro_area(units: Sequence[Unit], technology: Technology) -> Real:
    """Area of the memories alone in um2."""
    total: Real = 0.0
    for unit in memories(units):
        total = total + unit.count * technology.sram.area_um2(*memory_shape(unit))
    return total


def macro_leakage(units: Sequence[Unit], technology: Technology) -> Real:
    """Leakage of the memories alone in nW."""
    total: Real = 0.0
    for unit in memories(units):
        total = total + unit.count * technology.sram.leakage_nw(*memory_shape(unit))
    return total


def absent(unit: Unit) -> bool:
    """True if no design has the unit, so that it adds nothing to any sum."""
    return not np.any(unit.count)


def memories(units: Sequence[Unit]) -> list[Unit]:
    """The lines of an inventory that describe memories."""
    return [unit for unit in units if unit.kind in MEMORIES]


def memory_shape(unit: Unit) -> tuple[Whole, Whole, str]:
    """The requirements of a memory: words, width and ports."""
    return unit.dims["words"], unit.dims["width"], MEMORIES[unit.kind]


def energy_parts(units: Sequence[Unit], technology: Technology) -> tuple[Real, Real]:
    """Energy in pJ of any cycle (clock pins), and what full throughput adds: typical data, and memory accesses.

    :meth:`Cost.energy` makes the energy of a run of them.
    """
    energies = energies_by_place(units, technology)
    return sum(clocks for clocks, _ in energies.values()), sum(moved for _, moved in energies.values())


def energies_by_place(units: Sequence[Unit], technology: Technology) -> dict[str, tuple[Real, Real]]:
    """The two parts of :func:`energy_parts` by place."""
    places: dict[str, tuple[Real, Real]] = {unit.place: (0.0, 0.0) for unit in units}
    for term in energy_terms(units, technology):
        clocks, moved = places[term.unit.place]
        always = term.name in features.CLOCKED
        places[term.unit.place] = (clocks + term.amount, moved) if always else (clocks, moved + term.amount)
    return places


def gated(technology: Technology) -> bool:
    """True if the coefficients are of netlists with clock gates."""
    return technology.recipe == GATED


def gated_by_place(units: Sequence[Unit], technology: Technology) -> dict[str, Real]:
    """The part of what full throughput adds that clock pins behind clock gates are, by place, in pJ."""
    registers = [unit for unit in units if unit.kind == REGISTER.name] if gated(technology) else []
    places: dict[str, Real] = {}
    for term in energy_terms(registers, technology):
        if term.name == OPENED:
            places[term.unit.place] = places.get(term.unit.place, 0.0) + term.amount
    return places


def energy_terms(units: Sequence[Unit], technology: Technology) -> Iterator[Term]:
    """Energy in pJ of a cycle of full throughput, term by term, without leakage and glitches.

    Terms called as in :data:`costmodel.model.features.CLOCKED` are those of any cycle; those of clock pins behind clock
    gates are called :data:`OPENED`.
    """
    found, gates = law(technology, "energy"), gated(technology)
    for unit in units:
        if absent(unit):
            continue
        times = unit.count * unit.activity
        if unit.kind in MEMORIES:
            yield Term(unit, ACCESSES, times, access_pj(unit, technology), 1.0)
        for name, value in coefficients(found, unit).items():
            always, busy = features.occurrences(unit, name, gates)
            size = features.ENERGY[unit.kind][name](unit.dims)
            if value and name in features.CLOCKED:
                yield Term(unit, name, always, value, size)
            if value and np.any(busy):
                yield Term(unit, OPENED if name == features.CLOCK else name, busy, value, size)


def access_pj(unit: Unit, technology: Technology) -> Real:
    """Energy of a memory in a cycle of full throughput in pJ: a read and a write, or one of the two at one port."""
    sram, shape = technology.sram, memory_shape(unit)
    both = sram.read_pj(*shape) + sram.write_pj(*shape)
    return both if MEMORIES[unit.kind] == TWO else both / 2


def leakage_per_um2(technology: Technology) -> float:
    """Mean leakage of the technology's synthesized designs in nW per um2 of cells."""
    return float(group(technology, "leakage")["value"])


def leakage(units: Sequence[Unit], technology: Technology) -> Real:
    """Leakage of all cells and memories in nW."""
    cells = sum(cell_areas(units, technology).values())
    return leakage_per_um2(technology) * cells + macro_leakage(units, technology)


def cell_areas(units: Sequence[Unit], technology: Technology) -> dict[str, Real]:
    """Area by place in um2 without memory macros."""
    return area(tuple(unit for unit in units if unit.kind not in MEMORIES), technology)


def delay(designs: Built, technology: Technology) -> Real:
    """Slowest register-to-register path in ps of one design, or of many."""
    return _longest(walked(designs, technology), technology)


def _longest(walks: Walks, technology: Technology) -> Real:
    """Slowest register-to-register path in ps."""
    start = float(group(technology, "delay")[START])
    longest: Real = start
    for walk in walks:
        longest = np.maximum(longest, start + (walk[-1] if walk else 0.0))
    return longest


def steps(path: Path, technology: Technology, wiring: Real = 1.0) -> Real:
    """Delay of a path's steps in ps, without clock-to-output and setup; ``wiring`` is that of the design."""
    walk = tuple(_reached(path, technology, law(technology, "delay"), wiring))
    return walk[-1] if walk else 0.0


def wiring(designs: Built, technology: Technology) -> Real:
    """How many times as long steps take in designs of their area, memories excepted."""
    if wires.WIRES not in technology.model.get("delay", {}):
        return 1.0
    return wires.factor(technology, sum(cell_areas(designs.units(), technology).values()))


def walked(designs: Built, technology: Technology) -> list[tuple[Real, ...]]:
    """Delays in ps from the start of each path to the output of each of its steps, without clock-to-output."""
    found, longer = law(technology, "delay"), wiring(designs, technology)
    return [tuple(_reached(path, technology, found, longer)) for path in designs.paths()]


def _reached(path: Path, technology: Technology, found: Coefficients, longer: Real) -> Iterator[Real]:
    """Delay in ps from the start of a path to the output of each of its steps, which take ``longer`` times as long."""
    overlapping, term = features.OVERLAPPING
    along = found.get(ANY, {}).get(overlapping, {}).get(term, 0.0) * longer
    total: Real = 0.0
    ripple: Real = 0
    for unit in path.steps:
        if absent(unit):
            yield total + ripple * along
            continue
        if unit.kind in MEMORIES:
            total = total + unit.count * technology.sram.access_ps(*memory_shape(unit))
        if unit.kind == overlapping:
            ripple = np.maximum(ripple, (unit.count > 0) * unit.dims[term])
        for name, value in coefficients(found, unit).items():
            if value and (unit.kind, name) != features.OVERLAPPING:
                total = total + unit.count * features.DELAY[unit.kind][name](unit.dims) * (value * longer)
        yield total + ripple * along


def group(technology: Technology, name: str) -> Mapping[str, Any]:
    """One group of the technology's model. `ParamError` where the technology was not calibrated."""
    found: Mapping[str, Any] = technology.model.get(name, {})
    if "value" not in found or (name == "delay" and START not in found):
        raise ParamError(
            f"Technology {technology.name} must be calibrated before its {name} is estimated; {_calibrate(technology)}"
        )
    return found


def uncalibrated(technology: Technology) -> str:
    """Why a technology predicts nothing, in one clause with the command that mends it; empty where it predicts."""
    missing = [name for name in _TABLES if name not in technology.model]
    return f"{technology.name} is not calibrated; {_calibrate(technology)}" if missing else ""


def _calibrate(technology: Technology) -> str:
    what = technology.path or technology.name
    return f"run ternforge tech calibrate {what} (about {CALIBRATION_MINUTES} minutes on two cores)"


#: The terms that each group of a technology's model has coefficients of.
_TABLES = {"area": features.AREA, "energy": features.ENERGY, "delay": features.DELAY}


def law(technology: Technology, name: str) -> Coefficients:
    """The coefficients of one group. `ParamError` where there are none, or of terms that are no longer known."""
    found: Coefficients = group(technology, name)["value"]
    for kinds in found.values():
        for kind, terms in kinds.items():
            unknown = [term for term in terms if term not in _TABLES[name].get(kind, {})]
            if unknown:
                raise ParamError(
                    f"Technology {technology.name} must be calibrated by this version, not by one whose {name} has "
                    f"{unknown[0]!r} of {kind}; {_calibrate(technology)}"
                )
    return found


def coefficients(found: Coefficients, unit: Unit) -> Mapping[str, float]:
    """Coefficients by term of a unit at its place, else at any place."""
    return place_coefficients(found, unit.place, unit.kind)


def place_coefficients(found: Coefficients, place: str, kind: str) -> Mapping[str, float]:
    """Coefficients by term of a kind at a place, else at any place."""
    kinds = found.get(place)
    if kinds is None or kind not in kinds:
        kinds = found.get(ANY, {})
    return kinds.get(kind, {})


def cycle_energies(units: Sequence[Unit], technology: Technology, seconds: float) -> dict[str, Real]:
    """Energy in pJ of one cycle of full throughput that lasts ``seconds``, leakage included, by place."""
    leaks = leakage_by_place(units, technology)
    parts = energies_by_place(units, technology)
    return {
        place: clock + moved + seconds * PJ_PER_NW_S * leaks.get(place, 0.0)
        for place, (clock, moved) in parts.items()
    }


def leakage_by_place(units: Sequence[Unit], technology: Technology) -> dict[str, Real]:
    """Leakage in nW by place, memories under their own."""
    rate = leakage_per_um2(technology)
    found: dict[str, Real] = {place: rate * area for place, area in cell_areas(units, technology).items()}
    for unit in memories(units):
        found[unit.place] = found.get(unit.place, 0.0) + macro_leakage((unit,), technology)
    return found
