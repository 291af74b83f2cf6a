"""Records of a room that can be changed after they are made."""

from __future__ import annotations

import dataclasses
import sys


def changeable(room: str) -> set[str]:
    """Names of the data classes of a room, of what was imported so far, that are not frozen."""
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == room]
    every = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    mine = {
        kind for kind in every if kind.__module__.split(".")[0] == room and dataclasses.is_dataclass(kind)
    }
    return {kind.__name__ for kind in mine if not kind.__dataclass_params__.frozen}  # type: ignore[attr-defined]
