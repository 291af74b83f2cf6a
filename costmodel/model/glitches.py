"""Glitches: what switches more than once because inputs of a unit come at different times.

A glitch is one more toggle of the same nets, so the energy of a unit's glitches is that of its useful toggles times how
many glitches come with one of them. Those are a share that the unit makes by itself (``inside``) and one that grows
with the time until its inputs have come (``late``, in ns), since every pulse that arrives meanwhile passes on: units
behind registers hardly glitch, the last adder of a long path does most. That time is the arrival of the unit's output,
which the paths of the inventory and the delays of the technology say. Two numbers a kind, and not one for every term
of its energy, keep designs larger than those of the fit right. Coefficients stand in the group ``glitches`` of a
technology's model; a technology that was calibrated without has none, and its energies say so (:func:`statement`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from blueprint.numbers import Real
from blueprint.unit import Built, Path, Unit
from costmodel.model import estimate, features
from costmodel.model.estimate import Coefficients, Cost, Term, Walks
from costmodel.technology.technology import Technology

GROUP = "glitches"
#: Terms: useful energy, and useful energy times the time at which a unit settles.
INSIDE, LATE = "inside", "late"

Arrivals = Mapping[tuple[str, str], Real]


def counted(technology: Technology) -> bool:
    """True if the technology was calibrated with glitches."""
    return GROUP in technology.model


def statement(technology: Technology) -> str:
    """A sentence for results that states whether energies include glitches."""
    return "counted" if counted(technology) else "not counted"


def arrivals(designs: Built, technology: Technology) -> Arrivals:
    """Latest settling times of the outputs of units, in ns after the start of their path, by place and kind."""
    return _arrivals(designs.paths(), estimate.walked(designs, technology))


def _arrivals(paths: Sequence[Path], walks: Walks) -> Arrivals:
    found: dict[tuple[str, str], Real] = {}
    for path, walk in zip(paths, walks, strict=True):
        for unit, reached in zip(path.steps, walk, strict=True):
            key = unit.place, unit.kind
            latest = found.setdefault(key, 0.0)
            if not estimate.absent(unit):
                found[key] = np.maximum(latest, reached / 1e3 * (unit.count > 0))
    return found


def arrival(found: Arrivals, unit: Unit) -> Real:
    """Arrival time at a unit; a unit on no path takes the latest arrival at its place."""
    if (unit.place, unit.kind) in found:
        return found[unit.place, unit.kind]
    latest: Real = 0.0
    for (place, _), value in found.items():
        if place == unit.place:
            latest = np.maximum(latest, value)
    return latest


def terms(unit: Unit, late: Real, useful: Real) -> dict[str, Real]:
    """Values of the terms of one operation of one instance that settles ``late`` ns after the clock and whose useful
    toggles cost ``useful`` pJ."""
    return {INSIDE: useful, LATE: useful * late}


def useful(unit: Unit, energy: Coefficients) -> Real:
    """Energy in pJ of the useful toggles of one operation of one instance, without clock pins.

    ``energy`` is that law of the technology (:func:`costmodel.model.estimate.law`).
    """
    known = estimate.coefficients(energy, unit)
    table = features.ENERGY[unit.kind]
    once: Real = 0.0
    for name, term in table.items():
        if name not in features.CLOCKED:
            once = once + known.get(name, 0.0) * term(unit.dims)
    return once


def cost(designs: Built, technology: Technology) -> Cost:
    """:func:`costmodel.model.estimate.cost` with glitches, where the technology has them."""
    walks = estimate.walked(designs, technology)
    found = estimate.cost(designs, technology, walks)
    glitches: Real = sum(energies(designs, technology, walks).values())
    return found._replace(switching_pj=found.switching_pj + glitches, glitch_pj=glitches)


def energies(designs: Built, technology: Technology, walks: Walks | None = None) -> dict[str, Real]:
    """Energy of glitches in pJ a cycle of full throughput by place; nothing where they were not calibrated.

    ``walks`` are those of the designs' paths, where they are known (:func:`costmodel.model.estimate.walked`).
    """
    places: dict[str, Real] = {unit.place: 0.0 for unit in designs.units()} if counted(technology) else {}
    for unit, found in _unit_terms(designs, technology, walks):
        once = sum(term.coefficient * term.value for term in found)
        places[unit.place] = places[unit.place] + unit.count * unit.activity * once
    return places


def energy_terms(designs: Built, technology: Technology) -> Iterator[Term]:
    """The energy of :func:`energies`, term by term."""
    for _, found in _unit_terms(designs, technology):
        yield from found


def _unit_terms(
    designs: Built, technology: Technology, walks: Walks | None = None
) -> Iterator[tuple[Unit, list[Term]]]:
    """The terms of every unit of the inventory; nothing where glitches were not calibrated."""
    if not counted(technology):
        return
    law, energy = estimate.group(technology, GROUP)["value"], estimate.law(technology, "energy")
    walks = estimate.walked(designs, technology) if walks is None else walks
    late = _arrivals(designs.paths(), walks)
    for unit in designs.units():
        known = estimate.coefficients(law, unit)
        if estimate.absent(unit) or not any(known.values()):
            continue
        settled = arrival(late, unit) if known.get(LATE) else 0.0
        values = terms(unit, settled, useful(unit, energy))
        times = unit.count * unit.activity
        yield unit, [Term(unit, name, times, known.get(name, 0.0), value) for name, value in values.items()]
