"""Sideband of the beats of a ternary-LUT core."""

from __future__ import annotations

from blueprint.families.ternary_lut.parameters import TernaryLutParameters
from blueprint.record import Record, bits


def sideband(p: TernaryLutParameters, *, read: bool = False) -> Record:
    """Sideband of a beat: first and last tile of its sums, end of the run, column group.

    Where a run has a single result its last tile ends it. Once the accumulator is ``read`` the first tile is known.
    """
    return Record(
        (
            bits("first", 1, there=0 if read else p.accumulates),
            bits("emit", 1, there=p.accumulates),
            bits("final", 1, there=1 - p.single_result),
            bits("column", p.address_width),
        )
    )
