"""``ternforge report``: a study as one page."""

from __future__ import annotations

from pathlib import Path

import click

from dse import report as reports
from ternforge import choices
from ternforge.folder import output_file
from ternforge.options import force_option, out_option, study_argument
from ternforge.session import Answer, Session
from ternforge.shell import Verb
from ternforge.study import opened


def report(study: str | Path, out: str | Path | None = None, *, force: bool = False) -> Answer:
    """Write a study as one self-contained HTML page, ``report.html`` of the study where ``out`` names no other."""
    path = Path(study) / "report.html" if out is None else Path(out)
    with opened(study) as found, output_file(path, (".html", ".htm"), "report", force=force) as draft:
        reports.write(found, draft)
    return {"file": path}


@click.command("report", cls=Verb)
@study_argument
@out_option(choices.FILE, "FILE.html", "Page to write; without it report.html in the study.")
@force_option
@click.pass_obj
def report_(session: Session, study: str, out: str | None, force: bool) -> None:
    """Write the folder STUDY as one self-contained HTML page."""
    answer = report(study, out, force=force)
    session.answer(answer, [f"wrote {answer['file']}"])
