"""``ternforge synth`` on the command line."""

from __future__ import annotations

import click

from costmodel.words import LEAST, RECIPES, STANDARD, WIRES
from ternforge import choices
from ternforge.options import force_option, pairs, set_option, tech_option
from ternforge.session import Session
from ternforge.shell import Verb


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
    callback=pairs("Data", "NAME=VALUE"),
    help="With --energy: zeros=0.42, the share of zeros among ternary weights; positive=0.5, that of +1 among the "
    "others; spread=normal or uniform, of whole numbers.",
)
@click.option(
    "--period",
    type=choices.Real("ps"),
    metavar="PS",
    help="Meet this clock period, with the least area found.",
)
@click.option(
    "--recipe",
    metavar="RECIPE",
    help=f"How to map: {', '.join(RECIPES)}. Default: as the technology was calibrated, and "
    f"{STANDARD} for a period where that was {LEAST}.",
)
@click.option("--wires", metavar="KIND", help=f"Wires to time with: {', '.join(WIRES)}.")
@click.option(
    "--netlist",
    type=choices.FILE,
    metavar="OUT.v",
    help="Write the netlist, and OUT.lib and OUT.sdc.",
)
@force_option
@set_option
@click.pass_obj
def synth_(
    session: Session,
    spec: str,
    tech: str | None,
    liberty: tuple[str, ...],
    period: float | None,
    recipe: str | None,
    wires: str | None,
    netlist: str | None,
    force: bool,
    energy: bool,
    data: dict[str, str],
    overrides: dict[str, str],
) -> None:
    """Synthesize the design or the system in SPEC with Yosys and ABC, and print the prediction beside the result."""
    from blueprint.errors import ParamError
    from ternforge.verbs import synth as verb

    if data and not energy:
        raise ParamError("Data must be given with --energy, which alone depends on it")
    answer = verb.synth(
        spec, tech, liberty, overrides, session.note,
        period=period, recipe=recipe, wires=wires, netlist=netlist, energy=energy, data=data, force=force,
    )  # fmt: skip
    session.answer(answer, verb.lines(answer))
