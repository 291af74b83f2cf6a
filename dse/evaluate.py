"""The numbers of many designs at once: area, clock, tokens per second and energy on a language model's layers.

Time of a pass over the workload: layers run one after the other, and each takes the longer of its compute cycles and
its traffic to external memory, ``max(cycles / clock, bits / bandwidth)``; the next layer's weights are not fetched
ahead of time, so a layer bound by compute does not help one bound by memory. Reading the cache of keys and values in
decode is traffic of its own. Embedding, LM head, normalization and the arithmetic of attention are not in it.
Energy: core energy per cycle of full throughput times compute cycles, plus energy per bit times bits moved. Leakage is
left out: area times a few nW per um2 over a token's time is below a thousandth of the core's energy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.model import layers
from blueprint.spec import Spec
from blueprint.workload import Gemm
from dse.metrics import METRICS
from dse.problem import Evaluation, Problem
from dse.space import Columns, Dram, Space

#: (area by place in um2, critical path in ps, core energy in pJ per cycle of full throughput) of a spec or columns.
Costs = Callable[[Any], tuple[dict[str, Any], Any, Any]]


@dataclass(frozen=True)
class Pass:
    """One pass over a workload: distinct products with their counts, tokens they serve, and other bits moved."""

    gemms: tuple[Gemm, ...]
    tokens: int
    cache_bits: int = 0


@dataclass(frozen=True)
class Time:
    """What a pass takes: ``cycles`` of compute, ``seconds``, those bound by DRAM, and ``bits`` moved."""

    cycles: Any
    seconds: Any
    dram_seconds: Any
    bits: Any


def merged(gemms: Iterable[Gemm]) -> tuple[Gemm, ...]:
    """Products of equal shape as one with the sum of their counts: each shape is evaluated once."""
    counts: dict[tuple[int, int, int], list[Gemm]] = {}
    for gemm in gemms:
        counts.setdefault((gemm.m, gemm.k, gemm.n), []).append(gemm)
    return tuple(
        Gemm(*shape, "+".join(g.name for g in same), sum(g.count for g in same))
        for shape, same in counts.items()
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
    for gemm in work.gemms:
        steps = spec.cycles(gemm)
        moved = sum(spec.dram_bits(gemm).values())
        compute, memory = steps / hertz, moved / bits_per_second
        cycles = cycles + gemm.count * steps
        bits = bits + gemm.count * moved
        seconds = seconds + gemm.count * np.maximum(compute, memory)
        dram_seconds = dram_seconds + gemm.count * np.where(memory > compute, memory, 0.0)
    return Time(cycles, seconds, dram_seconds, bits)


def decode_pass(space: Space) -> Pass:
    """The space's workload, with the traffic of its key and value cache.

    Every token writes its keys and values; in decode each reads those of its context before.
    """
    work = space.workload
    cache_bits = 0
    if work.model is not None:
        positions = 1 + (work.context if work.phase == "decode" else 0)
        cache_bits = work.tokens * positions * _cache_bits(space)
    tokens = work.tokens if work.model is not None else max(gemm.m for gemm in work.gemms)
    return Pass(merged(work.gemms), tokens, cache_bits)


def _cache_bits(space: Space) -> int:
    """Bits that one token adds to the key and value cache."""
    model = space.workload.model
    return 0 if model is None else 8 * model.kv_bytes_per_token((space.dram or Dram).kv_width)


def prompt_pass(space: Space) -> Pass | None:
    """The prompt whose pass is the time to the first token, where there is one."""
    work = space.workload
    if work.model is not None and work.phase == "decode" and space.prompt_tokens is not None:
        gemms = merged(layers(work.model, "prefill", space.prompt_tokens))
        return Pass(gemms, space.prompt_tokens, space.prompt_tokens * _cache_bits(space))
    return decode_pass(space) if work.phase == "prefill" else None


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
        areas, path, core_pj = self.costs(designs)
        clock = 1e6 / path
        time = run(designs, self.work, clock, self.dram)
        macs = sum(gemm.macs for gemm in self.work.gemms)
        per_bit = self.dram.energy_pj_per_bit if self.dram else 0.0
        core = core_pj * time.cycles / self.work.tokens
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
        """Rules out designs made for smaller products than the workload has."""
        gemms = (*self.work.gemms, *(self.prompt.gemms if self.prompt else ()))
        for size in "mkn":
            largest = max(getattr(gemm, size) for gemm in gemms)
            limit = getattr(designs, f"{size}_max", None)
            if limit is not None:
                reason[np.broadcast_to(limit < largest, reason.shape) & (reason == 0)] = len(reasons)
                reasons.append(f"{size}_max must be at least {largest}, the workload's largest {size}")
        return tuple(reasons)


@dataclass(frozen=True)
class TechnologyCosts:
    """The analytical cost model in one technology."""

    technology: Any

    def __call__(self, designs: Any) -> tuple[dict[str, Any], Any, Any]:
        from costmodel import estimate  # loads no more than a worker needs

        units = designs.units()
        return (
            estimate.area(units, self.technology),
            estimate.delay(designs.paths(), self.technology),
            estimate.energy(units, self.technology),
        )


def metric_names(space: Space) -> tuple[str, ...]:
    """The metrics that designs of this space have."""
    prompt = prompt_pass(space) is not None
    return tuple(name for name in METRICS if prompt or name != "time_to_first_token_s")


def design_problem(space: Space, costs: Costs, provenance: dict[str, str]) -> Problem:
    """The problem of a space under a cost model."""
    from blueprint import registry

    work, prompt = decode_pass(space), prompt_pass(space)
    evaluators = {
        sub.family: DesignEvaluator(registry.get(sub.family), costs, work, prompt, space.dram)
        for sub in space.subspaces
    }
    return Problem(space, evaluators, metric_names(space), provenance)
