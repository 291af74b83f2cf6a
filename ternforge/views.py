"""A design seen as Verilog, as predicted numbers and as synthesized ones."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ternforge.arguments import checked
from ternforge.inputs import Answer, Note, check_fits, read_design, read_technology, read_workload, silent

if TYPE_CHECKING:
    from blueprint.files.design import Design
    from blueprint.numbers import Number
    from blueprint.spec import Spec
    from blueprint.workloads.workload import Task, Workload
    from dse.evaluate import TechnologyCosts
    from dse.space import Dram
    from ternforge.inputs import DesignLike, WorkloadLike


@checked
def generate(
    design: DesignLike,
    out: str | Path,
    overrides: Mapping[str, str] | None = None,
    *,
    force: bool = False,
) -> Answer:
    """Write a design as Verilog with everything around it; returns the manifest with ``folder``.

    Files of an earlier run in ``out`` are replaced and files of others stay; one in the way is replaced by ``force``.
    """
    from ternforge import folder

    chosen = read_design(design, overrides)
    with folder.output_folder(out, "generate", force=force) as draft:
        from generator.export import generate as write

        manifest = write(chosen.spec, draft, clock_mhz=chosen.clock_mhz)
    return {"folder": Path(out), **manifest}


#: Flows that take the generated folder as it is, and how.
FLOWS = {
    "files": "read the files named in {out}/files.f, in that order",
    "fusesoc": "fusesoc --cores-root {out} run --target=lint {top}",
    "yosys": "cd {out} && yosys -s synth.ys  # with Yosys on PATH",
}


@checked
def export(
    design: DesignLike,
    flow: str,
    out: str | Path | None = None,
    overrides: Mapping[str, str] | None = None,
    *,
    force: bool = False,
) -> Answer:
    """Write a folder (``<design>_<flow>`` where ``out`` names no other) that another flow takes; ``next`` says how."""
    from blueprint.errors import ParamError
    from blueprint.files.nearest import suggestion

    if flow not in FLOWS:
        hint = suggestion(flow, FLOWS)
        raise ParamError(f"Flow must be one of {', '.join(FLOWS)} in this version, not {flow!r}{hint}")
    chosen = read_design(design, overrides)
    answer = generate(chosen, out or f"{chosen.name}_{flow}", force=force)
    return {
        **answer,
        "flow": flow,
        "next": FLOWS[flow].format(out=shlex.quote(str(answer["folder"])), top=answer["top"]),
    }


@checked
def estimate(
    design: DesignLike,
    technology: str | Path | None = None,
    workload: WorkloadLike | None = None,
    overrides: Mapping[str, str] | None = None,
    space: str | Path | None = None,
) -> Answer:
    """What the analytical model predicts: area by place (um2), critical path (ps), clock (MHz), energy (pJ), and with a
    workload its cycles and time. ``meets_clock`` is false where the design asks for a faster clock than predicted.

    ``space`` is a space file instead of a workload: its workload, DRAM, prompt and technology. On a model, ``row`` has
    the numbers of a study's row by the same names; without a space memory takes no time, which ``memory`` says.
    """
    from dse.evaluate import TechnologyCosts

    chosen = read_design(design, overrides)
    asked = _asked(workload, space)
    facts = read_technology(chosen, technology or (asked.technology if asked else None))
    costs = TechnologyCosts(facts)
    cost = costs(chosen.spec)
    fastest = 1e6 / float(cost.path_ps)
    clock = chosen.clock_mhz or fastest
    answer: Answer = {
        "design": chosen.name,
        "design_hash": chosen.spec.design_hash,
        "technology": facts.name,
        "source": f"analytical model, technology {facts.name}",
        "area_um2": float(sum(cost.areas.values())),
        "area_breakdown_um2": {place: float(area) for place, area in cost.areas.items()},
        "flip_flops": predicted_flip_flops(chosen.spec),
        "critical_path_ps": float(cost.path_ps),
        "clock_mhz": clock,
        "meets_clock": bool(clock <= fastest * (1 + 1e-9)),
        "peak_macs": int(chosen.spec.peak_macs),
        "leakage_nw": float(cost.leakage_nw),
        "energy_pj": float(cost.energy(1, 1, 1e-6 / clock)),
        "energy_of": "one cycle of full throughput",
    }
    return answer if asked is None else answer | _on_workload(chosen, asked, costs)


@dataclass(frozen=True)
class Asked:
    """What an estimate is asked on: as a space says it, or a workload alone."""

    workload: Workload
    dram: Dram | None = None
    prompt_tokens: int | None = None
    technology: str | None = None


def _asked(workload: WorkloadLike | None, space: str | Path | None) -> Asked | None:
    from blueprint.errors import ParamError

    if space is None:
        return None if workload is None else Asked(read_workload(workload))
    if workload is not None:
        raise ParamError("Workload must be given by a workload or by a space, not both")
    from dse.space_file import read_space

    found = read_space(space)
    return Asked(found.workload, found.dram, found.prompt_tokens, found.technology)


def _on_workload(design: Design, asked: Asked, costs: TechnologyCosts) -> Answer:
    """Cycles, time and energy of a workload: those of a study's row (:mod:`dse.evaluate`)."""
    from dse.evaluate import evaluator, memory_text
    from dse.metrics import name_of, scope

    spec, workload = design.spec, asked.workload
    judge = evaluator(asked, type(spec), costs)
    once = cache(lambda task: _cycles(spec, task))

    def cycles_of(task: Task) -> Number:
        return once(replace(task, name=task.kind, count=1))

    cycles = {task: int(cycles_of(task)) for task in spec.tasks(workload)}
    row = judge.row(spec, design.clock_mhz, cycles_of)
    rate, energy = (
        row[str(name_of(base, judge.part))] for base in ("tokens_per_second", "core_energy_pj_per_token")
    )
    layers: list[Answer] = [
        {
            "name": task.name,
            **task.sizes,
            "count": task.count,
            "macs": task.macs,
            "cycles": count * task.count,
        }
        for task, count in cycles.items()
    ]
    return {
        "workload": workload.name,
        "covers": scope(judge.part),
        "memory": memory_text(asked.dram),
        "dram": asked.dram and asdict(asked.dram),
        "cycles": sum(layer["cycles"] for layer in layers),
        "macs": judge.macs,
        "utilization": row["utilization"],
        "seconds": judge.work.tokens / rate,
        "energy_pj": energy * judge.work.tokens,
        "energy_of": "the whole workload, core only",
        "row": row,
        "layers": layers,
    }


