"""Content reaches the disk before its name does, nothing stays open, and only drafts are swept."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain import cache, files


def opened() -> int:
    return len(os.listdir("/proc/self/fd"))


def made(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is flushed and renamed, in order: files with the bytes that have reached them, drafts without numbers."""
    found: list[str] = []
    real = {name: getattr(os, name) for name in ("fsync", "replace", "rename")}

    def shown(path: str | Path) -> str:
        return re.sub(r"-\d+-[0-9a-f]{8}\.new", "", str(Path(path).relative_to(tmp_path)))

    def fsync(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        found.append(f"flush {shown(path)}" + (f" {path.stat().st_size}" if path.is_file() else ""))
        real["fsync"](handle)

    def move(name: str) -> None:
        def moved(old: Path, new: Path) -> None:
            found.append(f"rename {shown(old)} {shown(new)}")
            real[name](old, new)

        monkeypatch.setattr(os, name, moved)

    monkeypatch.setattr(os, "fsync", fsync)
    move("replace")
    move("rename")
    return found


def test_a_file_is_on_disk_before_it_has_its_name(steps: list[str], tmp_path: Path) -> None:
    files.write(tmp_path / "out", "text")
    assert steps == ["flush .out 4", "rename .out out", "flush ."]


def test_a_new_folder_is_on_disk_before_it_has_its_name(steps: list[str], tmp_path: Path) -> None:
    with files.folder(tmp_path / "deep" / "er" / "out") as draft:
        made(draft, "a", "sub/bc")
    home = "deep/er"
    assert steps == [
        *(f"flush {home}/.out/a 1", f"flush {home}/.out/sub/bc 6"),
        *(f"rename {home}/.out {home}/out", f"flush {home}"),
    ]


def test_files_of_a_folder_that_is_there_move_one_by_one(steps: list[str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with files.folder(tmp_path / "out") as draft:
        made(draft, "a", "x/y/b")
    assert steps == [
        *("flush out/.out/a 1", "flush out/.out/x/y/b 5"),
        *("rename out/.out/a out/a", "rename out/.out/x/y/b out/x/y/b", "flush out"),
    ]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF, errno.EROFS])
def test_a_file_system_that_cannot_flush_will_do(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, "b", "a")
    refused = [number]

    def fsync(_: int) -> None:
        raise OSError(refused[0], os.strerror(refused[0]))

    monkeypatch.setattr(os, "fsync", fsync)
    before = opened()
    assert files.flush(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    refused[0] = errno.ENOSPC
    with pytest.raises(OSError, match="No space left on device"):
        files.flush(tmp_path)
    assert opened() == before


def test_nothing_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = opened()
    files.write(tmp_path / "file", "x")
    for _ in range(2):
        with files.folder(tmp_path / "folder") as draft:
            made(draft, "a")
            assert files.writer(draft) == os.getpid()
    assert files.writer(tmp_path / "folder") is None
    (tmp_path / ".x-1-00000000.new").mkdir()
    files.sweep(tmp_path)
    assert opened() == before and sorted(os.listdir(tmp_path)) == ["file", "folder"]
    real, swept = fcntl.flock, []

    def late(handle: int, how: int) -> None:
        if not swept:
            swept.append(next(path for path in tmp_path.iterdir() if path.name.startswith(".y-")))
            swept[0].rmdir()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with files.draft(tmp_path, ".y-") as draft:
        assert draft != swept[0] and opened() == before + 1
    assert opened() == before


def test_drafts_alone_are_swept(tmp_path: Path) -> None:
    names = [".a-1-0.new", ".a-2-0.new", ".b-1-0.new", ".a-1-0.old", "a-1-0.new", ".a"]
    made(tmp_path, *names)
    assert [files.is_draft(Path(name)) for name in names] == [True, True, True, False, False, False]
    (tmp_path / ".a-3-0.new" / "full").mkdir(parents=True)
    files.sweep(tmp_path, ".a-", ".new", keep=".a-2-0.new")
    assert sorted(os.listdir(tmp_path)) == sorted(names[1:])
    files.sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(names[3:])
    files.sweep(tmp_path / "none")


def test_a_draft_is_named_by_forty_signs_of_its_target_and_the_process(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)
    with files.replacing(path):
        [draft] = tmp_path.iterdir()
    assert re.fullmatch(rf"\.n{{40}}-{os.getpid()}-[0-9a-f]{{8}}\.new", draft.name)
    assert os.listdir(tmp_path) == [path.name]


def test_without_locks_a_process_of_another_user_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    def kill(number: int, sign: int) -> None:
        asked.append((number, sign))
        raise PermissionError

    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr(os, "kill", kill)
    for name in (".x-77-01234567.new", ".x"):
        (tmp_path / name).mkdir()
    assert files.writer(tmp_path / ".x-77-01234567.new") == 77
    # Without a number: one above the largest that Linux gives.
    assert files.writer(tmp_path / ".x") == 4194304
    assert asked == [(77, 0), (4194304, 0)]


NO_SCRATCH = "No usable temporary directory found in ['/tmp']"


def test_that_there_is_no_folder_for_temporary_files_is_said_as_it_is(tmp_path: Path) -> None:
    problem = OSError(errno.ENOENT, NO_SCRATCH)
    assert files.lacks_scratch(problem)
    assert not files.lacks_scratch(OSError(errno.ENOENT, NO_SCRATCH, "a"))
    assert not files.lacks_scratch(OSError(errno.ENOENT, "No such file or directory"))
    for block in (files.naming("b.v"), files.replacing(tmp_path / "b.v")):
        with pytest.raises(OSError) as fault, block:
            raise problem
        assert fault.value is problem


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("no number",), False),
        ((5, "Input/output error"), True),
        ((5, "Input/output error", "a.v"), False),
        ((5, "Input/output error", ".d.new/a.v"), True),
        ((5, "Input/output error", ".d.new", None, "a.v"), False),
        ((5, "Input/output error", "a.v", None, ".d.new"), True),
    ],
)
def test_a_fault_names_what_the_user_knows(words: tuple[object, ...], named: bool, tmp_path: Path) -> None:
    problem = OSError(*words)
    with pytest.raises(OSError) as fault, files.replacing(tmp_path / "out"):
        raise problem
    assert (fault.value is problem) is not named
    if named:
        assert str(fault.value) == f"[Errno 5] Input/output error: '{tmp_path / 'out'}'"


