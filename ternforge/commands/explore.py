"""``ternforge explore``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ternforge import choices
from ternforge.session import Session, table
from ternforge.shell import Verb, force_option, line

#: Metrics that are shown beside the objectives where a study has them.
ALONGSIDE = ("time_to_first_token_s",)


@click.command("explore", cls=Verb)
@click.argument("space", type=choices.FILE)
@click.option(
    "-o",
    "--out",
    required=True,
    type=choices.FOLDER,
    metavar="STUDY",
    help="Folder of the study; the same again continues it.",
)
@click.option(
    "--method", type=choices.Named(choices.methods), help="How to search; without it as the file says."
)
@click.option("--budget", type=choices.Whole(1), help="Most designs to look at; without it the file's.")
@click.option("--seed", type=choices.Whole(0), help="Seed of the search; without it the file's.")
@click.option(
    "--workers", type=choices.Whole(1, 1024), help="Processes; the result is the same with any number."
)
@force_option
@click.pass_obj
def explore_(
    session: Session,
    space: str,
    out: str,
    method: str | None,
    budget: int | None,
    seed: int | None,
    workers: int | None,
    force: bool,
) -> int:
    """Search the design space in the file SPACE.

    The study can be interrupted at any time; the same command goes on. Exit code 1 where no design is feasible.
    """
    from dse import progress
    from ternforge import api

    shown = progress.Silent() if session.quiet else progress.for_stream()
    wishes: dict[str, Any] = {"method": method, "budget": budget, "seed": seed, "workers": workers}
    answer = api.explore(space, out, progress=shown, force=force, **wishes)
    session.answer(answer, front_lines(answer, out))
    return 0 if answer["front"] else 1


def front_lines(answer: Mapping[str, Any], out: str) -> list[str]:
    """A study's summary as text: how much was seen, the front as a table, the knee."""
    front, objectives = answer["front"], list(answer["objectives"])
    how = "every design: the front is exact" if answer["exact"] else f"a sample by {answer['method']}"
    lines = [
        f"{answer['evaluated']:,} of {answer['space']:,} designs looked at ({how}), "
        f"{answer['feasible']:,} feasible, {len(front)} on the front"
    ]
    if not front:
        reasons = [f"  {count:,}: {reason}" for reason, count in answer["infeasible"].items()]
        return [*lines, "FAIL: no design is feasible", *reasons]
    beside = [key for key in ALONGSIDE if key in front[0] and key not in objectives]
    objectives += beside
    varied = [key for key in front[0] if key not in objectives and len({str(row[key]) for row in front}) > 1]
    parameters = [key for key in varied if isinstance(front[0][key], (int, str)) and key != "id"]
    shown = spread(front, list(answer["objectives"]), answer["knee"])
    rows = [[row["id"], *(row[key] for key in (*objectives, *parameters))] for row in shown]
    lines += table(rows, ("id", *objectives, *parameters))
    if len(front) > len(rows):
        lines.append(
            f"{len(rows)} of {len(front)} shown, one of equals and spread; all are in {out}/front.csv"
        )
    following = line("ternforge", "apply", Path(out), answer["knee"], "-o", "design.yaml")
    return [*lines, f"knee {answer['knee']}", f"next: {following}"]


def spread(
    front: list[dict[str, Any]], objectives: list[str], knee: str, most: int = 24
) -> list[dict[str, Any]]:
    """At most ``most`` designs of a front for a reader: the first of equals, even steps along the first objective, and
    the knee."""
    distinct: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in front:
        key = tuple(row[name] for name in objectives)
        if key not in distinct or row["id"] == knee:
            distinct[key] = row
    ordered = [distinct[key] for key in sorted(distinct)]
    if len(ordered) <= most:
        return ordered
    places = {round(step * (len(ordered) - 1) / (most - 1)) for step in range(most)}
    return [row for place, row in enumerate(ordered) if place in places or row["id"] == knee]
