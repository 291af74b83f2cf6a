"""``ternforge tech`` on the command line."""

from __future__ import annotations

from pathlib import Path

import click

from costmodel.words import CALIBRATED, PARTS, RECIPES, STANDARD, VALIDATED
from ternforge import choices, words
from ternforge.options import force_option, out_option
from ternforge.session import Session, line, table
from ternforge.shell import LazyGroup, Verb

TECHNOLOGY = choices.Named(choices.technologies, file=True, shown="NAME")
_VERBS = {
    "list": "The technologies that come with the package.",
    "show": "One technology's facts in short.",
    "import": "A technology from Liberty files.",
    "calibrate": "Fit the cost model of a technology to synthesis.",
    "validate": "Predictions against synthesis, as a table.",
}


@click.group("tech", cls=LazyGroup, verbs={name: (__name__, text) for name, text in _VERBS.items()})
def tech_() -> None:
    """Technologies: cell libraries and the cost models fitted to them."""


@click.command("list", cls=Verb)
@click.pass_obj
def list_(session: Session) -> None:
    """The technologies that come with the package."""
    from ternforge.verbs import tech as verb

    answer = verb.technologies()
    rows = [
        [t["name"], t["corner"]["voltage"].value, t["corner"]["temperature"].value, t["cells"], t["source"]]
        for t in answer["technologies"]
    ]
    session.answer(answer, table(rows, ("name", "V", "C", "cells", "source")))


@click.command("show", cls=Verb)
@click.argument("name", type=TECHNOLOGY)
@click.pass_obj
def show_(session: Session, name: str) -> None:
    """Corner, sources and state of the technology NAME (or of a technology file)."""
    from ternforge.verbs import tech as verb

    answer = verb.technology(name)
    lines = [f"{answer['name']}: {answer['cells']} cells of {answer['source']}"]
    lines += [f"  {key} {fact.value:g} {fact.unit} ({fact.source})" for key, fact in answer["corner"].items()]
    lines += [f"  {item['file']} sha256 {item['sha256'][:16]}" for item in answer["files"]]
    lines += [f"  note: {note}" for note in answer["notes"]]
    session.answer(
        answer, [*lines, f"  cost model: {'calibrated' if answer['calibrated'] else 'not calibrated'}"]
    )


@click.command("import", cls=Verb)
@click.argument("liberty", type=choices.FILE, nargs=-1, required=True)
@click.option("--name", metavar="NAME", required=True, help="Name of the technology.")
@out_option(choices.FILE, "FILE.yaml", "Technology file to write.", required=True)
@force_option
@click.pass_obj
def import_(session: Session, liberty: tuple[str, ...], name: str, out: str, force: bool) -> None:
    """Make a technology file of LIBERTY files (plain or gzipped)."""
    from ternforge.verbs import tech as verb

    answer = verb.technology_import(liberty, name, out, session.note, force=force)
    lines = [
        f"wrote {out}: {answer['cells']} cells",
        f"next: {line('ternforge', 'tech', 'calibrate', Path(out))}",
    ]
    session.answer(answer, lines)


@click.command("calibrate", cls=Verb)
@click.argument("name", type=TECHNOLOGY)
@click.option(
    "--recipe",
    metavar="RECIPE",
    help=f"How designs are synthesized: {', '.join(RECIPES)}.  [default: as before, {STANDARD} the "
    "first time]",
)
@click.option(
    "--designs",
    type=choices.Counts(*CALIBRATED),
    metavar="N|FAMILY=N,...",
    help="Designs of every family, or of some, to synthesize; more make predictions better.  [default: 10 to 30, as "
    "the family says]",
)
@click.option(
    "--only",
    type=choices.Named(lambda: PARTS),
    help="Fit this part of the model and keep the others; of a technology that is calibrated.",
)
@out_option(choices.FILE, "FILE.yaml", "Technology file to write; without it the file itself.")
@force_option
@click.pass_obj
def calibrate_(
    session: Session,
    name: str,
    recipe: str | None,
    designs: int | dict[str, int] | None,
    only: str | None,
    out: str | None,
    force: bool,
) -> None:
    """Synthesize random designs in the technology NAME (or file) and fit its cost model; takes some minutes.

    When interrupted, the same command goes on where it stopped.
    """
    from ternforge.verbs import tech as verb

    answer = verb.technology_calibrate(
        name, out, session.note, recipe=recipe, designs=designs, only=only, force=force
    )
    text = f"wrote {answer['file']}: cost model of {answer['name']} calibrated, recipe {answer['recipe']}"
    session.answer(answer, [text])


@click.command("validate", cls=Verb)
@click.argument("name", type=TECHNOLOGY, default=words.TECHNOLOGY)
@click.option(
    "--designs",
    type=choices.Whole(*VALIDATED),
    default=8,
    show_default=True,
    help="Designs of every family to synthesize.",
)
@click.option(
    "--large",
    type=choices.Whole(0, VALIDATED[1]),
    default=0,
    show_default=True,
    help="Designs of every family of more than 100,000 gates besides.",
)
@click.option(
    "--seed", type=choices.Whole(0), default=1, show_default=True, help="Seed that picks the designs."
)
@out_option(
    choices.FILE, "FILE.yaml", "Technology file to write, with these errors as the bands of its results."
)
@force_option
@click.pass_obj
def validate_(
    session: Session, name: str, designs: int, large: int, seed: int, out: str | None, force: bool
) -> int:
    """Predictions against synthesis on random designs in technology NAME; exit code 1 beyond the stated errors.

    When interrupted, the same command goes on where it stopped.
    """
    from ternforge.verbs import tech as verb

    answer = verb.technology_validate(name, designs, seed, session.note, large=large, out=out, force=force)
    session.answer(answer, verb.validation_lines(answer))
    return 0 if answer["ok"] else 1
