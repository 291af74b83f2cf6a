"""The levels of fidelity, from formulas to synthesis, and the words for where a number is from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion

ANALYTIC, SIMULATED, SYNTHESIZED = "analytic", "simulated", "synthesized"
#: Origin of a number that no level measured and that a correction of a higher level changed.
CORRECTED = "corrected"


@dataclass(frozen=True)
class Level:
    """A level above the analytical model: its name, and the function (``module:function``) that measures a design.

    That function is called in a process of its own with a :class:`dse.fidelity.request.Request`.
    """

    name: str
    function: str


#: From the cheapest to the dearest; each knows what the ones before it measured.
LEVELS = (
    Level(SIMULATED, "dse.fidelity.measure:simulated"),
    Level(SYNTHESIZED, "dse.fidelity.measure:synthesized"),
)
#: Seconds for all measurements, and seconds and MiB for one, unless others are given.
BUDGET_S, LIMIT_S, MEMORY_MIB = 600, 900, 8192
#: Everything that a number may be, from the least to the most trusted.
ORIGINS = (ANALYTIC, CORRECTED, *(level.name for level in LEVELS))


def up_to(name: str, levels: Sequence[Level] = LEVELS) -> tuple[Level, ...]:
    """The levels up to the one of this name. Raises ``ParamError`` for a name that is none."""
    names = [level.name for level in levels]
    if name not in names:
        raise ParamError(
            f"Level must be one of {', '.join(names)}, not {name[:60]!r}{suggestion(name, names)}"
        )
    return tuple(levels[: names.index(name) + 1])
