"""The one estimate: every number of a design, or of arrays of designs, in a technology and on a workload.

Explorer, command line and tests ask here. :func:`of_design` says what a design is (area, clock, leakage, energy of a
cycle), :class:`Estimator` what it does with a workload. What the numbers count and what not is :data:`ASSUMPTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from blueprint.numbers import Real, alone
from blueprint.spec import Spec
from blueprint.unit import Unit, flip_flops
from costmodel.model import estimate, glitches
from costmodel.model.estimate import Busy, Cost
from costmodel.model.metrics import name_of
from costmodel.model.work import Asked, Cycles, Dram, Pass, Time, busy, run
from costmodel.technology.technology import Technology

#: The place of memories.
MEMORY = "memory"
#: The cause of energy that is not the core's.
DRAM = "dram"
#: The cost of a spec or of columns.
Costs = Callable[[Any], Cost]

#: What time and energy of a workload include and what they leave out, for readers of a report.
ASSUMPTIONS = """\
Time of a pass over the workload: layers run one after the other, and each takes the longer of its compute cycles and
its traffic to external memory, ``max(cycles / clock, bits / bandwidth)``; the next layer's weights are not fetched
ahead of time, so a layer bound by compute does not help one bound by memory. Of a model, families of matrix products
run the ternary layers: reading the cache of keys and values in decode is traffic of its own, the arithmetic of
attention is not in it. Families of attention run just that, and their traffic includes the cache. Embedding, LM head
and normalization are in neither.
Energy: the clock toggles in every cycle of that time, those in which the core waits for memory included, and cells leak
through all of it; switching comes with every multiply-accumulate, and DRAM costs energy per bit moved. Not counted are
DRAM standby and the host's time between two layers.
"""


@dataclass(frozen=True)
class Estimate:
    """Estimate of one design, without a workload.

    Areas in um2, ``memory_area_um2`` the memories alone, which ``macro_area_um2`` is another name of; leakage in nW.
    ``energy_pj`` is that of one cycle of full throughput at ``clock_mhz``, which ``meets_clock`` says the critical path
    allows. Breakdowns are by place. ``glitches`` says whether the energies have any in them, ``glitch_energy_pj`` how
    much.
    """

    area_um2: float
    area_breakdown_um2: Mapping[str, float]
    logic_area_um2: float
    memory_area_um2: float
    macro_area_um2: float
    memories: tuple[Mapping[str, Any], ...]
    flip_flops: int
    critical_path_ps: float
    clock_mhz: float
    meets_clock: bool
    peak_macs: int
    leakage_nw: float
    energy_pj: float
    cycle_energy_breakdown_pj: Mapping[str, float]
    glitches: str
    glitch_energy_pj: float | None


def cost_of(spec: Spec, technology: Technology) -> Cost:
    """Cost of one design, computed as columns of one design, so that it equals a study's row to the bit."""
    return glitches.cost(_columns(spec), technology)


def of_design(
    spec: Spec, technology: Technology, clock_mhz: float | None = None, cost: Cost | None = None
) -> Estimate:
    """Area, clock, leakage and energy of one design, at the fastest clock where ``clock_mhz`` is no other.

    ``cost`` is what :func:`cost_of` said, where it was asked before. ``ParamError`` where the technology was not
    calibrated.
    """
    units, cost = spec.units(), cost_of(spec, technology) if cost is None else cost
    area, memory = alone(cost.area_um2), float(estimate.macro_area(units, technology))
    fastest = alone(cost.clock_mhz)
    clock = clock_mhz or fastest
    energies = estimate.cycle_energies(units, technology, 1e-6 / clock)
    more = glitches.energies(spec, technology)
    return Estimate(
        area_um2=area,
        area_breakdown_um2={place: alone(area) for place, area in cost.areas.items()},
        logic_area_um2=area - memory,
        memory_area_um2=memory,
        macro_area_um2=memory,
        memories=tuple(memory_line(unit, technology) for unit in estimate.memories(units) if unit.count),
        flip_flops=int(flip_flops(units)),
        critical_path_ps=alone(cost.path_ps),
        clock_mhz=clock,
        meets_clock=bool(clock <= fastest * (1 + 1e-9)),
        peak_macs=int(spec.peak_macs),
        leakage_nw=alone(cost.leakage_nw),
        energy_pj=alone(cost.energy(1, Busy(1, 1), 1e-6 / clock)),
        cycle_energy_breakdown_pj={
            place: float(energy + more.get(place, 0.0)) for place, energy in energies.items()
        },
        glitches=glitches.statement(technology),
        glitch_energy_pj=alone(cost.glitch_pj) if more else None,
    )


