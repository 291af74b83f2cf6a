"""``ternforge estimate``: what the analytical model predicts of a design or of a whole decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.files.design import Design
from blueprint.numbers import Number
from blueprint.spec import Spec
from blueprint.systems.description import System
from blueprint.workloads.tasks import Task
from blueprint.workloads.workload import Workload
from costmodel.model import provenance
from costmodel.model.estimate import Cost
from costmodel.model.evaluate import Estimator, TechnologyCosts, cost_of, of_design
from costmodel.model.metrics import METRICS, scope
from costmodel.model.quantity import label, metric_text, shown
from costmodel.model.work import Asked, memory_text
from costmodel.technology.technology import Technology
from ternforge import decoders, explaining
from ternforge.inputs import DesignLike, WorkloadLike, check_fits, read_design, read_technology, read_workload
from ternforge.session import Answer, size_columns, table

#: Figures whose error bands the text shows.
_BANDS = {"area_um2": "area", "critical_path_ps": "critical path", "energy_pj": "energy"}


def estimate(
    design: DesignLike | System,
    technology: str | Path | None = None,
    workload: WorkloadLike | None = None,
    overrides: Mapping[str, str] | None = None,
    space: str | Path | None = None,
    explain: str | None = None,
    model: str | Path | None = None,
    context: int | None = None,
    prompt: int | None = None,
    batch: int | None = None,
) -> Answer:
    """Predict area by place (um2), critical path (ps), clock (MHz) and energy (pJ) by the analytical model, and with a
    workload its cycles and time. ``meets_clock`` is false where the design asks for a faster clock than predicted.

    ``space`` is a space file instead of a workload: its workload, DRAM, prompt and technology. On a model, ``row`` has
    the numbers of a study's row by the same names; without a space memory takes no time, which ``memory`` says.
    ``figures`` has the source and the error band of every figure; ``explain`` (``area``, ``clock``, ``energy``,
    ``cycles``) adds the ``explanation`` of one: lines that add up to it.

    For a system (a file of schema ``ternforge/system/v1``) the answer is for a ``model``, the largest one where none is
    named: area, ``tokens_per_second`` behind ``context`` tokens, ``time_to_first_token_s`` of a ``prompt``, energy and
    power, with ``phases`` by unit and by operation; :data:`costmodel.systems.estimate.ASSUMPTIONS` says what counts. A
    ``batch`` of sequences, 1 where it is left out, shares each pass of a system that can be compiled.
    """
    ours = {"workload": workload, "overrides": overrides, "space": space, "explain": explain}
    theirs = {"model": model, "context": context, "prompt": prompt, "batch": batch}
    if isinstance(design, System) or decoders.is_system(design):
        _refuse(ours, "for a design, not for a system")
        sequences = 1 if batch is None else batch
        return decoders.estimate(design, technology, model, context, prompt, sequences)  # type: ignore[arg-type]
    _refuse(theirs, "for a system, not for a design")
    chosen = read_design(design, overrides)
    asked, named = _asked(workload, space)
    facts = read_technology(chosen, technology or named)
    cost = cost_of(chosen.spec, facts)
    answer: Answer = {
        "design": chosen.name,
        "design_hash": chosen.spec.design_hash,
        "technology": facts.name,
        "source": f"analytical model, technology {facts.name}",
        **asdict(of_design(chosen.spec, facts, chosen.clock_mhz, cost)),
        "energy_of": "one cycle of full throughput",
        "figures": provenance.figures(facts),
    }
    if explain is not None:
        work = None if asked is None else asked.workload
        answer["explanation"] = explaining.explanation(
            explain, chosen.spec, facts, answer["clock_mhz"], work, _cycles
        )
    return answer if asked is None else answer | _on_workload(chosen, asked, facts, cost)


def _refuse(given: Mapping[str, Any], whose: str) -> None:
    """Refuse arguments that another kind of file takes. Raises ``ParamError``."""
    for name, value in given.items():
        if value is not None and value != {}:
            raise ParamError(f"{name} must be given {whose}")


def _asked(workload: WorkloadLike | None, space: str | Path | None) -> tuple[Asked | None, str | None]:
    """The workload of an estimate, and the technology that a space names."""
    if space is None:
        return None if workload is None else Asked(read_workload(workload)), None
    if workload is not None:
        raise ParamError("Workload must be given by a workload or by a space, not both")
    from dse.families import Families  # the explorer's file, and none of its business without one
    from dse.space_file import read_space

    found = read_space(space)
    if not isinstance(found.subject, Families):
        raise ParamError(
            f"Space must be one of designs for an estimate of a design, not of {found.subject.kind}"
        )
    return found.subject.asked(found.clock is not None), found.technology


def _on_workload(design: Design, asked: Asked, technology: Technology, cost: Cost) -> Answer:
    """Cycles, time and energy of a workload: those of a study's row."""
    spec, workload = design.spec, asked.workload
    estimator = Estimator.of(type(spec), TechnologyCosts(technology), asked)
    once = cache(lambda task: _cycles(spec, task))

    def cycles_of(task: Task) -> Number:
        return once(replace(task, name=task.kind, count=1))

    layers = _layers(spec, workload, cycles_of)
    found = estimator.one(spec, design.clock_mhz, cycles_of, cost)
    return {
        "workload": workload.name,
        "covers": scope(estimator.part),
        "memory": memory_text(asked.dram),
        "dram": asked.dram and asdict(asked.dram),
        "cycles": sum(layer["cycles"] for layer in layers),
        "macs": estimator.work.macs,
        "utilization": found.row["utilization"],
        "seconds": found.seconds,
        "energy_pj": found.core_pj,
        "energy_of": "the whole workload, core only",
        "row": found.row,
        "layers": layers,
    }


