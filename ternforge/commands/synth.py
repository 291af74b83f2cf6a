"""``ternforge synth``."""

from __future__ import annotations

import click

from ternforge import choices
from ternforge.session import Session, table
from ternforge.shell import Verb, set_option, tech_option


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
    from dse import quantity
    from ternforge import api

    answer = api.synth(spec, tech, liberty, overrides, session.note)
    rows = []
    for key, predicted in answer["predicted"].items():
        measured = answer[key]
        error = f"{100 * (predicted / measured - 1):+.1f} %" if measured else "-"
        unit = quantity.of_metric(key, [predicted, measured])
        rows.append([quantity.label(key, unit.unit), unit.number(predicted), unit.number(measured), error])
    head = f"{answer['design']} in {answer['technology']} ({answer['source']})"
    session.answer(answer, [head, *table(rows, ("", "predicted", "synthesized", "error"))])
