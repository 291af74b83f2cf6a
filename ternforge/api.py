"""The public functions: each verb of the command line is one of these, and a script calls them the same way.

A design is given as a file, a :class:`blueprint.design.Design` or a spec; a workload as a file, a
:class:`blueprint.workload.Workload` or a ``Gemm``. Results are dictionaries with the keys of the ``--json`` answers.
Bad input raises ``SpecError`` (a file), ``ParamError`` or ``TypeError`` (a value) before anything is written.
The rooms are imported inside the functions, so that no verb waits for another's libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blueprint.design import Design
    from blueprint.model import Model
    from blueprint.spec import Spec
    from blueprint.workload import Gemm, Workload
    from costmodel.technology import Technology
    from dse.progress import Progress
    from simulator.cosim.check import Outcome

    DesignLike = Design | Spec | str | Path
    WorkloadLike = Workload | Gemm | str | Path

Answer = dict[str, Any]
Note = Callable[[str], None]


def _silent(_: str) -> None:
    """The default for ``note``: progress is not shown."""


def read_design(design: DesignLike, overrides: Mapping[str, str] | None = None) -> Design:
    """A design from whatever stands for one."""
    from blueprint import design as designs
    from blueprint.spec import Spec

    if isinstance(design, designs.Design):
        return design
    if isinstance(design, Spec):
        return designs.Design(design, design.name)
    return designs.read_design(design, overrides)


def read_workload(workload: WorkloadLike) -> Workload:
    """A workload from whatever stands for one: a file, ``"1x2560x6912"``, a ``Gemm``."""
    from blueprint import workload as workloads

    if isinstance(workload, workloads.Workload):
        return workload
    if isinstance(workload, workloads.Gemm):
        return workloads.of_gemm(workload)
    if isinstance(workload, str) and "x" in workload and not Path(workload).suffix:
        return workloads.of_gemm(workloads.parse_gemm(workload))
    return workloads.read_workload_file(workload)


def doctor() -> Answer:
    """Whether every tool really works; ``ok`` is false where one does not."""
    from toolchain import doctor as examiner

    checks = examiner.examine()
    return {"ok": all(check.ok for check in checks), "checks": checks}


def init(folder: str | Path, preset: str = "ternary_lut") -> Answer:
    """Write a starting folder: a design, a space, a workload, a README with the next commands."""
    from ternforge import starter

    return {"folder": Path(folder), "preset": preset, "files": starter.write(folder, preset)}


def check(path: str | Path, overrides: Mapping[str, str] | None = None) -> Answer:
    """Validate any file of ours by its ``schema``; ``resolved`` is its content with every default filled in."""
    from ternforge import checking

    return checking.check(path, overrides or {})


def generate(design: DesignLike, out: str | Path, overrides: Mapping[str, str] | None = None) -> Answer:
    """Write a design as Verilog with everything around it; returns the manifest with ``folder``."""
    from ternforge import folder

    chosen = read_design(design, overrides)
    path = folder.check_out(out, "manifest.json")
    from generator.export import generate as write

    manifest = write(chosen.spec, path, clock_mhz=chosen.clock_mhz)
    for file in path.glob("rtl/*.v"):  # of an earlier run with other parameters
        if file.relative_to(path).as_posix() not in manifest["files"]:
            file.unlink()
    return {"folder": path, **manifest}


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
    areas, path, energy = TechnologyCosts(facts)(chosen.spec)
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
        "energy_pj": float(energy),
        "energy_of": "one cycle of full throughput",
    }
    return (
        answer
        if workload is None
        else answer | _on_workload(chosen.spec, read_workload(workload), clock, energy)
    )


def _on_workload(spec: Spec, workload: Workload, clock_mhz: float, energy_pj: float) -> Answer:
    """Cycles, time and core energy of a workload, without stalls."""
    layers: list[Answer] = [
        {
            "name": g.name,
            "m": g.m,
            "k": g.k,
            "n": g.n,
            "count": g.count,
            "macs": g.macs,
            "cycles": cycles * g.count,
        }
        for g, cycles in ((gemm, _cycles(spec, gemm)) for gemm in workload.gemms)
    ]
    cycles = sum(layer["cycles"] for layer in layers)
    return {
        "workload": workload.name,
        "cycles": cycles,
        "macs": workload.macs,
        "utilization": workload.macs / (cycles * int(spec.peak_macs)),
        "seconds": cycles / (clock_mhz * 1e6),
        "energy_pj": float(energy_pj) * cycles,
        "energy_of": "the whole workload, core only",
        "layers": layers,
    }


def _cycles(spec: Spec, gemm: Gemm) -> int:
    check_fits(spec, gemm)
    return int(spec.cycles(gemm))


def check_fits(spec: Spec, gemm: Gemm) -> None:
    """Raises ``ParamError`` for a product larger than the design was made for."""
    _refused(spec.timing, gemm)


def predicted_flip_flops(spec: Spec) -> int:
    """Flip-flops by the design's inventory."""
    from blueprint.unit import flip_flops

    return int(flip_flops(spec.units()))


