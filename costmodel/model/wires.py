"""Wires in the delays of the model, where a library's wire-load models depend on the area of a block.

Such a library gives large blocks longer connections, so that the same gates are slower there. The steps of all paths
of a design take ``factor`` times as long as they would without wires, memories excepted. Elsewhere connections are
alike in all designs, or nearly so, and the coefficients of the delays hold them.
"""

from __future__ import annotations

import numpy as np

from blueprint.numbers import Real
from costmodel.technology.technology import Technology
from costmodel.technology.wire_loads import WireLoad, Wires

#: The coefficient in the group ``delay`` of a technology's model.
WIRES = "wires"
#: Models are chosen before buffers are inserted. They are up to a tenth of the cells, so a block near the limit of two
#: models is taken as a mean of both.
_WITHOUT_BUFFERS = (0.9, 0.95, 1.0)


def load(technology: Technology, area_um2: Real) -> Real:
    """How long connections are in a block of ``area_um2`` of cells; 0 where they are alike in all blocks.

    Otherwise it is the logarithm of 1 and a connection's capacitance, in that of the shortest of the library.
    """
    known = technology.wires
    if known is None or len({_connection_ff(one) for one in known.loads if _chosen(known, one)}) < 2:
        return 0.0
    shortest = min(_connection_ff(one) for one in known.loads if _chosen(known, one))
    logs = [np.log1p(_at(known, share * area_um2) / shortest) for share in _WITHOUT_BUFFERS]
    found: Real = sum(logs) / len(logs)
    return found


def factor(technology: Technology, area_um2: Real) -> Real:
    """How many times as long the steps of a path take in a block of ``area_um2`` of cells."""
    weight = float(technology.model.get("delay", {}).get(WIRES, 0.0))
    return 1.0 + weight * load(technology, area_um2) if weight else 1.0


def _chosen(known: Wires, one: WireLoad) -> bool:
    """True for a model that some area selects and whose connections have a capacitance."""
    return any(name == one.name for _, _, name in known.by_area) and _connection_ff(one) > 0


def _connection_ff(one: WireLoad) -> float:
    """Capacitance in fF of a net that drives two pins, for each of them."""
    return one.capacitance * one.length(2) / 2


def _at(known: Wires, area_um2: Real) -> Real:
    """Capacitance of a connection in fF by the model that :meth:`Wires.at` chooses; takes one area or an array."""
    named = {one.name: _connection_ff(one) for one in known.loads}
    ranges = [(low, high, named[name]) for low, high, name in known.by_area if name in named]
    found: Real = named[known.default]
    if ranges:
        found = np.where(area_um2 >= ranges[-1][1], ranges[-1][2], found)
    for low, high, value in reversed(ranges):
        found = np.where((low <= area_um2) & (area_um2 < high), value, found)
    return found
