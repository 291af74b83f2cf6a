"""What is built of stated parts."""

from __future__ import annotations

from dataclasses import dataclass

from blueprint.unit import Path, Unit


@dataclass(frozen=True)
class Parts:
    """An inventory and paths."""

    ways: tuple[Path, ...] = ()
    inventory: tuple[Unit, ...] = ()

    def units(self) -> tuple[Unit, ...]:
        return self.inventory

    def paths(self) -> tuple[Path, ...]:
        return self.ways
