"""``ternforge simulate``: a design at work, cycle by cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blueprint import beats
from blueprint.errors import ParamError
from blueprint.files.design import Design
from blueprint.spec import Spec
from blueprint.systems.description import System
from blueprint.systems.reader import read_system
from blueprint.workloads.tasks import Task
from blueprint.workloads.workload import Workload
from costmodel.systems import estimate as costs
from simulator import stall_patterns
from ternforge import decoders, decoding, shaped
from ternforge.folder import check_file, output_file
from ternforge.inputs import (
    DesignLike,
    WorkloadLike,
    check_drawn,
    check_fits,
    read_design,
    read_workload,
    refuse,
    refused,
    seed_of,
)  # fmt: skip
from ternforge.session import Answer, Note, silent, size_columns, table
from ternforge.words import OWN_MEMORY, TRACES

#: Arguments of a checkpoint's text.
_OF_TEXTS = ("tokens", "temperature", "top_k", "seed", "calibrate", "image", "beside")


def simulate(
    design: DesignLike | System,
    workload: WorkloadLike | None = None,
    overrides: Mapping[str, str] | None = None,
    *,
    stall: str = "none",
    seed: int | None = None,
    values: bool = True,
    trace: str | Path | None = None,
    window: str | None = None,
    checkpoint: str | Path | None = None,
    prompt: str | int | None = None,
    beside: Sequence[str] = (),
    tokens: int | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    memory: str | None = None,
    calibrate: str | Path | None = None,
    image: str | Path | None = None,
    model: str | Path | None = None,
    context: int | None = None,
    batch: int | None = None,
    technology: str | Path | None = None,
    force: bool = False,
    note: Note = silent,
) -> Answer:
    """Run a workload cycle by cycle: cycles, stalls by reason, utilization, and values by the golden model.

    The values are those of the golden model. They are laid in beats as the manifest says and read by the family, and
    ``mismatches`` are those that come back otherwise; :func:`verify` compares the RTL's with them.

    ``stall`` names a profile of waiting sources and sinks. ``trace`` is a file for Perfetto, of the first task, in
    the cycles ``window`` (``"a:b"``) if given.

    A system (a file of schema ``ternforge/system/v1``) takes a ``checkpoint`` and a ``prompt`` instead, and makes up to
    ``tokens`` behind it (16): the answer has the text, cycles by pass, stalls, traffic and energy. ``beside`` has other
    prompts, which are continued in the same passes (their answers are ``beside`` too). With a
    ``temperature`` above 0 they are drawn, by the ``seed``, where the unit that chooses them has `samples`, and with
    ``top_k`` among so many with the largest scores. ``memory`` is the behavior of external memory, the system's own
    unless it is named; ``calibrate`` is as in `compile`, whose ``image`` may be given instead.

    Without a checkpoint, a system takes a ``model`` by its shapes (the largest one where none is named), a ``context``
    in front of the token that is decoded, and ``prompt`` as a number of tokens: ``phases`` have exact cycles, stalls,
    traffic and energy by unit, layer and step, and no values. A ``batch`` of sequences shares each pass. ``trace`` has
    the pass that decodes the token, ``window`` (``"a:b"``, or the mark of a layer, ``"L3"``, ``"head"``) a part of it.
    Raises ``ParamError`` for arguments that do not belong together.
    """
    theirs: dict[str, Any] = {
        "checkpoint": checkpoint, "prompt": prompt, "tokens": tokens, "temperature": temperature, "top_k": top_k,
        "memory": memory, "calibrate": calibrate, "image": image, "model": model, "context": context,
        "technology": technology, "beside": tuple(beside) or None, "batch": batch,
    }  # fmt: skip
    if isinstance(design, System) or decoders.is_system(design):
        ours = {"workload": workload, "overrides": overrides, "stall": stall != "none",
                "values": not values}  # fmt: skip
        refuse(ours, "for a design, not for a system")
        theirs |= {"trace": trace, "window": window, "seed": seed}
        return _system(design, theirs, force, note)  # type: ignore[arg-type]
    refuse(theirs, "for a system, not for a design")
    if workload is None:
        raise ParamError("Workload must be given for a design, by a file or a product")
    chosen, work = read_design(design, overrides), read_workload(workload)
    return _design(chosen, work, stall, seed_of(seed), values, trace, window, force, note)


def _design(
    chosen: Design,
    work: Workload,
    stall: str,
    seed: int,
    values: bool,
    trace: str | Path | None,
    window: str | None,
    force: bool,
    note: Note,
) -> Answer:
    """A workload on a design, task by task."""
    from simulator import trace as traces

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


def _system(file: System | str | Path, given: Mapping[str, Any], force: bool, note: Note) -> Answer:
    """A checkpoint on a system, or shapes alone."""
    system = file if isinstance(file, System) else read_system(file)
    costs.costs(system, decoders.technology_of(file, system, given["technology"]))  # refused before the work
    behavior = OWN_MEMORY if given["memory"] is None else given["memory"]
    shapes = any(given[name] is not None for name in ("model", "context", "batch"))
    if given["checkpoint"] is None and (shapes or isinstance(given["prompt"], int)):
        refuse(
            {name: given[name] for name in _OF_TEXTS},
            "with a checkpoint, not for shapes alone",
        )
        asked = shaped.Asked(
            given["model"], given["context"], shaped.tokens_of(given["prompt"]), behavior, given["technology"],
            given["trace"], given["window"], force, 1 if given["batch"] is None else given["batch"],
        )  # fmt: skip
        return shaped.simulate_shapes(system, asked, note)
    checkpoint, prompt = given["checkpoint"], given["prompt"]
    if checkpoint is not None:
        refuse(
            {name: given[name] for name in ("model", "context", "window")},
            "without a checkpoint, which has its own",
        )
        refuse({"batch": given["batch"]}, "without a checkpoint, whose prompts are as many")
    check_drawn(given["seed"], given["top_k"], given["temperature"], "a system")
    if checkpoint is None or prompt is None:
        raise ParamError(
            "A system must be given a checkpoint and a prompt, or a model or a context, to be simulated"
        )
    count = decoding.TOKENS if given["tokens"] is None else given["tokens"]
    if not isinstance(prompt, str):
        raise ParamError(f"Prompt must be a text for a checkpoint, not {prompt}")
    text = decoding.Asked(
        prompt,
        count,
        behavior,
        given["calibrate"],
        given["image"],
        given["technology"],
        given["trace"],
        force,
        given["temperature"] or 0.0,
        given["seed"],
        given["beside"] or (),
        given["top_k"],
    )
    return decoding.simulate_system(system, checkpoint, text, note)


def _layer(chosen: Design, task: Task, open_cycles: Any, *, values: bool, seed: int) -> Answer:
    """One task simulated: the time is the simulator's, the values are the golden model's."""
    from simulator import simulate as simulator

    done = simulator.simulate(chosen.spec, task, patterns=open_cycles, values=values, seed=seed)
    return {
        "name": task.name,
        **task.sizes,
        "count": task.count,
        "cycles": done.cycles,
        "stalls": dict(done.stalls),
        "macs": done.macs,
        "utilization": done.utilization,
        "mismatches": _mismatches(chosen.spec, task, done.operands, done.outputs) if values else 0,
        "checked": sum(array.size for array in done.outputs.values()),
    }


def _mismatches(spec: Spec, task: Task, operands: Mapping[str, Any], results: Mapping[str, Any]) -> int:
    """Results that are others once they were laid in beats by what the streams declare, and read by the family."""
    sent = beats.written(spec.operation(), spec.streams(), operands, results)
    read = spec.collect(sent, task)
    return sum(int((read[name] != result).sum()) for name, result in results.items())


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


def lines(answer: Mapping[str, Any]) -> list[str]:
    sizes = size_columns(answer["layers"])
    rows = [
        [*(e.get(key) for key in ("name", *sizes, "count", "cycles")), f"{100 * e['utilization']:.1f} %"]
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
        values = f"{answer['checked']:,} values, which are the golden model's"
        lines.append(f"{values}: ternforge verify compares those of the RTL with them")
    if answer["mismatches"]:
        lines.append(
            f"FAIL: {answer['mismatches']:,} values are others in the beats that the manifest describes"
        )
    return lines + (
        [f"wrote {answer['trace']}: open it in https://ui.perfetto.dev"] if answer.get("trace") else []
    )
