"""``ternforge simulate``: a design at work, cycle by cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from blueprint.errors import ParamError
from blueprint.files.design import Design
from blueprint.systems.description import System
from blueprint.workloads.tasks import Task
from simulator import stall_patterns
from ternforge import choices, decoders, decoding
from ternforge.folder import check_file, output_file
from ternforge.inputs import DesignLike, WorkloadLike, check_fits, read_design, read_workload, refused
from ternforge.options import (
    force_option,
    gemm_option,
    seed_option,
    set_option,
    workload_from,
    workload_option,
)
from ternforge.session import Answer, Note, Session, silent, size_columns, table
from ternforge.shell import Verb

#: Arguments of a system that a design has not.
_ASKED = ("checkpoint", "prompt", "tokens", "memory", "calibrate", "picture", "technology")
#: How a trace may end.
TRACES = (".json", ".json.gz")


def simulate(
    design: DesignLike | System,
    workload: WorkloadLike | None = None,
    overrides: Mapping[str, str] | None = None,
    *,
    stall: str = "none",
    seed: int = 1,
    values: bool = True,
    trace: str | Path | None = None,
    window: str | None = None,
    force: bool = False,
    note: Note = silent,
    **decoded: Any,
) -> Answer:
    """Run a workload cycle by cycle: cycles, stalls by reason, utilization, values against the golden model.

    ``stall`` names a profile of waiting sources and sinks. ``trace`` is a file for Perfetto, of the first task, in
    the cycles ``window`` (``"a:b"``) if given.

    A system (a file of schema ``ternforge/system/v1``) takes a ``checkpoint``, a ``prompt`` and the fields of
    `ternforge.decoding.Asked` instead: its answer has the text, cycles by pass, stalls, traffic and energy.
    """
    if isinstance(design, System) or decoders.is_system(design):
        _refuse(
            {"workload": workload, "overrides": overrides, "window": window}, "for a design, not for a system"
        )
        checkpoint = decoded.pop("checkpoint", None)
        if checkpoint is None or decoded.get("prompt") is None:
            raise ParamError("A system must be given a checkpoint and a prompt to be simulated")
        asked = decoding.Asked(trace=trace, force=force, **decoded)
        return decoding.simulate_system(design, checkpoint, asked, note)  # type: ignore[arg-type]
    _refuse(
        {name: value for name, value in decoded.items() if name in _ASKED}, "for a system, not for a design"
    )
    if workload is None:
        raise ParamError("Workload must be given for a design, by a file or a product")
    from simulator import trace as traces

    chosen, work = read_design(design, overrides), read_workload(workload)
    spec = chosen.spec
    shown = None if window is None else refused(traces.parse_window, window)
    if shown and trace is None:
        raise ParamError("Window must stand beside a trace, and there is none; give a file with --trace")
    open_cycles = refused(stall_patterns.profile, stall, spec.streams(), seed)
    tasks = spec.tasks(work)
    for task in tasks:
        check_fits(spec, task)
    path = None if trace is None else check_file(trace, TRACES, force=force)
    layers = []
    for task in tasks:
        note(f"simulating {task.name} {task.label}")
        layers.append(_layer(chosen, task, open_cycles, values=values, seed=seed))
    if shown and shown[0] >= layers[0]["cycles"]:
        what = f"must begin before the run ends, which takes {layers[0]['cycles']} cycles"
        raise ParamError(f"Trace window {what}, not at {shown[0]}")
    answer: Answer = {
        "design": chosen.name,
        "design_hash": spec.design_hash,
        "workload": work.name,
        "stall_profile": stall,
        "seed": seed,
        "source": "cycle-accurate simulation",
        **_total(layers),
    }
    answer["utilization"] = answer["macs"] / (answer["cycles"] * int(spec.peak_macs))
    if path is not None:
        with output_file(path, TRACES, "simulate", force=force) as draft:
            _write_trace(chosen, tasks[0], seed, open_cycles, draft, shown)
        answer["trace"] = path
    return answer


def _refuse(given: Mapping[str, Any], whose: str) -> None:
    """Refuse arguments that another kind of file takes. Raises ``ParamError``."""
    for name, value in given.items():
        if value:
            raise ParamError(f"{name} must be given {whose}")


def _layer(chosen: Design, task: Task, open_cycles: Any, *, values: bool, seed: int) -> Answer:
    """One task simulated, and its values compared with the golden model."""
    from simulator import simulate as simulator

    done = simulator.simulate(chosen.spec, task, patterns=open_cycles, values=values, seed=seed)
    golden = chosen.spec.reference(dict(done.operands)) if values else {}
    return {
        "name": task.name,
        **task.sizes,
        "count": task.count,
        "cycles": done.cycles,
        "stalls": dict(done.stalls),
        "macs": done.macs,
        "utilization": done.utilization,
        "mismatches": sum(int((golden[name] != done.outputs[name]).sum()) for name in golden),
        "checked": sum(array.size for array in golden.values()),
    }


def _total(layers: Sequence[Answer]) -> Answer:
    """The numbers of all layers together, and the layers."""
    return {
        **{key: sum(layer[key] for layer in layers) for key in ("cycles", "macs", "mismatches", "checked")},
        "stalls": {key: sum(layer["stalls"][key] for layer in layers) for key in layers[0]["stalls"]},
        "layers": layers,
    }


def _write_trace(
    design: Design, task: Task, seed: int, open_cycles: Any, path: Path, window: tuple[int, int] | None
) -> None:
    from simulator import trace as traces

    clock, spec = design.clock_mhz or 1000.0, design.spec
    graph = spec.timing(task, spec.operands(task, seed) if spec.data_dependent else None)
    found = refused(traces.trace, graph, open_cycles, clock_mhz=clock, window=window)
    refused(traces.write, found, path)


@click.command("simulate", cls=Verb)
@click.argument("spec", type=choices.FILE)
@workload_option
@gemm_option
@seed_option
@click.option(
    "--stall",
    type=choices.Named(stall_patterns.names),
    default="none",
    show_default=True,
    help="Profile of waiting sources and sinks.",
)
@click.option(
    "--values/--no-values", default=True, help="Compute values too, and compare them.  [default: values]"
)
@click.option(
    "--trace", type=choices.FILE, metavar="FILE.json[.gz]", help="Trace of the first task, for Perfetto."
)
@click.option("--window", metavar="A:B", help="Cycles that the trace shows; all without it.")
@click.option(
    "--checkpoint", type=choices.FILE, metavar="DIR|FILE", help="Of a system: the model that it runs."
)
@click.option("--prompt", metavar="TEXT", help="Of a system: the text to continue.")
@click.option(
    "--tokens",
    type=choices.Whole(1, 1 << 20),
    metavar="N",
    help="Of a system: tokens to make.  [default: 16]",
)
@click.option(
    "--memory",
    type=choices.Named(decoding.memories),
    help="Of a system: behavior of its memory.  [default: system, as it is described]",
)
@click.option("--calibrate", type=choices.FILE, metavar="FILE.txt", help="Of a system: see compile.")
@click.option(
    "--image", "picture", type=choices.FOLDER, metavar="DIR", help="Of a system: what compile wrote."
)
@force_option
@set_option
@click.pass_obj
def simulate_(
    session: Session,
    /,
    spec: str,
    workload: str | None,
    gemm: str | None,
    seed: int,
    stall: str,
    values: bool,
    trace: str | None,
    window: str | None,
    force: bool,
    overrides: dict[str, str],
    **asked: Any,
) -> int:
    """Run a workload on the design in SPEC, cycle by cycle, and compare its values with the golden model.

    With a system in SPEC, continue a prompt with a checkpoint on it: its text, and the exact cycles. Exit code 1 where
    a value differs.
    """
    decoded = {name: value for name, value in asked.items() if value is not None}
    if decoders.is_system(spec):
        options = {"trace": trace, "window": window, "force": force, **decoded}
        answer = simulate(spec, workload_from(workload, gemm), overrides, note=session.note, **options)
        session.answer(answer, decoding.simulate_lines(answer))
        return 0
    chosen = workload_from(workload, gemm)
    if chosen is None:
        raise click.UsageError("Workload must be given, by --workload FILE or --gemm MxKxN")
    options = {
        **decoded,
        "stall": stall,
        "values": values,
        "trace": trace,
        "window": window,
        "force": force,
    }
    answer = simulate(spec, chosen, overrides, seed=seed, note=session.note, **options)
    session.answer(answer, _lines(answer))
    return 1 if answer["mismatches"] else 0


def _lines(answer: Mapping[str, Any]) -> list[str]:
    sizes = size_columns(answer["layers"])
    rows = [
        [*(e[key] for key in ("name", *sizes, "count", "cycles")), f"{100 * e['utilization']:.1f} %"]
        for e in answer["layers"]
    ]
    stalls = ", ".join(f"{reason} {cycles:,}" for reason, cycles in answer["stalls"].items())
    lines = [
        f"{answer['design']} on {answer['workload']}",
        *table(rows, ("layer", *sizes, "count", "cycles", "utilization")),
        f"{answer['cycles']:,} cycles, {answer['macs']:,} MACs, utilization {100 * answer['utilization']:.1f} %",
        f"stalls: {stalls}",
    ]
    if answer["checked"]:
        lines.append(f"{answer['mismatches']:,} of {answer['checked']:,} values differ from the golden model")
    return lines + (
        [f"wrote {answer['trace']}: open it in https://ui.perfetto.dev"] if answer.get("trace") else []
    )
