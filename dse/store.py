"""The SQLite file of a study: batches of points that are either committed or not there.

Write-ahead log with ``synchronous=FULL``: a batch is acknowledged once its transaction is on disk, and a process killed
at any time leaves a file that opens. Every batch carries a checksum of its content, and the file one of its facts.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from blueprint.errors import SpecError
from dse.batch import Batch, decode, encode

FORMAT = "ternforge/study/v1"
NAME = "study.db"
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
Answer = TypeVar("Answer")


class StudyError(SpecError):
    """A study folder that cannot be used; the message says why and what to do."""


class Store:
    """Batches by sequence number; open it with :func:`create` or :func:`load`, close it when done."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def facts(self) -> dict[str, Any]:
        """What the study was started with. Raises ``StudyError`` where it is not what was written."""
        rows = dict(self._guard(lambda: self._connection.execute("SELECT key, value FROM facts").fetchall()))
        text = rows.get("facts", "")
        if rows.get("checksum") != hashlib.sha256(text.encode()).hexdigest():
            raise _damaged(self.path, "its facts do not match their checksum")
        facts: dict[str, Any] = json.loads(text)
        if facts.get("format") != FORMAT:
            raise StudyError(f"{self.path}: study must be of format {FORMAT}, not {facts.get('format')!r}")
        return facts

    def check(self) -> None:
        """Raises ``StudyError`` where anything differs from what was written."""
        self.facts()
        self.count()
        query = "SELECT sequence, header, payload, checksum FROM batches ORDER BY sequence"
        for sequence, header, payload, checksum in self._guard(lambda: self._connection.execute(query)):
            if _checksum(header, payload) != checksum:
                raise _damaged(self.path, f"batch {sequence} does not match its checksum")

    def count(self) -> int:
        """Number of batches; they are numbered from 0 without gaps."""
        row = self._guard(
            lambda: self._connection.execute("SELECT count(*), max(sequence) FROM batches").fetchone()
        )
        if row[0] and row[1] != row[0] - 1:
            raise _damaged(self.path, f"batches 0 to {row[1]} should be there, but only {row[0]} are")
        return int(row[0])

    def append(self, sequence: int, header: str, payload: bytes) -> None:
        """Commit one encoded batch; it is on disk when this returns."""
        row = (sequence, header, payload, _checksum(header, payload))
        with self._connection:
            self._guard(lambda: self._connection.execute("INSERT INTO batches VALUES (?, ?, ?, ?)", row))

    def get(self, sequence: int) -> Batch:
        """One batch. Raises ``StudyError`` where it is not what was written."""
        query = "SELECT header, payload, checksum FROM batches WHERE sequence = ?"
        row = self._guard(lambda: self._connection.execute(query, (sequence,)).fetchone())
        if row is None or _checksum(row[0], row[1]) != row[2]:
            raise _damaged(self.path, f"batch {sequence} does not match its checksum")
        try:
            return decode(row[0], row[1])
        except ValueError as problem:
            raise _damaged(self.path, f"batch {sequence} is {problem}") from None

    def batches(self) -> Iterator[Batch]:
        """All batches in order."""
        return (self.get(sequence) for sequence in range(self.count()))

    def remember_front(self, front: Batch) -> None:
        """Keep the front of all batches so far, so that reading the study need not find it again."""
        header, payload = encode(front)
        row = (self.count(), header, payload, _checksum(header, payload))
        with self._connection:
            self._guard(lambda: self._connection.execute("DELETE FROM front"))
            self._guard(lambda: self._connection.execute("INSERT INTO front VALUES (?, ?, ?, ?)", row))

    def remembered_front(self) -> Batch | None:
        """The front of all batches, if it was kept after the last one."""
        query = "SELECT header, payload, checksum FROM front WHERE batches = ?"
        row = self._guard(lambda: self._connection.execute(query, (self.count(),)).fetchone())
        return decode(row[0], row[1]) if row and _checksum(row[0], row[1]) == row[2] else None

    def headers(self) -> Iterator[dict[str, Any]]:
        """The summary of every batch: ``points``, ``built``, ``counts`` by reason."""
        query = "SELECT header FROM batches ORDER BY sequence"
        rows = self._guard(lambda: self._connection.execute(query).fetchall())
        return (json.loads(header) for (header,) in rows)

    def close(self) -> None:
        """Fold the log into the file and close it."""
        self._connection.close()

    def _guard(self, action: Callable[[], Answer]) -> Answer:
        try:
            return action()
        except sqlite3.DatabaseError as problem:
            if isinstance(problem, sqlite3.OperationalError) and "malformed" not in str(problem):
                raise StudyError(f"{self.path}: study must be readable and writable: {problem}") from None
            raise _damaged(self.path, str(problem)) from None


def create(folder: Path, facts: dict[str, Any]) -> Store:
    """A new, empty study file in ``folder``; it appears complete or not at all."""
    path, draft = folder / NAME, folder / f"{NAME}.new"
    draft.unlink(missing_ok=True)
    try:
        connection = sqlite3.connect(draft)
        text = json.dumps({"format": FORMAT, **facts}, sort_keys=True)
        rows = [("facts", text), ("checksum", hashlib.sha256(text.encode()).hexdigest())]
        with connection:
            connection.executescript(_SCHEMA)
            connection.executemany("INSERT INTO facts VALUES (?, ?)", rows)
        connection.close()
        os.replace(draft, path)
    except (OSError, sqlite3.Error) as problem:
        raise StudyError(f"{path}: study must be writable, and it is not: {problem}") from None
    return load(folder)


def load(folder: Path, *, writable: bool = True) -> Store:
    """The study file in ``folder``, checked. Raises ``StudyError`` where there is none or it is damaged."""
    path = folder / NAME
    if not path.is_file():
        raise StudyError(f"{path}: study must exist, and there is none; run `ternforge explore` first")
    if path.stat().st_size < 512:
        raise _damaged(path, f"it has only {path.stat().st_size} bytes")
    try:
        connection = _connect(path, writable)
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as problem:
        raise _damaged(path, str(problem)) from None
    if found != "ok":
        raise _damaged(path, found.splitlines()[-1])
    store = Store(path, connection)
    store.check()
    return store


def _connect(path: Path, writable: bool) -> sqlite3.Connection:
    if not writable and not os.access(path.parent, os.W_OK):
        # A log cannot be opened in a folder that cannot be written; nobody else writes there either.
        return sqlite3.connect(f"file:{path.as_posix()}?immutable=1", uri=True)
    connection = sqlite3.connect(path, timeout=30)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _damaged(path: Path, what: str) -> StudyError:
    return StudyError(
        f"{path}: study must be undamaged, and it is not ({what}); "
        "restore it from a copy or explore into another folder"
    )


def _checksum(header: str, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(header.encode()))


def lock(folder: Path) -> IO[str]:
    """The right to write a study: held until the returned file is closed or the process ends, however it ends.

    Raises ``StudyError`` where another process has it.
    """
    path = folder / "study.lock"
    try:
        file = path.open("a+")
    except OSError as problem:
        raise StudyError(f"{path}: study must be writable, and it is not: {problem.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read(40).strip() or "unknown"
        file.close()
        raise StudyError(f"{folder}: study must have one writer, and process {owner} is writing it") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
