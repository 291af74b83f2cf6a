"""``ternforge init``."""

from __future__ import annotations

from pathlib import Path

import click

from ternforge import choices, starter
from ternforge.session import Session
from ternforge.shell import Verb, force_option, line


@click.command("init", cls=Verb)
@click.argument("name", type=choices.FOLDER)
@click.option(
    "--preset",
    type=choices.Named(choices.presets),
    default=starter.default_preset(),
    show_default=True,
    help="Which example to start from.",
)
@force_option
@click.pass_obj
def init_(session: Session, name: str, preset: str, force: bool) -> None:
    """Write the starting folder NAME: a design, a workload, a space, and the next commands."""
    from ternforge import api

    answer = api.init(name, preset, force=force)
    files = "  ".join(path.name for path in answer["files"])
    following = f"{line('cd', Path(name))} && ternforge check design.yaml"
    session.answer(answer, [f"created {name}/: {files}", f"next: {following}"])
