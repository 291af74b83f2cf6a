"""Measurements of a design at each level: cycles by the exact simulator; area, clock, flip-flops, energy by synthesis.

All other numbers follow from these by the formulas of the analytical model, so that a number of a higher level differs
from that of a lower one by what was measured, and by nothing else.
"""

from __future__ import annotations

from dataclasses import replace

from blueprint.spec import Spec
from blueprint.workloads.tasks import Task
from costmodel.calibration import validation
from costmodel.calibration.measuring import Sample, measure
from costmodel.model import estimate
from costmodel.model.estimate import Cost
from costmodel.model.evaluate import MEMORY, Estimator, TechnologyCosts, cost_of
from costmodel.model.metrics import METRICS
from costmodel.technology import technology
from costmodel.technology.technology import Technology
from dse.families import Families
from dse.fidelity.request import Measured, Request

#: Numbers that simulation measures or that follow from its cycles.
_OF_CYCLES = (
    "cycles",
    "tokens_per_second",
    "time_to_first_token_s",
    "energy_pj_per_token",
    "core_energy_pj_per_token",
    "power_mw",
    "utilization",
    "area_efficiency",
    "energy_efficiency",
    "dram_share",
)
#: Numbers that synthesis does not measure.
_COUNTED = ("cycles", "peak_macs")


def simulated(request: Request) -> Measured:
    """Cycles of every task, those of the prompt included, by the exact simulator, and what follows from them."""
    from simulator.simulate import simulate  # with its compiler, which only this level needs

    spec, estimator = request.spec, _estimator(request, technology.load(request.space.technology))
    passes = [estimator.work, *([estimator.prompt] if estimator.prompt else [])]
    cycles: dict[str, int] = {}
    for task in (task for work in passes for task in work.tasks):
        if _key(task) not in cycles:
            cycles[_key(task)] = simulate(spec, replace(task, count=1)).cycles
    row = estimator.one(spec, request.clock_mhz, lambda task: cycles[_key(task)]).row
    return Measured({name: row[name] for name in row if METRICS[name].base in _OF_CYCLES}, cycles)


def synthesized(request: Request) -> Measured:
    """Area, clock, flip-flops and energy of the netlist by the technology's recipe, and what follows from them."""
    from generator import export  # with Amaranth, which only this level needs

    spec, facts = request.spec, technology.load(request.space.technology)
    sample = measure(spec, facts, export.write_hardware)
    cost, estimator = measured_cost(spec, facts, sample), _estimator(request, facts)
    known = request.cycles
    cycles_of = (lambda task: known[_key(task)]) if known else None
    row = estimator.one(spec, request.clock_mhz, cycles_of, cost).row
    left_out = (*_COUNTED, *([] if request.space.clock is None else ["clock_mhz"]))
    found = {name: row[name] for name in row if METRICS[name].base not in left_out}
    return Measured({**found, "flip_flops": float(sample.flip_flops)})


def measured_cost(spec: Spec, facts: Technology, sample: Sample) -> Cost:
    """The cost of a design as measured on its netlist; memories are priced by the same laws as in the prediction.

    Energy was measured in one run and is predicted of the same run: the ratio of the two is that of the design.
    """
    predicted, (row,) = cost_of(spec, facts), validation.compare([sample], facts).rows
    ratio = row.measured_pj / row.predicted_pj
    units = spec.units()
    clocks, accesses = estimate.energies_by_place(units, facts).get(MEMORY, (0.0, 0.0))
    return Cost(
        {**sample.areas, MEMORY: sample.macro_area_um2},
        sample.critical_path_ps,
        clocks + ratio * (predicted.clock_pj - clocks),
        accesses + ratio * (predicted.switching_pj - accesses),
        sample.leakage_nw + estimate.macro_leakage(units, facts),
        ratio * predicted.glitch_pj,
        ratio * predicted.gated_pj,
    )


def _estimator(request: Request, facts: Technology) -> Estimator:
    space = request.space
    assert isinstance(space.subject, Families)  # others say that they are unmeasured
    asked = space.subject.asked(space.clock is not None)
    return Estimator.of(type(request.spec), TechnologyCosts(facts), asked)


def _key(task: Task) -> str:
    """The shape of a task, whatever its name and count."""
    return repr(replace(task, name="", count=1))
