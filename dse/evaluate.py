"""The numbers of many designs at once: area, clock, tokens per second and energy on a language model's layers.

Time of a pass over the workload: layers run one after the other, and each takes the longer of its compute cycles and
its traffic to external memory, ``max(cycles / clock, bits / bandwidth)``; the next layer's weights are not fetched
ahead of time, so a layer bound by compute does not help one bound by memory. Of a model, families of matrix products
run the ternary layers: reading the cache of keys and values in decode is traffic of its own, the arithmetic of
attention is not in it. Families of attention run just that, and their traffic includes the cache. Embedding, LM head
and normalization are in neither.
Energy: clocks in every compute cycle, switching for every multiply-accumulate, and energy per bit moved. Leakage is
left out: area times a few nW per um2 over a token's time is below a thousandth of the core's energy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.spec import Spec
from blueprint.workload import Gemm, Task, of_model
from dse.metrics import METRICS
from dse.problem import Evaluation, Problem
from dse.space import Columns, Dram, Space

#: (area by place in um2, critical path in ps, energy in pJ of any cycle, and what full throughput adds) of a spec or
#: columns.
Costs = Callable[[Any], tuple[dict[str, Any], Any, Any, Any]]


@dataclass(frozen=True)
class Pass:
    """One pass over a workload: distinct tasks with their counts, tokens they serve, and other bits moved."""

    tasks: tuple[Task, ...]
    tokens: int
    cache_bits: int = 0


@dataclass(frozen=True)
class Time:
    """What a pass takes: ``cycles`` of compute, ``seconds``, those bound by DRAM, and ``bits`` moved."""

    cycles: Any
    seconds: Any
    dram_seconds: Any
    bits: Any


def merged(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Tasks of equal shape as one with the sum of their counts: each shape is evaluated once."""
    found: dict[Task, list[Task]] = {}
    for task in tasks:
        found.setdefault(replace(task, name="", count=1), []).append(task)
    return tuple(
        replace(shape, name="+".join(t.name for t in same), count=sum(t.count for t in same))
        for shape, same in found.items()
    )


def run(spec: Any, work: Pass, clock_mhz: Any, dram: Dram | None) -> Time:
    """Time and traffic of one pass; without ``dram`` memory takes no time, but the bits are still counted."""
    hertz = clock_mhz * 1e6
    bits_per_second = np.inf if dram is None else dram.bandwidth_gb_s * 8e9
    cache_seconds = work.cache_bits / bits_per_second
    cycles: Any = 0
    bits: Any = work.cache_bits
    seconds: Any = cache_seconds
    dram_seconds: Any = cache_seconds
    for task in work.tasks:
        steps = spec.cycles(task)
        moved = sum(spec.dram_bits(task).values())
        compute, memory = steps / hertz, moved / bits_per_second
        cycles = cycles + task.count * steps
        bits = bits + task.count * moved
        seconds = seconds + task.count * np.maximum(compute, memory)
        dram_seconds = dram_seconds + task.count * np.where(memory > compute, memory, 0.0)
    return Time(cycles, seconds, dram_seconds, bits)


def decode_pass(space: Space, kind: type[Spec] = Spec) -> Pass:
    """What a family runs of the space's workload, with the traffic of its key and value cache.

    Every token writes its keys and values; in decode each reads those of its context before.
    """
    work = space.workload
    cache_bits = 0
    if work.model is not None and kind.task is Gemm:
        positions = 1 + (work.context if work.phase == "decode" else 0)
        cache_bits = work.tokens * positions * _cache_bits(space)
    tokens = work.tokens if work.model is not None else max(task.tokens for task in work.tasks)
    return Pass(merged(kind.tasks(work)), tokens, cache_bits)


def _cache_bits(space: Space) -> int:
    """Bits that one token adds to the key and value cache."""
    model = space.workload.model
    return 0 if model is None else 8 * model.kv_bytes_per_token((space.dram or Dram).kv_width)


def prompt_pass(space: Space, kind: type[Spec] = Spec) -> Pass | None:
    """The prompt whose pass is the time to the first token, where there is one."""
    work = space.workload
    if work.model is not None and work.phase == "decode" and space.prompt_tokens is not None:
        tasks = merged(kind.tasks(of_model(work.model, "prefill", space.prompt_tokens)))
        cache_bits = space.prompt_tokens * _cache_bits(space) if kind.task is Gemm else 0
        return Pass(tasks, space.prompt_tokens, cache_bits)
    return decode_pass(space, kind) if work.phase == "prefill" else None


