"""``ternforge synth``: a design synthesized, and the prediction beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from costmodel.groundtruth import synthesis
from costmodel.model import quantity
from costmodel.technology import liberty_text
from ternforge import choices
from ternforge.inputs import DesignLike, read_design, read_technology
from ternforge.options import set_option, tech_option
from ternforge.session import Answer, Note, Session, silent, table
from ternforge.shell import Verb
from ternforge.verbs.estimate import estimate
from toolchain import files

#: Numbers that synthesis measures and the model predicts.
_BOTH = ("area_um2", "logic_area_um2", "memory_area_um2", "flip_flops", "critical_path_ps")
#: Numbers of which the memories, priced by the same laws on both sides, would hide the error.
_SHARED = ("area_um2", "memory_area_um2")


def synth(
    design: DesignLike,
    technology: str | Path | None = None,
    liberty: Sequence[str | Path] = (),
    overrides: Mapping[str, str] | None = None,
    note: Note = silent,
) -> Answer:
    """Synthesize a design with Yosys and ABC; ``measured`` stands beside what the model ``predicted``."""
    from generator import export

    chosen = read_design(design, overrides)
    predicted = estimate(chosen, technology)
    facts = read_technology(chosen, technology)
    for file in liberty:
        liberty_text.check(file)
    with files.scratch() as scratch:
        note(f"writing {chosen.name}")
        export.generate(chosen.spec, scratch)
        note("synthesizing with Yosys and ABC")
        measured = synthesis.synthesize(scratch, facts, liberty=list(liberty) or None)
    numbers = _numbers(measured)
    numbers["clock_mhz"] = 1e6 / numbers["critical_path_ps"] if numbers["critical_path_ps"] else None
    return {
        "design": chosen.name,
        "design_hash": chosen.spec.design_hash,
        "technology": facts.name,
        "source": f"Yosys and ABC, {', '.join(map(str, liberty)) or f'cells of technology {facts.name}'}",
        **numbers,
        "measured": measured,
        "predicted": {key: predicted[key] for key in (*_BOTH, "clock_mhz")},
    }


def _numbers(measured: synthesis.Synthesis) -> dict[str, Any]:
    memory = measured.macro_area_um2
    parts = {"logic_area_um2": measured.area_um2 - memory, "memory_area_um2": memory}
    return {key: parts[key] if key in parts else getattr(measured, key) for key in _BOTH}


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
@set_option
@click.pass_obj
def synth_(
    session: Session, spec: str, tech: str | None, liberty: tuple[str, ...], overrides: dict[str, str]
) -> None:
    """Synthesize the design in SPEC with Yosys and ABC, and print the prediction beside the result."""
    answer = synth(spec, tech, liberty, overrides, session.note)
    session.answer(answer, _lines(answer))


def _lines(answer: Mapping[str, Any]) -> list[str]:
    rows = []
    for key, predicted in answer["predicted"].items():
        measured = answer[key]
        error = f"{100 * (predicted / measured - 1):+.1f} %" if measured else "-"
        if key in _SHARED:
            error = "same laws" if key == "memory_area_um2" and measured else "-"
        unit = quantity.of_metric(key, [predicted, measured])
        rows.append([quantity.label(key, unit.unit), unit.number(predicted), unit.number(measured), error])
    head = f"{answer['design']} in {answer['technology']} ({answer['source']})"
    return [head, *table(rows, ("", "predicted", "synthesized", "error"))]
