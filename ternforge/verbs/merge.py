"""``ternforge merge``: the shards of a search, put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from dse import merge as merging
from dse.progress import Progress, Silent, for_stream
from ternforge import choices, folder
from ternforge.options import out_option
from ternforge.session import Answer, Session
from ternforge.shell import Verb
from ternforge.study import check
from ternforge.verbs.explore import TABLES, front_lines


def merge(
    studies: Sequence[str | Path],
    out: str | Path,
    *,
    partial: bool = False,
    progress: Progress | None = None,
) -> Answer:
    """Put the studies of a search's shards together in a new folder; returns the summary of the whole study.

    It is the study that one machine would have made, and goes on as that would. ``partial`` merges what is there where
    shards are missing or unfinished; exploring then evaluates the rest.
    """
    for study in studies:
        check(study)
    folder.check_out(out)
    with folder.updated(out, TABLES, "merge"):
        with merging.merge(studies, out, partial=partial, progress=progress) as whole:
            return whole.summary()


@click.command("merge", cls=Verb)
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True, type=choices.FOLDER)
@out_option(choices.FOLDER, "STUDY", "Folder of the whole study, new or empty.", required=True)
@click.option("--partial", is_flag=True, help="Merge what is there where shards are missing or unfinished.")
@click.pass_obj
def merge_(session: Session, studies: tuple[str, ...], out: str, partial: bool) -> int:
    """Put the shards in the folders STUDY... together, as one machine would have explored them.

    Each is the folder of one `ternforge explore --shard I/N`. Exit code 1 where no design is feasible.
    """
    shown = Silent() if session.quiet else for_stream()
    answer = merge(list(studies), out, partial=partial, progress=shown)
    session.answer(answer, front_lines(answer, out))
    return 0 if answer["front"] else 1
