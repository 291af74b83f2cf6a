"""``ternforge export``: a design as a folder that another flow takes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import click

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from ternforge import choices
from ternforge.inputs import DesignLike, read_design
from ternforge.options import force_option, out_option, set_option
from ternforge.session import Answer, Session
from ternforge.shell import Verb
from ternforge.verbs.generate import generate

#: Flows that take the generated folder as it is, and how.
FLOWS = {
    "files": "read the files named in {out}/files.f, in that order",
    "fusesoc": "fusesoc --cores-root {out} run --target=lint {top}",
    "yosys": "cd {out} && yosys -s synth.ys  # with Yosys on PATH",
}


def export(
    design: DesignLike,
    flow: str,
    out: str | Path | None = None,
    overrides: Mapping[str, str] | None = None,
    *,
    force: bool = False,
) -> Answer:
    """Write a folder (``<design>_<flow>`` where ``out`` names no other) that another flow takes; ``next`` says how."""
    if flow not in FLOWS:
        hint = suggestion(flow, FLOWS)
        raise ParamError(f"Flow must be one of {', '.join(FLOWS)} in this version, not {flow!r}{hint}")
    chosen = read_design(design, overrides)
    answer = generate(chosen, out or f"{chosen.name}_{flow}", force=force)
    return {
        **answer,
        "flow": flow,
        "next": FLOWS[flow].format(out=shlex.quote(str(answer["folder"])), top=answer["top"]),
    }


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
    answer = export(spec, flow, out, overrides, force=force)
    session.answer(
        answer, [f"wrote {answer['folder']}: top module {answer['top']}", f"next: {answer['next']}"]
    )
