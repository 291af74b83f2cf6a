"""Fit delay coefficients. The delay of a design is the largest of its paths' sums, and that is what is measured.

Coefficients are positive, so their logarithms are fitted: one for each term of a kind, which all places share, and the
deviation of each place from it. Terms about which the designs say little stay near a guess, and places stay near the
shared value. The maximum over the paths is smoothed, less and less, so that the fit can move from one presumed slowest
path to another. The squared errors of logarithms are minimized, so twice as slow is as wrong as half as slow.

The slowest path that ends in each place is measured too, and is fitted to the paths whose last step is there: a design
has one slowest path, but ten such places. Their large errors count linearly (pseudo-Huber), since a netlist's path may
end elsewhere than the inventory's.

Where the wires of a library depend on the area of a block (`costmodel.model.wires`), the weight of that is the one of a
few with which the fit is best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from blueprint.unit import BROADCAST, Path
from costmodel.calibration import fitting
from costmodel.calibration.fitting import Floats
from costmodel.calibration.measuring import Sample
from costmodel.model import features, wires
from costmodel.model.estimate import ANY, MEMORIES, START
from costmodel.technology.sram import Sram

_FOLDS = 5
_STEPS = 400
#: Smoothing of the maximum, as a share of the delay. Each descent goes through one sequence; the best one is taken.
_DESCENTS = ((0.3, 0.1, 0.03, 0.01), (0.1, 0.03, 0.01), (0.01,))
#: Weights of the guess of a kind, and of the shared value of a kind at a place, relative to one measured design.
_TRUST, _TRUST_PLACE = 0.01, 0.1
#: Of the slowest path of a place: the error of a logarithm from which on it counts linearly, and the share of the
#: design's delay below which it is left out.
_LINEAR, _LEAST_SHARE = 0.3, 0.3
#: The place of sequencers. Registers of all places take their enables from there, so paths of a sequencer may be the
#: slowest that end in any of them.
_ENABLES = "control"
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
#: Weights of the wires of blocks that are tried.
_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
Name = tuple[str, str, str]
Numbers = NDArray[np.int64]


class Paths(NamedTuple):
    """Groups of paths of which the slowest is measured: all paths of a design, and those that end in one place.

    Of paths: terms ``rows`` (paths, names), ``known`` part of the delay in ps, and the ``group``. Of groups: the
    ``measured`` delay of the slowest path in ps, the ``design``, and whether the group is the ``whole`` design.
    """

    rows: Floats
    known: Floats
    group: Numbers
    measured: Floats
    design: Numbers
    whole: NDArray[np.bool_]

    @classmethod
    def of(cls, groups: Sequence[Group]) -> Paths:
        """The paths of groups; the groups of each design are contiguous."""
        number = np.repeat(np.arange(len(groups)), [len(group.rows) for group in groups])
        return cls(
            np.vstack([group.rows for group in groups]),
            np.concatenate([group.known for group in groups]),
            number,
            np.array([group.measured for group in groups]),
            np.array([group.design for group in groups]),
            np.array([group.whole for group in groups]),
        )

    def only(self, chosen: Numbers) -> Paths:
        """The paths of the ``chosen`` designs; groups are renumbered."""
        groups = np.isin(self.design, chosen)
        rows = groups[self.group]
        number = np.searchsorted(np.flatnonzero(groups), self.group[rows])
        kept = (self.measured[groups], self.design[groups], self.whole[groups])
        return Paths(self.rows[rows], self.known[rows], number, *kept)

    def slowest(self, found: Floats) -> Floats:
        """The delay in ps of each group's slowest path with the coefficients ``found``."""
        delays = self.rows @ found + self.known
        return np.maximum.reduceat(delays, np.searchsorted(self.group, np.arange(len(self.measured))))

    def misses(self, found: Floats) -> Floats:
        """Unsigned relative error of each design's delay."""
        return np.abs(self.slowest(found) / self.measured - 1)[self.whole]


class Group(NamedTuple):
    """Paths of one design, all (``whole``) or those that end in one place, and the delay of the slowest in ps."""

    rows: Floats
    known: Floats
    measured: float
    design: int
    whole: bool = True


