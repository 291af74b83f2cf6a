"""Import of this distribution's own packages, even if other packages have the same names.

Their names are plain words. A folder of such a name may lie where a command is started, on ``PYTHONPATH``, or come
with another distribution. The first two are no matter: the finder below looks beside this package and nowhere else.
The third cannot be prevented, since installing a wheel runs no code of it; :func:`conflict` finds it first.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder

ROOMS = (
    "blueprint",
    "checkpoints",
    "compiler",
    "costmodel",
    "dse",
    "generator",
    "rtl_templates",
    "simulator",
    "toolchain",
)
HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_REMEDY = (
    "install ternforge into an environment of its own (python -m venv NAME; NAME/bin/pip install ternforge)"
)


class _Finder(MetaPathFinder):
    """Finds the rooms beside this package."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [HOME]) if name in ROOMS else None


def settle() -> None:
    """Import the rooms from the location of this package from now on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


@cache
def conflict() -> str | None:
    """One sentence if a room is not the one that was installed with this package, else ``None``."""
    for room in ROOMS:
        place = getattr(sys.modules.get(room), "__file__", None)
        if place is not None and os.path.dirname(os.path.dirname(os.path.abspath(place))) != HOME:
            return f"Package {room} must be that of ternforge, and {place} was imported before it; {_REMEDY}"
    record = _record()
    owners = dict(_other_owners()) if record else {}
    if owners:
        names = ", ".join(owners)
        theirs = ", ".join(sorted(set(owners.values())))
        return f"Packages of ternforge must belong to it alone, and {theirs} installed {names} over them; {_REMEDY}"
    for room in ROOMS:
        name = f"{room}/__init__.py"
        if _digest(os.path.join(HOME, name)) != record.get(name, _digest(os.path.join(HOME, name)) or "one"):
            return f"Package {room} must be the one that ternforge installed, and {name} is not; {_REMEDY}"
    return None


def _record() -> dict[str, str]:
    """SHA-256 by file of what a wheel of ours installed beside this package; empty in a source tree."""
    for name in _installed("ternforge-"):
        with open(os.path.join(HOME, name, "RECORD"), encoding="utf-8") as file:
            rows = [line.rsplit(",", 2) for line in file]
        found = {row[0]: row[1].removeprefix("sha256=") for row in rows if len(row) == 3}
        if "ternforge/__init__.py" in found:
            return found
    return {}


def _installed(start: str = "") -> Iterator[str]:
    for name in sorted(os.listdir(HOME)):
        if name.startswith(start) and name.endswith(".dist-info"):
            if os.path.isfile(os.path.join(HOME, name, "RECORD")):
                yield name


def _other_owners() -> Iterator[tuple[str, str]]:
    """Rooms in which another distribution beside this package has files, and which that is."""
    for name in _installed():
        if name.startswith("ternforge-"):
            continue
        with open(os.path.join(HOME, name, "RECORD"), "rb") as file:
            text = b"\n" + file.read()
        for room in ROOMS:
            if b"\n%s/" % room.encode() in text:
                yield room, name.removesuffix(".dist-info").replace("-", " ")


def _digest(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return base64.urlsafe_b64encode(hashlib.sha256(file.read()).digest()).rstrip(b"=").decode()
    except OSError:
        return None
