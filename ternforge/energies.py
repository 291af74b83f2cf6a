"""Energy of what a system did, in pJ, with the coefficients of ``estimate``: by unit, and by purpose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from blueprint.numbers import alone
from blueprint.systems.control import Hardware
from blueprint.systems.description import System
from costmodel.model.estimate import Busy
from costmodel.systems.estimate import AROUND, BUFFERED, MEMORY
from ternforge.session import Answer


class Energies:
    """Coefficients of the units of a system at its clock. Raises ``ParamError`` for an unknown technology."""

    def __init__(
        self, system: System, clock_mhz: float, hardware: Hardware, technology: str | Path | None
    ) -> None:
        from costmodel.systems import estimate as costs
        from ternforge import decoders

        self._facts = decoders.technology_of(system, system, technology)
        found = costs.costs(system, self._facts)
        self._clock_hz = clock_mhz * 1e6
        self._names = {role.name: system.places[role.work] for role in hardware.roles}
        self._costs = {unit: found.units[name] for unit, name in self._names.items()}
        self._peaks = {unit: int(hardware.units[unit].peak_macs) for unit in self._names}
        self._pj_per_byte = 8.0 * system.memory.energy_pj_per_bit
        self._beside, self._width = found, system.memory.width

    def total(
        self, cycles: int, macs: Mapping[str, int], moved: int, through: Mapping[str, int], tokens: int
    ) -> Answer:
        """Energy of ``tokens`` tokens in ``cycles`` cycles: by unit, of buffers, around the units, and of memory.

        Memory moves ``moved`` bytes, of which ``through`` pass each buffer.
        """
        found: dict[str, float] = {}
        for unit, name in self._names.items():
            work = macs.get(unit, 0) / self._peaks[unit]
            found[name] = alone(self._costs[unit].energy(cycles, Busy(work, work), cycles / self._clock_hz))
        found |= self._around(cycles, moved) | self._buffers(cycles, through)
        found[MEMORY] = self._pj_per_byte * moved
        return {
            "technology": self._facts.name,
            "energy_pj": found,
            "energy_pj_per_token": sum(found.values()) / tokens,
        }

    def work(self, macs: Mapping[str, int], moved: int) -> dict[str, float]:
        """Energy of multiply-accumulates by unit, and of ``moved`` bytes of memory, in pJ.

        That of a unit is switching, and clock pins behind clock gates.
        """
        found = {
            name: sum(self._part(unit, 0, macs[unit]).values())
            for unit, name in self._names.items()
            if macs.get(unit)
        }
        return found | ({MEMORY: self._pj_per_byte * moved, **self._around(0, moved)} if moved else {})

    def rest(self, cycles: int, through: Mapping[str, int]) -> dict[str, float]:
        """Energy of clocks and leakage, which every cycle costs, and of what passes the buffers, in pJ."""
        parts = {name: self._part(unit, cycles, 0) for unit, name in self._names.items()}
        found = {name: part["clock"] + part["leakage"] for name, part in parts.items()}
        return found | self._around(cycles, 0) | self._buffers(cycles, through)

    def _around(self, cycles: int, moved: int) -> dict[str, float]:
        around = self._beside.around
        if around is None:
            return {}
        return {AROUND: around.energy(cycles, 8 * moved / self._width, cycles / self._clock_hz)}

    def _buffers(self, cycles: int, through: Mapping[str, int]) -> dict[str, float]:
        seconds = cycles / self._clock_hz
        return {BUFFERED: self._beside.buffered(seconds, through)}

    def _part(self, unit: str, cycles: int, macs: int) -> dict[str, float]:
        work = macs / self._peaks[unit]
        found = self._costs[unit].energy_parts(cycles, Busy(work, work), cycles / self._clock_hz)
        return {name: alone(value) for name, value in found.items()}
