"""Results of the levels above the analytical model for a study, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ternforge.session import table

#: Failures that the text names; the answer has all.
_SHOWN = 5


def highest(level: str) -> str:
    """The highest level in the words for where the numbers of a design are from."""
    return level.partition(":")[0]


def lines(found: Mapping[str, Any] | None) -> list[str]:
    """Promotions by level, failures and corrections; nothing where nothing was promoted."""
    if found is None:
        return []
    counts = ", ".join(_count(name, each) for name, each in found["levels"].items())
    failed = [f"{each['point']} failed: {each['reason']}" for each in found["failed"][:_SHOWN]]
    if len(found["failed"]) > _SHOWN:
        failed.append(f"{len(found['failed']) - _SHOWN} more failed; --json names them")
    return [f"measured: {counts}", *failed, *_corrections(found)]


def _count(name: str, each: Mapping[str, int]) -> str:
    return f"{each['ok']:,} {name}" + (f" ({each['failed']:,} failed)" if each["failed"] else "")


def _corrections(found: Mapping[str, Any]) -> list[str]:
    """A table of the corrections; metrics that lower levels have exactly need none, and are left out."""
    rows = [
        [
            each["level"],
            each["metric"],
            each["designs"],
            f"{100 * each['before']:.2f} %",
            f"{100 * each['after']:.2f} %",
            "yes" if each["used"] else "no",
        ]
        for each in found["corrections"]
        if each["before"] > 0
    ]
    header = ("correction by", "metric", "designs", "error", "corrected", "used")
    return table(rows, header) if rows else []
