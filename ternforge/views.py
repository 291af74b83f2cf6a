"""A design seen as Verilog, as predicted numbers and as synthesized ones."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ternforge.inputs import Answer, Note, check_fits, read_design, read_technology, read_workload, silent

if TYPE_CHECKING:
    from blueprint.spec import Spec
    from blueprint.workload import Task, Workload
    from ternforge.inputs import DesignLike, WorkloadLike


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
    "yosys": "cd {out} && yosys -s synth.ys",
}


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
    from blueprint.nearest import suggestion

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


def estimate(
    design: DesignLike,
    technology: str | Path | None = None,
    workload: WorkloadLike | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Answer:
    """What the analytical model predicts: area by place (um2), critical path (ps), clock (MHz), energy (pJ), and with a
    workload its cycles and time. ``meets_clock`` is false where the design asks for a faster clock than predicted."""
    from dse.evaluate import TechnologyCosts

    chosen = read_design(design, overrides)
    facts = read_technology(chosen, technology)
    areas, path, *energy = TechnologyCosts(facts)(chosen.spec)
    fastest = 1e6 / float(path)
    clock = chosen.clock_mhz or fastest
    answer: Answer = {
        "design": chosen.name,
        "design_hash": chosen.spec.design_hash,
        "technology": facts.name,
        "source": f"analytical model, technology {facts.name}",
        "area_um2": float(sum(areas.values())),
        "area_breakdown_um2": {place: float(area) for place, area in areas.items()},
        "flip_flops": predicted_flip_flops(chosen.spec),
        "critical_path_ps": float(path),
        "clock_mhz": clock,
        "meets_clock": bool(clock <= fastest * (1 + 1e-9)),
        "peak_macs": int(chosen.spec.peak_macs),
        "energy_pj": float(sum(energy)),
        "energy_of": "one cycle of full throughput",
    }
    return (
        answer
        if workload is None
        else answer | _on_workload(chosen.spec, read_workload(workload), clock, energy)
    )


def _on_workload(spec: Spec, workload: Workload, clock_mhz: float, energy_pj: Sequence[float]) -> Answer:
    """Cycles, time and core energy (:func:`costmodel.estimate.energy_parts`) of a workload, without stalls."""
    layers: list[Answer] = [
        {
            "name": task.name,
            **task.sizes,
            "count": task.count,
            "macs": task.macs,
            "cycles": cycles * task.count,
        }
        for task, cycles in ((task, _cycles(spec, task)) for task in spec.tasks(workload))
    ]
    macs = sum(layer["macs"] for layer in layers)
    cycles = sum(layer["cycles"] for layer in layers)
    clocks, switching = energy_pj
    return {
        "workload": workload.name,
        "cycles": cycles,
        "macs": macs,
        "utilization": macs / (cycles * int(spec.peak_macs)),
        "seconds": cycles / (clock_mhz * 1e6),
        "energy_pj": float(clocks * cycles + switching * macs / int(spec.peak_macs)),
        "energy_of": "the whole workload, core only",
        "layers": layers,
    }


def _cycles(spec: Spec, task: Task) -> int:
    """In closed form, or by the simulator where that form speaks of deeper FIFOs than the design has."""
    from simulator.simulate import simulate

    check_fits(spec, task)
    known = all(bool(rule.holds) for rule in spec.capacity((task,)))
    return int(spec.cycles(task)) if known else simulate(spec, task).cycles


def predicted_flip_flops(spec: Spec) -> int:
    """Flip-flops by the design's inventory."""
    from blueprint.unit import flip_flops

    return int(flip_flops(spec.units()))


def synth(
    design: DesignLike,
    technology: str | Path | None = None,
    liberty: Sequence[str | Path] = (),
    overrides: Mapping[str, str] | None = None,
    note: Note = silent,
) -> Answer:
    """Synthesize a design with Yosys and ABC; ``measured`` stands beside what the model ``predicted``."""
    import tempfile

    from costmodel import liberty_text
    from costmodel.synthesis import synthesize
    from generator.export import generate as write

    chosen = read_design(design, overrides)
    predicted = estimate(chosen, technology)
    facts = read_technology(chosen, technology)
    for file in liberty:
        liberty_text.check(file)
    with tempfile.TemporaryDirectory(prefix="ternforge-") as scratch:
        note(f"writing {chosen.name}")
        write(chosen.spec, Path(scratch))
        note("synthesizing with Yosys and ABC")
        measured = synthesize(Path(scratch), facts, liberty=list(liberty) or None)
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
