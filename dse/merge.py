"""Shards of a search put together: the study that one machine would have made of it, bit for bit."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from blueprint.spec import Spec
from dse import search, store
from dse import shard as shards
from dse.batch import Batch, drawn, empty, join, reunite
from dse.explore import Tally
from dse.fidelity.promotion import Promotion
from dse.problem import Problem
from dse.progress import Progress, Silent
from dse.resume import differences
from dse.shard import Shard
from dse.space import Indices
from dse.store import StudyError
from dse.study import Study, open_study
from toolchain import files

#: Open files of a study that is read, and of everything else.
_FILES_EACH, _FILES_ELSE = 4, 256
#: A part of a batch: its header and content.
_Part = tuple[dict[str, Any], Batch]
#: Missing shards that a message names.
_SHOWN = 12


def merge(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    partial: bool = False,
    points_csv: bool | None = None,
    progress: Progress | None = None,
    families: Mapping[str, type[Spec]] | None = None,
) -> Study:
    """The study of a whole search, in the folder ``out``, from those of its shards.

    It is equal to that of one machine in every row and table, and goes on as that would. ``partial`` merges what is
    there where shards are missing or unfinished; ``explore`` then evaluates the rest, so that the same designs are
    there, in another order. Raises ``StudyError`` where the studies are not the shards of one search, each once, whole
    and undamaged, and ``ParamError`` where none is given. Nothing is left in ``out`` by a merge that fails.
    """
    if not folders:
        raise ParamError("Studies to merge must be the shards of a search, and none is given")
    _allow_files(len(folders))
    with ExitStack() as stack:
        parts = [stack.enter_context(open_study(folder, families=families)) for folder in folders]
        numbered = _numbered(parts)
        _present(numbered, parts[0], partial and parts[0].keeps_all)
        return _merged(_Parts(parts[0], numbered), Path(out), partial, points_csv, progress or Silent())


def _allow_files(count: int) -> None:
    """Raise the soft limit on open files, so that many shards can be read side by side."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count * _FILES_EACH + _FILES_ELSE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _numbered(parts: Sequence[Study]) -> dict[int, Study]:
    """The studies by the numbers of their shards. Raises ``StudyError`` where they are not parts of one search."""
    found: dict[int, Study] = {}
    first = parts[0]
    for part in parts:
        if part.shard is None:
            raise StudyError(
                f"{part.folder}: study to merge must be a shard (`ternforge explore --shard`), not a whole search"
            )
        assert first.shard is not None
        if part.shard.count != first.shard.count:
            raise StudyError(
                f"{part.folder}: shard must be one of {first.shard.count}, as {first.folder} is, not {part.shard}"
            )
        if changed := differences(first.facts, part.facts):
            raise StudyError(
                f"{part.folder}: shard must be of the same search as {first.folder}, and it differs in "
                f"{', '.join(changed)}"
            )
        if part.shard.number in found:
            raise StudyError(
                f"{part.folder}: shard must be given once, and {found[part.shard.number].folder} is {part.shard} too"
            )
        found[part.shard.number] = part
    return found


def _present(numbered: Mapping[int, Study], first: Study, partial: bool) -> None:
    """Raise ``StudyError`` where a shard is missing or unfinished, and all are to be there."""
    assert first.shard is not None
    count = first.shard.count
    remedy = (
        "--partial merges what is there" if first.keeps_all else "as a sample is kept, it is merged whole"
    )
    missing = [str(Shard(number, count)) for number in range(1, count + 1) if number not in numbered]
    if missing and not partial:
        named = ", ".join(missing[:_SHOWN]) + (
            f" and {len(missing) - _SHOWN} more" if missing[_SHOWN:] else ""
        )
        raise StudyError(
            f"Shards must all be there, and {len(missing)} of {count} are not: {named}; {remedy}"
        )
    for part in numbered.values():
        if not part.complete and not partial:
            done = f"{part.evaluated:,} of {shards.planned(part.space, part.shard):,} designs"
            raise StudyError(
                f"{part.folder}: shard must be finished, and {part.shard} has {done}; the command that began it "
                f"goes on; {remedy}"
            )