@dataclass(frozen=True)
class DesignEvaluator:
    """Evaluates designs of one family; ``costs`` is the cost model bound to a technology."""

    kind: type[Spec]
    costs: Costs
    work: Pass
    prompt: Pass | None
    dram: Dram | None

    def __call__(self, columns: Columns, count: int) -> Evaluation:
        """Metrics of ``count`` designs; those that cannot be built or cannot hold a layer get a reason."""
        designs: Any = self.kind.columns(columns)
        _, reason, reasons = designs.feasible()
        reason = np.array(np.broadcast_to(reason, count))
        reasons = self._limits(designs, reason, list(reasons))
        built = np.asarray(reason == 0)
        if not built.any():
            return Evaluation({}, reason, reasons)
        if built.all():
            return Evaluation(self.metrics(designs), reason, reasons)
        kept = {
            name: value[built] if isinstance(value, np.ndarray) else value for name, value in columns.items()
        }
        metrics = {}
        for name, values in self.metrics(self.kind.columns(kept)).items():
            metrics[name] = np.full(count, np.nan)
            metrics[name][built] = values
        return Evaluation(metrics, reason, reasons)

    def metrics(self, designs: Any) -> dict[str, Any]:
        """Every metric of designs that can be built (columns or one spec), without what the workload has not."""
        areas, path, clock_pj, switching_pj = self.costs(designs)
        clock = 1e6 / path
        time = run(designs, self.work, clock, self.dram)
        macs = sum(task.macs for task in self.work.tasks)
        per_bit = self.dram.energy_pj_per_bit if self.dram else 0.0
        core = clock_pj * time.cycles + switching_pj * (macs / designs.peak_macs)
        core = core / self.work.tokens
        energy = core + per_bit * time.bits / self.work.tokens
        rate = self.work.tokens / time.seconds
        found = {
            "area_um2": sum(areas.values()),
            "flip_flops": sum(unit.flip_flops for unit in designs.units()),
            "critical_path_ps": path,
            "clock_mhz": clock,
            "peak_macs": designs.peak_macs,
            "cycles": time.cycles,
            "tokens_per_second": rate,
            "energy_pj_per_token": energy,
            "core_energy_pj_per_token": core,
            "power_mw": energy * rate * 1e-9,
            "utilization": macs / (designs.peak_macs * clock * 1e6 * time.seconds),
            "dram_share": time.dram_seconds / time.seconds,
        }
        if self.prompt is not None:
            found["time_to_first_token_s"] = run(designs, self.prompt, clock, self.dram).seconds
        return found

    def _limits(self, designs: Any, reason: npt.NDArray[np.int64], reasons: list[str]) -> tuple[str, ...]:
        """Rules out designs made for smaller tasks than the workload has."""
        for rule in designs.capacity((*self.work.tasks, *(self.prompt.tasks if self.prompt else ()))):
            reason[np.broadcast_to(~np.asarray(rule.holds), reason.shape) & (reason == 0)] = len(reasons)
            reasons.append(rule.reason)
        return tuple(reasons)


@dataclass(frozen=True)
class TechnologyCosts:
    """The analytical cost model in one technology."""

    technology: Any

    def __call__(self, designs: Any) -> tuple[dict[str, Any], Any, Any, Any]:
        from costmodel import estimate  # loads no more than a worker needs

        units = designs.units()
        return (
            estimate.area(units, self.technology),
            estimate.delay(designs.paths(), self.technology),
            *estimate.energy_parts(units, self.technology),
        )


def metric_names(space: Space) -> tuple[str, ...]:
    """The metrics that designs of this space have."""
    prompt = prompt_pass(space) is not None
    return tuple(name for name in METRICS if prompt or name != "time_to_first_token_s")


def design_problem(space: Space, costs: Costs, provenance: dict[str, str]) -> Problem:
    """The problem of a space under a cost model."""
    from blueprint import registry

    kinds = [registry.get(sub.family) for sub in space.subspaces]
    evaluators = {
        kind.family: DesignEvaluator(
            kind, costs, decode_pass(space, kind), prompt_pass(space, kind), space.dram
        )
        for kind in kinds
    }
    return Problem(space, evaluators, metric_names(space), provenance)
