"""A design's Verilog proven: as it is written, or as it lies in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ternforge.arguments import checked
from ternforge.inputs import Answer, Note, check_fits, read_design, read_workload, silent

if TYPE_CHECKING:
    from blueprint.files.design import Design
    from blueprint.spec import Spec
    from blueprint.workloads.workload import Task
    from simulator.cosim.check import Checked, Outcome, Report
    from ternforge.inputs import DesignLike, WorkloadLike


@checked
def verify(
    design: DesignLike | None = None,
    overrides: Mapping[str, str] | None = None,
    *,
    rtl: str | Path | None = None,
    seed: int = 1,
    cases: int = 8,
    workload: WorkloadLike | None = None,
    note: Note = silent,
) -> Answer:
    """Prove a design's Verilog against the golden model and the simulator, with cocotb on Verilator.

    The Verilog is that in the folder ``rtl``, which ``generate`` wrote and which may have been changed since, or else
    written anew; ``design`` may be left out with a folder, which says what it holds. ``cases`` random runs under random
    stalls; the tasks of ``workload`` are run first, unstalled. ``ok`` is false where a value, a cycle, a register or a
    rule of AXI does not hold, and where the design hangs; ``failure`` says what, ``checks`` all that was looked at.
    """
    from simulator.cosim import check as cosim
    from simulator.cosim import folder as exported
    from toolchain import files

    chosen = _design(design, overrides, rtl)
    todo = cosim.cases(chosen.spec, cases, seed, _first(chosen.spec, workload))
    with files.scratch() as scratch:
        folder = scratch if rtl is None else Path(rtl)
        if rtl is None:
            from generator.export import generate as write

            note(f"writing {chosen.name}")
            write(chosen.spec, folder)
        else:
            exported.read(folder, chosen.spec)  # refused before anything is said to be built
        note(f"building with Verilator and running {len(todo)} cases with cocotb")
        report = cosim.check(chosen.spec, folder, todo, seed=seed)
    return _answer(chosen, report, seed, rtl)


def _design(design: DesignLike | None, overrides: Mapping[str, str] | None, rtl: str | Path | None) -> Design:
    """The design asked for, or the one that a folder holds."""
    from blueprint.errors import ParamError
    from blueprint.files.design import Design
    from simulator.cosim import folder

    if design is not None:
        return read_design(design, overrides)
    if rtl is None:
        raise ParamError("Design must be given, by SPEC or --rtl DIR")
    if overrides:
        raise ParamError("Parameters must be set for a SPEC, not for the Verilog in a folder")
    spec = folder.read(Path(rtl)).spec
    return Design(spec, spec.name)


def _first(spec: Spec, workload: WorkloadLike | None) -> list[Task]:
    """The tasks of a workload, each size once."""
    tasks = [] if workload is None else spec.tasks(read_workload(workload))
    for task in tasks:
        check_fits(spec, task)
    return list({str(task.sizes): task for task in tasks}.values())


def _answer(chosen: Design, report: Report, seed: int, rtl: str | Path | None) -> Answer:
    return {
        "design": chosen.name,
        "design_hash": chosen.spec.design_hash,
        "source": "cocotb on Verilator",
        "rtl": rtl,
        "seed": seed,
        "ok": report.ok,
        "failure": report.failure,
        "mismatches": report.mismatches,
        "cases": [_case(outcome) for outcome in report.outcomes],
        "checks": [_checked(part) for part in report.checks],
    }


def _case(outcome: Outcome) -> Answer:
    return {
        "ok": outcome.ok,
        **outcome.case.task.sizes,
        "label": outcome.case.task.label,
        "stalls": outcome.case.profile,
        "seed": outcome.case.seed,
        "mismatches": outcome.mismatches,
        "values": outcome.values,
        "cycles_rtl": outcome.cycles_rtl,
        "cycles_register": outcome.cycles_register,
        "cycles_simulator": outcome.cycles_simulator,
        "findings": outcome.findings,
    }


def _checked(part: Checked) -> dict[str, Any]:
    return {
        "name": part.name,
        "what": part.what,
        "ok": part.ok,
        "complete": part.complete,
        "findings": part.findings,
    }
