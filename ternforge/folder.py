"""Output folders: our files are replaced, other files stay, and a result appears completely or not at all.

A result is written to a draft (`toolchain.files.draft`) beside its place and moved there in one go. The folder it goes
to keeps a record of what was written, by whom and with which SHA-256: what is not in it, or has changed since, is not
ours and is replaced only by force. A run that is killed while it moves files is finished by the next one that writes to
that folder.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from blueprint.errors import ParamError
from blueprint.files import kinds
from ternforge.record import Record, undisturbed
from toolchain import files

#: Names of drafts begin so, and each ends differently. A draft that a record names as pending is not left-over.
_DRAFT = ".ternforge-draft-"
#: Suffixes of our own files.
YAML = (".yaml", ".yml")


@contextmanager
def output_folder(out: str | Path, by: str, *, whole: bool = True, force: bool = False) -> Iterator[Path]:
    """An empty draft folder, whose files go to the folder ``out`` when the block ends without an exception.

    Where ``out`` is a result as a ``whole``, it must be new, empty or of an earlier run of ``by``, and what that run
    wrote and this one does not is removed. Raises ``ParamError`` before anything is written, and ``OSError``.
    """
    path = Path(out)
    _check_folder(path, by if whole else None, force)
    finish(path)
    root = path if path.is_dir() else _parent(path)
    files.sweep(root, _DRAFT, "", keep=Record.of(root).pending)
    with _told_of(path, root), files.draft(root, _DRAFT, "") as draft:
        (draft / "new").mkdir()
        yield draft / "new"
        with undisturbed():
            _place(draft, path, by, whole, force)


@contextmanager
def _told_of(path: Path, root: Path) -> Iterator[None]:
    """Let faults of the block name the file of the result ``path``, or ``path``, not the draft of it in ``root``."""
    try:
        yield
    except OSError as problem:
        if problem.errno is None or files.lacks_scratch(problem):
            raise
        name = path if problem.filename is None else Path(os.fsdecode(problem.filename))
        if (
            name.is_relative_to(root)
            and (parts := name.relative_to(root).parts)[:1]
            and parts[0].startswith(_DRAFT)
        ):
            name = path.joinpath(*parts[2:])  # without the draft and its folder `new`
        raise OSError(problem.errno, problem.strerror, str(name)) from problem


@contextmanager
def output_file(
    out: str | Path, suffixes: tuple[str, ...], by: str, *, schema: str = "", force: bool = False
) -> Iterator[Path]:
    """A draft of the file ``out``, which goes there when the block ends. Raises ``ParamError`` and ``OSError``."""
    path = check_file(out, suffixes, schema=schema, force=force)
    with output_folder(path.parent, by, whole=False, force=force) as draft, files.naming(path):
        yield draft / path.name


@contextmanager
def updated(folder: str | Path, names: Iterable[str], by: str, *, force: bool = False) -> Iterator[None]:
    """Guards the files ``names`` that the block writes into ``folder`` itself; they are recorded when it ends.

    They can be made again: those that a full disk keeps out of the record are removed, or the next run would take them
    for files of others. Raises ``ParamError`` where one of them is not ours and there is a record that could say so.
    """
    path, names = Path(folder), list(names)
    if Record.of(path).found:
        _refuse(path, names, Record.of(path), force)
    before = {name: files.digest(path / name) for name in names if (path / name).is_file()}
    try:
        yield
    finally:
        with suppress(OSError):  # the block has reported a full disk already
            if path.is_dir() and _occupied(path):
                _record_or_remove(path, names, by, before)


def _record_or_remove(folder: Path, names: Iterable[str], by: str, before: Mapping[str, str]) -> None:
    try:
        _record(folder, names, by)
    except OSError:
        record = Record.of(folder)
        for name in names:
            if (folder / name).is_file() and (found := files.digest(folder / name)) != before.get(name):
                if found not in record.digests(name):
                    (folder / name).unlink()
        raise


def _record(folder: Path, names: Iterable[str], by: str) -> None:
    record = Record.of(folder)
    for name in names:
        if (folder / name).is_file():
            record.put(name, by, [files.digest(folder / name)])
    record.write(folder)


def check_out(out: str | Path, ours: str | None = None) -> Path:
    """The output folder ``out``, not yet made.

    It must not exist, be empty, or hold the file ``ours`` that marks a folder an earlier run of the same command
    wrote. Raises ``ParamError``.
    """
    path = Path(out)
    _check_place(path)
    known = path.is_dir() and (
        any(map(files.is_draft, path.iterdir())) or (ours is not None and (path / ours).is_file())
    )
    if path.is_dir() and not known and _occupied(path):
        what = (
            f"must be new or empty{f' or hold a {ours} of ours' if ours else ''}, not a folder of other files"
        )
        raise ParamError(f"Output folder {what}: {path}")
    return path


def check_file(out: str | Path, suffixes: tuple[str, ...], *, schema: str = "", force: bool = False) -> Path:
    """The output file ``out``, not yet written. Raises ``ParamError`` where it must not be, and ``OSError``.

    It may replace a file of ours; where ``schema`` is given, only one of the same schema.
    """
    path = Path(out)
    if path.is_dir():
        raise ParamError(f"Output must be a file, not a folder: {path}")
    if not path.name.endswith(suffixes):
        raise ParamError(f"Output file must end in {' or '.join(suffixes)}, not {path.name!r}")
    _parent(path)
    if path.parent.is_dir():
        finish(path.parent)
        _refuse(path.parent, [path.name], Record.of(path.parent), force)
    if schema and not force and path.is_file() and (found := kinds.schema_of(path)) not in (schema, None):
        was, new = kinds.OURS[found][0], kinds.OURS[schema][0]
        raise ParamError(f"Output must be new or {new}, not {was}: {path}; --force replaces it")
    return path


def finish(folder: Path) -> None:
    """Complete what a killed run had begun to move into ``folder``.

    Raises ``ParamError`` where another process is writing it.
    """
    record = Record.of(folder)
    if not record.pending:
        return
    draft = folder / record.pending
    if (process := files.writer(draft)) is not None:
        raise ParamError(f"Output folder must have one writer, and process {process} is writing it: {folder}")
    for name in _files(draft / "new"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(draft / "new" / name, folder / name)
    for name in record.stale:
        (folder / name).unlink(missing_ok=True)
    record.settle(folder)
    shutil.rmtree(draft, ignore_errors=True)


def _check_folder(path: Path, by: str | None, force: bool) -> None:
    _check_place(path)
    if not path.is_dir() or by is None or force:
        return
    if _occupied(path) and by not in Record.of(path).writers:
        what = f"must be new, empty or of an earlier `ternforge {by}`, not a folder of other files"
        raise ParamError(
            f"Output folder {what}: {path}; --force replaces those that are in the way and keeps the rest"
        )


def _check_place(path: Path) -> None:
    if path.is_dir():
        if not _takes_files(path):
            raise ParamError(f"Output must lie in a folder that can be written, not in {path}")
    elif path.is_symlink():
        raise ParamError(f"Output must be a folder, not a symbolic link to nothing: {path}")
    elif os.path.lexists(path):
        raise ParamError(f"Output must be a folder, not an existing file: {path}")
    else:
        _parent(path)


def _parent(path: Path) -> Path:
    """The nearest folder above ``path`` that exists. Raises ``ParamError`` where nothing can be made there."""
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir():
        raise ParamError(f"Output must lie in a folder, not under the file {parent}")
    if not _takes_files(parent):
        raise ParamError(f"Output must lie in a folder that can be written, not in {parent}")
    return parent


def _takes_files(folder: Path) -> bool:
    """True if a file can be made in a folder: permissions alone do not tell, root has all of them."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as problem:
        if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT):
            return False
        raise OSError(problem.errno, problem.strerror, str(folder)) from problem


