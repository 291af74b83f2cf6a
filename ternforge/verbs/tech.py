"""``ternforge tech``: technologies that come with the package, and those that are imported and calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.files import schemas
from blueprint.files.names import NAME_RULE, is_name
from costmodel.groundtruth import recipe as recipes
from costmodel.technology import importing
from costmodel.technology import technology as files
from costmodel.words import CALIBRATED, VALIDATED
from ternforge.folder import YAML, check_file, output_file
from ternforge.session import Answer, Note, silent, table


def technologies() -> Answer:
    """The technologies that come with the package."""
    return {"technologies": [_summary(files.load(name)) for name in files.names()]}


def technology(name: str | Path) -> Answer:
    """One technology's facts in short."""
    return _summary(files.load(name))


def technology_import(
    liberty: Sequence[str | Path], name: str, out: str | Path, note: Note = silent, *, force: bool = False
) -> Answer:
    """Make a technology file of Liberty files; `ternforge tech calibrate` fits its cost model afterwards.

    Raises ``ParamError`` for a bad name and ``SpecError`` for a bad Liberty file.
    """
    if not is_name(name):
        raise ParamError(f"Technology name must be {NAME_RULE}, not {name!r}")
    with output_file(out, YAML, "tech", schema=schemas.TECHNOLOGY, force=force) as draft:
        note(f"reading {len(liberty)} Liberty file{'s' if len(liberty) > 1 else ''}")
        importing.import_library(liberty, name, draft)
    return {"file": Path(out), **_summary(files.load(Path(out)))}


def technology_calibrate(
    name: str | Path,
    out: str | Path | None = None,
    note: Note = silent,
    *,
    recipe: str | None = None,
    designs: int | Mapping[str, int] | None = None,
    only: str | None = None,
    force: bool = False,
) -> Answer:
    """Fit the cost model of a technology to synthesis and write it, to its own file where ``out`` is not given.

    ``recipe`` is how designs are synthesized, by default that of the file, and what every later prediction is of.
    ``designs`` are designs of every family, or numbers by family; by default as many as each says.
    ``only`` is ``area``, ``delay`` or ``energy``: the file keeps the other parts of its model.
    Takes minutes; when interrupted, the same call goes on. ``errors`` are those of the fit, by quantity.
    ``ParamError`` for an unknown recipe, family or part, for numbers out of range, and for a part of a technology that
    was not calibrated.
    """
    from costmodel.calibration import calibration
    from generator import export

    for number in designs.values() if isinstance(designs, Mapping) else () if designs is None else (designs,):
        _check_count("designs", number, CALIBRATED)
    facts = files.load(name)
    path = check_file(out if out is not None else facts.path, YAML, schema=schemas.TECHNOLOGY, force=force)
    chosen = recipes.choose(recipe, None, None, facts)
    fitted = calibration.calibrate(
        facts, export.write_hardware, designs=designs, note=note, recipe=chosen, only=only
    )
    with output_file(path, YAML, "tech", schema=schemas.TECHNOLOGY, force=force) as draft:
        calibration.write(fitted, draft)
    errors = {key: group["error"] for key, group in fitted.model.items() if "error" in group}
    return {"file": path, "name": facts.name, "recipe": chosen, "errors": errors}


