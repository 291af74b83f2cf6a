"""Tables of the pages that benchmarks write."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path


def table(lines: Iterable[Sequence[str]]) -> str:
    """Rows as a table of Markdown, the first of which is its heading."""
    head, *body = lines
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))


def rewritten(text: str, page: Path, parts: Mapping[str, Callable[[], str]]) -> str:
    """The ``text`` of a page with what each part makes between its marks `<!-- name -->` and `<!-- /name -->`.

    Raises `ValueError`, before anything is made, where the page does not have the marks of a part once.
    """
    marks = {
        name: re.compile(rf"(<!-- {name} -->\n)(?:.*?\n)?(<!-- /{name} -->)", re.DOTALL) for name in parts
    }
    for name, mark in marks.items():
        if (count := len(mark.findall(text))) != 1:
            raise ValueError(f"{page} must have the marks of {name} once, not {count} times")
    for name, made in parts.items():
        (place,) = marks[name].finditer(text)
        text = f"{text[: place.end(1)]}{made()}\n{text[place.start(2) :]}"
    return text
