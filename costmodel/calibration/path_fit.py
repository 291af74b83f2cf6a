"""Fit delay coefficients. The delay of a design is the largest of its paths' sums, and only that one is measured.

Coefficients are positive, so their logarithms are fitted: one for each term of a kind, which all places share, and the
deviation of each place from it. Terms about which the designs say little stay near a guess, and places stay near the
shared value. The maximum over the paths is smoothed, less and less, so that the fit can move from one presumed slowest
path to another. The squared errors of logarithms are minimized, so twice as slow is as wrong as half as slow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from blueprint.unit import Path
from costmodel.calibration import fitting
from costmodel.calibration.fitting import Floats
from costmodel.calibration.measuring import Sample
from costmodel.model import features
from costmodel.model.estimate import ANY, MEMORIES, START
from costmodel.technology.sram import Sram

_FOLDS = 5
_STEPS = 400
#: Smoothing of the maximum, as a share of the delay. Each descent goes through one sequence; the best one is taken.
_DESCENTS = ((0.3, 0.1, 0.03, 0.01), (0.1, 0.03, 0.01), (0.01,))
#: Weights of the guess of a kind, and of the shared value of a kind at a place, relative to one measured design.
_TRUST, _TRUST_PLACE = 0.02, 0.1
#: Guesses in gate delays, for the terms whose guess is not 1.
_GUESS: Mapping[tuple[str, str], float] = {
    (START, START): 3.0,
    ("adder", "width"): 1.5,
    ("adder", "each"): 1.5,
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
Numbers = NDArray[np.int64]


class Paths(NamedTuple):
    """All paths of all designs: terms (paths, names), known part of the delay in ps (paths,), and design (paths,).

    ``measured`` is the delay of the slowest path of each design in ps (designs,).
    """

    rows: Floats
    known: Floats
    design: Numbers
    measured: Floats

    @classmethod
    def of(cls, blocks: Sequence[Floats], known: Sequence[Floats], measured: Floats) -> Paths:
        """The paths of designs; the paths of each design are contiguous."""
        number = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])
        return cls(np.vstack(blocks), np.concatenate(known), number, measured)

    def only(self, chosen: Numbers) -> Paths:
        """The paths of the ``chosen`` designs, which are renumbered."""
        rows = np.isin(self.design, chosen)
        number = np.searchsorted(chosen, self.design[rows])
        return Paths(self.rows[rows], self.known[rows], number, self.measured[chosen])

    def slowest(self, found: Floats) -> Floats:
        """The delay in ps of each design's slowest path with the coefficients ``found``."""
        delays = self.rows @ found + self.known
        return np.maximum.reduceat(delays, np.searchsorted(self.design, np.arange(len(self.measured))))


def fit_delay(samples: Sequence[Sample], sram: Sram) -> dict[str, Any]:
    """Fit the delay law: `start` in ps, `value` (coefficients in ps by place, kind and term) and `error`."""
    tables = [[path_terms(path) for path in sample.spec.paths()] for sample in samples]
    names = list(dict.fromkeys(name for group in tables for table in group for name in table))
    blocks = [np.array([[table.get(n, 0.0) for n in names] for table in group]) for group in tables]
    known = [np.array([_memory_ps(path, sram) for path in sample.spec.paths()]) for sample in samples]
    paths = Paths.of(blocks, known, np.array([sample.critical_path_ps for sample in samples]))
    kinds, found = _search(paths, names)
    miss, folds = np.abs(paths.slowest(found) / paths.measured - 1), _held_out(paths, names)
    errors = fitting.Errors(
        float(miss.mean()), float(miss.max()), float(folds.mean()), float(folds.max()), len(samples)
    )
    values = {(ANY, *kind): value for kind, value in kinds.items()} | dict(zip(names, found, strict=True))
    start = values.pop((ANY, START, START))
    nested: dict[str, Any] = {}
    for (place, kind, term), value in values.items():
        nested.setdefault(place, {}).setdefault(kind, {})[term] = _digits(value)
    return {START: _digits(start), "value": nested, "error": errors.plain()}


def _digits(value: float) -> float:
    return float(f"{value:.5g}")


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
    """Access times in ps of the memories in the path; the technology gives them and they are not fitted."""
    return sum(
        float(u.count * sram.access_ps(**u.dims, ports=MEMORIES[u.kind]))
        for u in path.steps
        if u.kind in MEMORIES
    )


def _search(paths: Paths, names: Sequence[Name]) -> tuple[dict[tuple[str, str], float], Floats]:
    """Fit coefficients: those that all places share, by kind and term, and one for every name."""
    from scipy.optimize import minimize

    kinds = list(dict.fromkeys(name[1:] for name in names))
    member = np.array([kinds.index(name[1:]) for name in names])
    guess = np.log([_GUESS.get(kind, 1.0) for kind in kinds])
    gates = paths.rows @ np.exp(guess)[member]
    slowest = Paths(gates[:, None], 0 * gates, paths.design, paths.measured).slowest(np.ones(1))
    guess += np.log(np.median(paths.measured / slowest))
    best, least = np.zeros(0), np.inf
    for descent in _DESCENTS:
        found = np.concatenate([guess, np.zeros(len(names))])
        for smooth in descent:
            given = (paths, member, guess, smooth)
            done = minimize(_miss, found, given, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
            found = done.x
        if done.fun < least:
            best, least = found, done.fun
    shared, apart = np.split(best, [len(kinds)])
    return dict(zip(kinds, np.exp(shared), strict=True)), np.exp(shared[member] + apart)


def _miss(found: Floats, paths: Paths, member: Numbers, guess: Floats, smooth: float) -> tuple[float, Floats]:
    """The loss to be minimized, and its gradient: squared errors of the designs and squared distances from guesses."""
    shared, apart = np.split(found, [len(guess)])
    values = np.exp(shared[member] + apart)
    delays = paths.rows @ values + paths.known
    first = np.searchsorted(paths.design, np.arange(len(paths.measured)))
    logs = np.log(delays / paths.measured[paths.design]) / smooth
    largest = np.maximum.reduceat(logs, first)
    parts = np.exp(logs - largest[paths.design])
    totals = np.add.reduceat(parts, first)
    miss = smooth * (largest + np.log(totals))
    off = shared - guess
    loss = np.sum(miss**2) + _TRUST * np.sum(off**2) + _TRUST_PLACE * np.sum(apart**2)
    slopes = (2 * miss / totals)[paths.design] * parts / delays
    steps = (paths.rows.T @ slopes) * values
    kinds = np.bincount(member, steps, minlength=len(guess))
    return float(loss), np.concatenate([kinds + 2 * _TRUST * off, steps + 2 * _TRUST_PLACE * apart])


def _held_out(paths: Paths, names: Sequence[Name]) -> Floats:
    """Relative errors of designs that were left out of the fit (cross-validation)."""
    count = len(paths.measured)
    miss, number = np.zeros(count), np.arange(count)
    for fold in range(min(_FOLDS, count)):
        out = number % _FOLDS == fold
        if not out.all():
            _, found = _search(paths.only(number[~out]), names)
            unseen = paths.only(number[out])
            miss[out] = np.abs(unseen.slowest(found) / unseen.measured - 1)
    return miss
