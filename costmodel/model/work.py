"""Run time of a workload on designs, layer by layer, with an external memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np

from blueprint.errors import ParamError
from blueprint.numbers import Floats, Real, Whole
from blueprint.spec import Spec
from blueprint.workloads.tasks import Gemm, Task
from blueprint.workloads.workload import Workload, of_model
from costmodel.model.estimate import Busy

#: The cycles of one run of a task.
Cycles = Callable[[Task], Whole]


@dataclass(frozen=True)
class Dram:
    """External memory: 1e9 bytes per second, pJ per bit moved, and where those numbers are from.

    ``kv_width`` is the width in bits of a cached key or value element.
    """

    bandwidth_gb_s: float
    energy_pj_per_bit: float
    source: str
    kv_width: int = 8


def memory_text(dram: Dram | None) -> str:
    """The assumption about external memory, in words."""
    if dram is None:
        return "assumed unlimited: no dram is given, so memory takes no time and no energy"
    return f"{dram.bandwidth_gb_s:g} GB/s, {dram.energy_pj_per_bit:g} pJ per bit"


@dataclass(frozen=True)
class Pass:
    """One pass over a workload: distinct tasks with their counts, tokens they serve, and other bits moved."""

    tasks: tuple[Task, ...]
    tokens: int
    cache_bits: int = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the pass."""
        return sum(task.macs for task in self.tasks)


@dataclass(frozen=True)
class Asked:
    """Conditions of an evaluation: a workload, the external memory, and the prompt before the first token.

    Without ``dram`` memory takes no time and no energy. ``clocked`` says that designs are asked for a clock, which they
    reach or not.
    """

    workload: Workload
    dram: Dram | None = None
    prompt_tokens: int | None = None
    clocked: bool = False

    @property
    def has_prompt(self) -> bool:
        """True if the work includes a pass that gives the time to the first token."""
        if self.workload.phase == "prefill":
            return True
        return self._decodes and self.prompt_tokens is not None

    def main_pass(self, kind: type[Spec]) -> Pass:
        """The part of the workload that a family runs, with the traffic of the key and value cache.

        Every token writes its keys and values; in decode each reads those of its context before.
        """
        work = self.workload
        cache_bits = 0
        if work.model is not None and kind.task is Gemm:
            positions = 1 + (work.context if work.phase == "decode" else 0)
            cache_bits = work.tokens * positions * self._cache_bits
        tokens = work.tokens if work.model is not None else max(task.tokens for task in work.tasks)
        return Pass(merged(kind.tasks(work)), tokens, cache_bits)

    def prompt_pass(self, kind: type[Spec]) -> Pass | None:
        """The prompt whose pass gives the time to the first token, if any."""
        model, tokens = self.workload.model, self.prompt_tokens
        if model is not None and self._decodes and tokens is not None:
            tasks = merged(kind.tasks(of_model(model, "prefill", tokens)))
            return Pass(tasks, tokens, tokens * self._cache_bits if kind.task is Gemm else 0)
        return self.main_pass(kind) if self.has_prompt else None

    def part(self, kinds: Iterable[type[Spec]]) -> str:
        """The part of a model that families run, empty for a plain workload.

        Raises ``ParamError`` for families that run different tasks: their numbers cannot be compared.
        """
        first, *others = kinds
        for other in others:
            if other.task is not first.task:
                raise ParamError(
                    f"Families must run the same task to be compared, and {first.family} runs {first.task.kind} "
                    f"while {other.family} runs {other.task.kind}"
                )
        return first.task.part if self.workload.model is not None else ""

    @property
    def _decodes(self) -> bool:
        return self.workload.model is not None and self.workload.phase == "decode"

    @property
    def _cache_bits(self) -> int:
        """Bits that one token adds to the key and value cache."""
        model = self.workload.model
        return 0 if model is None else 8 * model.kv_bytes_per_token((self.dram or Dram).kv_width)


def merged(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Tasks of equal shape as one with the sum of their counts: each shape is evaluated once."""
    found: dict[Task, list[Task]] = {}
    for task in tasks:
        found.setdefault(replace(task, name="", count=1), []).append(task)
    return tuple(
        replace(shape, name="+".join(t.name for t in same), count=sum(t.count for t in same))
        for shape, same in found.items()
    )


def busy(designs: Any, work: Pass, gated: bool) -> Busy:
    """Cycles of full throughput that a pass is worth on one design, or on columns of many.

    Those of clocks are counted where some are ``gated``: a search asks for a million designs a second.
    """
    clocked: Real = sum(task.count * designs.occupied(task) for task in work.tasks) if gated else 0
    return Busy(clocked, work.macs / designs.peak_macs)


@dataclass(frozen=True)
class Time:
    """Time and traffic of a pass: ``cycles`` of compute, ``seconds``, those bound by DRAM, and ``bits`` moved."""

    cycles: Real
    seconds: Real
    dram_seconds: Real
    bits: Real


def run(
    designs: Any, work: Pass, clock_mhz: Real, dram: Dram | None, cycles_of: Cycles | None = None
) -> Time:
    """Time and traffic of one pass; without ``dram`` memory takes no time, but the bits are still counted.

    ``designs`` is one spec or columns of many. ``cycles_of`` replaces the closed form of the cycles where another is
    right.
    """
    hertz = clock_mhz * 1e6
    bits_per_second = np.inf if dram is None else dram.bandwidth_gb_s * 8e9
    cache_seconds = work.cache_bits / bits_per_second
    cycles: Real = 0
    bits: Real = work.cache_bits
    seconds: Real = cache_seconds
    dram_seconds: Real = cache_seconds
    for task in work.tasks:
        steps = (cycles_of or designs.cycles)(task)
        moved = sum(designs.dram_bits(task).values())
        compute, memory = steps / hertz, moved / bits_per_second
        cycles = cycles + task.count * steps
        bits = bits + task.count * moved
        slow = np.where(memory > compute, memory, 0.0)
        dram_seconds = _plus(dram_seconds, _times(slow, task.count))
        seconds = _plus(seconds, _times(np.maximum(compute, memory), task.count))
    return Time(cycles, seconds, dram_seconds, bits)


def _times(fresh: Real, factor: int) -> Real:
    """A product; it overwrites ``fresh``, which must have no other user, where that is an array."""
    return np.multiply(fresh, factor, out=fresh) if _is_array(fresh) else fresh * factor


def _plus(total: Real, fresh: Real) -> Real:
    """A sum; it overwrites ``fresh``, which must have no other user, where that is an array of the sum's shape."""
    if _is_array(fresh) and np.broadcast_shapes(np.shape(total), np.shape(fresh)) == np.shape(fresh):
        return np.add(total, fresh, out=fresh)
    return total + fresh


def _is_array(value: Real) -> TypeGuard[Floats]:
    return isinstance(value, np.ndarray) and value.ndim > 0 and value.dtype == np.float64
