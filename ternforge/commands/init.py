"""``ternforge init`` on the command line."""

from __future__ import annotations

from pathlib import Path

import click

from ternforge import choices
from ternforge.options import force_option
from ternforge.session import Session, line
from ternforge.shell import Verb
from ternforge.verbs import init as verb


@click.command("init", cls=Verb)
@click.argument("name", type=choices.FOLDER)
@click.option(
    "--preset",
    type=choices.Named(verb.presets),
    default=verb.default_preset(),
    show_default=True,
    help="Which example to start from.",
)
@force_option
@click.pass_obj
def init_(session: Session, name: str, preset: str, force: bool) -> None:
    """Write the starting folder NAME: a design, a workload, a space, or a system, and the next commands."""
    answer = verb.init(name, preset, force=force)
    files = "  ".join(path.name for path in answer["files"])
    following = f"{line('cd', Path(name))} && ternforge check {verb.files_of(answer['preset'])[0]}"
    session.answer(answer, [f"created {name}/: {files}", f"next: {following}"])
