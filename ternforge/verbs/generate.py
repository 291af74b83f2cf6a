"""``ternforge generate``: a design as Verilog."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from ternforge import choices
from ternforge.folder import output_folder
from ternforge.inputs import DesignLike, read_design
from ternforge.options import force_option, out_option, set_option
from ternforge.session import Answer, Session, line
from ternforge.shell import Verb


def generate(
    design: DesignLike,
    out: str | Path,
    overrides: Mapping[str, str] | None = None,
    *,
    force: bool = False,
) -> Answer:
    """Write a design as Verilog with everything around it; returns the manifest with ``folder``.

    Files of an earlier run in ``out`` are replaced and files of others stay; one in the way is replaced by ``force``.
    """
    chosen = read_design(design, overrides)
    with output_folder(out, "generate", force=force) as draft:
        from generator import export

        manifest = export.write_hardware(chosen.spec, draft, clock_mhz=chosen.clock_mhz)
    return {"folder": Path(out), **manifest}


@click.command("generate", cls=Verb)
@click.argument("spec", type=choices.FILE)
@out_option(choices.FOLDER, "DIR", "Folder to write, new, empty or of an earlier run.", required=True)
@force_option
@set_option
@click.pass_obj
def generate_(session: Session, spec: str, out: str, force: bool, overrides: dict[str, str]) -> None:
    """Write the design in the file SPEC as Verilog, with a manifest and the files other tools need."""
    answer = generate(spec, out, overrides, force=force)
    rtl = len(answer["files"])
    lines = [f"wrote {out}: {rtl} Verilog files, top module {answer['top']}, design {answer['design_hash']}"]
    session.answer(answer, [*lines, f"next: {line('ternforge', 'verify', '--rtl', Path(out))}"])
