"""``ternforge explore``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ternforge.session import Session, table
from ternforge.shell import Verb


@click.command("explore", cls=Verb)
@click.argument("space")
@click.option(
    "--out", required=True, metavar="STUDY", help="Folder of the study; the same again continues it."
)
@click.option("--method", help="auto, exhaustive, random or nsga2; without it the file's.")
@click.option("--budget", type=click.IntRange(1), help="Most designs to look at; without it the file's.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the search; without it the file's.")
@click.option(
    "--workers", type=click.IntRange(1, 1024), help="Processes; the result is the same with any number."
)
@click.pass_obj
def explore_(
    session: Session,
    space: str,
    out: str,
    method: str | None,
    budget: int | None,
    seed: int | None,
    workers: int | None,
) -> int:
    """Search the design space in the file SPACE.

    The study can be interrupted at any time; the same command goes on. Exit code 1 where no design is feasible.
    """
    from dse import progress
    from ternforge import api

    shown = progress.Silent() if session.quiet else progress.for_stream()
    answer = api.explore(space, out, method=method, budget=budget, seed=seed, workers=workers, progress=shown)
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
    varied = [key for key in front[0] if key not in objectives and len({str(row[key]) for row in front}) > 1]
    parameters = [key for key in varied if isinstance(front[0][key], (int, str)) and key != "id"]
    rows = [[row["id"], *(row[key] for key in (*objectives, *parameters))] for row in front[:40]]
    lines += table(rows, ("id", *objectives, *parameters))
    if len(front) > len(rows):
        lines.append(f"... and {len(front) - len(rows)} more in {out}/front.csv")
    return [*lines, f"knee {answer['knee']}", f"next: ternforge apply {out} {answer['knee']} -o design.yaml"]
