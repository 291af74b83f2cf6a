"""``ternforge report``."""

from __future__ import annotations

import click

from ternforge import choices
from ternforge.session import Session
from ternforge.shell import Verb, force_option


@click.command("report", cls=Verb)
@click.argument("study", type=choices.FOLDER)
@click.option(
    "-o",
    "--out",
    type=choices.FILE,
    metavar="FILE.html",
    help="Page to write; without it report.html in the study.",
)
@force_option
@click.pass_obj
def report_(session: Session, study: str, out: str | None, force: bool) -> None:
    """Write the folder STUDY as one self-contained HTML page."""
    from ternforge import api

    answer = api.report(study, out, force=force)
    session.answer(answer, [f"wrote {answer['file']}"])
