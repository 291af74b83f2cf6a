"""The public functions: each verb of the command line is one of these, and a script calls them the same way.

A design is given as a file, a :class:`blueprint.files.design.Design` or a spec; a workload as a
file, a :class:`blueprint.workloads.workload.Workload` or a ``Gemm``. Results are dictionaries with the keys of the
``--json`` answers.
Bad input raises ``SpecError`` (a file), ``ParamError`` or ``TypeError`` (a value) before anything is written.
The rooms are imported inside the functions, so that no verb waits for another's libraries.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ternforge.arguments import checked
from ternforge.inputs import Answer, Note, read_design, read_technology, read_workload, silent
from ternforge.library import (
    model,
    model_import,
    models,
    technologies,
    technology,
    technology_calibrate,
    technology_import,
    technology_validate,
)
from ternforge.proof import verify
from ternforge.runs import simulate
from ternforge.studies import apply, explore, plot, report
from ternforge.views import estimate, export, generate, synth

__all__ = [
    "apply",
    "check",
    "doctor",
    "estimate",
    "explore",
    "export",
    "generate",
    "init",
    "model",
    "model_import",
    "models",
    "plot",
    "read_design",
    "read_technology",
    "read_workload",
    "report",
    "simulate",
    "synth",
    "technologies",
    "technology",
    "technology_calibrate",
    "technology_import",
    "technology_validate",
    "verify",
]


@checked
def doctor(note: Note = silent) -> Answer:
    """Whether every tool really works; ``ok`` is false where one does not. ``note`` hears what is being checked."""
    from ternforge.rooms import HOME, ROOMS
    from toolchain import doctor as examiner

    place = f"{', '.join(ROOMS)} are those of {HOME}"
    checks = [examiner.Check("Packages", ok=True, detail=place, seconds=0.0), *examiner.examine(note)]
    return {"ok": all(check.ok for check in checks), "checks": checks}


@checked
def init(folder: str | Path, preset: str = "ternary_lut", *, force: bool = False) -> Answer:
    """Write a starting folder: a design, a space, a workload, a README with the next commands."""
    from ternforge import starter

    return {"folder": Path(folder), "preset": preset, "files": starter.write(folder, preset, force=force)}


@checked
def check(path: str | Path, overrides: Mapping[str, str] | None = None) -> Answer:
    """Validate any file of ours by its ``schema``; ``resolved`` is its content with every default filled in."""
    from ternforge import checking

    return checking.check(path, overrides or {})
