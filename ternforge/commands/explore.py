"""``ternforge explore`` on the command line."""

from __future__ import annotations

from typing import Any

import click

from dse.progress import Silent, for_stream
from dse.searches import methods
from ternforge import choices
from ternforge.options import force_option, out_option
from ternforge.session import Session
from ternforge.shell import Verb


@click.command("explore", cls=Verb)
@click.argument("space", type=choices.FILE)
@out_option(choices.FOLDER, "STUDY", "Folder of the study; the same again continues it.", required=True)
@click.option(
    "--method",
    type=choices.Named(methods.names, shown="METHOD"),
    help=f"How to search: {', '.join(methods.ours())}, or MODULE:CLASS; without it as the file says.",
)
@click.option("--budget", type=choices.Whole(1), help="Most designs to look at; without it the file's.")
@click.option("--seed", type=choices.Whole(0), help="Seed of the search; without it the file's.")
@click.option(
    "--workers", type=choices.Whole(1, 1024), help="Processes; the result is the same with any number."
)
@click.option("--shard", metavar="I/N", help="Part I of N of the search, for `ternforge merge`.")
@click.option("--dask", metavar="tcp://HOST:PORT", help="Evaluate on the workers of a Dask scheduler.")
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
    shard: str | None,
    dask: str | None,
    force: bool,
) -> int:
    """Search the design space in the file SPACE.

    The study can be interrupted at any time; the same command goes on. Exit code 1 where no design is feasible.
    """
    from ternforge.verbs import explore as verb

    shown = Silent() if session.quiet else for_stream()
    options: dict[str, Any] = {"method": method, "budget": budget, "seed": seed, "workers": workers}
    options |= {"shard": shard, "dask": dask}
    answer = verb.explore(space, out, progress=shown, force=force, **options)
    session.answer(answer, verb.front_lines(answer, out))
    return 0 if answer["front"] else 1
