"""``ternforge synth``: a design synthesized, and the prediction beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from costmodel.groundtruth import synthesis
from costmodel.model import estimate as estimates
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


def synth(
    design: DesignLike,
    technology: str | Path | None = None,
    liberty: Sequence[str | Path] = (),
    overrides: Mapping[str, str] | None = None,
    note: Note = silent,
) -> Answer:
    """Synthesize a design with Yosys and ABC; ``measured`` stands beside what the model ``predicted``.

    Both are of the same library. ``predicted`` is ``None`` where no model was fitted to it, and ``unpredicted`` says
    why; ``recipes`` are that of the netlist and that of the model's fit.
    """
    from generator import export

    chosen = read_design(design, overrides)
    facts = read_technology(chosen, technology)
    for file in liberty:
        liberty_text.check(file)
    unpredicted = _unpredicted(facts, liberty)
    predicted = None if unpredicted else estimate(chosen, technology)
    with files.scratch() as scratch:
        note(f"writing {chosen.name}")
        export.generate(chosen.spec, scratch)
        note("synthesizing with Yosys and ABC")
        measured = synthesis.synthesize(scratch, facts, liberty=list(liberty) or None)
    numbers = {key: getattr(measured, key) for key in _BOTH}
    numbers["clock_mhz"] = 1e6 / numbers["critical_path_ps"] if numbers["critical_path_ps"] else None
    return {
        "design": chosen.name,
        "design_hash": chosen.spec.design_hash,
        "technology": facts.name,
        "library": ", ".join(map(str, liberty)) or facts.name,
        "source": f"Yosys and ABC, {', '.join(map(str, liberty)) or f'cells of technology {facts.name}'}",
        **numbers,
        "measured": measured,
        "figures": {
            "measured": {key: {"source": "synthesized", "band": None} for key in (*_BOTH, "clock_mhz")},
            "predicted": predicted and {key: predicted["figures"][key] for key in (*_BOTH, "clock_mhz")},
        },
        "predicted": predicted and {key: predicted[key] for key in (*_BOTH, "clock_mhz")},
        "unpredicted": unpredicted or None,
        "recipes": {"netlist": synthesis.RECIPE, "model": predicted and estimates.recipe(facts)},
    }


def _unpredicted(facts: Technology, liberty: Sequence[str | Path]) -> str:
    """Why no prediction stands beside the measurement; empty where one does."""
    if liberty and not importing.is_made_of(facts, liberty):
        files = ", ".join(map(str, liberty))
        return f"the model of {facts.name} was fitted to other cells than those of {files}; " + (
            "import them with ternforge tech import and calibrate that technology"
        )
    return estimates.uncalibrated(facts)


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
    head = f"{answer['design']} in {answer['library']} ({answer['source']})"
    if answer["predicted"] is None:
        return [head, *_measured_rows(answer), f"no prediction: {answer['unpredicted']}"]
    rows = []
    for key, predicted in answer["predicted"].items():
        measured = answer[key]
        error = f"{100 * (predicted / measured - 1):+.1f} %" if measured else "-"
        unit = quantity.of_metric(key, [predicted, measured])
        rows.append([quantity.label(key, unit.unit), unit.number(predicted), unit.number(measured), error])
    netlist, model = answer["recipes"]["netlist"], answer["recipes"]["model"]
    other = f"the model was fitted to netlists of recipe {model}, and this one is of {netlist}"
    return [
        head,
        *table(rows, ("", "predicted", "synthesized", "error")),
        *([other] if netlist != model else []),
    ]


def _measured_rows(answer: Mapping[str, Any]) -> list[str]:
    rows = []
    for key in (*_BOTH, "clock_mhz"):
        unit = quantity.of_metric(key, [answer[key]])
        rows.append([quantity.label(key, unit.unit), unit.number(answer[key])])
    return table(rows, ("", "synthesized"))
