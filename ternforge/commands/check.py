"""``ternforge check`` on the command line."""

from __future__ import annotations

import click

from ternforge import choices
from ternforge.options import set_option
from ternforge.session import Session
from ternforge.shell import Verb


@click.command("check", cls=Verb)
@click.argument("file", type=choices.FILE)
@set_option
@click.pass_obj
def check_(session: Session, file: str, overrides: dict[str, str]) -> None:
    """Validate a FILE of any of our kinds and print it with every default filled in."""
    from ternforge.verbs import check as verb

    answer = verb.check(file, overrides)
    session.answer(answer, verb.lines(answer))