def _cycles(spec: Spec, task: Task) -> Number:
    """In closed form, or by the simulator where that form speaks of deeper FIFOs than the design has."""
    from simulator.simulate import simulate

    check_fits(spec, task)
    known = all(bool(rule.holds) for rule in spec.capacity((task,)))
    return spec.cycles(task) if known else simulate(spec, task).cycles


def predicted_flip_flops(spec: Spec) -> int:
    """Flip-flops by the design's inventory."""
    from blueprint.unit import flip_flops

    return int(flip_flops(spec.units()))


@checked
def synth(
    design: DesignLike,
    technology: str | Path | None = None,
    liberty: Sequence[str | Path] = (),
    overrides: Mapping[str, str] | None = None,
    note: Note = silent,
) -> Answer:
    """Synthesize a design with Yosys and ABC; ``measured`` stands beside what the model ``predicted``."""
    from costmodel.groundtruth.synthesis import synthesize
    from costmodel.technology import liberty_text
    from generator.export import generate as write
    from toolchain import files

    chosen = read_design(design, overrides)
    predicted = estimate(chosen, technology)
    facts = read_technology(chosen, technology)
    for file in liberty:
        liberty_text.check(file)
    with files.scratch() as scratch:
        note(f"writing {chosen.name}")
        write(chosen.spec, scratch)
        note("synthesizing with Yosys and ABC")
        measured = synthesize(scratch, facts, liberty=list(liberty) or None)
    keys = ("area_um2", "flip_flops", "critical_path_ps")
    numbers = {key: getattr(measured, key) for key in keys}
    numbers["clock_mhz"] = 1e6 / numbers["critical_path_ps"] if numbers["critical_path_ps"] else None
    return {
        "design": chosen.name,
        "design_hash": chosen.spec.design_hash,
        "technology": facts.name,
        "source": f"Yosys and ABC, {', '.join(map(str, liberty)) or f'cells of technology {facts.name}'}",
        **numbers,
        "measured": measured,
        "predicted": {key: predicted[key] for key in (*keys, "clock_mhz")},
    }
