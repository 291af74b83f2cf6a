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
FEWEST, FEWEST_OF_ALL = 10, 24


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


@cache
def numbers(family: str) -> tuple[int, ...]:
    """The smallest designs of every arithmetic, and the smallest of the others that bring a value."""
    if ALL:
        return tuple(range(POOL))
    by_size = sorted(range(POOL), key=lambda number: gates(family, number))
    kinds: dict[str, list[int]] = {}
    for number in by_size:
        kinds.setdefault(design(family, number).arithmetic, []).append(number)
    share = max(FEWEST, FEWEST_OF_ALL // len(kinds))
    taken = {number for kind in kinds.values() for number in kind[:share]}
    seen = frozenset[tuple[str, str]]().union(*(values(family, number) for number in taken))
    for number in by_size:
        if values(family, number) - seen:
            taken.add(number)
            seen |= values(family, number)
    return tuple(sorted(taken))
