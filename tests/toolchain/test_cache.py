"""The build cache: one build per content, no half entries, damage is repaired."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from toolchain import cache


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TERNFORGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Builder:
    """Writes one file and counts how often it was asked to."""

    def __init__(self, text: str = "result") -> None:
        self.text = text
        self.calls = 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "file").write_text(self.text)


def test_second_request_builds_nothing() -> None:
    build = Builder()
    first = cache.entry("kind", ["a", "b"], build)
    assert (cache.entry("kind", ["a", "b"], build), build.calls) == (first, 1)
    assert (first / "file").read_text() == "result"


@pytest.mark.parametrize("other", [["a"], ["ab"], ["a", "b", ""], ["b", "a"], ["a", b"c"]])
def test_other_parts_are_another_entry(other: list[str | bytes]) -> None:
    assert cache.key(other) != cache.key(["a", "b"])
    assert cache.key(["a", b"b"]) == cache.key(["a", "b"])


def test_root_follows_the_environment(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.root() == own_cache
    monkeypatch.delenv("TERNFORGE_CACHE")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache.root() == Path("/home/somebody/.cache/ternforge")


def test_build_that_raises_leaves_nothing(own_cache: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match=r"^no$"):
        cache.entry("kind", ["a"], build)
    assert [path.suffix for path in (own_cache / "kind").iterdir()] == [".lock"]
    assert (cache.entry("kind", ["a"], Builder()) / "file").read_text() == "result"


@pytest.mark.parametrize(
    "damage", ["cut", "changed", "deleted", "unsealed", "seal is no JSON", "seal is a list"]
)
def test_damaged_entry_is_built_again(damage: str) -> None:
    build = Builder()
    folder = cache.entry("kind", ["a"], build)
    match damage:
        case "cut":
            (folder / "file").write_text("res")
        case "changed":
            (folder / "file").write_text("rEsult")
        case "deleted":
            (folder / "file").unlink()
        case "unsealed":
            (folder / ".seal.json").unlink()
        case "seal is no JSON":
            (folder / ".seal.json").write_text("{")
        case "seal is a list":
            (folder / ".seal.json").write_text("[]")
    assert (cache.entry("kind", ["a"], build) / "file").read_text() == "result"
    assert build.calls == 2


def _slow_build(folder: Path) -> None:
    with (folder.parent / "built").open("a") as file:
        file.write("x")
    time.sleep(0.3)
    (folder / "file").write_text("result")


def _request(_: int) -> str:
    return (cache.entry("kind", ["a"], _slow_build) / "file").read_text()


def test_of_four_processes_one_builds(own_cache: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert pool.map(_request, range(4), chunksize=1) == ["result"] * 4
    assert (own_cache / "kind" / "built").read_text() == "x"


def test_least_recently_used_entries_go_first() -> None:
    build = Builder("x" * (1 << 19))
    folders = [cache.entry("kind", [str(index)], build) for index in range(4)]
    for age, folder in enumerate(folders):
        os.utime(folder / ".seal.json", (1000 - age, 1000 - age))
    assert cache.entry("kind", ["3"], build) == folders[3]
    cache.evict(1, recent_s=1e12)
    assert all(folder.exists() for folder in folders)
    cache.evict(1)
    assert [folder.exists() for folder in folders] == [False, False, False, True]
    assert build.calls == 4


def aged(name: str, age_s: float, size: int = 1) -> Path:
    """An entry of ``size`` bytes that was last used so long ago."""
    folder = cache.entry("kind", [name], Builder("x" * size))
    then = time.time() - age_s
    os.utime(folder / ".seal.json", (then, then))
    return folder


def test_only_what_is_beyond_the_limit_goes() -> None:
    folders = [aged(str(age), 1e6 + age, 1 << 18) for age in range(5)]
    cache.evict(1)
    assert [folder.exists() for folder in folders] == [True, True, True, False, False]


def test_an_entry_that_fills_the_limit_to_the_byte_stays() -> None:
    seal = (aged("probe", 0.0) / ".seal.json").stat().st_size
    full, over = aged("full", 1e6, (1 << 20) - seal), aged("over", 2e6, 1)
    (aged("probe", 0.0) / ".seal.json").unlink()
    cache.evict(1)
    assert full.exists() and not over.exists()


def test_what_was_used_within_six_hours_stays() -> None:
    used, unused = aged("used", 6 * 3600 - 60), aged("unused", 6 * 3600 + 1)
    cache.evict(0)
    assert used.exists() and not unused.exists()


def test_limit_is_kept_when_an_entry_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    old = cache.entry("kind", ["old"], Builder())
    os.utime(old / ".seal.json", (1000, 1000))
    cache.entry("kind", ["new"], Builder())
    assert old.exists()
    monkeypatch.setenv("TERNFORGE_CACHE_MIB", "0")
    newest = cache.entry("kind", ["newest"], Builder())
    assert (old.exists(), newest.exists()) == (False, True)


def test_a_cache_that_cannot_be_written_still_gives_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    build = Builder()
    first = cache.entry("kind", ["a"], build)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr(Path, "mkdir", refused)
    assert (cache.entry("kind", ["a"], build), build.calls) == (first, 1)
    with pytest.raises(
        cache.CacheError, match=r"^Cache .* must be a folder with room that can be written, and it is not"
    ):
        cache.entry("kind", ["b"], build)


@pytest.mark.parametrize("damage", ["{}", "[]", "null", "half: [", '{"file": 5}', '{"other": "x"}', ""])
def test_an_entry_with_a_damaged_seal_is_built_again(damage: str) -> None:
    build = Builder()
    folder = cache.entry("kind", ["a"], build)
    (folder / ".seal.json").write_text(damage)
    assert (cache.entry("kind", ["a"], build), build.calls) == (folder, 2)
    assert cache.entry("kind", ["a"], build) == folder and build.calls == 2


def test_a_file_in_the_place_of_an_entry_is_replaced() -> None:
    build = Builder()
    folder = cache.entry("kind", ["a"], build)
    (folder / "file").unlink()
    (folder / ".seal.json").unlink()
    folder.rmdir()
    folder.write_text("not a folder")
    assert (cache.entry("kind", ["a"], build) / "file").read_text() == "result"


@pytest.mark.parametrize(("brief_s", "times"), [(0.5, 3), (-1.0, 1)])
def test_a_large_cache_is_not_looked_through_at_each_entry(
    monkeypatch: pytest.MonkeyPatch, brief_s: float, times: int
) -> None:
    looked: list[int] = []
    monkeypatch.setattr(cache._Turn, "due", 0.0)
    monkeypatch.setattr(cache, "_BRIEF_S", brief_s)
    monkeypatch.setattr(cache, "_REST", 1e12)
    monkeypatch.setattr(cache, "evict", looked.append)
    for _ in range(3):
        cache._evict_in_turn(7)
    assert looked == [7] * times
