"""Machine code for the event loop: Numba with a cache on disk, for installations that may be read-only."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from toolchain import cache as toolchain_cache

Function = TypeVar("Function", bound=Callable[..., Any])

_SOURCES = ("machine.py", "eventloop.py", "fastforward.py")


@cache
def cache_folder() -> Path | None:
    """Folder of compiled code: ``$NUMBA_CACHE_DIR``, else a part of the toolchain's cache; ``None`` if not writable.

    Numba notices a changed function, but not that one it calls in another file changed; hence a folder for every
    version of the sources.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    texts = [Path(__file__).with_name(name).read_bytes() for name in _SOURCES]
    folder = Path(chosen) if chosen else toolchain_cache.root() / "numba"
    folder = folder / toolchain_cache.key([numba.__version__, *texts])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def compiled(function: Function) -> Function:
    """``function`` compiled on first use. It may not create arrays.

    Without references to count, a tuple of arrays costs nothing to pass on.
    """
    folder, before = cache_folder(), numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder or "")
    try:
        return cast(Function, numba.njit(cache=folder is not None, _nrt=False)(function))
    finally:
        numba.config.CACHE_DIR = before