class _Parts:
    """The batches of a search, out of the units of its shards."""

    def __init__(self, first: Study, numbered: Mapping[int, Study]) -> None:
        assert first.shard is not None
        self.first, self.count = first, first.shard.count
        self._numbered = numbered
        self._units = {number: part.encoded() for number, part in numbered.items()}
        self.problem = Problem(first.space, {}, first.metrics)

    def batches(self) -> Iterator[tuple[list[_Part], bool]]:
        """The parts of each batch that are there, and whether these are all."""
        size = shards.unit_size(self.first.space, self.count)
        for cut in shards.cut(search.asked(self.problem), size, self.count):
            found = [part for number, indices in cut for part in self._next(number, indices)]
            yield found, len(found) == len(cut)
        for number, units in self._units.items():
            if next(units, None) is not None:
                raise self._others(number)

    def front(self) -> Batch:
        """The front of all, out of those of the shards."""
        fronts = [part.analytic_front for part in self._numbered.values()]
        return self.problem.front(join([empty(self.problem.metrics), *fronts]))

    def promotions(self) -> list[Promotion]:
        """The promotions of all; a design is in one shard, and so are those of it."""
        return [each for part in self._numbered.values() for each in part.ladder.promotions]

    def _next(self, number: int, indices: Indices) -> list[_Part]:
        """The next part of a shard, which must hold these designs or a sample; nothing where it is not there."""
        header, batch = next(self._units[number], (None, None)) if number in self._units else (None, None)
        if header is None or batch is None:
            return []
        share = self.first.space.share
        kept = indices if share >= 1 else indices[drawn(indices, share)]
        if header["points"] != len(indices) or not np.array_equal(batch.indices, kept):
            raise self._others(number)
        return [(header, batch)]

    def _others(self, number: int) -> StudyError:
        folder = self._numbered[number].folder
        return StudyError(
            f"{folder}: shard must hold the designs of shard {number}/{self.count}, and it holds others"
        )


def _merged(parts: _Parts, out: Path, partial: bool, points_csv: bool | None, progress: Progress) -> Study:
    """Write the study as a draft, and move it to its place once it is whole."""
    first = parts.first
    facts = {key: value for key, value in first.facts.items() if key not in ("shard", "start", "format")}
    _make(out)
    with closing(store.lock(out)):
        if (out / store.NAME).exists():
            raise StudyError(f"{out}: study to make must be new, and there is one; merge into another folder")
        files.sweep(out)
        tally = Tally(parts.problem, progress)
        try:
            with files.draft(out, ".study-") as draft:
                with closing(store.create(draft, facts)) as kept:
                    _fill(kept, parts, facts, partial, tally)
                files.flush(draft)
                os.replace(draft / store.NAME, out / store.NAME)
        finally:
            progress.stop()
        try:
            files.write(out / "space.yaml", first.space.text)
            study = Study(out, store.load(out), first.space, first.metrics)
            study.write_tables(points=points_csv)
        except BaseException:  # a disk without room for the tables: the same command starts again
            for left in (*out.glob(f"{store.NAME}*"), out / "space.yaml"):
                left.unlink(missing_ok=True)
            raise
    return study


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StudyError(f"{out}: study folder must be writable, and it is not: {problem.strerror}") from None


def _fill(kept: store.Store, parts: _Parts, facts: Mapping[str, Any], partial: bool, tally: Tally) -> None:
    """Append every batch; say in the facts what a partial merge lacks."""
    tally.progress.start(search.planned(parts.problem.space), 0)
    sequence, whole = 0, True
    for found, complete in parts.batches():
        whole &= complete
        if not found:
            continue
        header, payload = reunite(found)
        kept.append(sequence, header, payload)
        sequence += 1
        points = sum(facts_["points"] for facts_, _ in found)
        excluded = sum(sum(facts_["counts"].values()) for facts_, _ in found)
        tally.add(points, points - excluded, empty(parts.problem.metrics))
        tally.report()
    if not whole and not partial:
        raise StudyError(
            f"{parts.first.folder}: shards must hold every design of their search, and some are missing"
        )
    if not whole:
        kept.amend({**facts, "start": sequence, "partial": True}, None)
    kept.remember_front(parts.front())
    if promotions := parts.promotions():
        kept.promote(*promotions)