def _occupied(folder: Path) -> bool:
    return any(not path.name.startswith(".ternforge") for path in folder.iterdir())


def _refuse(
    folder: Path, names: Iterable[str], record: Record, force: bool, draft: Path | None = None
) -> None:
    """Raises ``ParamError`` for the first file in the way that must not be replaced."""
    for name in names:
        path = folder / name
        for above in [folder / part for part in reversed(Path(name).parents) if part.name]:
            if above.is_symlink() or (above.exists() and not above.is_dir()):
                kind = "a symbolic link" if above.is_symlink() else "a file"
                raise ParamError(f"Output must lie in a folder of its own, not under {kind}: {above}")
        if path.is_dir() and not path.is_symlink():
            raise ParamError(f"Output must be a file, not a folder: {path}")
        if force or not os.path.lexists(path):
            continue
        what = _foreign(path, name, record, draft)
        if what:
            raise ParamError(
                f"Output must be new or as ternforge wrote it, not {what}: {path}; --force replaces it"
            )


def _foreign(path: Path, name: str, record: Record, draft: Path | None) -> str:
    """Reason why a file must not be replaced, if any."""
    if path.is_symlink():
        return "a symbolic link"
    if not path.is_file():
        return "a device or pipe"
    content = files.digest(path)
    if content in record.digests(name) or (draft is not None and files.digest(draft / name) == content):
        return ""
    return "a file changed since" if record.digests(name) else "a file of others"


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def _place(draft: Path, path: Path, by: str, whole: bool, force: bool) -> None:
    """Move what the draft holds to its place, all or nothing."""
    new, record = draft / "new", Record.of(path)
    names = _files(new)
    files.flush(new)
    _refuse(path, names, record, force, new)
    stale = record.stale_of(by, names, path) if whole else []
    for name in names:
        kept = [files.digest(path / name)] if (path / name).is_file() else []
        record.put(name, by, [files.digest(new / name), *kept])
    if not path.exists():
        record.write(new)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.rename(new, path)
        return
    record.begin(path, draft.name, stale)
    try:
        _exchange(draft, path, names, stale)
    except BaseException:
        record.abandon(path)
        raise
    record.settle(path)


def _exchange(draft: Path, path: Path, names: list[str], stale: list[str]) -> None:
    """Files of the draft into the folder, and stale ones out of it; put back as it was where that fails half-way."""
    done: list[str] = []
    try:
        for name in [*names, *stale]:
            spare, target = draft / "old" / name, path / name
            spare.parent.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            done.append(name)
            if os.path.lexists(target):
                os.replace(target, spare)
            if name in names:
                os.replace(draft / "new" / name, target)
    except BaseException:
        for name in reversed(done):
            if os.path.lexists(draft / "old" / name):
                os.replace(draft / "old" / name, path / name)
            elif name in names and not (draft / "new" / name).exists():  # nothing was there before
                (path / name).unlink(missing_ok=True)
        raise
    for folder in {(path / name).parent for name in stale} - {path}:
        with suppress(OSError):
            folder.rmdir()  # only where nothing is left in it
