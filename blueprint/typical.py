"""Tasks of some hundred cycles: one that keeps a design busy, to measure energy on, and random products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from blueprint.spec import Spec
from blueprint.workloads.tasks import Gemm

#: Cycles of a typical run, and of one pass over its outputs.
_CYCLES = 320
_COLUMN_CYCLES = 40


def gemm(p: Spec) -> Gemm:
    """A product that keeps a design busy: many outputs, then a long sum, then more tokens."""
    most = {size: getattr(p, name) for size, name in p.bounds().items()}
    n = largest(lambda n: p.cycles(Gemm(1, 1, n)), most["n"], _COLUMN_CYCLES)
    k = largest(lambda k: p.cycles(Gemm(1, k, n)), most["k"], _CYCLES)
    m = largest(lambda m: p.cycles(Gemm(m, k, n)), most["m"], _CYCLES)
    return Gemm(m, k, n)


def random_gemm(p: Spec, random: np.random.Generator, tokens: int, cycles: int) -> Gemm:
    """A random product that fits the design, each size 1 with probability 0.15 at least.

    ``tokens`` is the most of ``m``, ``cycles`` the most that the run takes.
    """
    most = {size: getattr(p, name) for size, name in p.bounds().items()}
    limits = (min(most["m"], tokens), most["k"], most["n"])
    while True:
        m, k, n = (1 if random.random() < 0.15 else int(random.integers(1, limit + 1)) for limit in limits)
        if p.cycles(Gemm(m, k, n)) <= cycles:
            return Gemm(m, k, n)


def largest(cycles: Callable[[int], Any], most: int, limit: int) -> int:
    """The largest size up to ``most`` that takes at most ``limit`` cycles, at least 1; ``cycles`` never falls."""
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cycles(middle) <= limit else (low, middle - 1)
    return low
