"""A technology that predicts netlists with clock gates: asap7 with made-up energies of gates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blueprint.unit import GATE
from costmodel.calibration import calibration
from costmodel.technology import technology
from costmodel.technology.technology import Technology
from costmodel.words import GATED

#: Energy of the clock pin of a gate in pJ.
GATE_PJ = 0.001


def gated() -> Technology:
    """The coefficients of asap7 as if they were of the recipe with clock gates."""
    found = technology.load("asap7")
    energy: dict[str, Any] = {
        place: {
            kind: terms | {GATE: GATE_PJ} if kind == "register" else terms for kind, terms in kinds.items()
        }
        for place, kinds in found.model["energy"]["value"].items()
    }
    area = found.model["area"] | {"source": f"made up, recipe {GATED}"}
    return found.with_model(
        {**found.model, "area": area, "energy": found.model["energy"] | {"value": energy}}
    )


def written(folder: Path) -> Path:
    """The same as a technology file."""
    return calibration.write(gated(), folder / "gated.yaml")
