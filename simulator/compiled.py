"""Machine code for the event loop: Numba with a cache on disk that survives read-only installations."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from toolchain import cache

Function = TypeVar("Function", bound=Callable[..., Any])


def cache_folder() -> Path:
    """Folder of compiled code: ``$NUMBA_CACHE_DIR``, else ``numba`` in the toolchain's cache."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    return Path(chosen) if chosen else cache.root() / "numba"


def compiled(function: Function) -> Function:
    """``function`` compiled on first use; the code is kept in :func:`cache_folder` or, if that fails, in memory."""
    numba.config.CACHE_DIR = str(cache_folder())
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        return cast(Function, numba.njit(cache=True)(function))
    except (OSError, RuntimeError):  # no writable place for the cache: compile in every process
        return cast(Function, numba.njit(function))
