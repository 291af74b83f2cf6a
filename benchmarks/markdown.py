"""Tables of the pages that benchmarks write."""

from collections.abc import Iterable, Sequence


def table(lines: Iterable[Sequence[str]]) -> str:
    """Rows as a table of Markdown, the first of which is its heading."""
    head, *body = lines
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))
