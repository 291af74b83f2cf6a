"""A study as one page that needs nothing else: what was asked, how it was searched, what came out, how sure it is."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from dse import interactive, plot
from dse.evaluate import __doc__ as _MODEL
from dse.figure import varied
from dse.metrics import METRICS
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
    environment.filters["number"] = number
    some = len(study.front) > 0
    return environment.get_template("report.html").render(
        study=study,
        space=study.space,
        metrics={name: METRICS[name] for name in study.metrics if name in METRICS},
        axes=[(sub.family, sub.axes) for sub in study.space.subspaces],
        rows=list(study.rows(study.front)),
        columns=_columns(study),
        provenance=study.facts["provenance"],
        model=(_MODEL or "").split("\n\n", 1)[1],
        picture=base64.b64encode(plot.render(study, "png")).decode() if some else "",
        page=interactive.html(study, full=False) if some else "",
    )


def number(value: Any) -> str:
    """A number as a table shows it: five significant digits, thousands apart."""
    if isinstance(value, bool) or value is None:
        return "-" if value is None else str(value).lower()
    if isinstance(value, float):
        return f"{value:.4e}" if value and not 1e-3 <= abs(value) < 1e9 else f"{float(f'{value:.5g}'):,.5g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _columns(study: Study) -> list[str]:
    """What the table of the front shows: the objectives, the parameters that differ, then the other metrics."""
    goals = list(study.space.objectives)
    others = [name for name in study.metrics if name not in goals]
    families = ["family"] if len(study.space.subspaces) > 1 else []
    return ["id", *families, *goals, *varied(study), *others]
