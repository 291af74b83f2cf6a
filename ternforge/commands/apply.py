"""``ternforge apply``."""

from __future__ import annotations

from pathlib import Path

import click

from ternforge import choices
from ternforge.session import Session
from ternforge.shell import Verb, force_option, line


@click.command("apply", cls=Verb)
@click.argument("study", type=choices.FOLDER)
@click.argument("point", type=choices.Point())
@click.option("-o", "--out", required=True, type=choices.FILE, metavar="SPEC", help="Design file to write.")
@force_option
@click.pass_obj
def apply_(session: Session, study: str, point: str, out: str, force: bool) -> None:
    """Write the design POINT (an id, or `knee`) of the folder STUDY as a file."""
    from ternforge import api

    answer = api.apply(study, point, out, force=force)
    parameters = ", ".join(f"{key} {value}" for key, value in answer["design"]["parameters"].items())
    following = line("ternforge", "generate", Path(out), "--out", "rtl")
    if answer["infeasible"]:
        session.note(f"Point {answer['point']} is infeasible in this study: {answer['infeasible']}")
    session.answer(answer, [f"wrote {out}: {answer['point']}, {parameters}", f"next: {following}"])
