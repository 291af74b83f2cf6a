"""Steps of the paths that a stall takes: a `ready` goes back through a whole pipeline within one cycle.

`generator.cells.elastic` cuts no path of ready, and a loop steps in the cycle in which the beat that ends it is taken
(`generator.cells.counter`). So such a path begins at the output, passes the stages of the pipeline and the loops of the
sequencer, and ends at a counter or at the enable of a wide register.
"""

from __future__ import annotations

from blueprint.numbers import Number
from blueprint.unit import BROADCAST, LOGIC, MUX, Unit

#: Ways that a counter has: it keeps its number, counts, or begins again.
_WAYS = 3


def gates(place: str, count: Number) -> Unit:
    """So many two-input gates in series."""
    return LOGIC(place, count, gates=2)


def ready(place: str, stages: Number) -> Unit:
    """Backwards through so many elastic stages: each takes a beat if it is empty or the next one is ready."""
    return gates(place, stages)


def counted(place: str, loops: Number, width: Number) -> tuple[Unit, ...]:
    """From a step to the outermost of nested loops: all inner ones must end with it; each is of at most ``width``."""
    return (gates(place, loops), BROADCAST(place, 1, fanout=width), MUX(place, 1, entries=_WAYS, width=width))
