"""How much of what is drawn at random a run of the suite has time for."""

from __future__ import annotations

import os

#: Set by `make test-all`.
ALL = bool(os.environ.get("TERNFORGE_ALL_DESIGNS"))


def some(number: int, of: int) -> int:
    """``number`` in `make test`, ``of`` in `make test-all`."""
    return of if ALL else number
