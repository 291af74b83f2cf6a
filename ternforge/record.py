"""The record ``.ternforge.json`` of a folder: writer and SHA-256 of every file that was written."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from blueprint.files import schemas
from toolchain import files

NAME = ".ternforge.json"


class Record:
    """Files by name with their writer (``by``) and the contents that are ours (``sha256``).

    While files are moved, ``pending`` names the draft they come from and ``stale`` what goes; a file has two contents
    then, the one before and the one after.
    """

    def __init__(self, content: Any) -> None:
        content = content if isinstance(content, dict) and content.get("schema") == schemas.WRITTEN else {}
        self.found = bool(content)
        self._files: dict[str, dict[str, Any]] = {
            name: {"by": str(entry["by"]), "sha256": list(entry["sha256"])}
            for name, entry in content.get("files", {}).items()
            if _is_inside(name)
        }
        pending = content.get("pending")
        self.pending: str | None = pending if isinstance(pending, str) and "/" not in pending else None
        self.stale: list[str] = [name for name in content.get("stale", []) if _is_inside(name)]

    @classmethod
    def of(cls, folder: Path) -> Record:
        """The record of a folder; an empty one where there is none or it cannot be read as one."""
        try:
            return cls(json.loads((folder / NAME).read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return cls(None)  # then nothing is ours

    @property
    def writers(self) -> set[str]:
        """Commands that have written here."""
        return {entry["by"] for entry in self._files.values()}

    def digests(self, name: str) -> list[str]:
        """The contents of a file that are ours."""
        found: list[str] = self._files.get(name, {}).get("sha256", [])
        return found

    def put(self, name: str, by: str, digests: list[str]) -> None:
        """Record a file."""
        self._files[name] = {"by": by, "sha256": digests}

    def stale_of(self, by: str, names: Iterable[str], folder: Path) -> list[str]:
        """Unchanged files that ``by`` wrote earlier and does not write now; changed ones are given up."""
        left = [name for name, entry in self._files.items() if entry["by"] == by and name not in set(names)]
        gone = [name for name in left if _is_ours(folder / name, self.digests(name))]
        for name in left:
            del self._files[name]
        return gone

    def begin(self, folder: Path, draft: str, stale: list[str]) -> None:
        """Record that files are about to be moved from ``draft`` to ``folder``."""
        self.pending, self.stale, self._before = draft, stale, Record.of(folder)
        self.write(folder)

    def settle(self, folder: Path) -> None:
        """Record that the move is complete."""
        self.pending, self.stale = None, []
        for entry in self._files.values():
            del entry["sha256"][1:]
        self.write(folder)

    def abandon(self, folder: Path) -> None:
        """Record that the state before :meth:`begin` was restored."""
        if self._before.found:
            self._before.write(folder)
        else:
            (folder / NAME).unlink(missing_ok=True)

    def write(self, folder: Path) -> None:
        """Replace the record of ``folder``."""
        content: dict[str, Any] = {"schema": schemas.WRITTEN, "files": self._files}
        if self.pending:
            content |= {"pending": self.pending, "stale": self.stale}
        draft = folder / f"{NAME}.new"
        try:
            draft.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            os.replace(draft, folder / NAME)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


@contextmanager
def undisturbed() -> Iterator[None]:
    """Defer interrupt and termination signals until the block has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []
    kept = {
        number: signal.signal(number, lambda n, _: seen.append(n))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if seen:
            signal.raise_signal(seen[0])


def _is_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and ".." not in parts and parts[0] != "/"


def _is_ours(path: Path, digests: list[str]) -> bool:
    return path.is_file() and not path.is_symlink() and files.digest(path) in digests
