"""Delay coefficients: the slowest path of a design is the largest of sums, so which sum it is and what its terms cost
are found in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from blueprint.unit import Path
from costmodel.calibration import fitting
from costmodel.calibration.fitting import Floats
from costmodel.calibration.measuring import Sample
from costmodel.model import features
from costmodel.model.estimate import ANY, MEMORIES, START
from costmodel.technology.sram import Sram

_TURNS = 20
_STARTS = 8
_TRUST = 0.1  # weight of a guess against that of a measured design
#: Guesses in gate delays: where too few designs tell, a coefficient stays near.
_GUESS: Mapping[tuple[str, str], float] = {
    (START, START): 3.0,
    ("adder", "width"): 1.5,
    ("adder", "one"): 2.0,
    ("compressor", "one"): 3.0,
    ("broadcast", "levels"): 0.7,
    ("mux", "levels"): 2.0,
    ("xor_row", "one"): 2.0,
    ("and_row", "one"): 2.0,
    ("recoder", "inputs"): 2.0,
    ("float_adder", "fraction"): 2.0,
    ("float_adder", "one"): 25.0,
    ("float_multiplier", "fraction"): 2.5,
    ("float_multiplier", "one"): 12.0,
    ("float_pair", "fraction"): 2.0,
    ("float_pair", "one"): 25.0,
    ("to_fixed", "one"): 10.0,
    ("to_float", "inputs"): 1.0,
}
Name = tuple[str, str, str]


def fit_delay(samples: Sequence[Sample], sram: Sram) -> dict[str, Any]:
    """`start`, `value` (coefficients by place, kind and term) and `error` of the law of delays."""
    tables = [[path_terms(path) for path in sample.spec.paths()] for sample in samples]
    names = list(dict.fromkeys(name for group in tables for table in group for name in table))
    blocks = [np.array([[table.get(n, 0.0) for n in names] for table in group]) for group in tables]
    known = [np.array([_memory_ps(path, sram) for path in sample.spec.paths()]) for sample in samples]
    values = np.array([sample.critical_path_ps for sample in samples])
    found = _search(blocks, known, values, np.array([_GUESS.get(name[1:], 1.0) for name in names]))
    miss = np.abs(_slowest(blocks, known, found) / values - 1)
    folds = _held_out(blocks, known, values, np.array([_GUESS.get(name[1:], 1.0) for name in names]))
    nested: dict[str, Any] = {}
    start = 0.0
    for (place, kind, term), value in zip(names, found, strict=True):
        rounded = float(f"{value:.5g}")
        if kind == START:
            start = rounded
        else:
            nested.setdefault(place, {}).setdefault(kind, {})[term] = rounded
    errors = fitting.Errors(
        float(miss.mean()), float(miss.max()), float(folds.mean()), float(folds.max()), len(values)
    )
    return {START: start, "value": nested, "error": errors.plain()}


def path_terms(path: Path) -> dict[Name, float]:
    """Terms of one path of one design by place, kind and name; zero terms are left out."""
    found: dict[Name, float] = {(ANY, START, START): 1.0}
    ripple = 0.0
    for unit in path.steps:
        if not unit.count:
            continue
        for term, law in features.DELAY[unit.kind].items():
            name, value = (unit.place, unit.kind, term), float(law(unit.dims))
            if (unit.kind, term) == features.OVERLAPPING:
                ripple = max(ripple, value)
            elif value:
                found[name] = found.get(name, 0.0) + float(unit.count) * value
    if ripple:
        found[(ANY, *features.OVERLAPPING)] = ripple
    return found


def _memory_ps(path: Path, sram: Sram) -> float:
    """Access times of memories in the path; given by the technology, not fitted here."""
    return sum(
        float(u.count * sram.access_ps(**u.dims, ports=MEMORIES[u.kind]))
        for u in path.steps
        if u.kind in MEMORIES
    )


def _slowest(blocks: Sequence[Floats], known: Sequence[Floats], found: Floats) -> Floats:
    return np.array([(block @ found + fixed).max() for block, fixed in zip(blocks, known, strict=True)])


def _search(blocks: Sequence[Floats], known: Sequence[Floats], values: Floats, guess: Floats) -> Floats:
    """The best of several descents from different starting points."""
    random = np.random.default_rng(0)
    none = [np.zeros_like(fixed) for fixed in known]
    gate = float(np.median(values / _slowest(blocks, none, guess)))
    best, least = gate * guess, np.inf
    for number in range(_STARTS):
        found = gate * guess * (1.0 if number == 0 else 2 ** random.normal(size=len(guess)))
        for _ in range(_TURNS):
            found = 0.5 * found + 0.5 * _step(blocks, known, values, found, gate * guess)
            error = float(np.abs(_slowest(blocks, known, found) / values - 1).mean())
            if error < least:
                best, least = found, error
    return best


def _step(
    blocks: Sequence[Floats], known: Sequence[Floats], values: Floats, found: Floats, guess: Floats
) -> Floats:
    """Coefficients fitted to the paths that are critical under the current ones."""
    from scipy.optimize import nnls

    chosen = [int(np.argmax(block @ found + fixed)) for block, fixed in zip(blocks, known, strict=True)]
    rows = np.array([block[row] for block, row in zip(blocks, chosen, strict=True)]) / values[:, None]
    rest = 1 - np.array([fixed[row] for fixed, row in zip(known, chosen, strict=True)]) / values
    trust = _TRUST * np.diag(1 / guess)
    target = np.concatenate([rest, np.full(len(guess), _TRUST)])
    solution: Floats = nnls(np.vstack([rows, trust]) * guess, target)[0] * guess
    return solution


def _held_out(
    blocks: Sequence[Floats], known: Sequence[Floats], values: Floats, guess: Floats, folds: int = 5
) -> Floats:
    """Relative errors of held-out designs."""
    miss = np.zeros(len(values))
    for fold in range(min(folds, len(values))):
        out = [i for i in range(len(values)) if i % folds == fold]
        rest = [i for i in range(len(values)) if i % folds != fold]
        if rest:
            found = _search([blocks[i] for i in rest], [known[i] for i in rest], values[rest], guess)
            slowest = _slowest([blocks[i] for i in out], [known[i] for i in out], found)
            miss[out] = np.abs(slowest / values[out] - 1)
    return miss
