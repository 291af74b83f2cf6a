"""``ternforge apply``."""

from __future__ import annotations

import click

from ternforge.session import Session
from ternforge.shell import Verb, force_option


@click.command("apply", cls=Verb)
@click.argument("study")
@click.argument("point")
@click.option("-o", "--out", required=True, metavar="SPEC", help="Design file to write.")
@force_option
@click.pass_obj
def apply_(session: Session, study: str, point: str, out: str, force: bool) -> None:
    """Write the design POINT (an id, or `knee`) of the folder STUDY as a file."""
    from ternforge import api

    answer = api.apply(study, point, out, force=force)
    parameters = ", ".join(f"{key} {value}" for key, value in answer["design"]["parameters"].items())
    session.answer(
        answer, [f"wrote {out}: {answer['point']}, {parameters}", f"next: ternforge generate {out} --out rtl"]
    )