def raising(problem: OSError) -> Callable[[Path], None]:
    def build(_: Path) -> None:
        raise problem

    return build


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TERNFORGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_eviction_sweeps_what_killed_builds_left(own_cache: Path) -> None:
    entry = cache.entry("kind", ["a"], lambda folder: made(folder, "file"))
    (own_cache / "kind" / ".x-1-00000000.new").mkdir()
    cache.evict(4096)
    assert sorted(os.listdir(own_cache / "kind")) == [entry.name, f"{entry.name}.lock"]


def test_another_process_may_evict_at_the_same_time(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = cache.entry("kind", ["a"], lambda folder: made(folder, "file"))

    def gone(folder: Path) -> list[Path]:
        shutil.rmtree(folder)
        return [folder / "file"]

    monkeypatch.setattr(cache, "_files", gone)
    monkeypatch.setattr(time, "time", lambda: 1e12)
    cache.evict(-1)
    assert not entry.exists() and cache._used(entry / ".seal.json") == 0.0


@pytest.mark.parametrize(("recent_s", "stays"), [(100.0, True), (99.0, False)])
def test_what_was_used_recently_enough_stays(
    recent_s: float, stays: bool, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = cache.entry("kind", ["a"], lambda folder: made(folder, "file"))
    os.utime(entry / ".seal.json", (1000.0, 1000.0))
    monkeypatch.setattr(time, "time", lambda: 1100.0)
    cache.evict(0, recent_s=recent_s)
    assert entry.exists() is stays


@pytest.mark.parametrize(
    ("problem", "words"),
    [(OSError("odd"), "odd"), (OSError(errno.EDQUOT, "Disk quota exceeded"), "Disk quota exceeded")],
)
def test_a_cache_says_why_it_cannot_be_used(problem: OSError, words: str, own_cache: Path) -> None:
    with pytest.raises(cache.CacheError) as told:
        cache.entry("kind", ["a"], raising(problem))
    assert str(told.value) == (
        f"Cache {own_cache} must be a folder with room that can be written, and it is not: {words}; "
        "mend it, or name another one in TERNFORGE_CACHE"
    )


def test_a_cache_without_a_folder_for_temporary_files_is_not_to_blame(own_cache: Path) -> None:
    problem = OSError(errno.ENOENT, NO_SCRATCH)
    with pytest.raises(OSError) as fault:
        cache.entry("kind", ["a"], raising(problem))
    assert fault.value is problem
