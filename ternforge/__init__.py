"""ternforge: from a short YAML description to verified, costed hardware for ternary language models.

The functions of :mod:`ternforge.api` are also here (``ternforge.estimate(...)``); they are loaded when first used.
"""

from __future__ import annotations

from typing import Any

from ternforge.rooms import settle

settle()

try:
    from blueprint.version import VERSION as __version__
except Exception:  # another distribution's package of that name: `rooms.conflict` says so
    __version__ = "unknown"

__all__ = ["__version__"]


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    import importlib

    from ternforge.rooms import conflict

    if (what := conflict()) is not None:
        raise ImportError(what)
    api = importlib.import_module("ternforge.api")
    if not hasattr(api, name):
        raise AttributeError(f"module 'ternforge' has no attribute {name!r}")
    return getattr(api, name)
