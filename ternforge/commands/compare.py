"""``ternforge compare`` on the command line."""

from __future__ import annotations

import click

from ternforge import choices
from ternforge.options import force_option, out_option
from ternforge.session import Session
from ternforge.shell import Verb


@click.command("compare", cls=Verb)
@click.argument("studies", type=choices.FOLDER, nargs=-1, required=True)
@out_option(choices.FILE, "FILE", "Page or picture of all fronts: .html, .png, .svg or .pdf.")
@force_option
@click.pass_obj
def compare_(session: Session, studies: tuple[str, ...], out: str | None, force: bool) -> int:
    """Compare the fronts of the folders STUDIES: of families, technologies or versions.

    Exit code 1 where none of them has a feasible design.
    """
    from ternforge.verbs import compare as verb

    answer = verb.compare(list(studies), out, force=force)
    session.answer(answer, verb.lines(answer))
    return 0 if answer["joint_front"] else 1
