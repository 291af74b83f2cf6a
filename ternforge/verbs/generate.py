"""``ternforge generate``: a design as Verilog."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from blueprint.errors import ParamError
from blueprint.systems import control
from blueprint.systems.description import System
from blueprint.systems.reader import read_system
from ternforge.decoders import is_system
from ternforge.folder import output_folder
from ternforge.inputs import DesignLike, read_design
from ternforge.session import Answer, Note, paced, silent

#: The text of progress.
_MADE = "made {} of {} % of the Verilog"


def generate(
    design: DesignLike | System,
    out: str | Path,
    overrides: Mapping[str, str] | None = None,
    *,
    force: bool = False,
    note: Note = silent,
) -> Answer:
    """Write a design as Verilog with everything around it; returns the manifest with ``folder``.

    Files of an earlier run in ``out`` are replaced and files of others stay; one in the way is replaced by ``force``.
    A system (a file of schema ``ternforge/system/v1``) becomes one top module with all units.
    """
    if isinstance(design, System) or (isinstance(design, (str, Path)) and is_system(design)):
        return _system(design, out, overrides, force, note)
    chosen = read_design(design, overrides)
    with output_folder(out, "generate", force=force) as draft:
        from generator import export

        manifest = export.write_hardware(
            chosen.spec, draft, clock_mhz=chosen.clock_mhz, told=paced(note, _MADE)
        )
    return {"folder": Path(out), **manifest}


def _system(
    file: System | str | Path, out: str | Path, overrides: Mapping[str, str] | None, force: bool, note: Note
) -> Answer:
    """A whole system as Verilog."""
    if overrides:
        raise ParamError("Parameters must be set in the file of a system, not by --set")
    system = file if isinstance(file, System) else read_system(file)
    hardware = control.hardware(system)
    with output_folder(out, "generate", force=force) as draft:
        from generator import system_export as export

        manifest = export.write_system(hardware, draft, clock_mhz=system.clock_mhz, told=paced(note, _MADE))
    return {"folder": Path(out), **manifest}
