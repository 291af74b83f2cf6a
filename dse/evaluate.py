"""The numbers of many designs at once: area, clock, tokens per second and energy on a language model's layers.

Time of a pass over the workload: layers run one after the other, and each takes the longer of its compute cycles and
its traffic to external memory, ``max(cycles / clock, bits / bandwidth)``; the next layer's weights are not fetched
ahead of time, so a layer bound by compute does not help one bound by memory. Of a model, families of matrix products
run the ternary layers: reading the cache of keys and values in decode is traffic of its own, the arithmetic of
attention is not in it. Families of attention run just that, and their traffic includes the cache. Embedding, LM head
and normalization are in neither.
Energy: the clock toggles in every cycle of that time, those in which the core waits for memory included, and cells leak
through all of it; switching comes with every multiply-accumulate, and DRAM costs energy per bit moved. Not counted are
leakage of memory macros, DRAM standby, and the host's time between two layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from blueprint.errors import ParamError
from blueprint.spec import Spec
from blueprint.workloads.tasks import Gemm, Task
from blueprint.workloads.workload import Workload, of_model
from costmodel.model import estimate
from costmodel.model.estimate import Cost
from dse.metrics import metrics_of, name_of
from dse.problem import Evaluation, Problem
from dse.space import Columns, Dram, Space

#: The cost of a spec or of columns.
Costs = Callable[[Any], Cost]
#: The cycles of one run of a task.
Cycles = Callable[[Task], Any]


class Asked(Protocol):
    """What designs are judged on; a space says it."""

    @property
    def workload(self) -> Workload: ...

    @property
    def dram(self) -> Dram | None: ...

    @property
    def prompt_tokens(self) -> int | None: ...


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


def run(spec: Any, work: Pass, clock_mhz: Any, dram: Dram | None, cycles_of: Cycles | None = None) -> Time:
    """Time and traffic of one pass; without ``dram`` memory takes no time, but the bits are still counted.

    ``cycles_of`` replaces the spec's closed form where another is right.
    """
    hertz = clock_mhz * 1e6
    bits_per_second = np.inf if dram is None else dram.bandwidth_gb_s * 8e9
    cache_seconds = work.cache_bits / bits_per_second
    cycles: Any = 0
    bits: Any = work.cache_bits
    seconds: Any = cache_seconds
    dram_seconds: Any = cache_seconds
    for task in work.tasks:
        steps = (cycles_of or spec.cycles)(task)
        moved = sum(spec.dram_bits(task).values())
        compute, memory = steps / hertz, moved / bits_per_second
        cycles = cycles + task.count * steps
        bits = bits + task.count * moved
        seconds = seconds + task.count * np.maximum(compute, memory)
        dram_seconds = dram_seconds + task.count * np.where(memory > compute, memory, 0.0)
    return Time(cycles, seconds, dram_seconds, bits)


def decode_pass(space: Asked, kind: type[Spec] = Spec) -> Pass:
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


def _cache_bits(space: Asked) -> int:
    """Bits that one token adds to the key and value cache."""
    model = space.workload.model
    return 0 if model is None else 8 * model.kv_bytes_per_token((space.dram or Dram).kv_width)


def prompt_pass(space: Asked, kind: type[Spec] = Spec) -> Pass | None:
    """The prompt whose pass is the time to the first token, where there is one."""
    work = space.workload
    if work.model is not None and work.phase == "decode" and space.prompt_tokens is not None:
        tasks = merged(kind.tasks(of_model(work.model, "prefill", space.prompt_tokens)))
        cache_bits = space.prompt_tokens * _cache_bits(space) if kind.task is Gemm else 0
        return Pass(tasks, space.prompt_tokens, cache_bits)
    return decode_pass(space, kind) if work.phase == "prefill" else None


@dataclass(frozen=True)
class DesignEvaluator:
    """Evaluates designs of one family; ``costs`` is the cost model bound to a technology.

    ``part`` is the part of a model that ``work`` is, empty for a plain workload.
    """

    kind: type[Spec]
    costs: Costs
    work: Pass
    prompt: Pass | None
    dram: Dram | None
    part: str = ""

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

    def metrics(
        self, designs: Any, clock_mhz: float | None = None, cycles_of: Cycles | None = None
    ) -> dict[str, Any]:
        """Every metric of designs that can be built (columns or one spec), without what the workload has not.

        ``clock_mhz`` is a clock other than the fastest, ``cycles_of`` as in :func:`run`.
        """
        cost = self.costs(designs)
        clock = clock_mhz or 1e6 / cost.path_ps
        time = run(designs, self.work, clock, self.dram, cycles_of)
        core = self.energy_parts(designs, cost, clock, time)
        dram = core.pop("dram")
        tokens, rate = self.work.tokens, self.work.tokens / time.seconds
        total = sum(core.values())
        found = {
            "area_um2": sum(cost.areas.values()),
            "flip_flops": sum(unit.flip_flops for unit in designs.units()),
            "critical_path_ps": cost.path_ps,
            "clock_mhz": clock,
            "peak_macs": designs.peak_macs,
            "cycles": time.cycles,
            "tokens_per_second": rate,
            "energy_pj_per_token": (total + dram) / tokens,
            "core_energy_pj_per_token": total / tokens,
            "power_mw": (total + dram) / time.seconds * 1e-9,
            "utilization": self.macs / (designs.peak_macs * clock * 1e6 * time.seconds),
            "dram_share": time.dram_seconds / time.seconds,
        }
        if self.prompt is not None:
            found["time_to_first_token_s"] = run(designs, self.prompt, clock, self.dram, cycles_of).seconds
        named = {name_of(base, self.part): value for base, value in found.items()}
        return {name: value for name, value in named.items() if name is not None}

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one pass."""
        return sum(task.macs for task in self.work.tasks)

    def energy_parts(self, designs: Any, cost: Cost, clock_mhz: Any, time: Time) -> dict[str, Any]:
        """Energy of one pass in pJ by cause: clock, switching, leakage, dram."""
        cycles = time.seconds * clock_mhz * 1e6
        per_bit = self.dram.energy_pj_per_bit if self.dram else 0.0
        core = cost.energy_parts(cycles, self.macs / designs.peak_macs, time.seconds)
        return {**core, "dram": per_bit * time.bits}

    def row(
        self, spec: Spec, clock_mhz: float | None = None, cycles_of: Cycles | None = None
    ) -> dict[str, float]:
        """The metrics of one design by name: those of its row in a study, to the bit."""
        columns = self.kind.columns({name: np.array([value]) for name, value in spec.parameters.items()})
        found = self.metrics(columns, clock_mhz, cycles_of)
        return {name: float(np.broadcast_to(value, 1)[0]) for name, value in found.items()}

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

    def __call__(self, designs: Any) -> Cost:
        return estimate.cost(designs, self.technology)

    def paths(self, designs: Any) -> dict[str, float]:
        """The register-to-register paths of one design by name, in ps."""
        start = float(estimate.group(self.technology, "delay")[estimate.START])
        return {path.name: start + float(estimate.steps(path, self.technology)) for path in designs.paths()}


