"""Queries, keys and values whose scores follow a wanted distribution, and attention on them in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import FloatFormat

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

DIM = 64


@dataclass(frozen=True)
class Case:
    """One row of attention: int8 numbers or float patterns, and its scale from scores to exponents of two."""

    q: Integers
    k: Integers
    v: Integers
    scale: float

    @property
    def order(self) -> Integers:
        """All keys, as they come."""
        return np.arange(len(self.k))[None]


def exponents(name: str, count: int, random: np.random.Generator) -> Floats:
    """Exponents of two of ``count`` keys, in the order in which they come."""
    return DISTRIBUTIONS[name](count, random)


def tail(count: int, weight_fraction: int) -> Floats:
    """One key whose weight is just above 1/2, and all others where weights are just about lost by rounding."""
    return np.concatenate(([0.001], np.full(count - 1, -weight_fraction - 0.01)))


def _steps(count: int, random: np.random.Generator) -> Floats:
    """Every key a little above the one before, up to a whole step at times."""
    return np.cumsum(random.choice([0.01, 0.1, 1.0], count)) - count / 4


DISTRIBUTIONS: dict[str, Callable[[int, np.random.Generator], Floats]] = {
    "random": lambda n, r: r.normal(size=n) * 1.5,
    "heavy tails": lambda n, r: np.clip(r.standard_t(2, n) * 1.5, -60, 60),
    "peaked": lambda n, r: np.where(np.arange(n) == n // 2, 14.0, r.normal(size=n)),
    "two peaks": lambda n, r: np.where(np.arange(n) % (n // 2 + 1) == 0, 20.0, r.normal(size=n) * 3),
    "uniform": lambda n, r: np.zeros(n),
    "nearly uniform": lambda n, r: r.normal(size=n) * 1e-3,
    "sink first": lambda n, r: np.where(np.arange(n) < 2, 8.0, r.normal(size=n)),
    "rising": lambda n, r: np.linspace(-30, 30, n),
    "falling": lambda n, r: np.linspace(30, -30, n),
    "rising steps": _steps,
    "lost tail, int8": lambda n, r: tail(n, int(np.ceil(np.log2(n))) + 8),
    "lost tail, floats": lambda n, r: tail(n, int(np.ceil(np.log2(n))) + 16),
    "half-lost tail": lambda n, r: tail(n, int(np.ceil(np.log2(n))) + 4) + r.uniform(-3, 3, n),
    "just below whole": lambda n, r: np.floor(r.uniform(-4, 4, n)) + 0.999,
    "just above whole": lambda n, r: np.floor(r.uniform(-4, 4, n)) + 0.001,
    "far from zero": lambda n, r: r.normal(size=n) * 2 + 150.0,
}


#: For floats: the distribution and the size of the values.
FLOAT_CASES = {name: (name, 1.0) for name in DISTRIBUTIONS} | {
    f"{name}, small values": (name, 2.0**-9) for name in ("random", "peaked", "uniform", "half-lost tail")
}


def integer_case(name: str, count: int, seed: int) -> Case:
    """Int8 numbers whose scores are the distribution's to the nearest integer: factors of 127 and of 1."""
    random = np.random.default_rng(seed)
    return _integer_case(exponents(name, count, random), random)


def tail_case(count: int, weight_fraction: int, seed: int) -> Case:
    """The worst case for weights of ``weight_fraction`` fraction bits."""
    return _integer_case(tail(count, weight_fraction), np.random.default_rng(seed))


def _integer_case(wanted: Floats, random: np.random.Generator) -> Case:
    count, half = len(wanted), DIM // 2
    scale = max(float(np.abs(wanted).max()) / (127 * 126 * half), 1e-5)
    scores = np.rint(wanted / scale).astype(np.int64)
    high = np.clip(np.rint(scores / 127), -127 * half, 127 * half).astype(np.int64)
    k = np.concatenate([_shares(high, half), _shares(scores - 127 * high, half)], axis=1)
    q = np.repeat([127, 1], half)[None]
    order = random.permutation(half)  # so that no lane is always the same
    q, k = q[:, [*order, *(half + order)]], k[:, [*order, *(half + order)]]
    return Case(q, k, _integer_values(wanted, count, random), scale)


def _shares(total: Integers, parts: int) -> Integers:
    """Integers of like size that add up."""
    base, rest = total // parts, total % parts
    return base[:, None] + (np.arange(parts) < rest[:, None])


def _integer_values(wanted: Floats, count: int, random: np.random.Generator) -> Integers:
    """Random ones; extremes; and those that turn every rounding of weights the same way."""
    v = random.integers(-128, 128, (count, DIM))
    top = wanted > np.sort(wanted)[-2] - 1e-9
    v[:, 0], v[:, 1] = 127, -128
    v[:, 2], v[:, 3] = np.where(top, -128, 127), np.where(top, 127, -128)
    v[:, 4] = np.where(np.arange(count) % 2, 127, -128)
    v[:, 5] = np.where(wanted % 1 < 0.5, 127, -128)
    v[:, 6] = np.where(np.arange(count) < count // 2, 127, -128)
    return v


def float_case(fmt: FloatFormat, name: str, count: int, seed: int) -> Case:
    """Floats whose scores are the distribution's, as three terms of falling size, among pairs that cancel."""
    random = np.random.default_rng(seed)
    distribution, size = FLOAT_CASES[name]
    wanted = exponents(distribution, count, random)
    scale = np.log2(np.e) / np.sqrt(DIM)
    rest, columns = wanted / scale, []
    for _ in range(3):
        columns.append(floating.from_float64(fmt, rest))
        rest = rest - floating.to_float64(fmt, columns[-1])
    pairs = floating.from_float64(fmt, random.normal(size=(count, (DIM - 4) // 2)))
    k = np.concatenate(
        [np.stack(columns, axis=1), pairs, pairs, np.zeros((count, 1), dtype=np.int64)], axis=1
    )
    factors = floating.from_float64(fmt, random.normal(size=(1, pairs.shape[1])))
    one = np.full((1, 3), int(floating.from_float64(fmt, 1.0)))
    q = np.concatenate([one, factors, factors ^ fmt.sign_mask, one[:, :1]], axis=1)
    place = random.permutation(DIM)
    v = random.normal(size=(count, DIM)) * np.exp2(random.integers(-4, 4, DIM))
    v[:, 0], v[:, 1] = 1.0, np.where(np.arange(count) % 2, 1.0, -1.0)
    v[:, 2] = np.where(wanted % 1 < 0.5, 1.0, -1.0)
    return Case(q[:, place], k[:, place], floating.from_float64(fmt, v * size), float(scale))


def softmax_attention(q: Any, k: Any, v: Any, scale: float) -> Floats:
    """Attention in float64, shape (rows, dim), for numbers of any kind."""
    t = q.astype(np.float64) @ k.T.astype(np.float64) * scale
    weight = np.exp2(t - t.max(axis=1, keepdims=True))
    return np.asarray(weight @ v / weight.sum(axis=1, keepdims=True))