def fit_delay(samples: Sequence[Sample], sram: Sram, loads: Sequence[float] = ()) -> dict[str, Any]:
    """Fit the delay law: `start` in ps, `value` (coefficients in ps by place, kind and term) and `error`.

    `loads` are the wires of every sample (:func:`costmodel.model.wires.load`). Where one is not 0 the law has their
    weight, `wires`.
    """
    tables = [[path_terms(path) for path in sample.spec.paths()] for sample in samples]
    names = list(dict.fromkeys(name for table in tables for path in table for name in path))
    groups = [
        group
        for number, (sample, table) in enumerate(zip(samples, tables, strict=True))
        for group in _groups(
            number, sample, [[path.get(name, 0.0) for name in names] for path in table], sram
        )
    ]
    weight, paths = _wired(Paths.of(groups), names, np.array(loads))
    kinds, found = _search(paths, names)
    miss, folds = paths.misses(found), _held_out(paths, names)
    errors = fitting.Errors(
        float(miss.mean()), float(miss.max()), float(folds.mean()), float(folds.max()), len(samples)
    )
    values = {(ANY, *kind): value for kind, value in kinds.items()} | dict(zip(names, found, strict=True))
    start = values.pop((ANY, START, START))
    nested: dict[str, Any] = {}
    for (place, kind, term), value in values.items():
        nested.setdefault(place, {}).setdefault(kind, {})[term] = _digits(value)
    more = {wires.WIRES: weight} if weight else {}
    return {START: _digits(start), **more, "value": nested, "error": errors.plain()}


def _wired(paths: Paths, names: Sequence[Name], loads: Floats) -> tuple[float, Paths]:
    """The weight of the wires of blocks, and the paths with steps that they make longer; 0 where they are alike."""
    if not loads.any():
        return 0.0, paths
    start = names.index((ANY, START, START))
    found: list[tuple[float, float, Paths]] = []
    for weight in _WEIGHTS:
        longer = 1.0 + weight * loads[paths.design[paths.group]]
        rows = paths.rows * longer[:, None]
        rows[:, start] = paths.rows[:, start]
        scaled = paths._replace(rows=rows)
        _, values = _search(scaled, names)
        found.append((float(scaled.misses(values).mean()), weight, scaled))
    _, weight, best = min(found, key=lambda item: item[0])
    return weight, best


def _groups(number: int, sample: Sample, rows: list[list[float]], sram: Sram) -> Iterator[Group]:
    """All paths of a design, and those that end in each place whose slowest path is known."""
    paths = sample.spec.paths()
    terms, known = np.array(rows), np.array([_memory_ps(path, sram) for path in paths])
    yield Group(terms, known, sample.critical_path_ps, number)
    ends = [_end(path) for path in paths]
    for place, measured in sample.places_ps.items():
        inside = [index for index, end in enumerate(ends) if end == place]
        enables = [index for index, end in enumerate(ends) if end == _ENABLES != place]
        if inside and measured >= _LEAST_SHARE * sample.critical_path_ps:
            ending = inside + enables
            yield Group(terms[ending], known[ending], measured, number, whole=False)


def _end(path: Path) -> str | None:
    """The place of a path's last step; nets that drive many loads are part of the step behind them."""
    steps = [step for step in path.steps if step.count and step.kind != BROADCAST.name]
    return steps[-1].place if steps else None


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
    slowest = paths._replace(rows=gates[:, None], known=0 * gates).slowest(np.ones(1))
    guess += np.log(np.median((paths.measured / slowest)[paths.whole]))
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
    """The loss to be minimized, and its gradient: errors of the groups and squared distances from the guesses."""
    shared, apart = np.split(found, [len(guess)])
    values = np.exp(shared[member] + apart)
    delays = paths.rows @ values + paths.known
    first = np.searchsorted(paths.group, np.arange(len(paths.measured)))
    logs = np.log(delays / paths.measured[paths.group]) / smooth
    largest = np.maximum.reduceat(logs, first)
    parts = np.exp(logs - largest[paths.group])
    totals = np.add.reduceat(parts, first)
    miss = smooth * (largest + np.log(totals))
    off = shared - guess
    far = np.where(paths.whole, 1.0, np.sqrt(1 + (miss / _LINEAR) ** 2))
    costs = np.where(paths.whole, miss**2, 2 * _LINEAR**2 * (far - 1))
    loss = np.sum(costs) + _TRUST * np.sum(off**2) + _TRUST_PLACE * np.sum(apart**2)
    slopes = (2 * miss / far / totals)[paths.group] * parts / delays
    steps = (paths.rows.T @ slopes) * values
    kinds = np.bincount(member, steps, minlength=len(guess))
    return float(loss), np.concatenate([kinds + 2 * _TRUST * off, steps + 2 * _TRUST_PLACE * apart])


def _held_out(paths: Paths, names: Sequence[Name]) -> Floats:
    """Relative errors of designs that were left out of the fit (cross-validation)."""
    number = np.unique(paths.design)
    miss, count = np.zeros(len(number)), len(number)
    for fold in range(min(_FOLDS, count)):
        out = number % _FOLDS == fold
        if not out.all():
            _, found = _search(paths.only(number[~out]), names)
            miss[out] = paths.only(number[out]).misses(found)
    return miss
