"""Searching a design space, and what comes out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ternforge.arguments import checked
from ternforge.inputs import Answer

if TYPE_CHECKING:
    from dse.progress import Progress


#: What a search writes for other programs to read.
TABLES = ("front.csv", "points.csv")


@checked
def explore(
    space: str | Path,
    out: str | Path,
    *,
    method: str | None = None,
    budget: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> Answer:
    """Search a space, or go on with a study that was interrupted; returns the study's summary.

    Tables in the folder that were changed since they were written are replaced by ``force`` only.
    """
    from dse import explore as search
    from dse.store import is_study
    from ternforge import checking, folder

    checking.check(space, {}, "ternforge/space/v1")  # the technology too, before a folder is made
    if not is_study(Path(out)):
        folder.check_out(out)
    wishes: Answer = {
        "method": method,
        "budget": budget,
        "seed": seed,
        "workers": workers,
        "progress": progress,
    }
    with folder.updated(out, TABLES, "explore", force=force):
        with search.explore(space, out, **wishes) as study:
            return study.summary()


def _check_study(study: str | Path) -> None:
    """Refuse what is no study's folder, and say what it is. Raises ``ParamError``."""
    from blueprint.errors import ParamError
    from blueprint.files import kinds
    from blueprint.files.nearest import nearest
    from dse.store import NAME

    path = Path(study)
    if path.exists() and not any(path.glob("study.*")):
        found = kinds.of_path(path)
        raise ParamError(f"Study must be the folder that `ternforge explore` wrote, not {found}: {path}")
    if not path.exists():
        others = [other.parent.name for other in path.parent.glob(f"*/{NAME}")]
        found = nearest(path.name, others) or ""
        if found:
            raise ParamError(
                f"Study must exist, and there is none: {path}; did you mean {str(path.parent / found)!r}?"
            )


@checked
def apply(study: str | Path, point: str, out: str | Path, *, force: bool = False) -> Answer:
    """Write a point of a study as a design file; ``point`` may be ``knee``."""
    from blueprint.errors import ParamError
    from blueprint.files.design import design_content, design_text
    from dse.study import open_study
    from ternforge.folder import output_file

    _check_study(study)
    with open_study(study) as found:
        name = found.knee if point == "knee" else point
        if name is None:
            raise ParamError(f"Study must have a feasible point to take its knee, and {study} has none")
        name = found.space.point_id(found.space.index_of(name))
        design, row = found.design(name), found.point(name)
    with output_file(out, (".yaml", ".yml"), "apply", force=force) as draft:
        draft.write_text(design_text(design), encoding="utf-8")
    reason = None if row["feasible"] else row["reason"]
    return {"point": name, "file": Path(out), "design": design_content(design), "infeasible": reason}


@checked
def plot(study: str | Path, out: str | Path | None = None, *, force: bool = False) -> Answer:
    """Draw a study's Pareto front into its folder, or into ``out``: PNG, SVG and an interactive page."""
    from dse import interactive
    from dse import plot as figures
    from dse.study import open_study
    from ternforge.folder import output_folder

    _check_study(study)
    folder = Path(study if out is None else out)
    with open_study(study) as found, output_folder(folder, "plot", whole=False, force=force) as draft:
        files = [*figures.draw(found, draft), interactive.write(found, draft / "pareto.html")]
    return {"files": [folder / file.name for file in files]}


@checked
def report(study: str | Path, out: str | Path | None = None, *, force: bool = False) -> Answer:
    """Write a study as one self-contained HTML page, ``report.html`` of the study where ``out`` names no other."""
    from dse import report as reports
    from dse.study import open_study
    from ternforge.folder import output_file

    _check_study(study)
    path = Path(study) / "report.html" if out is None else Path(out)
    with open_study(study) as found, output_file(path, (".html", ".htm"), "report", force=force) as draft:
        reports.write(found, draft)
    return {"file": path}
