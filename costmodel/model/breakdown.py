"""Area, energy and time of designs on their work, by place of the design and by task of the work.

The parts add up to the numbers of :meth:`costmodel.model.evaluate.Estimator.metrics`: areas to ``area_um2``, energies
to the energy per token, seconds of the tasks to the time of a pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from blueprint.numbers import Real
from costmodel.model import estimate, glitches
from costmodel.model.estimate import PJ_PER_NW_S
from costmodel.model.evaluate import DRAM, Estimator, TechnologyCosts
from costmodel.model.work import busy, run

#: The traffic of the cache of keys and values, which no task stands for.
CACHE = "cache"


@dataclass(frozen=True)
class Part:
    """A task of the work, all its runs together: seconds of compute and of memory, bits moved, MACs done."""

    compute: Real
    memory: Real
    bits: Real
    macs: int

    @property
    def seconds(self) -> Real:
        """Time of the part: the longer of the two."""
        return np.maximum(self.compute, self.memory)


@dataclass(frozen=True)
class Breakdown:
    """Areas by place in um2, energies by place and of DRAM in pJ per token, and the parts of the time of a pass."""

    areas: Mapping[str, Real]
    energies: Mapping[str, Real]
    parts: Mapping[str, Part]


def of(estimator: Estimator, designs: Any, clock_mhz: Real) -> Breakdown:
    """The breakdown of one design or of columns of many, at their clocks.

    Raises ``TypeError`` for an estimator whose costs are of no technology: its numbers have no places.
    """
    if not isinstance(estimator.costs, TechnologyCosts):
        raise TypeError(f"Costs must be those of a technology, not {type(estimator.costs).__name__}")
    return Breakdown(
        estimator.costs(designs).areas,
        _energies(estimator, estimator.costs, designs, clock_mhz),
        _parts(estimator, designs, clock_mhz),
    )


def _energies(estimator: Estimator, costs: TechnologyCosts, designs: Any, clock_mhz: Real) -> dict[str, Real]:
    """Energy per token by place: the clock in every cycle, switching with the work, leakage all the time."""
    work, units = estimator.work, designs.units()
    time = run(designs, work, clock_mhz, estimator.dram)
    cycles = time.seconds * clock_mhz * 1e6
    leaks = estimate.leakage_by_place(units, costs.technology)
    more = glitches.energies(designs, costs.technology)
    gated = estimate.gated_by_place(units, costs.technology)
    full = busy(designs, work, bool(gated))
    found: dict[str, Real] = {}
    for place, (clocks, moved) in estimate.energies_by_place(units, costs.technology).items():
        leaked, opened = leaks.get(place, 0.0) * time.seconds * PJ_PER_NW_S, gated.get(place, 0.0)
        clocked = clocks * cycles + opened * full.clocked
        switched = (moved - opened + more.get(place, 0.0)) * full.switched
        found[place] = (clocked + switched + leaked) / work.tokens
    per_bit = estimator.dram.energy_pj_per_bit if estimator.dram else 0.0
    return {**found, DRAM: per_bit * time.bits / work.tokens}


def _parts(estimator: Estimator, designs: Any, clock_mhz: Real) -> dict[str, Part]:
    work, dram = estimator.work, estimator.dram
    bits_per_second = np.inf if dram is None else dram.bandwidth_gb_s * 8e9
    found: dict[str, Part] = {}
    if work.cache_bits:
        found[CACHE] = Part(0.0, work.cache_bits / bits_per_second, work.cache_bits, 0)
    for number, task in enumerate(work.tasks, start=1):
        bits = task.count * sum(designs.dram_bits(task).values())
        compute = task.count * designs.cycles(task) / (clock_mhz * 1e6)
        name = task.name or task.kind
        name = f"{name} ({number})" if name in found else name
        found[name] = Part(compute, bits / bits_per_second, bits, task.macs)
    return found
