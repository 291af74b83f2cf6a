"""Chains of steps that registers may part: the paths between them."""

from __future__ import annotations

from collections.abc import Iterator

from blueprint.numbers import Number
from blueprint.unit import Path, Unit


def runs(
    names: tuple[str, ...], steps: tuple[tuple[Unit, ...], ...], cuts: tuple[Number, ...], share: Number
) -> Iterator[Path]:
    """Runs of steps between registers, in ``share`` of the designs; ``cuts`` are the steps followed by a register."""
    for first in range(len(steps)):
        for last in range(first, len(steps)):
            present: Number = share
            for cut in range(first, min(last, len(cuts))):
                present = present * (1 - cuts[cut])
            if first > 0:
                present = present * cuts[first - 1]
            if last < len(cuts):
                present = present * cuts[last]
            chosen = [unit for group in steps[first : last + 1] for unit in group]
            yield Path("-".join(names[first : last + 1]), tuple(unit.times(present) for unit in chosen))
