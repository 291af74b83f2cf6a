"""Random popcount cores, products and operands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from blueprint import typical
from blueprint.families.binary_popcount.parameters import BinaryPopcountParameters
from blueprint.family import Arrays, Calibration
from blueprint.workloads.data import EVEN, Data
from blueprint.workloads.tasks import Gemm

calibration = Calibration()

_SIZES = {
    "lanes": (1, 2, 3, 4, 5, 8, 16, 31),
    "cols": (1, 2, 3, 4, 6, 8),
    "k_max": (1, 3, 20, 64, 200),
    "n_max": (1, 4, 30, 100),
    "m_max": (1, 2, 7, 65535),
}


def design(random: np.random.Generator) -> Mapping[str, Any]:
    """Parameters of a random design that is small enough to be compiled in seconds."""
    sizes = {name: int(random.choice(values)) for name, values in _SIZES.items()}
    choices = BinaryPopcountParameters.limits()["result"].choices
    return sizes | {"result": str(random.choice(choices))}


def consistent(table: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as they are: all go together."""
    return dict(table)


def task(p: BinaryPopcountParameters, random: np.random.Generator) -> Gemm:
    """A random product of sizes the design allows, often 1 in a dimension, of at most 600 cycles."""
    return typical.random_gemm(p, random, tokens=5, cycles=600)


def operands(p: BinaryPopcountParameters, task: Gemm, seed: int) -> Arrays:
    """Bits ``act`` of shape (m, k) and ``wgt`` of shape (k, n); ``thr`` of shape (n,), some of them extremes."""
    random = np.random.default_rng(seed)
    found = _bits(random, task)
    if p.compares:
        middle = np.clip(task.k // 2 + random.integers(-2, 3, task.n), 0, task.k)
        rare = random.choice([0, task.k, p.k_max], task.n)
        found["thr"] = np.where(random.random(task.n) < 0.1, rare, middle)
    return found


typical_task = typical.gemm


def typical_operands(p: BinaryPopcountParameters, task: Gemm, seed: int, data: Data = EVEN) -> Arrays:
    """Bits that are 1 half of the time, thresholds in the middle."""
    found = _bits(np.random.default_rng(seed), task)
    return found | ({"thr": np.full(task.n, task.k // 2)} if p.compares else {})


def _bits(random: np.random.Generator, task: Gemm) -> Arrays:
    shapes = {"act": (task.m, task.k), "wgt": (task.k, task.n)}
    return {name: random.integers(0, 2, shape, dtype=np.int64) for name, shape in shapes.items()}
