"""A model by its shapes on a system: exact cycles of a decode token and of a prompt, without a checkpoint's values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.systems import rules
from blueprint.systems.description import System
from blueprint.systems.reader import read_system
from blueprint.systems.runs import Runs
from blueprint.workloads import model as models
from compiler.compile import Plan, compile_shapes
from compiler.plan import check_batch
from compiler.prompts import DECODE, turns
from simulator.systems import chrome, passes, sums
from simulator.systems.passes import Passes, Ran, Table
from simulator.systems.sums import Adding, Sums
from ternforge import decoding, traced
from ternforge.energies import Energies
from ternforge.folder import check_file, output_file
from ternforge.session import Answer, Note, paced, silent, table
from ternforge.words import CONTEXT, OWN_MEMORY, TRACES

#: What such a simulation is, in its answer.
SOURCE = "exact model of the sequencer, shapes without values"
#: Purposes of the energy that belongs to no step.
PROGRAM, REST = "program", "clocks, buffers, leakage"


@dataclass(frozen=True)
class Asked:
    """The options of a simulation of shapes: the largest model of the system where none is named.

    ``trace`` is a file for the pass that decodes the token; ``window`` are cycles of it (``"a:b"``) or the mark of a
    layer. Each pass takes a token of each of ``batch`` sequences.
    """

    model: str | Path | None = None
    context: int | None = None
    prompt: int | None = None
    memory: str = OWN_MEMORY
    technology: str | Path | None = None
    trace: str | Path | None = None
    window: str | None = None
    force: bool = False
    batch: int = 1


def tokens_of(prompt: str | int | None) -> int | None:
    """The number of tokens of a prompt. Raises ``ParamError`` for a text, which needs a tokenizer."""
    if prompt is None or isinstance(prompt, int):
        return prompt
    if not re.fullmatch("[0-9]{1,18}", prompt):
        what = "Prompt must be a number of tokens where there is no checkpoint, whose tokenizer reads a text"
        raise ParamError(f"{what}, not {prompt[:60]!r}")
    return int(prompt)


def simulate_shapes(file: System | str | Path, asked: Asked, note: Note = silent) -> Answer:
    """Exact cycles of one token behind a context, and of a prompt where one is asked for; memory is at rest before.

    Raises ``ParamError``.
    """
    system = file if isinstance(file, System) else read_system(file)
    clock = decoding.clock_of(system)
    port = decoding.port(system, asked.memory, clock)
    path = None if asked.trace is None else check_file(asked.trace, TRACES, force=asked.force)
    if asked.window is not None and path is None:
        raise ParamError("Window must stand beside a trace, and there is none; give a file with --trace")
    plan, context = _planned(system, asked, note)
    runs = Runs(plan.hardware)
    chosen = traced.Window(asked.window, plan)
    tables = {one.name: passes.read_program(plan.hardware, runs, one.instructions) for one in plan.programs}
    phases = {"decode": [(DECODE, context)]}
    if asked.prompt is not None:
        phases["prefill"] = [(turn.program, turn.position) for turn in turns(asked.prompt, 1, plan.block)]
    found: dict[str, Answer] = {}
    for name, each in phases.items():
        machine = Passes(plan.hardware, [port] * 3, runs)
        parts, ends, ran = _run(plan, tables, machine, each, note)
        tokens = asked.batch * (1 if name == "decode" else asked.prompt or 1)
        found[name] = _phase(system, clock, plan, machine.cycles, parts, ends, tokens, asked)
        if name == "decode":
            shown = chosen.slices(tables[DECODE], ran, machine.cycles)
    decode = found["decode"]
    if path is not None:
        with output_file(path, TRACES, "simulate", force=asked.force) as draft:
            chrome.write(chrome.events(shown, plan.hardware.queues, clock, decode["cycles"]), draft)
    first = found["prefill"]["seconds"] if "prefill" in found else None
    return {
        "system": system.name,
        "model": plan.model.name,
        "design_hash": plan.hardware.design_hash,
        "source": SOURCE,
        "memory": asked.memory,
        "clock_mhz": clock,
        "context": context,
        "prompt": asked.prompt,
        **({"batch": asked.batch} if asked.batch > 1 else {}),
        "instructions": {one.name: len(one.instructions) for one in plan.programs},
        "tokens_per_second": asked.batch / decode["seconds"],
        "time_to_first_token_s": first,
        "phases": found,
    } | ({} if path is None else {"trace": path})


def _planned(system: System, asked: Asked, note: Note) -> tuple[Plan, int]:
    """The programs, and the context. Raises ``ParamError`` for what does not fit the system."""
    from costmodel.systems.compiled import asked_of

    shapes = system.largest if asked.model is None else models.load(asked.model)
    most = min(shapes.context, system.largest.context) - 1
    context = min(CONTEXT, most) if asked.context is None else asked.context
    for name, value, least in (("context", context, 0), ("prompt", asked.prompt, 1)):
        if value is not None and value < least:
            raise ParamError(f"{name} must be at least {least}, not {value}")
    hardware, model = asked_of(system, shapes)
    rules.check_shapes(system, shapes, context, asked.prompt or 0)
    rules.check_model(system, shapes, context, asked.prompt or 0)
    check_batch(hardware, model, asked.batch)
    note(f"compiling the shapes of {shapes.name}")
    plan = compile_shapes(hardware, model, asked.batch)
    rules.check_image(system, shapes, plan.layout.end)
    return plan, context


def _run(
    plan: Plan, tables: Mapping[str, Table], machine: Passes, each: Sequence[tuple[str, int]], note: Note
) -> tuple[list[Sums], list[int], Ran]:
    """Consecutive passes: sums by program, the cycle in which the next one is asked for, and the last."""
    adding = {
        name: Adding(machine.runs, tables[name], plan.program(name).notes)
        for name in dict.fromkeys(n for n, _ in each)
    }
    told, ends = paced(note, "ran {} of {} passes"), []
    for done, (name, position) in enumerate(each):
        ran = machine.run(tables[name], position)
        adding[name].add(ran)
        ends.append(machine.now)
        told(done + 1, len(each))
    return [one.sums() for one in adding.values()], ends, ran


def _phase(
    system: System,
    clock: float,
    plan: Plan,
    cycles: int,
    parts: Sequence[Sums],
    ends: Sequence[int],
    tokens: int,
    asked: Asked,
) -> Answer:
    """The answer on one phase of ``tokens`` tokens: cycles, bytes and energy, and what each is spent on."""
    found = sums.total(parts)
    units = plan.hardware.units
    costs = Energies(system, clock, plan.hardware, asked.technology)
    return {
        "passes": len(ends),
        "tokens": tokens,
        "cycles": cycles,
        "seconds": cycles / (clock * 1e6),
        "cycles_by_pass": [end - before for end, before in zip(ends, [0, *ends[:-1]], strict=True)],
        "busy": {unit: found.busy[unit] / cycles for unit in plan.hardware.queues},
        "stalls": sums.stalls(found, cycles),
        "utilization": {
            unit: found.macs[unit] / (cycles * int(spec.peak_macs)) for unit, spec in units.items()
        },
        "traffic_bytes": dict(found.traffic),
        "layers": _rows(found.layers, found.layer_macs, found.layer_bytes, costs),
        "steps": _rows(found.steps, found.step_macs, found.step_bytes, costs),
        "energy_beside_pj": {
            PROGRAM: costs.work({}, found.traffic["program fetch"]),
            REST: costs.rest(cycles, found.buffered),
        },
        **costs.total(cycles, found.macs, sum(found.traffic.values()), found.buffered, tokens),
    }


def _rows(
    cycles: Mapping[str, Mapping[str, int]],
    macs: Mapping[str, Mapping[str, int]],
    moved: Mapping[str, int],
    costs: Energies,
) -> dict[str, Answer]:
    """For each purpose, a row with cycles by unit, bytes, and the energy of work and memory."""
    return {
        name: {
            "cycles": dict(each),
            "bytes": moved.get(name, 0),
            "energy_pj": costs.work(macs[name], moved.get(name, 0)),
        }
        for name, each in cycles.items()
        if each
    }


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Cycles of every phase and where they go, for people."""
    yield f"{answer['model']} on {answer['system']}, memory {answer['memory']} ({answer['source']})"
    sequences = f", each of {answer['batch']} sequences" if "batch" in answer else ""
    for name, phase in answer["phases"].items():
        what = (
            f"a token behind {answer['context']:,}"
            if name == "decode"
            else f"a prompt of {answer['prompt']:,} and the first token"
        )
        yield (
            f"{name}: {what}{sequences}: {phase['cycles']:,} cycles, {1e3 * phase['seconds']:,.2f} ms at "
            f"{answer['clock_mhz']:g} MHz, {phase['tokens'] / phase['seconds']:,.1f} token/s"
        )
        yield from decoding.phase_lines(phase)
        yield from _energy_lines(phase)
    if "trace" in answer:
        yield f"wrote {answer['trace']}: open it in https://ui.perfetto.dev"


def _energy_lines(phase: Mapping[str, Any]) -> Iterator[str]:
    """Energy by step; the rows add up to that of units and memory."""
    parts = {name: step["energy_pj"] for name, step in phase["steps"].items()} | phase["energy_beside_pj"]
    places = list(phase["energy_pj"])
    rows = [
        [name, *(_micro(each.get(place, 0)) for place in places), _micro(sum(each.values()))]
        for name, each in [*parts.items(), ("total", phase["energy_pj"])]
    ]
    yield from table(rows, ("energy in µJ", *places, "sum"))


def _micro(pj: float) -> str:
    """An energy in µJ; nothing for none."""
    return f"{pj / 1e6:,.3f}" if pj else ""
