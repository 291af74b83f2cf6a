"""The sentences in which files of checkpoints are refused."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blueprint.errors import SpecError
from blueprint.files.nearest import suggestion


def fault(path: str | Path, what: str) -> SpecError:
    """The error about a file as a whole; such files have no lines, and messages begin with the first."""
    return SpecError(f"{path}:1:1: {what}")


def of_tensor(path: str | Path, name: str, what: str) -> SpecError:
    """The error about one tensor of a file."""
    return fault(path, f"tensor {shown(name)} {what}")


def missing(path: str | Path, name: str, names: Iterable[str]) -> SpecError:
    """The error about a tensor that is not there, with the nearest one that is."""
    return of_tensor(path, name, f"must be there, and is missing{suggestion(name, list(names))}")


def shown(name: str) -> str:
    """A name from a file, quoted, on one line and short."""
    text = repr(name)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"


@contextmanager
def of_disk(path: Path) -> Iterator[None]:
    """Turn faults of the disk while packages write ``path`` into ``OSError``.

    NumPy says only that fewer bytes were written, and ``safetensors`` has an exception of its own.
    """
    try:
        yield
    except OSError as problem:
        number = errno.ENOSPC if problem.errno is None else problem.errno
        raise OSError(number, os.strerror(number), str(path)) from problem
    except Exception as problem:
        found = re.search(r"\(os error (\d+)\)", str(problem))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from problem
