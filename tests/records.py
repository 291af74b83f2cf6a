"""Records of a room that can be changed after they are made."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil


def changeable(room: str) -> set[str]:
    """Names of the data classes of a room that are not frozen."""
    walked = pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}.")
    modules = [importlib.import_module(each.name) for each in walked if not each.name.endswith("__main__")]
    every = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    mine = {
        kind for kind in every if kind.__module__.split(".")[0] == room and dataclasses.is_dataclass(kind)
    }
    return {kind.__name__ for kind in mine if not kind.__dataclass_params__.frozen}  # type: ignore[attr-defined]
