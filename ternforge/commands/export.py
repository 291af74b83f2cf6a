"""``ternforge export``."""

from __future__ import annotations

import click

from ternforge.session import Session
from ternforge.shell import Verb, set_option


@click.command("export", cls=Verb)
@click.argument("spec")
@click.option("--flow", required=True, help="files, fusesoc or yosys.")
@click.option("--out", required=True, metavar="DIR", help="Folder to write, new, empty or of an earlier run.")
@set_option
@click.pass_obj
def export_(session: Session, spec: str, flow: str, out: str, overrides: dict[str, str]) -> None:
    """Hand the design in SPEC over to another flow as a folder that the flow takes unchanged."""
    from ternforge import api

    answer = api.export(spec, flow, out, overrides)
    session.answer(answer, [f"wrote {out}: top module {answer['top']}", f"next: {answer['next']}"])
