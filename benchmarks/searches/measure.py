"""Runs of searches on an enumerated space, and the evaluations that they took to shares of the exact hypervolume."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.searches.spaces import Enumerated
from dse import search
from dse.space import Indices, Search

#: Shares of the exact hypervolume; the last is all of it but for rounding.
SHARES = (0.95, 0.99, 1.0)
_ROUNDING = 1e-9


def order(known: Enumerated, method: str, seed: int, budget: int, options: Mapping[str, Any]) -> Indices:
    """The designs that one of our searches asks for, in its order, until it has the exact front."""
    asked = Search(method, budget, seed, dict(options))
    problem = dataclasses.replace(known.problem, space=dataclasses.replace(known.problem.space, search=asked))
    found = search.start(problem)
    parts = [np.zeros(0, dtype=np.int64)]
    met: set[int] = {-1}
    while len(met) <= known.front and len(indices := found.ask()):
        parts.append(indices)
        met.update(known.members[indices].tolist())
        found.tell(known.every.pick(indices))
    return np.concatenate(parts)


def needed(known: Enumerated, asked: Indices) -> list[int | None]:
    """Evaluations until each of the shares was reached; ``None`` for one that was not."""
    return [_first(known, asked, share * known.exact * (1 - _ROUNDING)) for share in SHARES]


def _first(known: Enumerated, asked: Indices, volume: float) -> int | None:
    """The shortest beginning whose hypervolume is at least ``volume``, by bisection: more designs are never less."""
    low, high = 0, len(asked)
    if known.volume(asked) < volume:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if known.volume(asked[:middle]) >= volume else (middle, high)
    return high
