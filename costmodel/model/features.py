"""Terms that the cost of a unit grows with (:class:`blueprint.unit.Kind`), a table for each group of coefficients."""

from __future__ import annotations

from collections.abc import Mapping

from blueprint.numbers import Real
from blueprint.unit import CLOCK, GATE, KINDS, OVERLAPPING, Terms, Unit

__all__ = [
    "AREA", "CLOCK", "CLOCKED", "DELAY", "ENERGY", "GATE", "OVERLAPPING", "occurrences", "rough_gates", "terms"
]  # fmt: skip

#: Terms of area, of the energy of one operation, and of the delay of a step, by kind.
AREA: Mapping[str, Terms] = {name: kind.area for name, kind in KINDS.items()}
ENERGY: Mapping[str, Terms] = {
    name: kind.area if kind.energy is None else kind.energy for name, kind in KINDS.items()
}
DELAY: Mapping[str, Terms] = {name: kind.delay for name, kind in KINDS.items()}


#: Terms of energy that are of clock pins; data do not matter to them.
CLOCKED = (CLOCK, GATE)


def occurrences(unit: Unit, name: str, gated: bool) -> tuple[Real, Real]:
    """How many times an energy term counts in every cycle, and how many more times in one of full throughput.

    ``gated`` says that registers with an enable have clock gates: their clock pins switch when they are written.
    """
    busy = unit.count * unit.activity
    if name == GATE:
        return unit.count * gated, 0.0
    if name == CLOCK:
        behind = unit.dims["enable"] * gated
        return unit.count * (1 - behind), busy * behind
    return 0.0, busy


def terms(unit: Unit, table: Mapping[str, Terms] = AREA) -> dict[str, Real]:
    """Values of the terms of a unit, summed over its instances."""
    return {name: unit.count * term(unit.dims) for name, term in table[unit.kind].items()}


def rough_gates(unit: Unit) -> Real:
    """Rough size of a unit in two-input gates, within a factor of two."""
    gates = KINDS[unit.kind].gates
    return sum(gates[name] * value for name, value in terms(unit).items() if name in gates)
