"""Random designs of a family that cover its space evenly and are small enough for synthesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from blueprint.parameters import Parameter
from blueprint.spec import Spec
from blueprint.workloads.tasks import LARGEST
from costmodel.model import features

#: Gates of the smallest possible multiply-accumulate.
_GATES_PER_MAC = 8
#: Parameters with at most this many values are balanced against each other.
_FEW = 8
#: An integer without a default whose range is narrower than this is drawn uniformly.
_NARROW = 64


def designs(
    kind: type[Spec], count: int, seed: int, *, smallest: float = 0.0, largest: float | None = None
) -> tuple[Spec, ...]:
    """Draw `count` different designs of a family, of `smallest` to `largest` gate equivalents.

    `largest` is by default the family's own limit. Choices are drawn uniformly, integers log-uniformly over their legal
    range, and an integer with a default keeps it half of the time. The designs are then selected one by one: the next
    one is that whose choices and small integers have occurred least, among all and in its arithmetic. The same seed
    gives the same designs, and a longer list starts with a shorter one. Raises `ParamError` if the pool has too few
    designs.
    """
    random = np.random.default_rng([seed, 0x7E57])
    limits = _limits(kind)
    policy = kind.facets.samples.calibration
    largest = policy.gates if largest is None else largest
    drawn = {
        name: _column(limit, policy.pool, random, policy.choices.get(name, limit.choices))
        for name, limit in limits.items()
    }
    table = kind.consistent(drawn)
    many = kind.columns(table)
    feasible, _, _ = many.feasible()
    # No multiply-accumulate has fewer gates. This bound comes first, because counting gates of wide designs is slow.
    small = np.flatnonzero(feasible & (many.peak_macs * _GATES_PER_MAC <= largest))
    table = {name: column[small] for name, column in table.items()}
    size = np.broadcast_to(gates(kind.columns(table)), len(small)) if len(small) else np.zeros(0)
    kept = np.flatnonzero((size <= largest) & (size >= smallest))
    if len(kept) < count:
        sizes = f"{smallest:g} to {largest:g}" if smallest else f"at most {largest:g}"
        raise ParamError(f"Calibration must find {count} designs of {sizes} gates, not {len(kept)}")
    table = {name: column[kept] for name, column in table.items()}
    arithmetic = np.broadcast_to(kind.columns(table).arithmetic, len(kept))
    few = [table[name] for name, limit in limits.items() if _is_few(limit)]
    rows = _even(arithmetic, few, count, apart=True)
    return tuple(kind(**{name: column[row].item() for name, column in table.items()}) for row in rows)


def _limits(kind: type[Spec]) -> dict[str, Parameter]:
    """The limits of the parameters of a family, as far as calibration goes."""
    most = kind.facets.samples.calibration.most
    return {
        name: replace(limit, maximum=most.get(name, limit.maximum)) for name, limit in kind.limits().items()
    }


def spread(specs: Sequence[Spec], count: int) -> tuple[Spec, ...]:
    """Select ``count`` designs of one family: every arithmetic in turn, rarest choices first."""
    limits = _limits(type(specs[0]))
    few = [name for name, limit in limits.items() if _is_few(limit)]
    arithmetic = np.array([str(spec.arithmetic) for spec in specs])
    columns = [np.array([getattr(spec, name) for spec in specs]) for name in few]
    return tuple(specs[row] for row in _even(arithmetic, columns, count))


def gates(spec: Any) -> Any:
    """Rough size of a design, or of columns of designs, in two-input gates; memories are not counted."""
    return sum(features.rough_gates(unit) for unit in spec.units())


def _column(limit: Parameter, pool: int, random: np.random.Generator, choices: tuple[Any, ...]) -> Any:
    if choices:
        return random.choice(np.array(choices), pool)
    if limit.kind is bool:
        return random.integers(2, size=pool).astype(bool)
    low, high = int(limit.minimum or 0), int(limit.maximum or LARGEST)
    if high - low < _NARROW and limit.default is None:
        return random.integers(low, high + 1, pool)
    # Log-uniform over low .. high, both included; the shift lets low be 0.
    shift = 1 - low
    drawn = np.floor((high + shift + 1) ** random.random(pool)).astype(np.int64) - shift
    drawn = np.clip(drawn, low, high)
    return drawn if limit.default is None else np.where(random.random(pool) < 0.5, limit.default, drawn)


def _is_few(limit: Parameter) -> bool:
    """True if a parameter has few enough values to balance their frequencies."""
    if limit.minimum is None or limit.maximum is None:
        return True
    return limit.maximum - limit.minimum < _FEW


def _even(group: Any, columns: list[Any], count: int, *, apart: bool = False) -> list[int]:
    """Select `count` rows one by one, from each group in turn: the first one with the rarest values so far.

    A value counts as often as it was taken in all groups. If they are ``apart``, its row's own group counts as much as
    all together: what only one group can have, such as a way to add integers, else crowds out what it has besides.
    """
    groups, members = np.unique(group, return_inverse=True)
    codes = [np.unique(column, return_inverse=True)[1] for column in columns]
    seen = [np.zeros((len(groups), code.max(initial=0) + 1)) for code in codes]
    taken = np.zeros(len(members))
    found: list[int] = []
    for number in range(count):
        others = np.where(members == number % len(groups), 0.0, 1e12)
        score = taken + others
        for code, times in zip(codes, seen, strict=True):
            often = times.sum(axis=0) + apart * len(groups) * times[number % len(groups)]
            score = score + often[code] * len(often)
        row = int(np.argmin(score))
        found.append(row)
        taken[row] = np.inf
        for code, times in zip(codes, seen, strict=True):
            times[number % len(groups), code[row]] += 1
    return found
