"""Makes a technology from Liberty files, for `ternforge tech import`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError, SpecError
from blueprint.files import schemas, tree
from costmodel.technology import facts, liberty, liberty_text, macros, memories, roles, selection, sram_file
from costmodel.technology.liberty import Library, Wires
from costmodel.technology.roles import Roles
from costmodel.technology.sram import Sram
from costmodel.technology.technology import Measured, Technology, load
from toolchain import files

_POINTS = 4
_REFERENCE = "ihp_sg13g2"
_FULL = 99
_NO_DELAYS = "the library holds no delays: every path takes 0 ps, and its clock means nothing"


def _has_delays(cell: liberty.Cell) -> bool:
    """True if any table of delays has a number other than 0."""
    tables = [table for arc in cell.arcs for table in (arc.rise, arc.fall) if table is not None]
    return any(value for table in tables for row in table.values for value in row)


def import_library(paths: Sequence[str | Path], name: str, output: str | Path) -> Path:
    """Write the facts of Liberty files to the technology file `output` and return its path.

    Raises `SpecError` (`file:line: ...`) for a file that is not Liberty or lacks a cell that synthesis needs, and
    `OSError` where `output` cannot be written.
    """
    path = Path(output)
    text = dump(technology(paths, name, points=_POINTS))
    return files.write(path, text)


def technology(paths: Sequence[str | Path], name: str, *, points: int = _FULL) -> Technology:
    """Read a technology from Liberty files: the cells that `selection.useful` keeps, and their drive strengths.

    A delay table has at most `points` x `points` values. Raises `SpecError` as :func:`import_library` does.
    """
    library = liberty.parse(paths)
    memory = macros.read(library.cells.values())
    gates = [cell for cell in library.cells.values() if cell.memory is None]
    chosen = roles.choose(gates)
    _check(library, chosen, str(paths[0]))
    useful = selection.useful(gates, chosen)
    kept, strong = (
        [facts.thin(cell, points) for cell in some] for some in (useful, selection.drives(gates, useful))
    )
    source = f"Liberty {library.name}" + (
        f" and {len(library.sources) - 1} more" * (len(library.sources) > 1)
    )
    corner = _corner(library, source)
    voltage = corner["voltage"].value
    return Technology(
        name,
        library.sources,
        corner,
        chosen,
        memories.of_library(memory, library.cells, chosen, voltage, source, _reference()),
        facts.dump(kept),
        source,
        library.notes + (() if any(map(_has_delays, kept)) else (_NO_DELAYS,)),
        drive_text=facts.dump(strong),
        wires=library.wires,
        wire_source=source if library.wires else "",
    )


def is_made_of(technology: Technology, paths: Sequence[str | Path]) -> bool:
    """True if a technology was imported from exactly these Liberty files, compared by SHA-256."""
    digests = {digest for _, digest in technology.sources}
    return bool(digests) and digests == {liberty_text.digest(path) for path in paths}


def _check(library: Library, chosen: Roles, path: str) -> None:
    """Raise `SpecError` that names the cell if a library lacks one that every design needs."""
    for role, why in (("inverter", "no inverter"), ("buffer", "no buffer, and ABC crashes without one")):
        if role not in chosen.gates:
            raise SpecError(
                f"{path}:1: library {library.name} must have an inverter and a buffer, but has {why}"
            )
    if not {"nand2", "nor2", "and2", "or2"} & set(chosen.gates):
        raise SpecError(f"{path}:1: library {library.name} must have a two-input gate, but has none")
    if not (chosen.flip_flop or chosen.clear_flip_flop or chosen.set_flip_flop):
        raise SpecError(f"{path}:1: library {library.name} must have a rising-edge D flip-flop, but has none")


def _corner(library: Library, source: str) -> dict[str, Measured]:
    values = {"voltage": library.voltage, "temperature": library.temperature, "process": library.process}
    fallback = {"voltage": 1.0, "temperature": 25.0, "process": 1.0}
    units = {"voltage": "V", "temperature": "C", "process": "1"}
    return {
        key: Measured(fallback[key], units[key], "assumed: the library does not state it")
        if value is None
        else Measured(value, units[key], source)
        for key, value in values.items()
    }


def _reference() -> tuple[str, Sram, float] | None:
    """Name, memories and voltage of the technology to scale from: it has real macros of both port kinds."""
    try:
        found = load(_REFERENCE)
    except (ParamError, SpecError):  # while its own file is being written
        return None
    return found.name, found.sram, found.voltage


def dump(technology: Technology) -> str:
    """The text of a technology file."""
    head: dict[str, Any] = {
        "schema": schemas.TECHNOLOGY,
        "name": technology.name,
        "files": [{"file": file, "sha256": digest} for file, digest in technology.sources],
        "corner": {key: asdict(item) for key, item in technology.corner.items()},
        "notes": list(technology.notes),
        "roles": {"source": technology.cell_source, **_role_facts(technology.roles)},
        "sram": sram_file.plain(technology.sram),
    }
    if technology.model:
        head["model"] = _plain(technology.model)
    if technology.wires:
        head["wires"] = _wire_facts(technology.wires, technology.wire_source)
    text = tree.dump(head, width=150, leaves_in_line=True)
    lines = "".join(f"    {line}\n" for line in technology.cell_text.splitlines())
    source = json.dumps(technology.cell_source)
    note = "# um2, fF, ps, pJ, nW; costmodel/technology/facts.py explains the lines"
    drives = "".join(f"    {line}\n" for line in technology.drive_text.splitlines())
    strengths = f"  drives: |\n{drives}" if drives else ""
    return f"{text}cells:  {note}\n  source: {source}\n  table: |\n{lines}{strengths}"


def _wire_facts(wires: Wires, source: str) -> dict[str, Any]:
    """Wire-load models: fF and kohm per unit of length, length by fan-out, and the selection by area in um2."""
    loads = [
        {
            "name": load.name,
            "capacitance": load.capacitance,
            "resistance": load.resistance,
            "slope": load.slope,
            "fanouts": [fanout for fanout, _ in load.lengths],
            "lengths": [length for _, length in load.lengths],
        }
        for load in wires.loads
    ]
    areas = [{"from": low, "to": high, "load": name} for low, high, name in wires.by_area]
    return {"source": source, "default": wires.default, "loads": loads, "by_area": areas}


def _role_facts(chosen: Roles) -> dict[str, Any]:
    found: dict[str, Any] = {"gates": dict(chosen.gates)}
    for key in (
        "full_adder",
        "half_adder",
        "flip_flop",
        "enable_flip_flop",
        "clear_flip_flop",
        "set_flip_flop",
        "latch",
    ):
        role = getattr(chosen, key)
        if role is not None:
            found[key] = {name: value for name, value in asdict(role).items() if value is not None}
            ties = found[key].pop("ties", ())
            if ties:
                found[key]["ties"] = dict(ties)
    if chosen.clock_gate:
        found["clock_gate"] = chosen.clock_gate
    for key in ("tie_high", "tie_low"):
        tie = getattr(chosen, key)
        if tie is not None:
            found[key] = {"cell": tie[0], "pin": tie[1]}
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value