def _layers(spec: Spec, workload: Workload, cycles_of: Any) -> list[Answer]:
    return [
        {
            "name": task.name,
            **task.sizes,
            "count": task.count,
            "macs": task.macs,
            "cycles": int(cycles_of(task)) * task.count,
        }
        for task in spec.tasks(workload)
    ]


def _cycles(spec: Spec, task: Task) -> Number:
    """Cycles in closed form, or by the simulator if the closed form needs deeper FIFOs than the design has."""
    check_fits(spec, task)
    if all(bool(rule.holds) for rule in spec.capacity((task,))):
        return spec.cycles(task)
    from simulator.simulate import simulate  # with its compiler, for the few designs that need it

    return simulate(spec, task).cycles


def lines(answer: Mapping[str, Any]) -> list[str]:
    total = answer["area_um2"]
    places = sorted(answer["area_breakdown_um2"].items(), key=lambda item: -item[1])
    unit = shown("um2", answer["area_breakdown_um2"].values())
    rows = [[place, unit.number(area), f"{100 * area / total:.1f} %"] for place, area in places]
    facts = [metric_text(key, answer[key]) for key in ("critical_path_ps", "clock_mhz", "peak_macs")]
    lines = [
        f"{answer['design']} in {answer['technology']} ({answer['source']})",
        *table([*rows, ["total", unit.number(total), "100 %"]], ("place", f"area {unit.unit}", "share")),
        *map(_memory, answer["memories"]),
        f"flip-flops {answer['flip_flops']:,} · critical path {facts[0]} · clock {facts[1]} · peak {facts[2]}",
    ]
    bands = {name: provenance.text(answer["figures"][name]["band"]) for name in _BANDS}
    lines.append("analytic: " + " · ".join(f"{_BANDS[name]} {text}" for name, text in bands.items()))
    if not answer["meets_clock"]:
        lines.append(f"FAIL: a clock of {answer['clock_mhz']:g} MHz is faster than the critical path allows")
    lines += _workload_lines(answer) if "cycles" in answer else []
    return [
        *lines,
        f"energy {shown('pJ', [answer['energy_pj']]).text(answer['energy_pj'])} for {answer['energy_of']}",
        *(explaining.lines(answer["explanation"]) if "explanation" in answer else []),
    ]


def _memory(line: Mapping[str, Any]) -> str:
    """The requirements of a memory, and the kind that it was priced as."""
    band = (
        ""
        if line["left_out"] is None
        else f", macros left out of its law within {100 * line['left_out']:.0f} %"
    )
    return (
        f"memory {line['count']} x {line['words']} words of {line['width']} bits, {line['ports'].replace('_', ' ')}: "
        f"{line['kind'].replace('_', ' ')}, {shown('um2', [line['area_um2']]).text(line['area_um2'])}, "
        f"{line['access_ps']:.0f} ps, read {line['read_pj']:.3g} pJ, write {line['write_pj']:.3g} pJ{band}"
    )


def _workload_lines(answer: Mapping[str, Any]) -> list[str]:
    columns = ("name", *size_columns(answer["layers"]), "count", "cycles")
    row, seconds = answer["row"], answer["seconds"]
    waits = f"DRAM-bound {100 * row['dram_share']:.1f} % of the time" if row["dram_share"] else "no stalls"
    numbers = [
        f"{label(name)} {metric_text(name, value)}"
        for name, value in row.items()
        if METRICS[name].base != name or name == "power_mw"
    ]
    return [
        *table([[e.get(key) for key in columns] for e in answer["layers"]], ("layer", *columns[1:])),
        f"{answer['workload']}: {answer['cycles']:,} cycles, {shown('s', [seconds]).text(seconds)}, "
        f"utilization {100 * answer['utilization']:.1f} %, {waits}",
        " · ".join(numbers),
        f"numbers cover {answer['covers']}; memory {answer['memory']}",
    ]
