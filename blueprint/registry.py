"""The families there are: a module of this package that holds a ``Spec`` named after it is a family."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from blueprint import families as folders
from blueprint.errors import ParamError
from blueprint.spec import Spec


@cache
def families() -> dict[str, type[Spec]]:
    """Every family by name."""
    found: dict[str, type[Spec]] = {}
    for module in pkgutil.iter_modules(folders.__path__):
        members = vars(importlib.import_module(f"blueprint.families.{module.name}")).values()
        for member in members:
            if isinstance(member, type) and issubclass(member, Spec) and member is not Spec:
                if getattr(member, "family", None) == module.name:
                    found[module.name] = member
    return found


def get(name: str) -> type[Spec]:
    """The ``Spec`` class of a family; raises ``ParamError`` with the nearest name for an unknown one."""
    known = families()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ParamError(f"Family must be one of {', '.join(known)}, not {name!r}{hint}")
    return known[name]
