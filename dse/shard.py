"""Shards: the parts of one search that the machines of a job array evaluate, each as a study of its own.

A search that needs no answers is a sequence of designs that space and seed determine. It is cut into units of equal
size, which are dealt to the shards in turn; :mod:`dse.merge` puts them together again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from dse import search
from dse.problem import MESH
from dse.space import Indices, Space

#: Fewest units of a shard, so that no shard gets all designs that are quick to evaluate.
_LEAST_UNITS = 4


@dataclass(frozen=True)
class Shard:
    """Shard ``number`` of ``count``, from 1; its text is that of ``--shard``."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse(text: str) -> Shard:
    """The shard that a text such as ``3/16`` names. Raises ``ParamError``."""
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ParamError(f"Shard must be I/N with I from 1 to N, as in 3/16, not {text[:40]!r}")
    return Shard(int(found[1]), int(found[2]))


def check(space: Space, shard: Shard) -> None:
    """Raise ``ParamError`` for a search that cannot be done in parts, or not in this many."""
    if space.pruned:
        raise ParamError(
            "Search of a shard must not leave out designs by bounds, as pruned does; give --method exhaustive, or "
            "search without --shard"
        )
    if not search.is_independent(space):
        raise ParamError(
            f"Search of a shard must not depend on answers, as exhaustive and random do not, and {space.method} does; "
            "give another --method or a higher --budget, or search without --shard"
        )
    if shard.count > search.planned(space):
        what = f"at most {search.planned(space)}, the designs of this search"
        raise ParamError(f"Number of shards must be {what}, not {shard.count}")


def of(facts: dict[str, Any]) -> Shard | None:
    """The shard that a study of these facts is; ``None`` for a study of a whole search."""
    return parse(facts["shard"]) if "shard" in facts else None


def unit_size(space: Space, count: int) -> int:
    """Designs in a unit: those of the largest batch, or a power of two where that would be too few units."""
    size = MESH
    while size > 1 and search.planned(space) < size * _LEAST_UNITS * count:
        size //= 2
    return size


def cut(batches: Iterator[Indices], size: int, count: int) -> Iterator[list[tuple[int, Indices]]]:
    """Each batch as parts that belong to one unit, with the number of the shard that evaluates them."""
    done = 0
    for batch in batches:
        ends = [*range(size - done % size, len(batch), size), len(batch)]
        starts = [0, *ends[:-1]]
        yield [
            ((done + start) // size % count + 1, batch[start:end])
            for start, end in zip(starts, ends, strict=True)
        ]
        done += len(batch)


def dealt(space: Space, shard: Shard, batches: Iterator[Indices]) -> Iterator[Indices]:
    """The parts of a shard, out of all batches of its search."""
    for parts in cut(batches, unit_size(space, shard.count), shard.count):
        yield from (part for number, part in parts if number == shard.number)


def without(known: Indices, batches: Iterator[Indices]) -> Iterator[Indices]:
    """The designs of a search that are not known, in its order and batches."""
    known = np.sort(known)
    for batch in batches:
        places = np.minimum(np.searchsorted(known, batch), len(known) - 1)
        left = batch[known[places] != batch] if len(known) else batch
        if len(left):
            yield left


def planned(space: Space, shard: Shard | None) -> int:
    """Designs that will be evaluated, by a shard or in all."""
    total = search.planned(space)
    if shard is None:
        return total
    size = unit_size(space, shard.count)
    rounds, rest = divmod(total, size * shard.count)
    return rounds * size + min(max(rest - (shard.number - 1) * size, 0), size)
