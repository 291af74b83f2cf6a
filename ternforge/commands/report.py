"""``ternforge report`` on the command line."""

from __future__ import annotations

import click

from ternforge import choices
from ternforge.options import force_option, out_option, study_argument
from ternforge.session import Session
from ternforge.shell import Verb


@click.command("report", cls=Verb)
@study_argument
@out_option(choices.FILE, "FILE.html", "Page to write; without it report.html in the study.")
@force_option
@click.pass_obj
def report_(session: Session, study: str, out: str | None, force: bool) -> None:
    """Write the folder STUDY as one self-contained HTML page."""
    from ternforge.verbs import report as verb

    answer = verb.report(study, out, force=force)
    session.answer(answer, [f"wrote {answer['file']}"])
