"""``ternforge tech``."""

from __future__ import annotations

from pathlib import Path

import click

from ternforge import choices
from ternforge.session import Session, table
from ternforge.shell import LazyGroup, Verb, force_option, line

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
    from ternforge import api

    answer = api.technologies()
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
    from ternforge import api

    answer = api.technology(name)
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
@click.option(
    "-o", "--out", required=True, type=choices.FILE, metavar="FILE.yaml", help="Technology file to write."
)
@force_option
@click.pass_obj
def import_(session: Session, liberty: tuple[str, ...], name: str, out: str, force: bool) -> None:
    """Make a technology file of LIBERTY files (plain or gzipped)."""
    from ternforge import api

    session.note(f"reading {len(liberty)} Liberty file{'s' if len(liberty) > 1 else ''}")
    answer = api.technology_import(liberty, name, out, force=force)
    lines = [
        f"wrote {out}: {answer['cells']} cells",
        f"next: {line('ternforge', 'tech', 'calibrate', Path(out))}",
    ]
    session.answer(answer, lines)


@click.command("calibrate", cls=Verb)
@click.argument("name", type=TECHNOLOGY)
@click.option(
    "-o",
    "--out",
    type=choices.FILE,
    metavar="FILE.yaml",
    help="Technology file to write; without it the file itself.",
)
@force_option
@click.pass_obj
def calibrate_(session: Session, name: str, out: str | None, force: bool) -> None:
    """Synthesize random designs in the technology NAME (or file) and fit its cost model; takes some minutes.

    When interrupted, the same command goes on where it stopped.
    """
    from ternforge import api

    answer = api.technology_calibrate(name, out, session.note, force=force)
    session.answer(answer, [f"wrote {answer['file']}: cost model of {answer['name']} calibrated"])


@click.command("validate", cls=Verb)
@click.argument("name", type=TECHNOLOGY, default="asap7")
@click.option(
    "--designs", type=choices.Whole(1, 1000), default=8, show_default=True, help="Designs to synthesize."
)
@click.option(
    "--seed", type=choices.Whole(0), default=1, show_default=True, help="Seed that picks the designs."
)
@click.pass_obj
def validate_(session: Session, name: str, designs: int, seed: int) -> int:
    """Predictions against synthesis on random designs in technology NAME; exit code 1 beyond the stated error."""
    from ternforge import api

    answer = api.technology_validate(name, designs, seed, session.note)
    header = ("design", "predicted um2", "synthesized um2", "error", "flip-flops")
    rows = [
        [e["design"], e["predicted_um2"], e["measured_um2"], f"{100 * e['error']:+.1f} %", e["flip_flops"]]
        for e in answer["designs"]
    ]
    summary = f"mean error {100 * answer['mean_error']:.1f} %, worst {100 * answer['worst_error']:.1f} %"
    session.answer(answer, [*table(rows, header), summary])
    return 0 if answer["ok"] else 1
