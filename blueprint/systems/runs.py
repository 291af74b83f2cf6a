"""The work and the cycles of a run of a unit, given the values of the unit's registers."""

from __future__ import annotations

from collections.abc import Mapping

from blueprint.systems.control import Hardware
from blueprint.systems.starved import Starved
from blueprint.workloads.tasks import Attention, Gemm, Task


class Runs:
    """Cycles and tasks of the runs of units, by the values of their registers."""

    def __init__(self, hardware: Hardware) -> None:
        self.hardware, self._starved = hardware, Starved(hardware)
        self._numbers = {
            unit: {
                size.name: next(r.address // 4 for r in spec.registers() if r.name == size.name)
                for size in spec.sizes
            }
            for unit, spec in hardware.units.items()
        }
        self._known: dict[tuple[object, ...], int] = {}
        self.tasks: list[tuple[str, Task]] = []

    def task(self, unit: str, registers: Mapping[int, int]) -> Task:
        """Task that a run computes."""
        kind = self.hardware.units[unit].task
        sizes = {name: registers.get(number, 0) for name, number in self._numbers[unit].items()}
        if kind is Gemm:
            return Gemm(1, sizes["k"], sizes["n"])
        if kind is Attention:
            spec = self.hardware.units[unit]
            lanes = next(
                staged.elements for staged in self.hardware.inputs if staged.name == f"{unit}.query.query"
            )
            heads = sizes["passes"] * lanes // spec.head_dim
            mask = "causal" if spec.masked else "none"
            return Attention(1, sizes["keys"], heads, 1, spec.head_dim, mask)
        return self._starved.rows(unit, registers)

    def __call__(self, unit: str, registers: Mapping[int, int]) -> int:
        """Cycles of a run."""
        key = (unit, *(registers.get(number, 0) for number in self._numbers[unit].values()))
        if key not in self._known:
            self._known[key] = self.hardware.units[unit].cycles(self.task(unit, registers))
        return self._known[key]
