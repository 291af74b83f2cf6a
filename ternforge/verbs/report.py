"""``ternforge report``: a study as one page."""

from __future__ import annotations

from pathlib import Path

from dse import report as reports
from ternforge.folder import output_file
from ternforge.session import Answer
from ternforge.study import opened


def report(study: str | Path, out: str | Path | None = None, *, force: bool = False) -> Answer:
    """Write a study as one self-contained HTML page, ``report.html`` of the study where ``out`` names no other."""
    path = Path(study) / "report.html" if out is None else Path(out)
    with opened(study) as found, output_file(path, (".html", ".htm"), "report", force=force) as draft:
        reports.write(found, draft)
    return {"file": path}