def technology_validate(
    name: str | Path,
    designs: int,
    seed: int,
    note: Note = silent,
    *,
    large: int = 0,
    out: str | Path | None = None,
    force: bool = False,
) -> Answer:
    """Predictions against synthesis on random designs that calibration did not see, logic apart from memories.

    ``judged`` has the errors of area, clock, energy and memories beside their bounds, ``worst`` the five worst designs
    of each; ``ok`` is false where one misses its bounds or a flip-flop is missed. ``designs`` and ``large`` (of more
    than 100,000 gates) are designs of every family. When interrupted, the same call goes on. ``out`` is a technology
    file to write in which these errors are the bands of every result.
    """
    from costmodel.calibration import calibration, validation
    from generator import export

    _check_count("designs", designs, VALIDATED)
    _check_count("large", large, (0, VALIDATED[1]))
    facts = files.load(name)
    path = None if out is None else check_file(out, YAML, schema=schemas.TECHNOLOGY, force=force)
    found = validation.validate(
        facts, export.write_hardware, designs=designs, large=large, seed=seed, note=note
    )
    if path is not None:
        with output_file(path, YAML, "tech", schema=schemas.TECHNOLOGY, force=force) as draft:
            calibration.write(validation.recorded(facts, found), draft)
    return {
        "technology": found.technology,
        "seed": seed,
        "date": found.date,
        "recipe": found.recipe,
        "designs": [_compared(row) for row in found.rows],
        "judged": found.judged(),
        "worst": {
            quantity: [row.spec.name for row in found.worst(quantity=quantity)]
            for quantity in validation.BOUNDS
        },
        "ok": found.ok,
        "mean_error": found.mean_error,
        "worst_error": found.worst_error,
        "file": path,
    }


def _check_count(what: str, given: int, limits: tuple[int, int]) -> None:
    """Raise ``ParamError`` for a number of designs that nobody may ask for."""
    if not limits[0] <= given <= limits[1]:
        raise ParamError(f"{what} must be from {limits[0]} to {limits[1]}, not {given}")


def _compared(row: Any) -> Answer:
    return {
        "design": row.spec.name,
        "predicted_um2": row.predicted_um2,
        "measured_um2": row.measured_um2,
        "error": row.error,
        "flip_flops": row.measured_flip_flops,
        "predicted_flip_flops": row.predicted_flip_flops,
        "critical_path_ps": row.measured_ps,
        "predicted_critical_path_ps": row.predicted_ps,
        "delay_error": row.delay_error,
        "energy_pj": row.measured_pj,
        "predicted_energy_pj": row.predicted_pj,
        "energy_error": row.energy_error,
        "macro_area_um2": row.measured_macro_um2,
        "memory_error": row.memory_error,
    }


def _summary(facts: files.Technology) -> Answer:
    """Corner, sources, roles and calibration of a technology."""
    return {
        "name": facts.name,
        "corner": facts.corner,
        "cells": facts.cell_text.count("\ncell ") + facts.cell_text.startswith("cell "),
        "source": facts.cell_source,
        "files": [{"file": file, "sha256": digest} for file, digest in facts.sources],
        "notes": facts.notes,
        "calibrated": bool(facts.model),
    }


def validation_lines(answer: Answer) -> list[str]:
    rows = [_validation_row(entry) for entry in answer["designs"]]
    by_name = {row[0]: row for row in rows}
    lines = [*table(rows, _HEADER), "", f"{answer['date']}, seed {answer['seed']}, recipe {answer['recipe']}"]
    for quantity, item in answer["judged"].items():
        kept = "kept" if item["ok"] else "FAIL"
        lines.append(
            f"{quantity}: mean error {100 * item['mean']:.1f} % (at most {100 * item['mean_bound']:g} %), "
            f"worst {100 * item['worst']:.1f} % (at most {100 * item['worst_bound']:g} %): {kept}"
        )
    for quantity in ("area", "clock", "energy"):
        lines += [f"worst five by {quantity}:"]
        lines += [f"  {line}" for line in table([by_name[name] for name in answer["worst"][quantity]])]
    return [*lines, *([f"wrote {answer['file']}"] if answer["file"] else [])]


_HEADER = (
    "design",
    "um2 predicted",
    "synthesized",
    "error",
    "flip-flops",
    "ps",
    "error",
    "pJ",
    "error",
    "memories um2",
)


def _validation_row(entry: Answer) -> list[Any]:
    errors = (f"{100 * entry[key]:+.1f} %" for key in ("error", "delay_error", "energy_error"))
    area, delay, energy = errors
    return [
        *(entry[key] for key in ("design", "predicted_um2", "measured_um2")),
        *(area, entry["flip_flops"], entry["critical_path_ps"], delay, entry["energy_pj"], energy),
        entry["macro_area_um2"],
    ]
