"""Tasks that keep a design busy for some hundred cycles: what the energy of a cycle is measured on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def largest(cycles: Callable[[int], Any], most: int, limit: int) -> int:
    """The largest size up to ``most`` that takes at most ``limit`` cycles, at least 1; ``cycles`` never falls."""
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cycles(middle) <= limit else (low, middle - 1)
    return low
