"""Shards: the parts of one search that the machines of a job array evaluate, each as a study of its own.

A search that needs no answers is a sequence of designs that space and seed determine. It is cut into units, which are
dealt to the shards in turn; :mod:`dse.merge` puts them together again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from dse import search
from dse.space import Indices, Space

#: Units that a shard gets at least, so that none has all of what is quick to evaluate.
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
    """Raise ``ParamError`` for a search that cannot be done in parts, or not in so many."""
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
    """Most designs in a unit: a whole batch, or a power of two where that would be too few units."""
    size = search.BATCH
    while size > 1 and search.planned(space) < size * _LEAST_UNITS * count:
        size //= 2
    return size


def cut(indices: Indices, size: int) -> list[Indices]:
    """The units of a batch."""
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def dealt(space: Space, shard: Shard, batches: Iterator[Indices]) -> Iterator[Indices]:
    """The units of a shard, out of all batches of its search."""
    size = unit_size(space, shard.count)
    units = (unit for batch in batches for unit in cut(batch, size))
    return islice(units, shard.number - 1, None, shard.count)


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
    if shard is None:
        return search.planned(space)
    whole, rest = divmod(search.planned(space), unit_size(space, shard.count))
    # Every batch but the last holds a whole number of units, so only the last unit is smaller.
    mine = len(range(shard.number - 1, whole, shard.count)) * unit_size(space, shard.count)
    return mine + (rest if rest and whole % shard.count == shard.number - 1 else 0)
