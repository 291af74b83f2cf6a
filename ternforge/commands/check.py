"""``ternforge check``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ternforge import choices
from ternforge.session import Session, plain
from ternforge.shell import Verb, set_option


@click.command("check", cls=Verb)
@click.argument("file", type=choices.FILE)
@set_option
@click.pass_obj
def check_(session: Session, file: str, overrides: dict[str, str]) -> None:
    """Validate a FILE of any of our kinds and print it with every default filled in."""
    from ternforge import api

    answer = api.check(file, overrides)
    session.answer(answer, _lines(answer))


def _lines(answer: Mapping[str, Any]) -> list[str]:
    from blueprint.files.tree import dump

    text = dump(plain(answer["resolved"]))
    derived = dump(plain(answer["derived"])) if answer["derived"] else ""
    comments = [f"#   {line}" for line in derived.splitlines()]
    head = f"# {answer['file']}: {answer['schema']}, valid"
    if "schema" not in answer["resolved"]:  # a summary, not a file
        return [head, *(f"# {line}" for line in text.splitlines()), "# derived", *comments]
    return [head, *text.splitlines(), "# derived", *comments]
