"""Atomic writes: a file or folder appears whole or not at all, also if the process that writes it is killed.

Content is written to a draft beside its target, flushed to disk, and then renamed. A writer holds a lock on its draft,
so the next writer of the same target recognizes the drafts of killed processes and deletes them. All draft folders are
made by :func:`draft`; ``ternforge.folder`` also records which files of a folder were written by this project.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

_DRAFT = ".new"
#: End of a draft's name: process number and random digits.
_NAME = re.compile(r"-(\d{1,9})-[0-9a-f]{8}(?:\.new)?$")


def write(path: str | Path, content: str | bytes) -> Path:
    """Write ``content`` (text as UTF-8) to the file ``path`` and return the path. Raises ``OSError``.

    An existing file is replaced; a missing folder is made.
    """
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return Path(path)


@contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that replaces ``path`` when the block ends without an error.

    Links are followed and permissions kept; devices and pipes are written in place. Every ``OSError`` names ``path``.
    """
    with _named(path):
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file() and not target.is_dir():
            with target.open("wb") as file:
                yield file
            return
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        start = _start(target.name)
        sweep(target.parent, start)
        made = _fresh(target.parent, start)
        try:
            with open(made, "xb") as file:
                _lock(file.fileno())
                yield file
                file.flush()
                os.fsync(file.fileno())
                _keep_mode(target, made)
                os.replace(made, target)
        finally:
            made.unlink(missing_ok=True)
        _sync(target.parent)


@contextmanager
def folder(path: str | Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``path`` when the block ends without an error.

    If ``path`` exists, the new files are moved into it and its other files stay. A process that is killed before the
    end leaves a draft behind (:func:`is_draft`): in ``path`` if that exists, else beside it.
    """
    target = Path(os.path.realpath(path))
    home = target if target.is_dir() else target.parent
    with _named(path):
        home.mkdir(parents=True, exist_ok=True)
        start = _start(target.name)
        sweep(home, start)
        with draft(home, start) as made:
            yield made
            _settle(made, target)


def digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def draft(home: Path, start: str, end: str = _DRAFT) -> Iterator[Path]:
    """Make an empty folder in ``home``, lock it while the block runs, and delete it with its content afterwards.

    Its name begins with ``start`` and ends with ``end``; :func:`writer` finds the process that fills it.
    """
    while True:
        path = _fresh(home, start, end)
        path.mkdir()
        handle = os.open(path, os.O_RDONLY)
        _lock(handle)
        if path.exists():  # lost only where another process swept it before it was locked
            break
        os.close(handle)
    try:
        yield path
    finally:
        os.close(handle)
        shutil.rmtree(path, ignore_errors=True)


def writer(path: Path) -> int | None:
    """The process that fills a draft; ``None`` if the process has ended or the draft does not exist."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _number(path)
    except OSError:  # a file system without locks
        return _number(path) if _lives(_number(path)) else None
    finally:
        os.close(handle)
    return None


@contextmanager
def scratch(prefix: str = "ternforge-") -> Iterator[Path]:
    """Make a folder for temporary files and delete it when the block ends.

    An ``OSError`` of the block that names no file gets the name of the folder.
    """
    with tempfile.TemporaryDirectory(prefix=prefix) as folder, naming(folder):
        yield Path(folder)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Add ``path`` to an ``OSError`` of the block that names no file; errors of writes name none."""
    try:
        yield
    except OSError as problem:
        if problem.errno is None or problem.filename is not None or lacks_scratch(problem):
            raise
        raise OSError(problem.errno, problem.strerror, str(path)) from problem


def is_draft(path: Path) -> bool:
    """True if a path is the draft of a killed writer."""
    return path.name.startswith(".") and path.name.endswith(_DRAFT)


def sweep(home: Path, start: str = ".", end: str = _DRAFT, keep: str | None = None) -> None:
    """Delete the drafts in a folder whose writer has ended, except the one named ``keep``.

    ``start`` and ``end`` are how their names begin and end.
    """
    with suppress(OSError):
        for path in home.iterdir():
            name = path.name
            if name.startswith(start) and name.endswith(end) and name != keep:
                _delete_abandoned(path)


def flush(draft: Path) -> list[Path]:
    """Flush the files of a draft to disk before they are moved; returns them in order of their names."""
    files = [path for path in sorted(draft.rglob("*")) if path.is_file()]
    for file in files:
        _sync(file)
    return files


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if (
            problem.errno is None
            or lacks_scratch(problem)
            or not _of_draft(problem.filename2 or problem.filename)
        ):
            raise
        raise OSError(problem.errno, problem.strerror, str(path)) from problem


def lacks_scratch(problem: OSError) -> bool:
    """True if an error says that there is no usable folder for temporary files."""
    return problem.filename is None and "temporary directory" in str(problem)


def _of_draft(name: Any) -> bool:
    """True if the file of an ``OSError`` is unknown or means nothing to the user."""
    return not isinstance(name, str) or any(is_draft(Path(part)) for part in Path(name).parts)


def _start(name: str) -> str:
    return f".{name[:40]}-"


def _fresh(home: Path, start: str, end: str = _DRAFT) -> Path:
    """A name that no other draft has; it holds the number of this process."""
    return home / f"{start}{os.getpid()}-{secrets.token_hex(4)}{end}"


def _number(path: Path) -> int:
    """The process number in a draft's name; if the name has none, a number that no process can have."""
    found = _NAME.search(path.name)
    return int(found[1]) if found else 2**22


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # the process exists and belongs to another user
        pass
    return True


def _lock(handle: int) -> None:
    with suppress(OSError):  # some network file systems have no locks
        fcntl.flock(handle, fcntl.LOCK_EX)


def _delete_abandoned(path: Path) -> None:
    """Delete a draft if no process holds its lock, and hold the lock meanwhile; a process that ends loses its lock."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    except OSError:
        pass  # another process holds the lock, or the file system has no locks
    finally:
        os.close(handle)


def _keep_mode(target: Path, draft: Path) -> None:
    if target.exists():
        os.chmod(draft, stat.S_IMODE(target.stat().st_mode))


def _settle(draft: Path, target: Path) -> None:
    files = flush(draft)
    if not target.exists():
        os.rename(draft, target)
        _sync(target.parent)
        return
    for file in files:
        place = target / file.relative_to(draft)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, place)
    _sync(target)


def _sync(path: Path) -> None:
    """Flush a file or a folder's entries to disk, where the file system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF, errno.EROFS):
            raise
    finally:
        os.close(handle)
