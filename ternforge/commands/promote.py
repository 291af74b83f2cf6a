"""``ternforge promote`` on the command line."""

from __future__ import annotations

import click

from dse.fidelity.levels import BUDGET_S, LEVELS, LIMIT_S, MEMORY_MIB, SYNTHESIZED
from ternforge import choices
from ternforge.options import force_option, study_argument
from ternforge.session import Session
from ternforge.shell import Verb


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
    type=choices.Named(lambda: [level.name for level in LEVELS]),
    default=SYNTHESIZED,
    show_default=True,
    help="Highest level to measure at.",
)
@click.option(
    "--limit",
    type=choices.Whole(1, 10_000_000),
    default=LIMIT_S,
    show_default=True,
    metavar="SECONDS",
    help="Most time for one measurement.",
)
@click.option(
    "--memory",
    type=choices.Whole(256, 1 << 24),
    default=MEMORY_MIB,
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
    from ternforge.verbs import promote as verb
    from ternforge.verbs.explore import front_lines

    answer = verb.promote(
        study, budget=budget, level=level, limit=limit, memory=memory, retry=retry, force=force, note=session.note
    )  # fmt: skip
    session.answer(answer, front_lines(answer, study))
    return 0 if answer["front"] else 1