def memory_line(unit: Unit, technology: Technology) -> dict[str, Any]:
    """One kind of memory of a design: count, requirements, kind, figures and their source."""
    sram, (words, width) = technology.sram, (int(unit.dims[key]) for key in ("words", "width"))
    ports = estimate.MEMORIES[unit.kind]
    shape = (words, width, ports)
    kind = sram.kind(*shape)
    return {
        "count": int(unit.count),
        "words": words,
        "width": width,
        "ports": ports,
        "kind": kind,
        "area_um2": float(unit.count * sram.area_um2(*shape)),
        "access_ps": float(sram.access_ps(*shape)),
        "read_pj": float(sram.read_pj(*shape)),
        "write_pj": float(sram.write_pj(*shape)),
        "leakage_nw": float(unit.count * sram.leakage_nw(*shape)),
        "left_out": sram.law("area", kind).left_out,
        "source": sram.law("area", kind).source,
    }


@dataclass(frozen=True)
class TechnologyCosts:
    """The costs of designs in one technology."""

    technology: Technology

    def __call__(self, designs: Any) -> Cost:
        return glitches.cost(designs, self.technology)

    def paths(self, spec: Spec) -> dict[str, float]:
        """The register-to-register paths of one design by name, in ps."""
        start = float(estimate.group(self.technology, "delay")[estimate.START])
        longer = estimate.wiring(spec, self.technology)
        return {
            path.name: start + float(estimate.steps(path, self.technology, longer)) for path in spec.paths()
        }


@dataclass(frozen=True)
class OnWork:
    """Time, traffic and energy by cause (pJ, DRAM included) of designs for one pass over the work."""

    time: Time
    energies: Mapping[str, Real]

    @cached_property
    def core_pj(self) -> Real:
        """Energy without DRAM."""
        return sum(energy for cause, energy in self.energies.items() if cause != DRAM)

    @cached_property
    def total_pj(self) -> Real:
        """Energy with DRAM."""
        return self.core_pj + self.energies[DRAM]


@dataclass(frozen=True)
class Answer:
    """Numbers of one design on a pass over the work: its row of a study, total time and energy without DRAM."""

    row: dict[str, float]
    seconds: float
    core_pj: float


