"""Searching a design space, and what comes out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ternforge.inputs import Answer

if TYPE_CHECKING:
    from dse.progress import Progress


def explore(
    space: str | Path,
    out: str | Path,
    *,
    method: str | None = None,
    budget: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Answer:
    """Search a space, or go on with a study that was interrupted; returns the study's summary."""
    from dse import explore as search
    from dse.store import is_study
    from ternforge import checking, folder

    checking.check(space, {})  # the technology too, before a folder is made
    if not is_study(Path(out)):
        folder.check_out(out)
    wishes: Answer = {
        "method": method,
        "budget": budget,
        "seed": seed,
        "workers": workers,
        "progress": progress,
    }
    with search.explore(space, out, **wishes) as study:
        return study.summary()


def apply(study: str | Path, point: str, out: str | Path) -> Answer:
    """Write a point of a study as a design file; ``point`` may be ``knee``."""
    from blueprint.design import design_content, design_text
    from blueprint.errors import ParamError
    from dse.study import open_study
    from ternforge.folder import check_file
    from toolchain import files

    with open_study(study) as found:
        name = found.knee if point == "knee" else point
        if name is None:
            raise ParamError(f"Study must have a feasible point to take its knee, and {study} has none")
        design = found.design(name)
    path = check_file(out, (".yaml", ".yml"))
    files.write(path, design_text(design))
    return {"point": name, "file": path, "design": design_content(design)}


def plot(study: str | Path, out: str | Path | None = None) -> Answer:
    """Draw a study's Pareto front into its folder, or into ``out``: PNG, SVG and an interactive page."""
    from dse import interactive
    from dse import plot as figures
    from dse.study import open_study

    with open_study(study) as found:
        files = figures.draw(found, out)
        return {"files": [*files, interactive.write(found, out and Path(out) / "pareto.html")]}


def report(study: str | Path, out: str | Path | None = None) -> Answer:
    """Write a study as one self-contained HTML page, ``report.html`` of the study where ``out`` names no other."""
    from dse import report as reports
    from dse.study import open_study
    from ternforge.folder import check_file

    path = None if out is None else check_file(out, (".html", ".htm"))
    with open_study(study) as found:
        return {"file": reports.write(found, path)}
