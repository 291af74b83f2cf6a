"""The SQLite file of a study: batches of points that are either committed or not there.

Write-ahead log with ``synchronous=FULL``: a batch is acknowledged once its transaction is on disk, and a process killed
at any time leaves a file that opens. Every batch carries a checksum of its content, and the file one of its facts.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import numpy as np

from blueprint.errors import SpecError
from blueprint.files import schemas
from dse.batch import Batch, decode, encode
from dse.fidelity.promotion import FAILED, Promotion
from dse.space import Indices
from toolchain import files

NAME = "study.db"
LOCK = "study.lock"
#: Bytes of a page of a new study: batches are megabytes, and large pages write them in half the time.
_PAGE = 16_384
#: What every study says of itself.
_FACTS = ("content", "metrics", "provenance", "text")
_SCHEMA = """
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE batches (
    sequence INTEGER PRIMARY KEY,
    header TEXT NOT NULL,
    payload BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE front (batches INTEGER NOT NULL, header TEXT NOT NULL, payload BLOB NOT NULL, checksum INTEGER NOT NULL);
"""
#: Created with the first promotion, so that a study without one has no such table.
_PROMOTIONS = """
CREATE TABLE IF NOT EXISTS promotions (
    point INTEGER NOT NULL,
    level TEXT NOT NULL,
    status TEXT NOT NULL,
    metrics TEXT NOT NULL,
    seconds REAL NOT NULL,
    log TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (point, level)
) WITHOUT ROWID
"""


class StudyError(SpecError):
    """A study folder that cannot be used; the message gives reason and remedy."""


class Store:
    """Batches by sequence number; open it with :func:`create` or :func:`load`, close it when done."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, copy: TemporaryDirectory[str] | None = None
    ) -> None:
        self.path = path
        self._connection = connection
        self._copy = copy
        #: Designs of the front that this connection stored last, and that no other statement has changed since.
        self._front: Indices | None = None

    def prepare(self, *pragmas: str) -> None:
        """Set up the connection and check the integrity of the file."""
        with _guard(self.path):
            for pragma in pragmas:
                self._connection.execute(pragma)
            found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise _damaged(self.path, found.splitlines()[-1])

    def facts(self) -> dict[str, Any]:
        """Facts the study was started with. Raises ``StudyError`` if they are damaged."""
        with _guard(self.path):
            rows = dict(self._connection.execute("SELECT key, value FROM facts").fetchall())
            text = rows.get("facts", "")
            if rows.get("checksum") != hashlib.sha256(text.encode()).hexdigest():
                raise _damaged(self.path, "its facts do not match their checksum")
            facts: dict[str, Any] = json.loads(text)
            found = facts.get("format")
            if found != schemas.STUDY:
                raise StudyError(f"{self.path}: study must be of format {schemas.STUDY}, not {found!r}")
            for key in _FACTS:
                if key not in facts:
                    raise _damaged(self.path, f"its facts lack {key!r}")
        return facts

    def check(self) -> None:
        """Raises ``StudyError`` where anything differs from what was written."""
        self.facts()
        self.count()
        with _guard(self.path):
            query = "SELECT sequence, header, payload, checksum FROM batches ORDER BY sequence"
            for sequence, header, payload, checksum in self._connection.execute(query):
                if _checksum(header, payload) != checksum:
                    raise _damaged(self.path, f"batch {sequence} does not match its checksum")
        self.promotions()

    def count(self) -> int:
        """Number of batches; they are numbered from 0 without gaps."""
        with _guard(self.path):
            row = self._connection.execute("SELECT count(*), max(sequence) FROM batches").fetchone()
            if row[0] and row[1] != row[0] - 1:
                raise _damaged(self.path, f"batches 0 to {row[1]} should be there, but only {row[0]} are")
            return int(row[0])

    def append(self, sequence: int, header: str, payload: bytes, front: Batch | None = None) -> None:
        """Commit one encoded batch, and the front up to it where it is given; on disk when this returns."""
        row = (sequence, header, payload, _checksum(header, payload))
        with _guard(self.path), self._connection:
            self._connection.execute("INSERT INTO batches VALUES (?, ?, ?, ?)", row)
            if front is not None:
                self._put_front(sequence + 1, front)
        self._front = self._front if front is None else front.indices

    def get(self, sequence: int) -> Batch:
        """One batch. Raises ``StudyError`` where it is not what was written."""
        with _guard(self.path, f"batch {sequence}"):
            query = "SELECT header, payload, checksum FROM batches WHERE sequence = ?"
            row = self._connection.execute(query, (sequence,)).fetchone()
            if row is None or _checksum(row[0], row[1]) != row[2]:
                raise _damaged(self.path, f"batch {sequence} does not match its checksum")
            return decode(row[0], row[1])

    def batches(self) -> Iterator[Batch]:
        """All batches in order."""
        return (self.get(sequence) for sequence in range(self.count()))

    def amend(self, facts: dict[str, Any], judged: Callable[[Batch], Batch] | None) -> None:
        """Replace the facts, and every batch by what ``judged`` makes of it: all at once or not at all."""
        self._front = None
        with _guard(self.path), self._connection:
            for sequence in range(self.count()) if judged else ():
                header, payload = encode(judged(self.get(sequence)))  # type: ignore[misc]
                row = (header, payload, _checksum(header, payload), sequence)
                query = "UPDATE batches SET header = ?, payload = ?, checksum = ? WHERE sequence = ?"
                self._connection.execute(query, row)
            self._connection.execute("DELETE FROM front")
            self._connection.executemany("UPDATE facts SET value = ?2 WHERE key = ?1", _rows(facts))

    def remember_front(self, front: Batch) -> None:
        """Store the front of all batches so far, so that readers need not recompute it."""
        with _guard(self.path), self._connection:
            self._put_front(self.count(), front)
        self._front = front.indices

    def _put_front(self, batches: int, front: Batch) -> None:
        if self._front is not None and np.array_equal(self._front, front.indices):
            # most batches add nothing to it
            self._connection.execute("UPDATE front SET batches = ?", (batches,))
            return
        header, payload = encode(front)
        row = (batches, header, payload, _checksum(header, payload))
        self._connection.execute("DELETE FROM front")
        self._connection.execute("INSERT INTO front VALUES (?, ?, ?, ?)", row)

    def only_front(self) -> Batch:
        """The stored front of a study that keeps a sample of its points. Raises ``StudyError`` where it is damaged."""
        found = self.remembered_front()
        if found is None:
            raise _damaged(self.path, "its front does not match its batches")
        return found

    def remembered_front(self) -> Batch | None:
        """The stored front, if it includes the last batch."""
        with _guard(self.path, "its front"):
            query = "SELECT header, payload, checksum FROM front WHERE batches = ?"
            row = self._connection.execute(query, (self.count(),)).fetchone()
            return decode(row[0], row[1]) if row and _checksum(row[0], row[1]) == row[2] else None

    def headers(self) -> Iterator[dict[str, Any]]:
        """The summary of every batch: ``points``, ``built``, ``counts`` by reason."""
        with _guard(self.path):
            rows = self._connection.execute("SELECT header FROM batches ORDER BY sequence").fetchall()
            return iter([json.loads(header) for (header,) in rows])

    @property
    def thinned(self) -> bool:
        """True if points were evaluated that are not kept."""
        return any(header["kept"] < header["points"] for header in self.headers())

    def restate(self, facts: dict[str, Any]) -> None:
        """Replace the facts, where batches and front stay right."""
        with _guard(self.path), self._connection:
            self._connection.executemany("UPDATE facts SET value = ?2 WHERE key = ?1", _rows(facts))

    def restart(self, facts: dict[str, Any]) -> None:
        """Replace the facts, and drop every batch and the front: all at once or not at all."""
        self._front = None
        with _guard(self.path), self._connection:
            self._connection.execute("DELETE FROM batches")
            self._connection.execute("DELETE FROM front")
            self._connection.executemany("UPDATE facts SET value = ?2 WHERE key = ?1", _rows(facts))

    def promotions(self) -> list[Promotion]:
        """Results of levels above the analytical model. Raises ``StudyError`` where it is damaged."""
        with _guard(self.path, "a promotion"):
            query = "SELECT 1 FROM sqlite_master WHERE name = 'promotions'"
            if self._connection.execute(query).fetchone() is None:
                return []
            rows = self._connection.execute("SELECT * FROM promotions ORDER BY point, level").fetchall()
            for *row, checksum in rows:
                if _checksum(repr(row), b"") != checksum:
                    raise _damaged(self.path, f"promotion of design {row[0]} does not match its checksum")
            return [Promotion.of(row[:-1]) for row in rows]

    def promote(self, *found: Promotion) -> None:
        """Commit promotions, in place of earlier ones of the same designs and levels; on disk when this returns."""
        rows = [(*each.row(), _checksum(repr(list(each.row())), b"")) for each in found]
        with _guard(self.path), self._connection:
            self._connection.execute(_PROMOTIONS)
            self._connection.executemany(
                "INSERT OR REPLACE INTO promotions VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )

    def forget_failed(self) -> None:
        """Drop the promotions that failed."""
        with _guard(self.path), self._connection:
            self._connection.execute(_PROMOTIONS)
            self._connection.execute("DELETE FROM promotions WHERE status = ?", (FAILED,))

    def close(self) -> None:
        """Fold the log into the file and close it."""
        self._connection.close()
        if self._copy is not None:
            self._copy.cleanup()


#: What SQLite says when the environment fails it, not the file.
_ENVIRONMENT = {
    sqlite3.SQLITE_PERM: "must be readable and writable",
    sqlite3.SQLITE_BUSY: "must not be locked by another program",
    sqlite3.SQLITE_LOCKED: "must not be locked by another program",
    sqlite3.SQLITE_NOMEM: "must fit the memory",
    sqlite3.SQLITE_READONLY: "must be readable and writable",
    sqlite3.SQLITE_IOERR: "must be readable and writable on a disk with room",
    sqlite3.SQLITE_FULL: "must have room on its disk",
    sqlite3.SQLITE_CANTOPEN: "must be readable and writable",
}


@contextmanager
def _guard(path: Path, what: str = "") -> Iterator[None]:
    """Convert every error on a study's file inside the block to ``StudyError``."""
    try:
        yield
    except StudyError:
        raise
    except sqlite3.Error as problem:
        raise _fault(path, problem) from problem
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as problem:
        raise _damaged(path, f"{what or 'a row'} is {problem}") from problem


def _fault(path: Path, problem: sqlite3.Error) -> StudyError:
    code = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    must = _ENVIRONMENT.get(code & 0xFF)
    if must is None or code == sqlite3.SQLITE_IOERR_SHORT_READ:
        return _damaged(path, str(problem))
    return StudyError(
        f"{path}: study {must}, and SQLite says {str(problem)!r}; mend that, and the same command goes on"
    )


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    text = json.dumps({"format": schemas.STUDY, **facts}, sort_keys=True)
    return [("facts", text), ("checksum", hashlib.sha256(text.encode()).hexdigest())]


def is_study(folder: Path) -> bool:
    """True if a folder is a study's, however early its first writer was killed."""
    return any((folder / name).exists() for name in (NAME, LOCK))


def create(folder: Path, facts: dict[str, Any]) -> Store:
    """A new, empty study file in ``folder``; it appears complete or not at all."""
    path = folder / NAME
    try:
        for end in (
            "-wal",
            "-shm",
            "-journal",
        ):  # the log of a file that is gone must not be taken for this one's
            path.with_name(NAME + end).unlink(missing_ok=True)
        connection = sqlite3.connect(":memory:")
        connection.execute(f"PRAGMA page_size={_PAGE}")
        connection.executescript(_SCHEMA)
        connection.executemany("INSERT INTO facts VALUES (?, ?)", _rows(facts))
        connection.commit()
        files.write(path, connection.serialize())
        connection.close()
    except OSError as problem:
        raise _unwritable(path, problem) from None
    return load(folder)


def load(folder: Path, *, writable: bool = True) -> Store:
    """The study file in ``folder``, checked. Raises ``StudyError`` where there is none or it is damaged."""
    path = folder / NAME
    if not path.exists():
        raise StudyError(f"{path}: study must exist, and there is none; run `ternforge explore` first")
    try:
        if not path.is_file() or path.stat().st_size < 512:
            raise _damaged(
                path, f"it has only {path.stat().st_size} bytes" if path.is_file() else "it is a folder"
            )
        with path.open("rb"):
            pass
    except OSError as problem:
        raise StudyError(f"{path}: study must be readable, and it is not: {problem.strerror}") from None
    return _open(path) if writable else _open_to_read(path)


def _open(path: Path) -> Store:
    with _guard(path):
        store = Store(path, sqlite3.connect(path, timeout=30))
    return _sound(store, "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL")


def _sound(store: Store, *pragmas: str) -> Store:
    """The store once it is set up and checked; closed where that fails."""
    try:
        store.prepare(*pragmas)
        store.check()
    except BaseException:
        store.close()
        raise
    return store


def _open_to_read(path: Path) -> Store:
    """A study that may lie where nothing can be written: in a folder without that right, on a full disk."""
    if os.access(path.parent, os.W_OK) and os.access(path, os.W_OK):
        with suppress(StudyError):
            return _open(path)
    log = path.with_name(f"{NAME}-wal")
    if not log.exists() or log.stat().st_size == 0:
        # Without a log there is nothing to write for a reader, and nobody else can write here either.
        with _guard(path):
            store = Store(path, sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True))
        return _sound(store)
    copy = TemporaryDirectory(prefix="ternforge-study-")
    for file in (path, log):
        shutil.copyfile(file, Path(copy.name) / file.name)
    with _guard(path):
        store = Store(path, sqlite3.connect(Path(copy.name) / NAME), copy)
    return _sound(store)


def _damaged(path: Path, what: str) -> StudyError:
    return StudyError(
        f"{path}: study must be undamaged, and it is not ({what}); "
        "restore it from a copy or explore into another folder"
    )


def _checksum(header: str, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(header.encode()))


def _unwritable(path: Path, problem: OSError) -> StudyError:
    why = problem.strerror or str(problem)
    return StudyError(
        f"{path}: study must be writable, and it is not: {why}; mend that, and the same command goes on"
    )


def lock(folder: Path) -> IO[str]:
    """The right to write a study: held until the returned file is closed or the process ends, however it ends.

    Raises ``StudyError`` where another process has it.
    """
    path = folder / LOCK
    try:
        file = path.open("a+", errors="replace")
    except OSError as problem:
        raise _unwritable(path, problem) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    except BlockingIOError:
        file.seek(0)
        owner = file.read(20).strip()
        file.close()
        who = f"process {owner}" if owner.isdecimal() else "another process"
        raise StudyError(f"{folder}: study must have one writer, and {who} is writing it") from None
    except OSError as problem:
        with suppress(OSError):
            file.close()
        raise _unwritable(path, problem) from None
    return file
