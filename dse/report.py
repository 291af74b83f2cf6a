"""A study as one page that needs nothing else: what was asked, how it was searched, what came out, how sure it is."""

from __future__ import annotations

import base64
from pathlib import Path

from costmodel.model import quantity
from costmodel.model.evaluate import ASSUMPTIONS
from costmodel.model.metrics import METRICS
from costmodel.model.work import memory_text
from dse import interactive, plot
from dse.figure import varied
from dse.study import Study
from toolchain import files


def write(study: Study, path: str | Path | None = None) -> Path:
    """Write the report, ``report.html`` of the study by default. Works for a study without a feasible point too."""
    path = Path(path) if path is not None else study.folder / "report.html"
    return files.write(path, html(study))


def html(study: Study) -> str:
    """The page's text."""
    import jinja2  # one page: nothing else of this room needs it

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dse", "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = quantity.number
    some = len(study.front) > 0
    rows, columns = list(study.rows(study.front)), _columns(study)
    return environment.get_template("report.html").render(
        study=study,
        space=study.space,
        metrics={name: METRICS[name] for name in study.metrics if name in METRICS},
        axes=[(sub.family, sub.axes) for sub in study.space.subspaces],
        rows=rows,
        columns=columns,
        shown=quantity.headings(rows, columns),
        label=quantity.label,
        text=quantity.metric_text,
        memory=memory_text(study.space.dram),
        provenance=study.facts["provenance"],
        model=ASSUMPTIONS,
        picture=base64.b64encode(plot.render(study, "png")).decode() if some else "",
        page=interactive.html(study, full=False) if some else "",
    )


def _columns(study: Study) -> list[str]:
    """What the table of the front shows: the objectives, the parameters that differ, then the other metrics."""
    goals = list(study.space.objectives)
    others = [name for name in study.metrics if name not in goals]
    families = ["family"] if len(study.space.subspaces) > 1 else []
    return ["id", *families, *goals, *varied(study), *others]
