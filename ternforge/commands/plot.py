"""``ternforge plot``."""

from __future__ import annotations

import click

from ternforge import choices
from ternforge.session import Session
from ternforge.shell import Verb, force_option


@click.command("plot", cls=Verb)
@click.argument("study", type=choices.FOLDER)
@click.option(
    "-o",
    "--out",
    type=choices.FOLDER,
    metavar="DIR",
    help="Folder for the figures; without it the study's own.",
)
@force_option
@click.pass_obj
def plot_(session: Session, study: str, out: str | None, force: bool) -> None:
    """Draw the Pareto front of the folder STUDY: PNG, SVG and an interactive page."""
    from ternforge import api

    answer = api.plot(study, out, force=force)
    session.answer(answer, [f"wrote {path}" for path in answer["files"]])
