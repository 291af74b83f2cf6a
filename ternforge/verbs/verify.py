"""``ternforge verify``: a design's Verilog proven, as it is written or as it lies in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.files.design import Design
from blueprint.spec import Spec
from blueprint.systems.description import System
from blueprint.workloads.tasks import Task
from simulator.cosim import folder as folders
from simulator.cosim.report import Checked, Outcome, Report
from ternforge.decoders import is_system
from ternforge.decoding import Asked
from ternforge.inputs import (
    DesignLike,
    WorkloadLike,
    check_drawn,
    check_fits,
    read_design,
    read_workload,
    refuse,
    seed_of,
)  # fmt: skip
from ternforge.session import Answer, Note, silent, table
from toolchain import files

#: Random runs of a design.
CASES = 8


def verify(
    design: DesignLike | System | None = None,
    overrides: Mapping[str, str] | None = None,
    *,
    rtl: str | Path | None = None,
    seed: int | None = None,
    cases: int = CASES,
    workload: WorkloadLike | None = None,
    checkpoint: str | Path | None = None,
    prompt: str | None = None,
    beside: Sequence[str] = (),
    tokens: int | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    memory: str | None = None,
    calibrate: str | Path | None = None,
    image: str | Path | None = None,
    note: Note = silent,
) -> Answer:
    """Prove a design's Verilog against the golden model and the simulator, with cocotb on Verilator.

    The Verilog is that in the folder ``rtl``, which ``generate`` wrote and which may have been changed since, or else
    written anew; ``design`` may be left out with a folder, which says what it holds. ``cases`` random runs under random
    stalls; the tasks of ``workload`` are run first, unstalled. ``ok`` is false where a value, a cycle, a register or a
    rule of AXI does not hold, and where the design hangs; ``failure`` says what, ``checks`` all that was checked.

    A system (a file of schema ``ternforge/system/v1``) takes a ``checkpoint`` and a ``prompt`` instead, and what else
    `simulate` takes of a system: its answer has the text of the RTL, and ``findings`` where it is not that of the
    golden model or takes other cycles.
    """
    given: dict[str, Any] = {
        "checkpoint": checkpoint, "prompt": prompt, "tokens": tokens, "temperature": temperature, "top_k": top_k,
        "memory": memory, "calibrate": calibrate, "image": image, "beside": tuple(beside) or None,
    }  # fmt: skip
    decoded = {name: value for name, value in given.items() if value is not None}
    if isinstance(design, System) or (isinstance(design, (str, Path)) and is_system(design)):
        theirs = {
            "overrides": overrides,
            "rtl": rtl,
            "workload": workload,
            "cases": cases != CASES,
        }
        refuse(theirs, "for a design, not for a system")
        check_drawn(seed, top_k, temperature, "a system")
        return _system(design, decoded | {"seed": seed}, note)
    refuse(decoded, "for a system, not for a design")
    from generator import export
    from simulator.cosim import check as cosim

    seed = seed_of(seed)
    chosen = _design(design, overrides, rtl)
    todo = cosim.cases(chosen.spec, cases, seed, _first(chosen.spec, workload))
    with files.scratch() as scratch:
        folder = scratch if rtl is None else Path(rtl)
        if rtl is None:
            note(f"writing {chosen.name}")
            export.write_hardware(chosen.spec, folder)
        else:
            folders.read(folder, chosen.spec)  # refused before anything is said to be built
        note(f"building with Verilator and running {len(todo)} cases with cocotb")
        report = cosim.check(chosen.spec, folder, todo, seed=seed)
    return _answer(chosen, report, seed, rtl)


def _system(design: System | str | Path, decoded: dict[str, Any], note: Note) -> Answer:
    """A checkpoint on the RTL of a system."""
    from ternforge import proving

    checkpoint = decoded.pop("checkpoint", None)
    if checkpoint is None or decoded.get("prompt") is None:
        raise ParamError("A system must be given a checkpoint and a prompt to be verified")
    return proving.verify_system(design, checkpoint, Asked(**decoded), note)


def _design(design: DesignLike | None, overrides: Mapping[str, str] | None, rtl: str | Path | None) -> Design:
    """The design asked for, or the one that a folder holds."""
    if design is not None:
        return read_design(design, overrides)
    if rtl is None:
        raise ParamError("Design must be given, by SPEC or --rtl DIR")
    if overrides:
        raise ParamError("Parameters must be set for a SPEC, not for the Verilog in a folder")
    spec = folders.read(Path(rtl)).spec
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


def lines(answer: Mapping[str, Any]) -> list[str]:
    columns = ("label", "stalls", "mismatches", "cycles_rtl", "cycles_simulator")
    rows = [[_word(case), *(case[key] for key in columns)] for case in answer["cases"]]
    cases = table(rows, ("", "workload", "stall pattern", "mismatches", "cycles RTL", "cycles simulator"))
    bad = sum(not case["ok"] for case in answer["cases"])
    total = f"{len(rows)} cases, {bad} failed, {answer['mismatches']:,} values differ; seed {answer['seed']}"
    total = total if rows else f"no case came to its end; seed {answer['seed']}"
    lines = [
        *(cases if rows else []),
        *table([[_word(part), part["name"], part["what"]] for part in answer["checks"]]),
    ]
    lines += [f"{part['name']}: {text}" for part in answer["checks"] for text in part["findings"]]
    return [*lines, total, *([f"FAIL: {answer['failure']}"] if answer["failure"] else [])]


def _word(part: Mapping[str, Any]) -> str:
    """Status of a case or group of checks; those not reached after a hang have not failed."""
    if part["ok"]:
        return "ok"
    return "FAIL" if part.get("complete", True) or part["findings"] else "-"
