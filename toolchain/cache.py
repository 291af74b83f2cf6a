"""Content-addressed cache of build results, safe to share between processes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from toolchain import files

_SEAL = ".seal.json"
#: Largest size of the cache; ``TERNFORGE_CACHE_MIB`` sets another one.
_LIMIT_MIB = 4096
#: Entries used within this time are never evicted: another process may be running them.
_RECENT_S = 6 * 3600
#: The pause after an eviction, as a multiple of its duration; an eviction shorter than the second needs no pause.
_REST, _BRIEF_S = 20, 0.5


def root() -> Path:
    """Folder of the cache: ``TERNFORGE_CACHE``, or ``~/.cache/ternforge``."""
    chosen = os.environ.get("TERNFORGE_CACHE")
    return Path(chosen) if chosen else Path(os.path.expanduser("~")) / ".cache" / "ternforge"


class CacheError(RuntimeError):
    """A cache that cannot be used; the message is one sentence with the remedy."""


def key(parts: Iterable[str | bytes]) -> str:
    """32 hexadecimal digits of a SHA-256 hash over the parts and their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:32]


def flatten(texts: Mapping[str, str]) -> list[str | bytes]:
    """Names and texts in turn, as parts of a :func:`key`."""
    return [part for item in texts.items() for part in item]


def entry(kind: str, parts: Iterable[str | bytes], build: Callable[[Path], None]) -> Path:
    """Return the folder of the cache entry for these ``parts``; if there is none, let ``build`` fill it.

    ``parts`` must name everything that the content depends on: texts, flags and tool versions. ``build`` gets an
    empty folder, which is moved into place only after it returns, so a build that raises or is killed leaves no
    entry. Damaged entries are built again. If several processes want the same entry, one builds it and the others
    wait. When the cache exceeds its limit, the least recently used entries are deleted.
    An ``OSError`` becomes a :class:`CacheError` with the remedy, unless there is no folder for temporary files.
    """
    folder = root() / kind
    final = folder / key(parts)
    if _is_whole(final):
        return final
    limit_mib = _limit_mib()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{final.name}.lock"):
            if not _is_whole(final):
                _publish(final, build)
                _evict_in_turn(limit_mib)
    except OSError as problem:
        if files.lacks_scratch(problem):
            raise
        raise CacheError(
            f"Cache {root()} must be a folder with room that can be written, and it is not: "
            f"{problem.strerror or problem}; mend it, or name another one in TERNFORGE_CACHE"
        ) from problem
    return final


def _evict_in_turn(limit_mib: int) -> None:
    """Evict, unless the pause after the last eviction still runs: scanning a large cache takes a second."""
    begin = time.monotonic()
    if begin < _Turn.due:
        return
    evict(limit_mib)
    end = time.monotonic()
    _Turn.due = end + _REST * (end - begin) if end - begin > _BRIEF_S else end


class _Turn:
    """The time from which this process may evict again."""

    due = 0.0


def _limit_mib() -> int:
    text = os.environ.get("TERNFORGE_CACHE_MIB") or str(_LIMIT_MIB)
    if not re.fullmatch("[0-9]{1,12}", text):
        raise CacheError(f"TERNFORGE_CACHE_MIB must be a number of MiB, not {text[:60]!r}")
    return int(text)


def evict(limit_mib: int, *, recent_s: float = _RECENT_S) -> None:
    """Delete the least recently used entries beyond ``limit_mib``, but none used in the last ``recent_s`` seconds."""
    for kind in root().glob("*"):
        files.sweep(kind)
    seals = sorted(root().glob(f"*/*/{_SEAL}"), key=_used, reverse=True)
    total = 0
    for seal in seals:
        with suppress(FileNotFoundError):  # another process evicts too
            total += sum(path.stat().st_size for path in _files(seal.parent))
        if total > limit_mib << 20 and time.time() - _used(seal) > recent_s:
            shutil.rmtree(seal.parent, ignore_errors=True)


def _used(seal: Path) -> float:
    """Time of last use of an entry; 0 if another process just evicted it."""
    return seal.stat().st_mtime if seal.exists() else 0.0


def _publish(final: Path, build: Callable[[Path], None]) -> None:
    if final.is_file():
        final.unlink()
    shutil.rmtree(final, ignore_errors=True)
    with files.folder(final) as draft:
        build(draft)
        seal = {str(path.relative_to(draft)): files.digest(path) for path in _files(draft)}
        (draft / _SEAL).write_text(json.dumps(seal))


def _is_whole(final: Path) -> bool:
    try:
        seal: dict[str, str] = json.loads((final / _SEAL).read_text())
        whole = bool(seal) and all(files.digest(final / name) == digest for name, digest in seal.items())
    except (OSError, ValueError, AttributeError, TypeError):
        return False
    with suppress(OSError):  # a read-only cache is still usable
        os.utime(final / _SEAL)
    return whole


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The kernel drops the lock of a process that dies, so no lock is ever stale.
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
