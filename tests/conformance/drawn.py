"""The random designs that the suite proves in RTL, and which of them a run of the suite has time for."""

from __future__ import annotations

from functools import cache

import numpy as np

from blueprint.registry import families
from blueprint.spec import Spec
from costmodel.calibration import sampling
from tests.volume import ALL

#: Random designs of a family. `make test-all` proves all of them.
POOL = 180
#: Of every arithmetic, and of a family, at least so many are proved in any case.
FEWEST, FEWEST_OF_ALL = 3, 9


@cache
def design(family: str, number: int) -> Spec:
    return families()[family].sample(np.random.default_rng([1, number]))


@cache
def values(family: str, number: int) -> frozenset[tuple[str, str]]:
    """The value of every parameter that has a list of values, and the arithmetic."""
    limits, spec = families()[family].limits(), design(family, number)
    listed = (name for name, limit in limits.items() if limit.choices or limit.kind is bool)
    return frozenset({(name, str(spec.parameters[name])) for name in listed} | {("", spec.arithmetic)})


@cache
def gates(family: str, number: int) -> float:
    return float(sampling.gates(design(family, number)))


def covering(family: str) -> set[int]:
    """Small designs that have every value between them: again and again the one with most new ones for its size."""
    taken: set[int] = set()
    left = frozenset[tuple[str, str]]().union(*(values(family, number) for number in range(POOL)))
    while left:
        found = max(
            range(POOL), key=lambda number: len(values(family, number) & left) / gates(family, number)
        )
        taken.add(found)
        left -= values(family, found)
    return taken


@cache
def numbers(family: str) -> tuple[int, ...]:
    """Designs that have every value, and the smallest of every arithmetic."""
    if ALL:
        return tuple(range(POOL))
    taken, kinds = covering(family), dict[str, list[int]]()
    for number in sorted(range(POOL), key=lambda number: gates(family, number)):
        kinds.setdefault(design(family, number).arithmetic, []).append(number)
    share = max(FEWEST, FEWEST_OF_ALL // len(kinds))
    for kind in kinds.values():
        missing = share - len(taken.intersection(kind))
        taken.update([number for number in kind if number not in taken][: max(missing, 0)])
    return tuple(sorted(taken))
