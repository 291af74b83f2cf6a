"""``ternforge apply`` on the command line."""

from __future__ import annotations

import click

from ternforge import choices
from ternforge.options import force_option, out_option, study_argument
from ternforge.session import Session
from ternforge.shell import Verb


@click.command("apply", cls=Verb)
@study_argument
@click.argument("point", type=choices.Point())
@out_option(choices.FILE, "SPEC", "Design file to write; may be left out with --where.")
@click.option(
    "--where",
    multiple=True,
    metavar="METRIC<=NUMBER",
    help="Limit to keep, <= or >=; may be repeated. A design that breaks it: what would have to change.",
)
@force_option
@click.pass_obj
def apply_(
    session: Session, study: str, point: str, out: str | None, where: tuple[str, ...], force: bool
) -> int:
    """Write the design POINT (an id, or `knee`) of the folder STUDY as a file.

    With --where, exit code 1 where the design breaks a limit: then nothing is written.
    """
    from ternforge.verbs import apply as verb

    if out is None and not where:
        raise click.UsageError("Missing option '-o' / '--out'.")
    answer = verb.apply(study, point, out, where=where, force=force)
    if where and answer["breaks"]:
        session.answer(answer, [f"FAIL: {text}" for text in verb.broken(answer)] + verb.remedy(answer, study))
        return 1
    if answer["infeasible"]:
        session.note(f"Point {answer['point']} is infeasible in this study: {answer['infeasible']}")
        for text in verb.remedy(answer, study):
            session.note(text)
    session.answer(answer, verb.written(answer, where))
    return 0
