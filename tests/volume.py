"""How much of what is drawn at random a run of the suite has time for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

#: Set by `make test-all`.
ALL = bool(os.environ.get("TERNFORGE_ALL_DESIGNS"))


def some(number: int, of: int) -> int:
    """``number`` in `make test`, ``of`` in `make test-all`."""
    return of if ALL else number


def first(number: int, items: Sequence[Item]) -> Sequence[Item]:
    """The first ``number`` in `make test`, all in `make test-all`."""
    return items[: some(number, of=len(items))]
