"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from toolchain import files


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """Every file may grow to ``limit`` bytes: a disk that is full after some writing, for anybody's process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def killed(action: Callable[[], object]) -> None:
    """Run something in a child that kills itself."""
    child = os.fork()
    if child == 0:
        action()
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_file_is_replaced_and_its_folder_made(tmp_path: Path) -> None:
    path = tmp_path / "deep/er/file.txt"
    assert files.write(path, "äöü\n").read_bytes() == "äöü\n".encode()
    assert files.write(str(path), b"\x00").read_bytes() == b"\x00"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_links_are_followed_and_permissions_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    files.write(link, "new")
    assert link.is_symlink() and real.read_text() == "new" and stat.S_IMODE(real.stat().st_mode) == 0o640
    mask = os.umask(0o027)
    try:
        files.write(tmp_path / "fresh", "")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "fresh").stat().st_mode) == 0o640


def test_a_device_stays_a_device() -> None:
    files.write("/dev/null", "x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'$"):
        files.write("/dev/full", "x")


def test_a_fault_in_a_folder_for_temporary_files_names_it() -> None:
    with pytest.raises(OSError, match=r"No space left on device: '.*/ternforge-test-\w+'$") as fault:
        with files.scratch("ternforge-test-") as folder:
            assert folder.is_dir()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert fault.value.filename == str(folder) and not folder.exists()


def test_a_name_that_is_known_stays() -> None:
    for problem in (OSError(errno.EROFS, "Read-only file system", "a.v"), OSError("no number")):
        with pytest.raises(OSError) as fault:
            with files.naming("b.v"):
                raise problem
        assert fault.value is problem


@pytest.mark.parametrize("limit", [0, 1, 4095, 9999])
def test_a_file_that_does_not_fit_leaves_the_old_one(limit: int, tmp_path: Path) -> None:
    path = files.write(tmp_path / "file", "old")
    with pytest.raises(OSError, match=f"^{re.escape(f'[Errno 27] File too large: {str(path)!r}')}$"):
        with file_size_limit(limit):
            files.write(path, b"x" * 10_000)
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_error_inside_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        with files.replacing(tmp_path / "file") as file:
            file.write(b"half")
            _ = 1 // 0
    with pytest.raises(KeyboardInterrupt):
        with files.folder(tmp_path / "folder") as draft:
            (draft / "half").write_text("half")
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_swept_by_the_next(tmp_path: Path) -> None:
    def half_a_file() -> None:
        with files.replacing(tmp_path / "file") as file:
            file.write(b"half")
            die()

    def half_a_folder() -> None:
        with files.folder(tmp_path / "folder") as draft:
            (draft / "half").write_text("half")
            die()

    killed(half_a_file)
    killed(half_a_folder)
    assert len(list(tmp_path.iterdir())) == 2 and all(map(files.is_draft, tmp_path.iterdir()))
    files.write(tmp_path / "file", "whole")
    with files.folder(tmp_path / "folder") as draft:
        (draft / "whole").write_text("whole")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
        "file",
        "folder",
        "folder/whole",
    ]


def test_a_draft_that_is_being_written_is_not_swept(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "file") as file:
        file.write(b"slow")
        files.write(tmp_path / "file", "quick")
        assert (tmp_path / "file").read_text() == "quick"
    assert (tmp_path / "file").read_text() == "slow"


def test_the_writer_of_a_draft_is_known_while_it_lives(tmp_path: Path) -> None:
    with files.draft(tmp_path, ".x-") as draft:
        assert files.writer(draft) == os.getpid() and files.is_draft(draft)
        child = os.fork()
        if child == 0:
            os._exit(files.writer(draft) != os.getppid())
        assert os.waitpid(child, 0)[1] == 0
        kept = tmp_path / "kept"
        draft.rename(kept)
    assert files.writer(draft) is None and files.writer(kept) is None
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    ("name", "lives"), [(".x-{0}-01234567.new", True), (".x-{0}", False), (".x-999999999-01234567", False)]
)
def test_without_locks_the_number_in_a_name_tells_whether_its_writer_lives(
    name: str, lives: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    path = tmp_path / name.format(os.getpid())
    path.mkdir()
    assert files.writer(path) == (os.getpid() if lives else None)
    files.sweep(tmp_path, end="")
    assert path.exists()  # it may be another host's
    with files.draft(tmp_path, ".x-") as draft:
        (draft / "file").write_text("whole")
    assert not draft.exists()


def test_a_draft_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, swept = fcntl.flock, []

    def late(handle: int, how: int) -> None:
        if not swept:
            swept.append(next(tmp_path.iterdir()))
            files.sweep(tmp_path)
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with files.draft(tmp_path, ".x-") as draft:
        assert draft.is_dir() and not swept[0].exists() and draft != swept[0]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_takes_new_files_in_and_keeps_others(tmp_path: Path) -> None:
    (tmp_path / "out/rtl").mkdir(parents=True)
    (tmp_path / "out/rtl/mine.v").write_text("mine")
    (tmp_path / "out/rtl/top.v").write_text("old")
    with files.folder(tmp_path / "out") as draft:
        (draft / "rtl").mkdir()
        (draft / "rtl/top.v").write_text("new")
        assert (tmp_path / "out/rtl/top.v").read_text() == "old"
    found = {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"out/rtl/mine.v": "mine", "out/rtl/top.v": "new"}


def test_a_file_that_may_not_be_written_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.write(tmp_path / "file", "old")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match=f"Permission denied: {str(path)!r}$"):
        files.write(path, "new")
    assert path.read_text() == "old"


def test_a_parent_that_is_a_file_is_named(tmp_path: Path) -> None:
    files.write(tmp_path / "file", "")
    with pytest.raises(OSError, match=r"File exists: '.*file'$|Not a directory: '.*'$"):
        files.write(tmp_path / "file/below", "")
