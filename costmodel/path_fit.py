"""Delay coefficients: the slowest path of a design is the largest of sums, so which sum it is and what its terms cost
are found in turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from blueprint.unit import Path
from costmodel import features, fitting
from costmodel.estimate import ANY, START
from costmodel.measuring import Sample

_TURNS = 30
#: First guesses in gate delays, so that the first choice of paths makes sense.
_GUESS = {("adder", "width"): 1.5, ("broadcast", "levels"): 1.0}
Name = tuple[str, str, str]


def fit_delay(samples: Sequence[Sample]) -> dict[str, Any]:
    """`start`, `value` (coefficients by place, kind and term) and `error` of the law of delays."""
    tables = [[path_terms(path) for path in sample.spec.paths()] for sample in samples]
    tables = [[table for table in group if len(table) > 1] or group[:1] for group in tables]
    values = np.array([sample.critical_path_ps for sample in samples])
    names = list(dict.fromkeys(name for group in tables for table in group for name in table))
    blocks = [np.array([[table.get(n, 0.0) for n in names] for table in group]) for group in tables]
    best, least = np.zeros(len(names)), np.inf
    guess = np.array([_GUESS.get(name[1:], 1.0) for name in names])
    found = guess * float(np.median(values / np.array([(block @ guess).max() for block in blocks])))
    for _ in range(_TURNS):
        rows = np.array([block[int(np.argmax(block @ found))] for block in blocks])
        found = 0.5 * found + 0.5 * fitting.fit(rows, values)
        miss = np.abs(np.array([(block @ found).max() for block in blocks]) / values - 1)
        if miss.mean() < least:
            best, least = found, float(miss.mean())
    miss = np.abs(np.array([(block @ best).max() for block in blocks]) / values - 1)
    nested: dict[str, Any] = {}
    start = 0.0
    for (place, kind, term), value in zip(names, best, strict=True):
        rounded = float(f"{value:.5g}")
        if kind == START:
            start = rounded
        else:
            nested.setdefault(place, {}).setdefault(kind, {})[term] = rounded
    error = {"mean": miss.mean(), "worst": miss.max(), "rows": len(values)}
    return {START: start, "value": nested, "error": {k: float(f"{v:.3g}") for k, v in error.items()}}


def path_terms(path: Path) -> dict[Name, float]:
    """Terms of one path of one design by place, kind and name; zero terms are left out."""
    found: dict[Name, float] = {(ANY, START, START): 1.0}
    ripple: tuple[float, Name] | None = None
    for unit in path.steps:
        if not unit.count:
            continue
        for term, law in features.DELAY[unit.kind].items():
            name, value = (unit.place, unit.kind, term), float(law(unit.dims))
            if (unit.kind, term) == features.OVERLAPPING:
                ripple = max(ripple or (0.0, name), (value, name))
            elif value:
                found[name] = found.get(name, 0.0) + float(unit.count) * value
    if ripple is not None:
        found[(ANY, *features.OVERLAPPING)] = ripple[0]
    return found
