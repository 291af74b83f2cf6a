"""Paths of a stall through the sequencer: from the output back to the fetch, and on to the activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from blueprint import stalls
from blueprint.families.ternary_lut.parameters import TernaryLutParameters
from blueprint.numbers import Number, choose, flag, larger
from blueprint.unit import BROADCAST, COMPARATOR, Path, Unit

#: Gates from a stage with room to a beat that is taken: the run is active, a tile and a beat are there.
_TAKEN = 3
#: Gates from a free place for a tile to one that is taken: the run is active, a tile is offered.
_LOADED = 2


def paths(p: TernaryLutParameters) -> tuple[Path, ...]:
    """A beat moves if all stages in front of it do; with it the sweep moves, and with its last beat the tiles."""
    back = _back(p)
    return (
        Path("stall", (*back, BROADCAST("control", 1, fanout=_enabled(p)))),
        Path("stall-load", (*back, *_load(p))),
        *(_waiting(p) if np.any(p.accumulate_stages > 0) else ()),
    )


def _back(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """From a result that waits to a beat that is taken; a beat that ends no sum needs no place for a result."""
    ends = larger(p.buffered, p.saves)
    return (stalls.ready("control", 1 + ends + p.sweep_stages), stalls.gates("control", _TAKEN))


def _load(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """From a beat that is taken, which may be the last of its tile, to the counters of tiles."""
    widths = p.size_widths
    loops = p.accumulates + p.tiled + p.regroups
    width = choose(p.accumulates, widths["k"], widths["tokens"])
    return (
        stalls.gates("control", flag(p.buffered)),
        stalls.ready("control", p.load_stages + p.build_stages + 1),
        stalls.gates("control", _LOADED),
        *stalls.counted("control", loops, width),
    )


def _waiting(p: TernaryLutParameters) -> tuple[Path, ...]:
    """A beat waits while one of its column is inside the adder that accumulates."""
    there: Any = flag(p.accumulate_stages > 0) * flag(p.address_width > 0)
    steps = (
        COMPARATOR("control", 1, width=p.address_width),
        stalls.gates("control", 1 + _TAKEN),
        *_load(p),
    )
    return (Path("wait-load", tuple(unit.times(there) for unit in steps)),)


def _enabled(p: TernaryLutParameters) -> Number:
    """Bits of the registers that take a beat first."""
    keys = p.lut_count * p.fetch_count * p.token_lanes
    fetched = p.fetch_register * keys * p.entry_width
    return larger(fetched, p.fetch_count * p.token_lanes * p.result_width)
