"""Machine code for the event loop: Numba with a cache on disk, for installations that may be read-only."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.extending import register_jitable

from toolchain import cache as toolchain_cache
from toolchain import files

Function = TypeVar("Function", bound=Callable[..., Any])

_SEAL_BYTES = hashlib.sha256().digest_size
_SOURCES = tuple(sorted(file.name for file in Path(__file__).parent.glob("*.py")))


@cache
def cache_folder() -> Path | None:
    """Folder of compiled code: ``$NUMBA_CACHE_DIR``, else a part of the toolchain's cache; ``None`` if not writable.

    Numba notices that a function has changed, but not that a function of another file that it calls has; hence a folder
    for every version of the sources, this file included.
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
        dispatcher = numba.njit(_nrt=False)(function)
        if folder is not None:
            dispatcher._cache = _Cache(function, folder)
        return cast(Function, dispatcher)
    finally:
        numba.config.CACHE_DIR = before


def inner(function: Function) -> Function:
    """``function`` as a part of the compiled functions that call it, and in Python as it stands.

    Always inlined, so that fields of rows stay in registers from one small function to the next (three times as fast).
    """
    jitable = register_jitable(_nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    return cast(Function, jitable(function))


class _Sealed(IndexDataCacheFile):
    """Numba's files with a checksum in front: damaged machine code must not run."""

    def _load_data(self, name: str) -> Any:
        data = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(data[_SEAL_BYTES:]).digest() != data[:_SEAL_BYTES]:
            raise ValueError("its content is not what was written")
        return pickle.loads(data[_SEAL_BYTES:])

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        files.write(self._data_path(name), hashlib.sha256(content).digest() + content)


class _Cache(FunctionCache):
    """Compiled code on disk: what cannot be read is compiled again, what cannot be written is done without."""

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        super().__init__(function)
        plain: Any = getattr(self, "_cache_file")  # noqa: B009  # numba is not followed
        # Numba names files by the folder of the source and stamps them with its time: every copy of the tree, every
        # installation would compile anew. What is compiled depends on texts alone.
        stamp = toolchain_cache.key([Path(function.__code__.co_filename).read_bytes()])
        self._cache_file = _Sealed(str(folder), plain._index_name.removesuffix(".nbi"), stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception:
            with suppress(Exception):  # the index cannot be read; the next run begins a new one
                Path(self._cache_file._index_path).unlink(missing_ok=True)