@dataclass(frozen=True)
class Estimator:
    """The numbers of one family's designs on what is asked of them; picklable.

    ``costs`` is the cost model bound to a technology. ``part`` is the part of a model that ``work`` is, empty for a
    plain workload.
    """

    kind: type[Spec]
    costs: Costs
    work: Pass
    prompt: Pass | None
    dram: Dram | None
    part: str = ""
    clocked: bool = False

    @classmethod
    def of(cls, kind: type[Spec], costs: Costs, asked: Asked) -> Estimator:
        """The estimator of a family's designs. Raises ``ParamError`` for tasks that the family does not run."""
        passes, part = (asked.main_pass(kind), asked.prompt_pass(kind)), asked.part([kind])
        return cls(kind, costs, *passes, asked.dram, part, asked.clocked)

    def metrics(
        self, designs: Any, clock_mhz: float | None = None, cycles_of: Cycles | None = None
    ) -> dict[str, Real]:
        """Every metric of designs that can be built, by name; see :meth:`answer`."""
        return self.answer(designs, clock_mhz, cycles_of)[0]

    def answer(
        self,
        designs: Any,
        clock_mhz: float | None = None,
        cycles_of: Cycles | None = None,
        cost: Cost | None = None,
    ) -> tuple[dict[str, Real], OnWork]:
        """Every metric of designs that can be built, by name (`costmodel.model.metrics`), and the pass behind it.

        ``designs`` is one spec, or columns of many (:meth:`blueprint.spec.Spec.columns`): then a metric is an array, or
        a plain number where all designs share it. ``clock_mhz`` is a clock other than the fastest, ``cycles_of`` as in
        :func:`costmodel.model.work.run`, ``cost`` that of the designs where it is known.
        """
        cost = self.costs(designs) if cost is None else cost
        clock = cost.clock_mhz if clock_mhz is None else clock_mhz
        done = self.on_work(designs, cost, clock, cycles_of)
        area, memory = cost.area_um2, cost.areas.get(MEMORY, 0.0)
        found = {
            "area_um2": area,
            "logic_area_um2": area - memory,
            "memory_area_um2": memory,
            "flip_flops": flip_flops(designs.units()),
            "critical_path_ps": cost.path_ps,
            "clock_mhz": clock,
            **({"clock_margin": cost.clock_mhz / clock} if self.clocked else {}),
            "peak_macs": designs.peak_macs,
            **self._of_work(designs, clock, area, done),
        }
        if self.prompt is not None:
            found["time_to_first_token_s"] = run(designs, self.prompt, clock, self.dram, cycles_of).seconds
        named = {name_of(base, self.part): value for base, value in found.items()}
        return {name: value for name, value in named.items() if name is not None}, done

    def _of_work(self, designs: Any, clock: Real, area_um2: Real, done: OnWork) -> dict[str, Real]:
        tokens, time = self.work.tokens, done.time
        operations = 2 * self.work.macs
        return {
            "cycles": time.cycles,
            "tokens_per_second": tokens / time.seconds,
            "energy_pj_per_token": done.total_pj / tokens,
            "core_energy_pj_per_token": done.core_pj / tokens,
            "power_mw": done.total_pj / time.seconds * 1e-9,
            "utilization": self.work.macs / (designs.peak_macs * clock * 1e6 * time.seconds),
            "dram_share": time.dram_seconds / time.seconds,
            # 1e-12 for tera, 1e6 um2 to a mm2; operations per pJ are TOPS per W.
            "area_efficiency": operations / time.seconds / area_um2 * 1e-6,
            "energy_efficiency": operations / done.core_pj,
        }

    def on_work(self, designs: Any, cost: Cost, clock_mhz: Real, cycles_of: Cycles | None = None) -> OnWork:
        """One pass over the work at a clock; energies by cause are clock, switching, leakage and dram."""
        time = run(designs, self.work, clock_mhz, self.dram, cycles_of)
        cycles = time.seconds * clock_mhz * 1e6
        per_bit = self.dram.energy_pj_per_bit if self.dram else 0.0
        full = busy(designs, self.work, cost.gated)
        core = cost.energy_parts(cycles, full, time.seconds)
        return OnWork(time, {**core, DRAM: per_bit * time.bits})

    def row(
        self, spec: Spec, clock_mhz: float | None = None, cycles_of: Cycles | None = None
    ) -> dict[str, float]:
        """The metrics of one design by name: those of its row in a study, to the bit."""
        return self.one(spec, clock_mhz, cycles_of).row

    def one(
        self,
        spec: Spec,
        clock_mhz: float | None = None,
        cycles_of: Cycles | None = None,
        cost: Cost | None = None,
    ) -> Answer:
        """:meth:`row`, with time and energy of the whole pass; ``cost`` is what :func:`cost_of` said."""
        found, done = self.answer(_columns(spec), clock_mhz, cycles_of, cost)
        return Answer(
            {name: alone(value) for name, value in found.items()},
            alone(done.time.seconds),
            alone(done.core_pj),
        )


def _columns(spec: Spec) -> Spec:
    """Columns of one design."""
    return type(spec).columns({name: np.array([value]) for name, value in spec.parameters.items()})