def read_technology(design: Design, technology: str | Path | None = None) -> Technology:
    """The technology asked for, else the design's own, else asap7."""
    from costmodel import technology as technologies

    return technologies.load(technology or design.technology or "asap7")


def synth(
    design: DesignLike,
    technology: str | Path | None = None,
    liberty: Sequence[str | Path] = (),
    overrides: Mapping[str, str] | None = None,
    note: Note = _silent,
) -> Answer:
    """Synthesize a design with Yosys and ABC; ``measured`` stands beside what the model ``predicted``."""
    import tempfile

    from costmodel.synthesis import synthesize
    from generator.export import generate as write

    chosen = read_design(design, overrides)
    predicted = estimate(chosen, technology)
    facts = read_technology(chosen, technology)
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


def explore(
    space: str | Path,
    out: str | Path,
    *,
    method: str | None = None,
    budget: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Answer:
    """Search a space, or go on with a study that was interrupted; returns the study's summary."""
    from dse import explore as search
    from dse.store import NAME
    from ternforge import folder

    check(space)  # the technology too, before a folder is made
    folder.check_out(out, NAME)
    wishes: Answer = {
        "method": method,
        "budget": budget,
        "seed": seed,
        "workers": workers,
        "progress": progress,
    }
    with search.explore(space, out, **wishes) as study:
        return study.summary()


def apply(study: str | Path, point: str, out: str | Path) -> Answer:
    """Write a point of a study as a design file; ``point`` may be ``knee``."""
    from blueprint.design import design_content, write_design
    from blueprint.errors import ParamError
    from dse.study import open_study
    from ternforge.folder import check_file

    with open_study(study) as found:
        name = found.knee if point == "knee" else point
        if name is None:
            raise ParamError(f"Study must have a feasible point to take its knee, and {study} has none")
        design = found.design(name)
    path = check_file(out, (".yaml", ".yml"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_design(design, path)
    return {"point": name, "file": path, "design": design_content(design)}


def technologies() -> Answer:
    """The technologies that come with the package."""
    from costmodel import technology

    return {"technologies": [technology_summary(technology.load(name)) for name in technology.names()]}


def technology(name: str | Path) -> Answer:
    """One technology's facts in short."""
    from costmodel import technology as technologies

    return technology_summary(technologies.load(name))


def technology_summary(facts: Technology) -> Answer:
    """Corner, sources, roles and calibration of a technology."""
    return {
        "name": facts.name,
        "corner": facts.corner,
        "cells": facts.cell_text.count("\ncell ") + facts.cell_text.startswith("cell "),
        "source": facts.cell_source,
        "files": [{"file": file, "sha256": digest} for file, digest in facts.sources],
        "notes": facts.notes,
        "calibrated": bool(facts.model),
    }


def technology_import(liberty: Sequence[str | Path], name: str, out: str | Path) -> Answer:
    """Make a technology file of Liberty files; `ternforge tech calibrate` fits its cost model afterwards."""
    from blueprint.errors import ParamError
    from blueprint.names import NAME_RULE, is_name
    from costmodel import importing
    from costmodel import technology as technologies
    from ternforge.folder import check_file

    if not is_name(name):
        raise ParamError(f"Technology name must be {NAME_RULE}, not {name!r}")
    path = importing.import_library(liberty, name, check_file(out, (".yaml", ".yml")))
    return {"file": path, **technology_summary(technologies.load(path))}


def models() -> Answer:
    """The language models that come with the package."""
    from blueprint import model

    return {"models": [model_summary(model.load(name)) for name in model.names()]}


def model(name: str | Path, phase: str = "decode", tokens: int = 1) -> Answer:
    """One model's shapes, and the products of one forward pass."""
    from blueprint import model as shapes

    chosen = shapes.load(name)
    gemms = shapes.layers(chosen, phase, tokens)
    return {
        **model_summary(chosen),
        "phase": phase,
        "tokens": tokens,
        "gemms": gemms,
        "macs": sum(g.macs for g in gemms),
    }


def model_summary(chosen: Model) -> Answer:
    """A model's shapes with the numbers that follow from them."""
    import dataclasses

    derived = {
        "ternary_weights": chosen.ternary_weights,
        "lm_head_parameters": chosen.lm_head_parameters,
        "kv_bytes_per_token": chosen.kv_bytes_per_token(),
    }
    return {**dataclasses.asdict(chosen), **derived}


def model_import(folder: str | Path, out: str | Path, name: str | None = None) -> Answer:
    """Write the shapes in a Hugging Face folder's ``config.json`` as a model file."""
    from blueprint import huggingface
    from blueprint import model as shapes
    from ternforge.folder import check_file

    found = huggingface.read_config(folder, name)
    path = check_file(out, (".yaml", ".yml"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(shapes.model_text(found.model), encoding="utf-8")
    return {**model_summary(found.model), "file": path, "ternary": found.ternary, "ignored": found.ignored}


def simulate(
    design: DesignLike,
    workload: WorkloadLike,
    overrides: Mapping[str, str] | None = None,
    *,
    stall: str = "none",
    seed: int = 1,
    values: bool = True,
    trace: str | Path | None = None,
    window: str | None = None,
    note: Note = _silent,
) -> Answer:
    """Run a workload cycle by cycle: cycles, stalls by reason, utilization, values against the golden model.

    ``stall`` names a profile of waiting sources and sinks. ``trace`` is a file for Perfetto, of the first product, in
    the cycles ``window`` (``"a:b"``) if given.
    """
    from simulator import masks
    from simulator.simulate import simulate as run
    from ternforge.folder import check_file

    chosen, work = read_design(design, overrides), read_workload(workload)
    spec = chosen.spec
    open_cycles = _refused(masks.profile, stall, spec.streams(), seed)
    for gemm in work.gemms:
        check_fits(spec, gemm)
    path = None if trace is None else check_file(trace, (".json", ".gz"))
    layers: list[Answer] = []
    for gemm in work.gemms:
        note(f"simulating {gemm.name} {gemm.m}x{gemm.k}x{gemm.n}")
        done = run(spec, gemm, masks=open_cycles, values=values, seed=seed)
        golden = spec.reference(dict(done.operands)) if values else {}
        wrong = sum(int((golden[name] != done.outputs[name]).sum()) for name in golden)
        layers.append(
            {
                "name": gemm.name,
                "m": gemm.m,
                "k": gemm.k,
                "n": gemm.n,
                "count": gemm.count,
                "cycles": done.cycles,
                "stalls": dict(done.stalls),
                "macs": done.macs,
                "utilization": done.utilization,
                "mismatches": wrong,
                "checked": sum(array.size for array in golden.values()),
            }
        )
    answer: Answer = {
        "design": chosen.name,
        "design_hash": spec.design_hash,
        "workload": work.name,
        "stall_profile": stall,
        "seed": seed,
        "source": "cycle-accurate simulation",
        **{key: sum(layer[key] for layer in layers) for key in ("cycles", "macs", "mismatches", "checked")},
        "stalls": {key: sum(layer["stalls"][key] for layer in layers) for key in layers[0]["stalls"]},
        "layers": layers,
    }
    answer["utilization"] = answer["macs"] / (answer["cycles"] * int(spec.peak_macs))
    if path is not None:
        _write_trace(chosen, work.gemms[0], open_cycles, path, window)
        answer["trace"] = path
    return answer


def _write_trace(
    design: Design, gemm: Gemm, masks: Mapping[str, Any], path: Path, window: str | None
) -> None:
    from simulator import trace as traces

    shown = None if window is None else _refused(traces.parse_window, window)
    path.parent.mkdir(parents=True, exist_ok=True)
    clock = design.clock_mhz or 1000.0
    _refused(
        traces.write,
        _refused(traces.trace, design.spec.timing(gemm), masks, clock_mhz=clock, window=shown),
        path,
    )


def _refused(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Calls a room whose ``ValueError`` is the user's to mend."""
    from blueprint.errors import ParamError

    try:
        return call(*arguments, **named)
    except ValueError as problem:
        raise ParamError(str(problem)) from None


def verify(
    design: DesignLike,
    overrides: Mapping[str, str] | None = None,
    *,
    seed: int = 1,
    cases: int = 8,
    gemm: str | None = None,
    note: Note = _silent,
) -> Answer:
    """Prove a design's Verilog against the golden model and the simulator, with cocotb on Verilator.

    ``cases`` random runs under random stalls; ``gemm`` (``"1x2560x640"``) is run first, unstalled. ``ok`` is false
    where a value or a count of cycles differs, or where the design breaks a rule of AXI (``failure`` says which).
    """
    import tempfile

    from blueprint.workload import parse_gemm
    from generator.export import generate as write
    from simulator.cosim import check as cosim

    chosen = read_design(design, overrides)
    spec = chosen.spec
    first = None if gemm is None else parse_gemm(gemm)
    if first is not None:
        check_fits(spec, first)
    todo = cosim.cases(spec, cases, seed, first)
    outcomes, failure = [], None
    with tempfile.TemporaryDirectory(prefix="ternforge-") as scratch:
        note(f"writing {chosen.name}")
        write(spec, Path(scratch))
        note(f"building with Verilator and running {cases} cases with cocotb")
        try:
            outcomes = cosim.check(spec, Path(scratch), todo)
        except cosim.BenchError as problem:
            failure = str(problem)
    return {
        "design": chosen.name,
        "design_hash": spec.design_hash,
        "source": "cocotb on Verilator",
        "seed": seed,
        "ok": failure is None and all(outcome.ok for outcome in outcomes),
        "failure": failure,
        "mismatches": sum(outcome.mismatches for outcome in outcomes),
        "cases": [_verified(outcome) for outcome in outcomes],
    }


def _verified(outcome: Outcome) -> Answer:
    gemm = outcome.case.gemm
    return {
        "ok": outcome.ok,
        "m": gemm.m,
        "k": gemm.k,
        "n": gemm.n,
        "stalls": outcome.case.profile,
        "seed": outcome.case.seed,
        "mismatches": outcome.mismatches,
        "values": outcome.values,
        "cycles_rtl": outcome.cycles_rtl,
        "cycles_register": outcome.cycles_register,
        "cycles_simulator": outcome.cycles_simulator,
    }


#: Flows that take the generated folder as it is, and how.
FLOWS = {
    "files": "read the files named in {out}/files.f, in that order",
    "fusesoc": "fusesoc --cores-root {out} run --target=lint {top}",
    "yosys": "cd {out} && yosys -s synth.ys",
}


def export(
    design: DesignLike, flow: str, out: str | Path, overrides: Mapping[str, str] | None = None
) -> Answer:
    """Write a folder that another flow takes unchanged; ``next`` says how."""
    from blueprint.errors import ParamError
    from blueprint.nearest import suggestion

    if flow not in FLOWS:
        hint = suggestion(flow, FLOWS)
        raise ParamError(f"Flow must be one of {', '.join(FLOWS)} in this version, not {flow!r}{hint}")
    answer = generate(design, out, overrides)
    return {**answer, "flow": flow, "next": FLOWS[flow].format(out=out, top=answer["top"])}


def plot(study: str | Path, out: str | Path | None = None) -> Answer:
    """Draw a study's Pareto front into its folder, or into ``out``: PNG, SVG and an interactive page."""
    from dse import interactive
    from dse import plot as figures
    from dse.study import open_study

    with open_study(study) as found:
        files = figures.draw(found, out)
        return {"files": [*files, interactive.write(found, out and Path(out) / "pareto.html")]}


def report(study: str | Path, out: str | Path | None = None) -> Answer:
    """Write a study as one self-contained HTML page, ``report.html`` of the study where ``out`` names no other."""
    from dse import report as reports
    from dse.study import open_study
    from ternforge.folder import check_file

    path = None if out is None else check_file(out, (".html", ".htm"))
    with open_study(study) as found:
        return {"file": reports.write(found, path)}


def technology_calibrate(name: str | Path, out: str | Path | None = None, note: Note = _silent) -> Answer:
    """Fit the cost model of a technology to synthesis."""
    raise unavailable("tech calibrate")


def technology_validate(name: str | Path, designs: int, seed: int, note: Note = _silent) -> Answer:
    """Predictions against synthesis on random designs."""
    raise unavailable("tech validate")


def unavailable(verb: str) -> Exception:
    """The error of a verb that this version does not have."""
    from blueprint.errors import ParamError

    return ParamError(f"Command {verb} must wait for a later version: it is not part of this one")
