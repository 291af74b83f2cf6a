"""``ternforge init``."""

from __future__ import annotations

import click

from ternforge.session import Session
from ternforge.shell import Verb, force_option


@click.command("init", cls=Verb)
@click.argument("name")
@click.option("--preset", default="ternary_lut", show_default=True, help="Which example to start from.")
@force_option
@click.pass_obj
def init_(session: Session, name: str, preset: str, force: bool) -> None:
    """Write the starting folder NAME: a design, a workload, a space, and the next commands."""
    from ternforge import api

    answer = api.init(name, preset, force=force)
    files = "  ".join(path.name for path in answer["files"])
    session.answer(answer, [f"created {name}/: {files}", f"next: cd {name} && ternforge check design.yaml"])
