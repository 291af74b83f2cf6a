"""``ternforge merge`` on the command line."""

from __future__ import annotations

import click

from dse.progress import Silent, for_stream
from ternforge import choices
from ternforge.options import out_option
from ternforge.session import Session
from ternforge.shell import Verb


@click.command("merge", cls=Verb)
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True, type=choices.FOLDER)
@out_option(choices.FOLDER, "STUDY", "Folder of the whole study, new or empty.", required=True)
@click.option("--partial", is_flag=True, help="Merge what is there where shards are missing or unfinished.")
@click.pass_obj
def merge_(session: Session, studies: tuple[str, ...], out: str, partial: bool) -> int:
    """Put the shards in the folders STUDY... together, as one machine would have explored them.

    Each is the folder of one `ternforge explore --shard I/N`. Exit code 1 where no design is feasible.
    """
    from ternforge.verbs import merge as verb
    from ternforge.verbs.explore import front_lines

    shown = Silent() if session.quiet else for_stream()
    answer = verb.merge(list(studies), out, partial=partial, progress=shown)
    session.answer(answer, front_lines(answer, out))
    return 0 if answer["front"] else 1
