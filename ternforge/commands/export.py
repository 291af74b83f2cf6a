"""``ternforge export`` on the command line."""

from __future__ import annotations

import click

from ternforge import choices
from ternforge.options import force_option, out_option, set_option
from ternforge.session import Session
from ternforge.shell import Verb
from ternforge.words import FLOWS


@click.command("export", cls=Verb)
@click.argument("spec", type=choices.FILE)
@click.option("--flow", required=True, type=choices.Named(lambda: FLOWS), help="What takes the folder.")
@out_option(choices.FOLDER, "DIR", "Folder to write; without it <design>_<flow>.")
@force_option
@set_option
@click.pass_obj
def export_(
    session: Session, spec: str, flow: str, out: str | None, force: bool, overrides: dict[str, str]
) -> None:
    """Hand the design in SPEC over to another flow as a folder that the flow takes unchanged."""
    from ternforge.verbs import export as verb

    answer = verb.export(spec, flow, out, overrides, force=force)
    session.answer(
        answer, [f"wrote {answer['folder']}: top module {answer['top']}", f"next: {answer['next']}"]
    )
