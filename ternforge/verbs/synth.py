"""``ternforge synth``: a design synthesized, and the prediction beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from blueprint.errors import ParamError
from blueprint.spec import Spec
from blueprint.workloads.data import Data
from costmodel.groundtruth import activity, synthesis
from costmodel.model import quantity
from costmodel.technology import importing, liberty_text
from costmodel.technology.technology import Technology
from ternforge import choices
from ternforge.inputs import DesignLike, read_design, read_technology
from ternforge.options import set_option, tech_option
from ternforge.session import Answer, Note, Session, silent, table
from ternforge.shell import Verb
from ternforge.verbs.estimate import estimate
from toolchain import files

#: Numbers that synthesis measures and the model predicts.
_BOTH = ("area_um2", "flip_flops", "critical_path_ps")
#: Causes of a place's energy.
_CAUSES = ("useful", "glitches", "clock", "leakage")


def synth(
    design: DesignLike,
    technology: str | Path | None = None,
    liberty: Sequence[str | Path] = (),
    overrides: Mapping[str, str] | None = None,
    note: Note = silent,
    energy: bool = False,
    data: Mapping[str, str] | None = None,
) -> Answer:
    """Synthesize a design with Yosys and ABC; ``measured`` stands beside what the model ``predicted``.

    ``energy`` runs the mapped netlist on typical data, with its delays, and adds the ``energy`` of a mean cycle in pJ:
    useful toggles, glitches, clock pins and leakage of every place, and accesses of memory macros. ``data`` are
    statistics of the operands (:class:`blueprint.workloads.data.Data`) that differ from those of trained models.
    """
    from generator import export

    chosen = read_design(design, overrides)
    statistics = Data.of(data or {})
    predicted = estimate(chosen, technology)
    facts = read_technology(chosen, technology)
    for file in liberty:
        liberty_text.check(file)
    with files.scratch() as scratch:
        note(f"writing {chosen.name}")
        manifest = export.generate(chosen.spec, scratch)
        note("synthesizing with Yosys and ABC")
        measured = synthesis.synthesize(scratch, facts, liberty=list(liberty) or None)
        switched = None
        if energy:
            note("simulating the netlist with its delays")
            cells = importing.technology(list(liberty), facts.name) if liberty else facts
            run = activity.measure(chosen.spec, scratch, manifest, cells, glitches=True, data=statistics)
            switched = _energy(chosen.spec, run, measured, cells) | {"data": asdict(statistics)}
    numbers = {key: getattr(measured, key) for key in _BOTH}
    numbers["clock_mhz"] = 1e6 / numbers["critical_path_ps"] if numbers["critical_path_ps"] else None
    return {
        "design": chosen.name,
        "design_hash": chosen.spec.design_hash,
        "technology": facts.name,
        "source": f"Yosys and ABC, {', '.join(map(str, liberty)) or f'cells of technology {facts.name}'}",
        **numbers,
        "measured": measured,
        "predicted": {key: predicted[key] for key in (*_BOTH, "clock_mhz")},
        **({} if switched is None else {"energy": switched}),
    }


def _energy(
    spec: Spec, run: activity.Activity, measured: synthesis.Synthesis, technology: Technology
) -> Answer:
    """Energy of a mean cycle of a run in pJ by place and cause, at the clock that the netlist reaches."""
    assert run.glitches is not None
    places = {place: run.split(place, measured.critical_path_ps) for place in run.energies}
    macros = {
        kind: {**run.accesses[kind]._asdict(), "energy_pj": energy}
        for kind, energy in run.memory_pj(technology).items()
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
        "task": run.task.sizes,
        "cycles": run.cycles,
        "utilization": run.task.macs / (run.cycles * int(spec.peak_macs)),
        "standard_error": run.glitches.error,
        "transitions": run.glitches.transitions,
        "events": run.glitches.events,
        "seconds": run.glitches.seconds,
        "source": "toggles of the mapped netlist with the library's delays, without wires and clock tree",
    }


@click.command("synth", cls=Verb)
@click.argument("spec", type=choices.FILE)
@tech_option
@click.option(
    "--liberty",
    multiple=True,
    type=choices.FILE,
    metavar="FILE",
    help="Liberty file instead of the technology's cells.",
)
@click.option("--energy", is_flag=True, help="Measure the energy of a mean cycle as well, glitches included.")
@click.option(
    "--data",
    multiple=True,
    metavar="NAME=VALUE",
    help="With --energy: zeros=0.42, the share of zeros among ternary weights; positive=0.5, that of +1 among the "
    "others; spread=normal or uniform, of whole numbers.",
)
@set_option
@click.pass_obj
def synth_(
    session: Session,
    spec: str,
    tech: str | None,
    liberty: tuple[str, ...],
    energy: bool,
    data: tuple[str, ...],
    overrides: dict[str, str],
) -> None:
    """Synthesize the design in SPEC with Yosys and ABC, and print the prediction beside the result."""
    answer = synth(spec, tech, liberty, overrides, session.note, energy, _named(data, energy))
    session.answer(answer, _lines(answer))


def _named(data: tuple[str, ...], energy: bool) -> dict[str, str]:
    """Options NAME=VALUE by name. `ParamError` for others, and where they would have no effect."""
    if data and not energy:
        raise ParamError("Data must be given with --energy, which alone depends on it")
    for item in data:
        if "=" not in item:
            raise ParamError(f"Data must be NAME=VALUE, not {item!r}")
    return dict(item.split("=", 1) for item in data)


def _lines(answer: Mapping[str, Any]) -> list[str]:
    rows = []
    for key, predicted in answer["predicted"].items():
        measured = answer[key]
        error = f"{100 * (predicted / measured - 1):+.1f} %" if measured else "-"
        unit = quantity.of_metric(key, [predicted, measured])
        rows.append([quantity.label(key, unit.unit), unit.number(predicted), unit.number(measured), error])
    head = f"{answer['design']} in {answer['technology']} ({answer['source']})"
    lines = [head, *table(rows, ("", "predicted", "synthesized", "error"))]
    return [*lines, *_energy_lines(answer["energy"])] if "energy" in answer else lines


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
