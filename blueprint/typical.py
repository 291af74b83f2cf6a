"""Random designs, and tasks of some hundred cycles: a busy one for energy measurement, and random products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np

from blueprint.parameters import Parameters
from blueprint.spec import Spec
from blueprint.workloads.tasks import Gemm

#: Cycles of a typical run, and of one pass over its outputs.
_CYCLES = 320
_COLUMN_CYCLES = 40
#: Utilization that a run must have to stand for a busy design.
_BUSY = 0.4


_Parameters = TypeVar("_Parameters", bound=Parameters)


def random_parameters(
    kind: type[Parameters],
    random: np.random.Generator,
    sizes: Mapping[str, Sequence[int]],
    choices: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """One value of each choice and of each switch of a family, and one of the given values of each size.

    ``choices`` are those of a parameter that not all values are drawn of; a switch that has some keeps its default.
    """
    limits, choices = kind.limits(), choices or {}
    chosen: dict[str, Any] = {
        name: str(random.choice(choices.get(name, limit.choices)))
        for name, limit in limits.items()
        if limit.choices
    }
    switches = [name for name, limit in limits.items() if limit.kind is bool and name not in choices]
    chosen |= {name: bool(random.integers(2)) for name in switches}
    return chosen | {name: int(random.choice(values)) for name, values in sizes.items()}


def random_design(
    kind: type[_Parameters], draw: Callable[[], Mapping[str, Any]], suits: Callable[[_Parameters], bool]
) -> Mapping[str, Any]:
    """Parameters of the first draw that can be built and that ``suits``."""
    while True:
        found = kind.columns(draw())
        if found.feasible()[0] and suits(found):
            return found.parameters


def gemm(p: Spec) -> Gemm:
    """A product that keeps a design busy: many outputs first, then a long reduction, then more tokens.

    Where that leaves most of the design idle, as a large array that fills and drains for every output, it is the one
    of all powers of two that leaves least.
    """
    found = _many_outputs(p)
    if _utilization(p, found) >= _BUSY:
        return found
    return max([found, *_powers(p)], key=lambda task: _utilization(p, task))


def _utilization(p: Spec, task: Gemm) -> float:
    return float(task.macs / (p.cycles(task) * p.peak_macs))


def _powers(p: Spec) -> Iterator[Gemm]:
    """Products whose outputs and reductions are powers of two, with as many tokens as the cycles allow."""
    most = {size: getattr(p, name) for size, name in p.bounds().items()}
    for n in (1 << bits for bits in range(most["n"].bit_length())):
        for k in (1 << bits for bits in range(most["k"].bit_length())):
            if p.cycles(Gemm(1, k, n)) > _CYCLES:
                break
            yield Gemm(largest(partial(_cycles, p, k, n), most["m"], _CYCLES), k, n)


def _cycles(p: Spec, k: int, n: int, m: int) -> Any:
    return p.cycles(Gemm(m, k, n))


def _many_outputs(p: Spec) -> Gemm:
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
