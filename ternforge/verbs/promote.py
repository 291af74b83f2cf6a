"""``ternforge promote``: the front of a study measured by the simulator and by synthesis."""

from __future__ import annotations

from pathlib import Path

import click

from dse.fidelity import promote as climbing
from dse.fidelity.levels import LEVELS, SYNTHESIZED
from ternforge import choices, folder
from ternforge.options import force_option, study_argument
from ternforge.session import Answer, Note, Session, silent
from ternforge.shell import Verb
from ternforge.study import check
from ternforge.verbs.explore import TABLES, front_lines

#: Seconds for all measurements, where nothing else is asked for.
BUDGET_S = 600


def promote(
    study: str | Path,
    *,
    budget: int = BUDGET_S,
    level: str = SYNTHESIZED,
    limit: int = int(climbing.LIMIT_S),
    memory: int = climbing.MEMORY_MIB,
    retry: bool = False,
    force: bool = False,
    note: Note = silent,
) -> Answer:
    """Measure the front of a study at higher levels for ``budget`` seconds; returns the study's summary.

    Levels are ``simulated`` and ``synthesized``, each up to ``level``. One measurement takes at most ``limit`` seconds
    and ``memory`` MiB; one that fails is stored with its log, and measured again by ``retry`` only. The same call goes
    on.
    """
    check(study)
    limits = climbing.Limits(budget, limit, memory)
    with folder.updated(study, TABLES, "promote", force=force):
        with climbing.promote(study, limits, level=level, retry=retry, note=note) as found:
            return found.summary()


@click.command("promote", cls=Verb)
@study_argument
@click.option(
    "--budget",
    type=choices.Whole(1, 10_000_000),
    default=BUDGET_S,
    show_default=True,
    metavar="SECONDS",
    help="Time for all measurements.",
)
@click.option(
    "--level",
    type=choices.Named(lambda: tuple(level.name for level in LEVELS)),
    default=SYNTHESIZED,
    show_default=True,
    help="Highest level to measure at.",
)
@click.option(
    "--limit",
    type=choices.Whole(1, 10_000_000),
    default=int(climbing.LIMIT_S),
    show_default=True,
    metavar="SECONDS",
    help="Most time for one measurement.",
)
@click.option(
    "--memory",
    type=choices.Whole(256, 1 << 24),
    default=climbing.MEMORY_MIB,
    show_default=True,
    metavar="MIB",
    help="Most memory for one measurement.",
)
@click.option("--retry", is_flag=True, help="Measure again what failed.")
@force_option
@click.pass_obj
def promote_(
    session: Session, study: str, budget: int, level: str, limit: int, memory: int, retry: bool, force: bool
) -> int:
    """Measure the front of the folder STUDY by the simulator and by synthesis, and correct the other designs by it.

    It can be interrupted at any time; the same command goes on. Exit code 1 where no design is feasible.
    """
    answer = promote(
        study, budget=budget, level=level, limit=limit, memory=memory, retry=retry, force=force, note=session.note
    )  # fmt: skip
    session.answer(answer, front_lines(answer, study))
    return 0 if answer["front"] else 1
