"""The families there are: folders of ``blueprint/families``, or outside, with the facets of ``blueprint/family.py``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

from blueprint import families as folders
from blueprint import outside
from blueprint.errors import ParamError
from blueprint.family import FACETS, lacking
from blueprint.files.nearest import suggestion
from blueprint.spec import Spec


@cache
def families() -> dict[str, type[Spec]]:
    """Every family by name. Raises ``ParamError`` for a folder that does not implement the protocol."""
    outside.check()
    return dict(found(folders))


def get(name: str) -> type[Spec]:
    """The ``Spec`` class of a family; raises ``ParamError`` with the nearest name for an unknown one."""
    known = families()
    if name not in known:
        hint = suggestion(str(name), known)
        raise ParamError(f"Family must be one of {', '.join(known)}, not {name!r}{hint}")
    return known[name]


def found(package: ModuleType) -> Iterator[tuple[str, type[Spec]]]:
    """Find the families in the folders of a package, by name. Raises ``ParamError``."""
    for module in pkgutil.iter_modules(package.__path__):
        name = module.name
        _check_files(name, [Path(folder) / name for folder in package.__path__])
        kind = _assembled(name, importlib.import_module(f"{package.__name__}.{name}"))
        _check_parameters(kind)
        _check_facets(kind)
        yield name, kind


def _check_files(name: str, places: list[Path]) -> None:
    wanted = ("parameters", *FACETS)
    absent = [part for part in wanted if not any((place / f"{part}.py").is_file() for place in places)]
    if absent:
        what = f"a folder with {', '.join(wanted[:-1])} and {wanted[-1]}"
        raise ParamError(f"Family {name!r} must be {what}, not without {', '.join(absent)}")


def _assembled(name: str, module: ModuleType) -> type[Spec]:
    """The family's ``Spec`` class: the one with the folder's name and with facets."""
    for member in vars(module).values():
        if isinstance(member, type) and issubclass(member, Spec) and getattr(member, "facets", None):
            if getattr(member, "family", None) == name:
                return member
    raise ParamError(f"Family {name!r} must assemble a Spec with family = {name!r} and facets; there is none")


def _check_parameters(kind: type[Spec]) -> None:
    lacking_here = sorted(kind.__abstractmethods__) + ([] if hasattr(kind, "title") else ["title"])
    if lacking_here:
        what = f"must have name, peak_macs and title, not lack {', '.join(lacking_here)}"
        raise ParamError(f"Family {kind.family!r}: parameters {what}")


def _check_facets(kind: type[Spec]) -> None:
    for facet, names in lacking(kind.facets).items():
        what = f"must have the functions of its protocol, not lack {', '.join(names)}"
        raise ParamError(f"Family {kind.family!r}: {facet} {what}")
