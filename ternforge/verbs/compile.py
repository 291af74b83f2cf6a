"""``ternforge compile``: a trained checkpoint as programs and memory of a system."""

from __future__ import annotations

from pathlib import Path

import click

from blueprint.systems.description import System
from ternforge import choices, decoding
from ternforge.options import force_option, out_option
from ternforge.session import Answer, Note, Session, silent
from ternforge.shell import Verb


def compile(
    system: System | str | Path,
    checkpoint: str | Path,
    out: str | Path,
    calibrate: str | Path | None = None,
    *,
    force: bool = False,
    note: Note = silent,
) -> Answer:
    """Write the image of a checkpoint on a system to the folder ``out``: memory, programs, their listing.

    Keys, values, queries and results of attention become integers of steps that are measured on the text of the file
    ``calibrate``, or on text that the model draws for itself.
    """
    return decoding.compile_system(system, checkpoint, out, calibrate, force=force, note=note)


@click.command("compile", cls=Verb)
@click.argument("system", type=choices.FILE)
@click.option(
    "--checkpoint", type=choices.FILE, required=True, metavar="DIR|FILE", help="A trained checkpoint."
)
@out_option(choices.FOLDER, "DIR", "Folder of the image, new, empty or of an earlier run.", required=True)
@click.option(
    "--calibrate", type=choices.FILE, metavar="FILE.txt", help="Text to measure steps of integers on."
)
@force_option
@click.pass_obj
def compile_(
    session: Session, system: str, checkpoint: str, out: str, calibrate: str | None, force: bool
) -> None:
    """Write the checkpoint as an image of memory for the system in SYSTEM: weights, constants and programs.

    A listing has a line for every instruction, with its bytes and cycles.
    """
    answer = compile(system, checkpoint, out, calibrate, force=force, note=session.note)
    session.answer(answer, decoding.compile_lines(answer))
