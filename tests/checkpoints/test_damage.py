"""Files cut short, files with bytes turned over, headers that lie: one sentence each time, and no memory."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from blueprint.errors import ParamError, SpecError
from checkpoints import reading
from checkpoints.checkpoint import Checkpoint
from tests.checkpoints import files
from tests.test_house import ROOT

FOLDER = ("model.safetensors", "config.json", "tokenizer.json")
GGUFS = ("tq1_0", "tq2_0", "i2_s")
SENTENCE = re.compile(r"[^\n]{20,700}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed folder, shards and GGUF files."""
    path = tmp_path_factory.mktemp("damage")
    made = files.made(path)
    files.folder(path / "hf", made)
    files.shards(path / "shards", made)
    for encoding in GGUFS:
        files.gguf(path / f"{encoding}.gguf", made, encoding)
    return path


def target(place: Path, name: str) -> tuple[Path, Path]:
    """What is read, and the file of it that is damaged."""
    if name in FOLDER:
        return place / "hf", place / "hf" / name
    if name == "index":
        return place / "shards", place / "shards" / "model.safetensors.index.json"
    return place / f"{name}.gguf", place / f"{name}.gguf"


def outcome(path: Path) -> str | Checkpoint | None:
    """The sentence in which a path is refused, or what it holds, read to the end."""
    try:
        found = reading.read(path, "tiny").checkpoint
        list(found.survey() if found else ())
        return found
    except (SpecError, ParamError) as problem:
        assert SENTENCE.fullmatch(str(problem)), problem
        return str(problem)


def cuts(length: int, headers: int) -> Iterator[int]:
    """Lengths of a truncated file: around its beginning, inside its headers, in its data, one byte short."""
    yield from range(0, 33, 4)
    yield from np.linspace(33, headers, 12).astype(int).tolist()
    yield from np.linspace(headers, length - 1, 9).astype(int).tolist()


@pytest.mark.parametrize("name", [*FOLDER, "index", *GGUFS])
def test_a_truncated_file_is_refused_at_every_cut(place: Path, name: str) -> None:
    path, file = target(place, name)
    whole = file.read_bytes()
    headers = (
        {"model.safetensors": 5000}.get(name, 14_000)
        if name in GGUFS or name in FOLDER[:1]
        else len(whole) // 2
    )
    try:
        for length in cuts(len(whole) - 2, headers):
            file.write_bytes(whole[:length])
            found = outcome(path)
            assert isinstance(found, str) and str(file) in found, (length, found)
    finally:
        file.write_bytes(whole)
    assert isinstance(outcome(path), Checkpoint)


@pytest.mark.parametrize("name", [*FOLDER, "index", *GGUFS])
def test_bytes_turned_over_end_in_a_sentence_or_in_a_checkpoint(place: Path, name: str) -> None:
    """Single bytes, runs of large numbers, and pieces left out; seeded by the name of the file."""
    path, file = target(place, name)
    whole = file.read_bytes()
    random = np.random.default_rng(list(name.encode()))
    refused = 0
    try:
        for _ in range(60):
            data, at = bytearray(whole), int(random.integers(min(len(whole), 14_000)))
            match int(random.integers(3)):
                case 0:
                    data[at] = int(random.integers(256))
                case 1:
                    data[at : at + 8] = (0, 1 << 63, (1 << 64) - 1, 1 << 40)[random.integers(4)].to_bytes(
                        8, "little"
                    )
                case _:
                    del data[at : at + int(random.integers(1, 30))]
            file.write_bytes(data)
            refused += isinstance(outcome(path), str)
    finally:
        file.write_bytes(whole)
    assert refused > 20


def test_a_header_that_lies_costs_no_memory(place: Path, tmp_path: Path) -> None:
    """Lengths of exabytes, under a limit of memory that the package's own imports hardly fit."""
    whole = (place / "tq2_0.gguf").read_bytes()
    lies = []
    for number, at in enumerate([8, 16, 24, whole.index(b"tokenizer.ggml.tokens") + 21 + 8]):
        for value in (1 << 62, 1 << 33):
            lies.append(tmp_path / f"{number}_{value}.gguf")
            lies[-1].write_bytes(whole[:at] + value.to_bytes(8, "little") + whole[at + 8 :])
    script = (
        "import sys; from pathlib import Path; from checkpoints import reading\n"
        "for name in sys.argv[1:]:\n"
        "    try: reading.read(Path(name))\n"
        "    except ValueError as problem: print(problem)\n"
        "status = Path('/proc/self/status').read_text().split()\n"  # of this program, not of the one that started it
        "print(status[status.index('VmHWM:') + 1])"
    )
    limit = (3 << 30, 3 << 30)
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, lies)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )
    *sentences, peak = done.stdout.splitlines()
    assert len(sentences) == len(lies)
    assert all("must fit into the file" in line or "and the file ends after" in line for line in sentences)
    assert int(peak) < 200_000  # kB
