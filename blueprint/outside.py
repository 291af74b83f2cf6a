"""Families outside this distribution: folders that the environment variable ``TERNFORGE_FAMILIES`` names.

Such a folder holds what would be added to the source tree: ``blueprint/families/<name>/`` and, for hardware,
``generator/families/<name>/``. The packages of those names look there too, so a module is imported by the name that it
would have in the tree, also in the processes that a command starts. Code of the folder is run: name only your own.
"""

from __future__ import annotations

import os
from pathlib import Path

from blueprint.errors import ParamError

VARIABLE = "TERNFORGE_FAMILIES"
_ROOMS = ("blueprint", "generator")


def roots() -> tuple[Path, ...]:
    """The folders in the variable, separated as in ``PATH``."""
    return tuple(Path(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name)


def packages(room: str) -> list[str]:
    """Folders to search for families beside the room's own: absolute and existing."""
    places = (root / room / "families" for root in roots() if root.is_absolute())
    return [str(place) for place in places if place.is_dir()]


def check() -> None:
    """Refuse a folder that holds no family. Raises ``ParamError``."""
    for root in roots():
        if not root.is_absolute():
            raise ParamError(
                f"{VARIABLE} must name absolute folders, not {str(root)!r}; use {root.absolute()}"
            )
        place = root / "blueprint" / "families"
        if not _folders(place):
            what = "must name folders with blueprint/families/<name>/__init__.py"
            raise ParamError(f"{VARIABLE} {what}, not {str(root)!r}")
        for room in _ROOMS:
            for name in _folders(root / room / "families"):
                _check_own(room, name)


def _folders(place: Path) -> list[str]:
    """The packages in a folder."""
    return sorted(file.parent.name for file in place.glob("*/__init__.py"))


def _check_own(room: str, name: str) -> None:
    """Refuse a family that has the name of another one: only the first would be found."""
    home = Path(__file__).resolve().parent.parent
    places = [home / room / "families", *(root / room / "families" for root in roots())]
    having = [str(place) for place in places if (place / name / "__init__.py").is_file()]
    if len(having) > 1:
        raise ParamError(f"Family {name!r} must have a name of its own, and is in {' and '.join(having)}")
