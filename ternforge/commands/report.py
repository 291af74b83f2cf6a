"""``ternforge report``."""

from __future__ import annotations

import click

from ternforge.session import Session
from ternforge.shell import Verb


@click.command("report", cls=Verb)
@click.argument("study")
@click.option("-o", "--out", metavar="FILE.html", help="Page to write; without it report.html in the study.")
@click.pass_obj
def report_(session: Session, study: str, out: str | None) -> None:
    """Write the folder STUDY as one self-contained HTML page."""
    from ternforge import api

    answer = api.report(study, out)
    session.answer(answer, [f"wrote {answer['file']}"])
