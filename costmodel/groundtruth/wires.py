"""Wire-load models: the library's own where it brings them, a statistical one where it has none.

Wires are capacitance at the driver. Their resistance is left out, as in Liberty's `best_case_tree`.
"""

from __future__ import annotations

import math

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from costmodel.technology.liberty import WireLoad
from costmodel.technology.technology import Technology
from costmodel.words import WIRES

#: Rent exponent and share of a block that cells fill, both typical of placed logic.
_RENT, _FILLED = 0.6, 0.7
#: Donath's estimate is an upper bound; the models of the one library that has them by area (ihp_sg13g2) are half of it.
_PLACED = 0.5
#: fF/um: mean of the signal layers M2 to M5 of asap7 in OpenROAD's platform files; hardly depends on the node.
_CAPACITANCE = 0.173


def choose(
    kind: str | None, technology: Technology, area_um2: float, cells: int
) -> tuple[WireLoad | None, str]:
    """The wires of a block of `cells` cells on `area_um2`, and a sentence that says which they are.

    `kind` is one of `WIRES`, by default `library` where the technology has wire-load models, else `model`.
    `ParamError` for another kind, and for `library` where the technology has none.
    """
    kind = check(kind, technology) or ("library" if technology.wires else "model")
    if kind == "none":
        return None, "no wires"
    if kind == "library":
        assert technology.wires is not None
        load = technology.wires.at(area_um2)
        return load, f"wire load {load.name} of the library"
    load = statistical(area_um2, cells)
    length = load.lengths[0][1]
    return load, f"statistical wires, {length:.3g} um and {length * load.capacitance:.3g} fF a connection"


def check(kind: str | None, technology: Technology) -> str | None:
    """`kind`, where `choose` accepts it for designs in `technology`; otherwise raises `ParamError`."""
    if kind is not None and kind not in WIRES:
        raise ParamError(f"Wires must be one of {', '.join(WIRES)}, not {kind!r}{suggestion(kind, WIRES)}")
    if kind == "library" and technology.wires is None:
        raise ParamError(f"Wires must be none or model, since {technology.name} has no wire-load models")
    return kind


def statistical(area_um2: float, cells: int) -> WireLoad:
    """Wires of half the mean length of Donath's hierarchical placement (IEEE Trans. CAS 26(4), 1979), no resistance.

    A net of fan-out n is n connections of mean length; pitch is that of cells that fill 70 % of the block.
    """
    pitch = math.sqrt(max(area_um2, 1e-9) / max(cells, 1) / _FILLED)
    length = pitch * _PLACED * mean_length(cells)
    return WireLoad("statistical", _CAPACITANCE, 0.0, length, ((1, length),))


def mean_length(cells: int, rent: float = _RENT) -> float:
    """Donath's mean length of a connection in cell pitches, for `cells` placed cells."""
    n = max(cells, 4)
    first = 7 * (n ** (rent - 0.5) - 1) / (4 ** (rent - 0.5) - 1)
    second = (1 - n ** (rent - 1.5)) / (1 - 4 ** (rent - 1.5))
    length: float = 2 / 9 * (first - second) * (1 - 4 ** (rent - 1)) / (1 - n ** (rent - 1))
    return length
