"""``ternforge generate``."""

from __future__ import annotations

from pathlib import Path

import click

from ternforge import choices
from ternforge.session import Session
from ternforge.shell import Verb, force_option, line, set_option


@click.command("generate", cls=Verb)
@click.argument("spec", type=choices.FILE)
@click.option(
    "-o",
    "--out",
    required=True,
    type=choices.FOLDER,
    metavar="DIR",
    help="Folder to write, new, empty or of an earlier run.",
)
@force_option
@set_option
@click.pass_obj
def generate_(session: Session, spec: str, out: str, force: bool, overrides: dict[str, str]) -> None:
    """Write the design in the file SPEC as Verilog, with a manifest and the files other tools need."""
    from ternforge import api

    answer = api.generate(spec, out, overrides, force=force)
    rtl = len(answer["files"])
    lines = [f"wrote {out}: {rtl} Verilog files, top module {answer['top']}, design {answer['design_hash']}"]
    session.answer(answer, [*lines, f"next: {line('ternforge', 'verify', '--rtl', Path(out))}"])
