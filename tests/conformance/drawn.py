"""The random designs that the suite proves in RTL, and which of them a run of the suite has time for."""

from __future__ import annotations

import os
from functools import cache

import numpy as np

from blueprint.registry import families
from blueprint.spec import Spec
from costmodel.calibration import sampling

#: Random designs of a family. `make test-all` proves all of them.
POOL = 120
#: Of every arithmetic at least so many are proved in any case.
FEWEST = 15
#: Set by `make test-all`.
ALL = bool(os.environ.get("TERNFORGE_ALL_DESIGNS"))


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
    """The smaller designs of every arithmetic, and the smallest of the others that bring a value."""
    if ALL:
        return tuple(range(POOL))
    by_size = sorted(range(POOL), key=lambda number: gates(family, number))
    taken: set[int] = set()
    for arithmetic in {design(family, number).arithmetic for number in by_size}:
        kind = [number for number in by_size if design(family, number).arithmetic == arithmetic]
        taken |= set(kind[: max(FEWEST, len(kind) // 2)])
    seen = frozenset[tuple[str, str]]().union(*(values(family, number) for number in taken))
    for number in by_size:
        if values(family, number) - seen:
            taken.add(number)
            seen |= values(family, number)
    return tuple(sorted(taken))
