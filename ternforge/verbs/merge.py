"""``ternforge merge``: the shards of a search, put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dse import merge as merging
from dse.progress import Progress
from dse.store import is_study
from ternforge import folder
from ternforge.session import Answer
from ternforge.study import check
from ternforge.verbs.explore import TABLES


def merge(
    studies: Sequence[str | Path],
    out: str | Path,
    *,
    partial: bool = False,
    progress: Progress | None = None,
) -> Answer:
    """Put the studies of a search's shards together in a new folder; returns the summary of the whole study.

    The result is the study that one machine would have made, and can be continued like it. ``partial`` merges what is
    there where shards are missing or unfinished; exploring then evaluates the rest.
    """
    for study in studies:
        check(study)
    if not is_study(Path(out)):  # a merge that failed leaves a lock
        folder.check_out(out)
    with folder.updated(out, TABLES, "merge"):
        with merging.merge(studies, out, partial=partial, progress=progress) as whole:
            return whole.summary()
