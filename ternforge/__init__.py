"""ternforge: from a short YAML description to verified, costed hardware for ternary language models.

Every verb of the command line is a function here (``ternforge.estimate(...)``), loaded when it is first asked for. The
list of them is ``__init__.pyi``, which type checkers read too.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from ternforge.rooms import conflict, settle

settle()

if conflict() is None:
    from blueprint.version import VERSION as __version__
else:  # another distribution's package has the name of a room
    __version__ = "unknown"

_STUB = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
#: Modules by public name.
_HOMES = {name: home for home, name in re.findall(r"^from (\S+) import (\w+) as \2$", _STUB, re.MULTILINE)}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ternforge' has no attribute {name!r}")
    if (what := conflict()) is not None:
        raise ImportError(what)
    from ternforge.arguments import checked

    found = globals()[name] = checked(getattr(importlib.import_module(_HOMES[name]), name))
    return found


def __dir__() -> list[str]:
    """Names for a reader and for completion: what is public, and what Python gives every module."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
