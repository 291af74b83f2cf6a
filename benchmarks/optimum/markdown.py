"""Tables and figures of the page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.optimum.conclusions import Row


def table(head: Iterable[str], rows: Iterable[Iterable[Any]], texts: int = 1) -> str:
    """Markdown, the first ``texts`` columns to the left."""
    head = list(head)
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + " --- |" * texts + " ---: |" * (len(head) - texts))
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def style(row: Row) -> str:
    """Construction of a design, in words."""
    adds = "" if row["arithmetic"] == "float" else f", {row['reduction'].replace('_', '-')}"
    return f"{row['table_style']}{adds}"
