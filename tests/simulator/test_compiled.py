"""Machine code on disk: damage is noticed and compiled again, a disk that takes nothing is done without."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.engine import compiled


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiled.cache_folder.cache_clear()
    yield tmp_path
    compiled.cache_folder.cache_clear()


def plus_one(number: int) -> int:
    return number + 1


def fresh() -> Any:
    """As another process would have it."""
    return compiled.compiled(plus_one)


def stats(function: Any) -> tuple[int, int]:
    """Calls answered from disk, and those compiled."""
    return sum(function.stats.cache_hits.values()), sum(function.stats.cache_misses.values())


def test_code_is_taken_from_disk(folder: Path) -> None:
    first, second = fresh(), fresh()
    assert (first(1), stats(first)) == (2, (0, 1))
    assert (second(2), stats(second)) == (3, (1, 0))


@pytest.mark.parametrize("kind", ["nbc", "nbi"])
def test_damaged_code_is_never_run(kind: str, folder: Path) -> None:
    fresh()(1)
    path = next(folder.rglob(f"*.{kind}"))
    whole, dice = path.read_bytes(), random.Random(3)
    cuts = [b"", whole[:-1], whole[: len(whole) // 2], b"garbage"]
    flips = []
    for _ in range(6):
        flipped = bytearray(whole)
        flipped[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        flips.append(bytes(flipped))
    for damaged in cuts + (flips if kind == "nbc" else []):
        path.write_bytes(damaged)
        again = fresh()
        assert (again(41), stats(again)[0]) == (42, 0)
        assert fresh()(1) == 2
    fresh()(1)
    last = fresh()
    assert (last(1), stats(last)) == (2, (1, 0)), "it is on disk again"


def test_code_that_cannot_be_kept_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert fresh()(1) == 2
    assert not list(folder.rglob("*.nbc"))


TIMES = "def times(number):\n    return {factor} * number\n"


def loaded(source: Path) -> Any:
    """The function of a file, compiled, as a process would have it that imports the file."""
    scope: dict[str, Any] = {"__name__": "copied"}
    exec(compile(source.read_text(), str(source), "exec"), scope)
    return compiled.compiled(scope["times"])


def test_a_copy_of_the_sources_takes_what_the_original_compiled(tmp_path: Path, folder: Path) -> None:
    """Time and place of a file say nothing of it; another text of the same length is compiled."""
    files = [tmp_path / name / "copied.py" for name in ("one", "two", "other")]
    for file, factor in zip(files, (2, 2, 3), strict=True):
        file.parent.mkdir()
        file.write_text(TIMES.format(factor=factor))
    os.utime(files[1], (1000, 1000))
    first, copy, other = map(loaded, files)
    assert (first(5), stats(first)) == (10, (0, 1))
    assert (copy(5), stats(copy)) == (10, (1, 0))
    assert (other(5), stats(other)) == (15, (0, 1))
