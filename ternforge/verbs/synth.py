"""``ternforge synth``: a design synthesized, and the prediction beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from blueprint.spec import Spec
from blueprint.systems.description import System
from blueprint.workloads.data import Data
from costmodel.groundtruth import activity, clock_gating, netlist_files, synthesis
from costmodel.groundtruth import recipe as recipes
from costmodel.groundtruth import wires as wire_models
from costmodel.model import estimate as estimates
from costmodel.model import quantity
from costmodel.technology import importing, liberty_text
from costmodel.technology.technology import Technology
from ternforge import decoders, synthesizing
from ternforge.folder import check_file, output_folder
from ternforge.inputs import DesignLike, read_design, read_technology, refuse
from ternforge.session import Answer, Note, silent, table
from ternforge.verbs.estimate import estimate
from toolchain import files

#: Numbers that synthesis measures and the model predicts.
_BOTH = ("area_um2", "logic_area_um2", "memory_area_um2", "flip_flops", "critical_path_ps")
#: Numbers that include memories; both sides price these by the same laws, which would hide the model's error.
_SHARED = ("area_um2", "memory_area_um2")
#: Causes of a place's energy.
_CAUSES = ("useful", "glitches", "clock", "leakage")


def synth(
    design: DesignLike | System,
    technology: str | Path | None = None,
    liberty: Sequence[str | Path] = (),
    overrides: Mapping[str, str] | None = None,
    note: Note = silent,
    *,
    period: float | None = None,
    recipe: str | None = None,
    wires: str | None = None,
    netlist: str | Path | None = None,
    energy: bool = False,
    data: Mapping[str, str] | None = None,
    force: bool = False,
) -> Answer:
    """Synthesize a design with Yosys and ABC; ``measured`` stands beside what the model ``predicted``.

    ``period`` in ps, ``recipe`` and ``wires`` choose the netlist (see docs/synthesis.md); ``netlist`` is a Verilog
    file to write it to, with ``.lib`` and ``.sdc`` beside it, and ``force`` replaces files of others there. Prediction
    and measurement are of one library and one recipe; ``predicted`` is None where there is no such prediction, and
    ``unpredicted`` says why. ``ParamError`` for a period that is not reached.

    ``energy`` runs that netlist on random data, with its delays, and adds the ``energy`` of a mean cycle in pJ: useful
    toggles, glitches, clock pins and leakage of every place, and accesses of memories. ``data`` are statistics of
    the operands (:class:`blueprint.workloads.data.Data`) that differ from those of trained models.

    Of a system (a file of schema ``ternforge/system/v1``) it is the whole decoder, with ``parts``: each unit and what
    stands around the units, logic and memories apart.
    """
    if isinstance(design, System) or decoders.is_system(design):
        refuse({"overrides": overrides, "energy": energy, "data": data}, "for a design, not for a system")
        how: dict[str, Any] = {"recipe": recipe, "period_ps": period, "wires": wires}
        return _system(design, technology, liberty, note, netlist, force, how)  # type: ignore[arg-type]
    from generator import export

    chosen = read_design(design, overrides)
    statistics = Data.of(data or {})
    facts = read_technology(chosen, technology)
    path = _checked(facts, liberty, netlist, force, recipe, period, wires)
    unpredicted = _unpredicted(facts, liberty)
    predicted: Answer | None = None if unpredicted else estimate(chosen, technology)
    with files.scratch() as scratch:
        note(f"writing {chosen.name}")
        manifest = export.write_hardware(chosen.spec, scratch)
        note("synthesizing with Yosys and ABC")
        mapped = synthesis.mapped(
            scratch, facts, liberty=list(liberty) or None, recipe=recipe, period_ps=period, wires=wires
        )
        measured = synthesis.summary(mapped)
        switched = None
        if energy:
            note("simulating the netlist with its delays")
            switched = _energy(chosen.spec, scratch, manifest, mapped, measured, statistics)
        written = [] if path is None else _write_netlist(mapped, path, force)
    if predicted is not None and facts.recipe != measured.recipe:
        predicted, unpredicted = None, f"{facts.name} was calibrated by recipe {facts.recipe}"
    return {
        "design": chosen.name,
        "design_hash": chosen.spec.design_hash,
        **_made_by(facts, liberty, measured, period, written),
        **_beside(measured, predicted, facts.recipe),
        "unpredicted": unpredicted or None,
        **({} if switched is None else {"energy": switched}),
    }


def _checked(
    facts: Technology,
    liberty: Sequence[str | Path],
    netlist: str | Path | None,
    force: bool,
    recipe: str | None,
    period: float | None,
    wires: str | None,
) -> Path | None:
    """The file of the netlist, if one was asked for; everything is refused here that can be before the work."""
    chosen = recipes.choose(recipe, period, wires, facts)
    if not liberty:
        wire_models.check(wires, facts)
        if chosen == recipes.GATED:
            clock_gating.gate(facts)
    path = None if netlist is None else _netlist_file(netlist, force)
    for file in liberty:
        liberty_text.check(file)
    return path


def _system(
    file: System | str | Path,
    technology: str | Path | None,
    liberty: Sequence[str | Path],
    note: Note,
    netlist: str | Path | None,
    force: bool,
    how: Mapping[str, Any],
) -> Answer:
    """A whole decoder: the same keys as those of a design, and its parts."""
    system, hardware, facts = synthesizing.read(file, technology)
    path = _checked(facts, liberty, netlist, force, how["recipe"], how["period_ps"], how["wires"])
    unpredicted = _unpredicted(facts, liberty)
    manifest, mapped, measured = synthesizing.mapped(
        hardware, facts, note, liberty=list(liberty) or None, **how
    )
    if not unpredicted and facts.recipe != measured.recipe:
        unpredicted = f"{facts.name} was calibrated by recipe {facts.recipe}"
    written = [] if path is None else _write_netlist(mapped, path, force)
    answer = synthesizing.answer(hardware, manifest, mapped, measured, facts, not unpredicted)
    return {
        "system": system.name,
        "design_hash": hardware.design_hash,
        **_made_by(facts, liberty, measured, how["period_ps"], written),
        **answer,
        "predicted_recipe": facts.recipe,
        "unpredicted": unpredicted or None,
    }


def _made_by(
    facts: Technology,
    liberty: Sequence[str | Path],
    measured: synthesis.Synthesis,
    period: float | None,
    written: Sequence[Path],
) -> Answer:
    """What a netlist was made of, and how."""
    cells = ", ".join(map(str, liberty))
    return {
        "technology": facts.name,
        "library": cells or facts.name,
        "source": f"Yosys and ABC, {cells or f'cells of technology {facts.name}'}",
        "recipe": measured.recipe,
        "wires": measured.wires,
        "period_ps": period,
        "buffer_area_um2": measured.buffer_area_um2,
        "clock_gates": measured.clock_gates,
        "clock_gate_area_um2": measured.clock_gate_area_um2,
        "files": [str(path) for path in written],
    }


def _beside(measured: synthesis.Synthesis, predicted: Answer | None, recipe: str | None) -> Answer:
    """The numbers that were measured, and beside them the prediction for a recipe, each with its source."""
    numbers, shown = _numbers(measured), (*_BOTH, "clock_mhz")
    numbers["clock_mhz"] = 1e6 / numbers["critical_path_ps"] if numbers["critical_path_ps"] else None
    return {
        **numbers,
        "measured": measured,
        "predicted_recipe": recipe,
        "figures": {
            "measured": {key: {"source": "synthesized", "band": None} for key in shown},
            "predicted": predicted and {key: predicted["figures"][key] for key in shown},
        },
        "predicted": predicted and {key: predicted[key] for key in shown},
    }


def _netlist_file(netlist: str | Path, force: bool) -> Path:
    """The Verilog file of a netlist, not yet written. `ParamError` where it or a file beside it must not be."""
    path = check_file(netlist, netlist_files.SUFFIXES[:1], force=force)
    for suffix in netlist_files.SUFFIXES[1:]:
        check_file(path.with_suffix(suffix), (suffix,), force=force)
    return path


def _write_netlist(mapped: synthesis.Mapped, path: Path, force: bool) -> list[Path]:
    """Write the netlist and the files beside it, all or none."""
    with output_folder(path.parent, "synth", whole=False, force=force) as draft:
        return [path.with_name(file.name) for file in netlist_files.write(mapped, draft / path.name)]


def _energy(
    spec: Spec,
    folder: Path,
    manifest: Mapping[str, Any],
    mapped: synthesis.Mapped,
    measured: synthesis.Synthesis,
    data: Data,
) -> Answer:
    """Energy of a mean cycle of a run in pJ by place and cause, at the clock that the netlist reaches."""
    run = activity.measure(
        spec, folder, manifest, mapped.technology, glitches=True, data=data, netlist=mapped
    )
    assert run.glitches is not None
    places = {place: run.split(place, measured.critical_path_ps) for place in run.energies}
    macros = {
        kind: {**run.accesses[kind]._asdict(), "energy_pj": energy}
        for kind, energy in run.memory_pj(mapped.technology).items()
    }
    causes = {cause: sum(parts[cause] for parts in places.values()) for cause in _CAUSES}
    causes["memory"] = sum(item["energy_pj"] for item in macros.values())
    return {
        "energy_pj": sum(causes.values()),
        "energy_of": "a mean cycle of the run",
        "causes": causes,
        "places": places,
        "memories": macros,
        "pj_per_mac": sum(causes.values()) * run.cycles / run.task.macs,
        "cycle_ps": measured.critical_path_ps,
        "data": asdict(data),
        "task": run.task.sizes,
        "cycles": run.cycles,
        "utilization": run.task.macs / (run.cycles * int(spec.peak_macs)),
        "standard_error": run.glitches.error,
        "transitions": run.glitches.transitions,
        "events": run.glitches.events,
        "seconds": run.glitches.seconds,
        "source": "toggles of the mapped netlist with the library's delays, wires and clock tree not priced",
    }


def _numbers(measured: synthesis.Synthesis) -> dict[str, Any]:
    memory = measured.macro_area_um2
    parts = {"logic_area_um2": measured.area_um2 - memory, "memory_area_um2": memory}
    return {key: parts[key] if key in parts else getattr(measured, key) for key in _BOTH}


def _unpredicted(facts: Technology, liberty: Sequence[str | Path]) -> str:
    """Why no prediction stands beside the measurement; empty where one does."""
    if liberty and not importing.is_made_of(facts, liberty):
        files = ", ".join(map(str, liberty))
        return f"the model of {facts.name} was fitted to other cells than those of {files}; " + (
            "import them with ternforge tech import and calibrate that technology"
        )
    return estimates.uncalibrated(facts)


def lines(answer: Mapping[str, Any]) -> list[str]:
    if "system" in answer:
        head = f"{answer['system']} in {answer['library']} ({answer['source']})"
        return [head, *synthesizing.lines(answer), *_rest(answer)]
    head = f"{answer['design']} in {answer['library']} ({answer['source']})"
    if answer["predicted"] is not None:
        return [head, *_compared(answer), *_rest(answer)]
    shares = f"buffers {_share_of_area(answer, 'buffer_area_um2')}"
    if answer["clock_gates"]:
        shares += f", {answer['clock_gates']:,} clock gates {_share_of_area(answer, 'clock_gate_area_um2')}"
    rows = [[*_cell(key, answer[key])] for key in (*_BOTH, "clock_mhz") if answer[key] is not None]
    notes = [
        f"recipe {answer['recipe']}; {answer['wires']}; {shares} of area",
        f"no prediction: {answer['unpredicted']}",
    ]
    return [head, *table(rows, ("", "synthesized")), *notes, *_rest(answer)]


def _share_of_area(answer: Mapping[str, Any], key: str) -> str:
    return f"{answer[key] / answer['area_um2'] if answer['area_um2'] else 0.0:.1%}"


def _rest(answer: Mapping[str, Any]) -> list[str]:
    """Files and energy, where they were asked for."""
    energy = _energy_lines(answer["energy"]) if "energy" in answer else []
    return [*map("wrote {}".format, answer["files"]), *energy]


def _cell(key: str, value: float) -> tuple[str, str]:
    unit = quantity.of_metric(key, [value])
    return quantity.label(key, unit.unit), unit.number(value)


def _compared(answer: Mapping[str, Any]) -> list[str]:
    rows = []
    for key, predicted in answer["predicted"].items():
        measured = answer[key]
        error = f"{100 * (predicted / measured - 1):+.1f} %" if measured else "-"
        if key in _SHARED:
            error = "same laws" if key == "memory_area_um2" and measured else "-"
        unit = quantity.of_metric(key, [predicted, measured])
        rows.append([quantity.label(key, unit.unit), unit.number(predicted), unit.number(measured), error])
    return table(rows, ("", "predicted", "synthesized", "error"))


def _energy_lines(energy: Mapping[str, Any]) -> list[str]:
    """Energy by place and cause, and what it was measured on."""
    total = energy["energy_pj"]
    unit = quantity.shown("pJ", [total])
    rows = [
        [place, *(unit.number(parts[cause]) for cause in _CAUSES), _share(sum(parts.values()), total)]
        for place, parts in sorted(energy["places"].items(), key=lambda item: -sum(item[1].values()))
    ]
    causes = energy["causes"]
    if energy["memories"]:
        rows.append(
            ["memory macros", unit.number(causes["memory"]), "", "", "", _share(causes["memory"], total)]
        )
    rows.append(["sum", *(unit.number(causes[cause]) for cause in _CAUSES), "100.0 %"])
    sizes = ", ".join(f"{name} {value}" for name, value in energy["task"].items())
    return [
        "",
        f"energy of a mean cycle: {unit.number(total)} {unit.unit}, of which a standard error of "
        f"{100 * energy['standard_error']:.1f} % from {energy['transitions']} clock edges with delays",
        f"{energy['cycles']} cycles of {sizes}, operators busy {100 * energy['utilization']:.0f} % of the time: "
        f"{1e3 * energy['pj_per_mac']:.3g} fJ a multiply-accumulate",
        f"data: {', '.join(f'{name} {value}' for name, value in energy['data'].items())}; {energy['source']}",
        *table(rows, (unit.unit, *_CAUSES, "share")),
    ]


def _share(part: float, total: float) -> str:
    return f"{100 * part / total:.1f} %"
