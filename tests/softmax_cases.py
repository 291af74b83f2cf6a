"""Designs of softmax arithmetic and words to try their steps and blocks on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic import floating
from blueprint.arithmetic.softmax import steps
from blueprint.arithmetic.softmax.arithmetic import EXPONENT_LIMIT, GRAPHS, Arithmetic, Scales
from tests.volume import ALL

Integers = npt.NDArray[np.int64]

COUNT = 100_000

_FORMATS = {
    "int8": {"inputs": "int8", "acc_format": "integer", "dim": 16, "keys_max": 64, "score_lanes": 4},
    "int8_narrow": {
        "inputs": "int8", "acc_format": "integer", "dim": 4, "keys_max": 1, "weight_bits": 8,
        "exponent_fraction": 6, "mantissa_bits": 8,
    },
    "int4": {
        "inputs": "int8", "acc_format": "integer", "dim": 15, "keys_max": 50, "score_lanes": 5, "kv_width": 4,
    },
    "fp16_fixed": {"inputs": "fp16", "acc_format": "fixed", "dim": 9, "keys_max": 100, "score_lanes": 3},
    "bf16_fixed": {
        "inputs": "bf16", "acc_format": "fixed", "dim": 6, "keys_max": 33, "score_lanes": 3,
        "weight_bits": 12, "exponent_fraction": 13, "mantissa_bits": 16,
    },
    "fp16_fp32": {"inputs": "fp16", "acc_format": "fp32", "dim": 8, "keys_max": 128, "score_lanes": 2},
    "bf16_fp32": {"inputs": "bf16", "acc_format": "fp32", "dim": 3, "keys_max": 16, "score_lanes": 3},
    "fp16_same": {"inputs": "fp16", "acc_format": "same", "dim": 6, "keys_max": 128, "score_lanes": 3},
    "bf16_same": {"inputs": "bf16", "acc_format": "same", "dim": 8, "keys_max": 16, "score_lanes": 2},
}  # fmt: skip

DESIGNS: dict[str, Arithmetic] = {
    f"{name}-{graph}": Arithmetic(graph=graph, **given).check()  # type: ignore[arg-type]
    for name, given in _FORMATS.items()
    for graph in GRAPHS
}


def sampled(designs: Mapping[str, Arithmetic], also: str = "") -> dict[str, Arithmetic]:
    """A design of every format, each of another graph, and ``also``; all of them in `make test-all`."""
    if ALL:
        return dict(designs)
    formats: dict[str, list[str]] = {}
    for name in designs:
        formats.setdefault(name.rsplit("-", 1)[0], []).append(name)
    chosen = {names[turn % len(names)] for turn, names in enumerate(formats.values())}
    return {name: a for name, a in designs.items() if name in chosen or name == also}


def every_design() -> Arithmetic:
    """All designs at once, as columns in their order."""
    names = (field.name for field in dataclasses.fields(Arithmetic))
    return Arithmetic(**{name: np.array([getattr(a, name) for a in DESIGNS.values()]) for name in names})  # type: ignore[arg-type]


def masked(words: Any, width: int) -> Integers:
    """Numbers as unsigned patterns."""
    return np.asarray(words, np.int64) & ((1 << width) - 1)


def float_words(a: Arithmetic, random: np.random.Generator, shape: tuple[int, ...]) -> Integers:
    """Inputs of like size, and patterns of any kind among them."""
    fmt = a.input_format
    near = floating.from_float64(fmt, random.normal(size=shape) * 2.0 ** random.integers(-3, 4))
    return np.where(random.random(shape) < 0.9, near, random.integers(0, 1 << fmt.width, shape))


def queries(a: Arithmetic, random: np.random.Generator, shape: tuple[int, ...]) -> Integers:
    """Elements of queries."""
    return _elements(a, random, shape, 8)


def values(a: Arithmetic, random: np.random.Generator, shape: tuple[int, ...]) -> Integers:
    """Elements of keys and values."""
    return _elements(a, random, shape, a.kv_width)


def _elements(a: Arithmetic, random: np.random.Generator, shape: tuple[int, ...], bits: int) -> Integers:
    if a.is_float:
        return float_words(a, random, shape)
    lowest = -(1 << (bits - 1))
    whole = random.integers(lowest, -lowest, shape)
    return np.where(random.random(shape) < 0.1, lowest, whole)


def _sum_words(a: Arithmetic, random: np.random.Generator) -> Integers:
    """Float sums of any size."""
    fmt = a.sum_format
    near = floating.from_float64(fmt, random.normal(size=COUNT) * np.exp2(random.integers(-12, 8, COUNT)))
    return np.where(random.random(COUNT) < 0.95, near, random.integers(0, 1 << fmt.width, COUNT))


def scores(a: Arithmetic, random: np.random.Generator) -> Integers:
    """Words of scores."""
    if a.sums_are_floats:
        return _sum_words(a, random)
    number = random.integers(-(1 << (a.score_width - 1)), 1 << (a.score_width - 1), COUNT)
    number >>= random.integers(0, a.score_width, COUNT)
    flags = np.where(random.random(COUNT) < 0.1, random.integers(0, 4, COUNT), 0)
    return steps.join(number, flags, a.score_width, a.nan_bit)


def registers(a: Arithmetic, random: np.random.Generator) -> list[Scales]:
    """Contents of the registers: usual and extreme ones."""
    output = {"output_multiplier": int(random.integers(1 << 15, 1 << 16)), "output_shift": 15}
    usual = [Scales.of(a, scale, gain) for scale, gain in ((0.01, 1.0), (1.0, 3.3), (0.18, 0.7))]
    wide = (1 << a.multiplier_width) - 1
    if a.sums_are_floats:
        wide >>= 1
        return [*usual, *(Scales(multiplier=m, **output) for m in (0, wide, int(random.integers(0, wide))))]
    extreme = [
        (wide, 0),
        (wide, 63),
        (1, 1),
        (0, 5),
        (int(random.integers(1, wide)), int(random.integers(64))),
    ]
    largest = {"output_multiplier": 65535, "output_shift": 31}
    found = [Scales(multiplier=m, shift=s, **output) for m, s in extreme]
    return [*usual[:2], Scales(multiplier=wide, shift=a.score_width, **largest), *found]


def exponents(a: Arithmetic, random: np.random.Generator) -> Integers:
    """Words of exponents of two: small, of any size, whole, and the largest and smallest."""
    low, high = -EXPONENT_LIMIT << a.fraction, EXPONENT_LIMIT << a.fraction
    number = random.normal(size=COUNT) * 2.0 ** (a.fraction + random.integers(-2, 5, COUNT))
    t = np.where(random.random(COUNT) < 0.8, number.astype(np.int64), random.integers(low, high, COUNT))
    t = np.where(random.random(COUNT) < 0.1, t >> a.fraction << a.fraction, t)
    t = np.where(random.random(COUNT) < 0.02, random.choice([low, high], COUNT), t)
    return steps.join(np.clip(t, low, high), random.integers(0, 8, COUNT) // 7, a.t_width, a.t_nan_bit)


def weights(a: Arithmetic, random: np.random.Generator) -> Integers:
    """Words of weights from 0 to 1."""
    down = random.exponential(6.0, COUNT) * (random.random(COUNT) < 0.95)
    if a.sums_are_floats:
        words = floating.from_float64(a.sum_format, np.exp2(-down), flush=True)
        return np.where(random.random(COUNT) < 0.01, a.sum_format.canonical_nan, words)
    number = np.floor(np.exp2(a.weight_fraction - down)).astype(np.int64)
    return steps.join(number, random.integers(0, 8, COUNT) // 7, a.p_width, a.nan_bit)


def weight_sums(a: Arithmetic, random: np.random.Generator) -> Integers:
    """Sums of weights: none, powers of two, up to the largest."""
    if a.sums_are_floats:
        words = _sum_words(a, random) & (a.sum_format.sign_mask - 1)
        power = random.integers(0, 1 << a.sum_format.exponent_bits, COUNT) << a.sum_format.fraction_bits
        return np.where(random.random(COUNT) < 0.1, power, words)
    total = random.integers(0, (a.keys_max << a.weight_fraction) + 1, COUNT)
    total >>= random.integers(0, a.l_width, COUNT)
    total = np.where(random.random(COUNT) < 0.1, 1 << random.integers(0, a.l_width, COUNT), total)
    return np.asarray(np.minimum(total, a.keys_max << a.weight_fraction), dtype=np.int64)


def value_sums(a: Arithmetic, random: np.random.Generator, total: Integers) -> Integers:
    """Words of sums of weighted values that belong to sums of weights."""
    if a.sums_are_floats:
        return _sum_words(a, random)
    bound = 1 << (a.kv_width - 1 if not a.is_float else 16)
    mean = random.normal(size=COUNT) * 0.3 * bound if not a.is_float else random.standard_cauchy(COUNT)
    unit = 0 if not a.is_float else a.value_fraction - a.weight_fraction
    weight = (1 << a.weight_fraction) if a.divides_first else total
    mean = np.clip(np.where(random.random(COUNT) < 0.05, -bound, mean), -bound, bound * (1 - 2.0**-16))
    number = np.floor(mean * np.exp2(unit) * weight).astype(np.int64)
    return steps.join(number, random.integers(0, 8, COUNT) // 7, a.o_width, a.nan_bit)
