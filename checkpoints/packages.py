"""Packages of the extra ``checkpoints``, imported when a file needs them."""

from __future__ import annotations

import importlib
from typing import Any

from blueprint.errors import ParamError

REMEDY = "pip install 'ternforge[checkpoints]'"


def load(name: str, what: str) -> Any:
    """The package ``name``. Raises ``ParamError`` where it is not installed; ``what`` says what needs it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise ParamError(f"Package {package} must be installed to {what}, and it is not; {REMEDY}") from None
