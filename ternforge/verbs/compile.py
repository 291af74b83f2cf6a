"""``ternforge compile``: a trained checkpoint as programs and memory of a system."""

from __future__ import annotations

from pathlib import Path

from blueprint.systems.description import System
from ternforge import decoding
from ternforge.session import Answer, Note, silent


def compile(
    system: System | str | Path,
    checkpoint: str | Path,
    out: str | Path,
    calibrate: str | Path | None = None,
    *,
    batch: int | None = None,
    force: bool = False,
    note: Note = silent,
) -> Answer:
    """Write the image of a checkpoint on a system to the folder ``out``: memory, programs, their listing.

    Keys, values, queries and results of attention become integers of steps that are measured on the text of the file
    ``calibrate``, or on text that the model draws for itself. Each pass of the programs takes a token of each of
    ``batch`` sequences, 1 where it is left out.
    """
    sequences = 1 if batch is None else batch
    return decoding.compile_system(
        system, checkpoint, out, calibrate, batch=sequences, force=force, note=note
    )
