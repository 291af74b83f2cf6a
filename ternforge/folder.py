"""Where results go: a folder that is new, empty or ours, checked before anything is written."""

from __future__ import annotations

import os
from pathlib import Path

from blueprint.errors import ParamError
from toolchain.files import is_draft


def check_out(out: str | Path, ours: str | None = None) -> Path:
    """The output folder ``out``, not yet made.

    It must not exist, be empty, or hold the file ``ours`` that marks a folder an earlier run of the same command
    wrote. Raises ``ParamError``.
    """
    path = Path(out)
    if path.is_dir():
        if ours is not None and (path / ours).is_file():
            return path
        if any(map(is_draft, path.iterdir())):  # what a killed writer of ours left: it is written anew
            return path
        if any(path.iterdir()):
            what = f"must be new or empty{f' or hold a {ours} of ours' if ours else ''}, not a folder of other files"
            raise ParamError(f"Output folder {what}: {path}")
    elif os.path.lexists(path):
        raise ParamError(f"Output must be a folder, not an existing file: {path}")
    _check_parent(path)
    return path


def check_file(out: str | Path, suffixes: tuple[str, ...] = ()) -> Path:
    """The output file ``out``, not yet written; it may replace a file of that name. Raises ``ParamError``."""
    path = Path(out)
    if path.is_dir():
        raise ParamError(f"Output must be a file, not a folder: {path}")
    if suffixes and path.suffix not in suffixes:
        raise ParamError(f"Output file must end in {' or '.join(suffixes)}, not {path.name!r}")
    _check_parent(path)
    return path


def _check_parent(path: Path) -> None:
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir():
        raise ParamError(f"Output must lie in a folder, not under the file {parent}")
    if not os.access(parent, os.W_OK):
        raise ParamError(f"Output must lie in a folder that can be written, not in {parent}")
