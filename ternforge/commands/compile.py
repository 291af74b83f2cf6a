"""``ternforge compile`` on the command line."""

from __future__ import annotations

import click

from ternforge import choices
from ternforge.options import batch_option, force_option, out_option
from ternforge.session import Session
from ternforge.shell import Verb


@click.command("compile", cls=Verb)
@click.argument("system", type=choices.FILE)
@click.option(
    "--checkpoint", type=choices.FILE, required=True, metavar="DIR|FILE", help="A trained checkpoint."
)
@out_option(choices.FOLDER, "DIR", "Folder of the image, new, empty or of an earlier run.", required=True)
@click.option(
    "--calibrate", type=choices.FILE, metavar="FILE.txt", help="Text to measure steps of integers on."
)
@batch_option
@force_option
@click.pass_obj
def compile_(
    session: Session,
    system: str,
    checkpoint: str,
    out: str,
    calibrate: str | None,
    batch: int | None,
    force: bool,
) -> None:
    """Write the checkpoint as an image of memory for the system in SYSTEM: weights, constants and programs.

    A listing has a line for every instruction, with its bytes and cycles.
    """
    from ternforge import decoding
    from ternforge.verbs import compile as verb

    answer = verb.compile(system, checkpoint, out, calibrate, batch=batch, force=force, note=session.note)
    session.answer(answer, decoding.compile_lines(answer))
