"""A study as a self-contained page: question, search, result, accuracy."""

from __future__ import annotations

import base64
from pathlib import Path

from costmodel.model import quantity
from dse import embedded, page, plot
from dse.figure import varied
from dse.study import Study
from toolchain import files


def write(study: Study, path: str | Path | None = None) -> Path:
    """Write the report, ``report.html`` of the study by default. Works for a study without a feasible point too."""
    path = Path(path) if path is not None else study.folder / "report.html"
    return files.write(path, html(study))


def html(study: Study) -> str:
    """The page's text: everything in one file, which needs no network, and can be read without its script too."""
    some = len(study.front) > 0
    rows, columns = list(study.rows(embedded.thinned(study))), _columns(study)
    data = embedded.of_study(study)
    known = study.space.subject.metrics(study.space.clock is not None)
    return page.render(
        "report.html",
        data,
        study=study,
        space=study.space,
        metrics={name: known[name] for name in study.metrics if name in known},
        axes=[(sub.family, sub.axes) for sub in study.space.subspaces],
        rows=rows,
        columns=columns,
        shown=quantity.headings(rows, columns),
        label=quantity.label,
        text=quantity.metric_text,
        memory=study.space.subject.memory,
        provenance=study.facts["provenance"],
        model=study.space.subject.assumptions,
        picture=base64.b64encode(plot.render(study, "png")).decode() if some else "",
        counts=data["counts"],
        importance=data["importance"],
        history=data["history"],
        fidelity=study.ladder.summary(),
        one=study.space.subject.one,
    )


def _columns(study: Study) -> list[str]:
    """Columns of the front's table: objectives, parameters that differ, the other metrics, and where these are from."""
    goals = list(study.space.objectives)
    others = [name for name in study.metrics if name not in goals]
    families = ["family"] if len(study.space.subspaces) > 1 else []
    return ["id", *families, *goals, *varied(study), *others, "level"]
