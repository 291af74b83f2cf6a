"""``ternforge generate`` on the command line."""

from __future__ import annotations

from pathlib import Path

import click

from ternforge import choices
from ternforge.options import force_option, out_option, set_option
from ternforge.session import Session, line
from ternforge.shell import Verb


@click.command("generate", cls=Verb)
@click.argument("spec", type=choices.FILE)
@out_option(choices.FOLDER, "DIR", "Folder to write, new, empty or of an earlier run.", required=True)
@force_option
@set_option
@click.pass_obj
def generate_(session: Session, spec: str, out: str, force: bool, overrides: dict[str, str]) -> None:
    """Write the design or the whole system in the file SPEC as Verilog, with a manifest and what other tools need."""
    from ternforge.verbs import generate as verb

    answer = verb.generate(spec, out, overrides, force=force, note=session.note)
    rtl = len(answer["files"])
    lines = [f"wrote {out}: {rtl} Verilog files, top module {answer['top']}, design {answer['design_hash']}"]
    if "masters" not in answer:
        lines.append(f"next: {line('ternforge', 'verify', '--rtl', Path(out))}")
    session.answer(answer, lines)
