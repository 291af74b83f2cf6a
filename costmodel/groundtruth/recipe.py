"""Recipes of mapping and timing, shared by calibration, validation and `ternforge synth`."""

from __future__ import annotations

import math

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from costmodel.groundtruth import clock_gating
from costmodel.technology.technology import Technology
from costmodel.words import BUFFERED as BUFFERED
from costmodel.words import GATED as GATED
from costmodel.words import LEAST as LEAST
from costmodel.words import RECIPES as RECIPES
from costmodel.words import (
    STANDARD as STANDARD,  # for a file without a recipe: not calibrated, or by another version
)


def of(technology: Technology) -> str:
    """The recipe with which a technology's coefficients were fitted; its measurements use the same.

    It is the standard one where nothing says which, and the one without clock gates where the cells have none: those
    of another library than the one that was calibrated.
    """
    if technology.recipe == GATED and clock_gating.find_gate(technology) is None:
        return BUFFERED
    return technology.recipe if technology.recipe in RECIPES else STANDARD


def choose(recipe: str | None, period_ps: float | None, wires: str | None, technology: Technology) -> str:
    """The recipe of a run: the one that was asked for, the one that can meet a period, else that of the `technology`.

    `ParamError` for an unknown recipe, a period that is not above 0, and what `LEAST` cannot do.
    """
    if recipe is not None and recipe not in RECIPES:
        raise ParamError(
            f"Recipe must be one of {', '.join(RECIPES)}, not {recipe!r}{suggestion(recipe, RECIPES)}"
        )
    if period_ps is not None and not (period_ps > 0 and math.isfinite(period_ps)):
        raise ParamError(f"Period must be above 0 ps and finite, not {period_ps:g}")
    default = of(technology)
    timed = default if default != LEAST else STANDARD
    chosen = recipe or (default if period_ps is None and wires is None else timed)
    if chosen == LEAST and period_ps is not None:
        raise ParamError(
            f"Recipe must be {BUFFERED} or {GATED} where a period is given, not {LEAST}, which sizes no cell"
        )
    if chosen == LEAST and wires not in (None, "none"):
        raise ParamError(
            f"Recipe must be {BUFFERED} or {GATED} for a netlist with wires, not {LEAST}, which has none"
        )
    return chosen
