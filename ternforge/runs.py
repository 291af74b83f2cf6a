"""A design at work, simulated cycle by cycle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ternforge.arguments import checked
from ternforge.inputs import Answer, Note, check_fits, read_design, read_workload, refused, silent

if TYPE_CHECKING:
    from blueprint.files.design import Design
    from blueprint.workloads.workload import Task
    from simulator.trace import Window
    from ternforge.inputs import DesignLike, WorkloadLike


#: How a trace may end.
TRACES = (".json", ".json.gz")


@checked
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
    force: bool = False,
    note: Note = silent,
) -> Answer:
    """Run a workload cycle by cycle: cycles, stalls by reason, utilization, values against the golden model.

    ``stall`` names a profile of waiting sources and sinks. ``trace`` is a file for Perfetto, of the first task, in
    the cycles ``window`` (``"a:b"``) if given.
    """
    from blueprint.errors import ParamError
    from simulator import masks
    from simulator import trace as traces
    from simulator.simulate import simulate as run
    from ternforge.folder import check_file, output_file

    chosen, work = read_design(design, overrides), read_workload(workload)
    spec = chosen.spec
    shown = None if window is None else refused(traces.parse_window, window)
    if shown and trace is None:
        raise ParamError("Window must stand beside a trace, and there is none; give a file with --trace")
    open_cycles = refused(masks.profile, stall, spec.streams(), seed)
    tasks = spec.tasks(work)
    for task in tasks:
        check_fits(spec, task)
    path = None if trace is None else check_file(trace, TRACES, force=force)
    layers: list[Answer] = []
    for task in tasks:
        note(f"simulating {task.name} {task.label}")
        done = run(spec, task, masks=open_cycles, values=values, seed=seed)
        golden = spec.reference(dict(done.operands)) if values else {}
        wrong = sum(int((golden[name] != done.outputs[name]).sum()) for name in golden)
        layers.append(
            {
                "name": task.name,
                **task.sizes,
                "count": task.count,
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
        with output_file(path, TRACES, "simulate", force=force) as draft:
            _write_trace(chosen, tasks[0], seed, open_cycles, draft, shown)
        answer["trace"] = path
    return answer


def _write_trace(
    design: Design, task: Task, seed: int, masks: Mapping[str, Any], path: Path, window: Window | None
) -> None:
    from simulator import trace as traces

    clock, spec = design.clock_mhz or 1000.0, design.spec
    graph = spec.timing(task, spec.operands(task, seed) if spec.data_dependent else None)
    refused(
        traces.write,
        refused(traces.trace, graph, masks, clock_mhz=clock, window=window),
        path,
    )
