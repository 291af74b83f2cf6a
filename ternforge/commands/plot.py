"""``ternforge plot`` on the command line."""

from __future__ import annotations

import click

from ternforge import choices
from ternforge.options import force_option, out_option, study_argument
from ternforge.session import Session
from ternforge.shell import Verb


@click.command("plot", cls=Verb)
@study_argument
@out_option(
    choices.FOLDER,
    "DIR|FILE",
    "Folder for the figures, or one file that ends in .png, .svg, .pdf or .html; without it the study's folder.",
)
@force_option
@click.pass_obj
def plot_(session: Session, study: str, out: str | None, force: bool) -> None:
    """Draw the Pareto front of the folder STUDY (PNG, SVG, PDF, an interactive page), or a system's block diagram."""
    from ternforge.verbs import plot as verb

    answer = verb.plot(study, out, force=force)
    session.answer(answer, [f"wrote {path}" for path in answer["files"]])