def part_of(kinds: Iterable[type[Spec]], workload: Workload) -> str:
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
    return first.task.part if workload.model is not None else ""


def memory_text(dram: Dram | None) -> str:
    """What numbers assume about external memory, in words."""
    if dram is None:
        return "assumed unlimited: no dram is given, so memory takes no time and no energy"
    return f"{dram.bandwidth_gb_s:g} GB/s, {dram.energy_pj_per_bit:g} pJ per bit"


def evaluator(asked: Asked, kind: type[Spec], costs: Costs) -> DesignEvaluator:
    """The evaluator of a family's designs on what is asked of them."""
    part = part_of([kind], asked.workload)
    return DesignEvaluator(kind, costs, decode_pass(asked, kind), prompt_pass(asked, kind), asked.dram, part)


def evaluators(space: Space, costs: Costs) -> Mapping[str, DesignEvaluator]:
    """The evaluator of every family of a space. Raises ``ParamError`` as :func:`part_of`."""
    from blueprint import registry

    kinds = [registry.get(sub.family) for sub in space.subspaces]
    part_of(kinds, space.workload)
    return {kind.family: evaluator(space, kind, costs) for kind in kinds}


def metric_names(space: Space) -> tuple[str, ...]:
    """The metrics that designs of this space have."""
    names = metrics_of(space.part)
    prompt = prompt_pass(space) is not None
    return tuple(name for name, metric in names.items() if prompt or metric.base != "time_to_first_token_s")


def design_problem(space: Space, costs: Costs, provenance: dict[str, str]) -> Problem:
    """The problem of a space under a cost model. Raises ``ParamError`` as :func:`part_of`."""
    return Problem(space, evaluators(space, costs), metric_names(space), provenance)
