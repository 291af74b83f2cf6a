"""Checkpoints as files, in every form that is read, and damage to them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from checkpoints import gguf_writing, names, packed_folder, reading
from checkpoints.checkpoint import Checkpoint
from tests.checkpoints import tiny

Tensors = dict[str, NDArray[Any]]
Change = Callable[[Tensors], object]
BITNET = {"quant_method": "bitnet"}


def folder(path: Path, made: Checkpoint, linear_class: str | None = None) -> Path:
    """The packed folder of a checkpoint."""
    path.mkdir(parents=True, exist_ok=True)
    packed_folder.write(made, path, linear_class)
    return path


def gguf(path: Path, made: Checkpoint, encoding: str = "tq2_0") -> Path:
    """The GGUF file of a checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    gguf_writing.write(made, path, encoding)
    return path


def tensors(path: Path) -> Tensors:
    """All tensors of a safetensors file."""
    import ml_dtypes  # noqa: F401 - NumPy then knows BF16

    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def change(path: Path, how: Change) -> None:
    """Write ``model.safetensors`` of a folder again after a change of its tensors."""
    found = tensors(path / "model.safetensors")
    how(found)
    save_file(found, str(path / "model.safetensors"))


def configure(path: Path, **values: Any) -> None:
    """Change keys of a folder's ``config.json``; ``None`` removes one."""
    content = json.loads((path / "config.json").read_text())
    content = {key: value for key, value in {**content, **values}.items() if value is not None}
    (path / "config.json").write_text(json.dumps(content))


def floats(path: Path, made: Checkpoint, weights: Callable[[Any], NDArray[Any]], **config: Any) -> Path:
    """A folder whose matrices are floats, ``weights`` of each ternary matrix."""
    folder(path, made)
    content = {names.HUGGING_FACE.name(place): weights(made.matrix(*place)) for place in made.layers()}
    content |= {names.HUGGING_FACE.name(place): dense.read() for place, dense in made.dense.items()}
    save_file(content, str(path / "model.safetensors"))
    configure(path, **config)
    return path


def shards(path: Path, made: Checkpoint, count: int = 3) -> Path:
    """A packed folder in several files with an index."""
    folder(path, made)
    whole = tensors(path / "model.safetensors")
    (path / "model.safetensors").unlink()
    places: dict[str, str] = {}
    for index in range(count):
        name = f"model-{index + 1:05}-of-{count:05}.safetensors"
        part = {key: whole[key] for position, key in enumerate(whole) if position % count == index}
        save_file(part, str(path / name))
        places |= dict.fromkeys(part, name)
    write_index(path, places)
    return path


def write_index(path: Path, places: Mapping[str, Any]) -> None:
    """The index of a folder."""
    content = {"metadata": {"total_size": 1}, "weight_map": places}
    (path / "model.safetensors.index.json").write_text(json.dumps(content))


def header(path: Path, content: Any, data: bytes = b"", length: int | None = None) -> Path:
    """A safetensors file with this header."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def replace(path: Path, old: bytes, new: bytes, count: int = 1) -> None:
    """Replace bytes of a file, which must be there."""
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, count))


def same(found: Checkpoint, made: Checkpoint) -> None:
    """Assert that all tensors of two checkpoints are equal to the bit."""
    assert found.layers() == made.layers() or sorted(found.layers()) == sorted(made.layers())
    for place in made.layers():
        ours, theirs = made.matrix(*place), found.matrix(*place)
        assert np.array_equal(ours.codes, theirs.codes), place
        assert np.array_equal(ours.multiplier, theirs.multiplier), place
    assert found.dense.keys() == made.dense.keys()
    for where, dense in made.dense.items():
        assert np.array_equal(dense.read(), found.dense[where].read()), where


def made(path: Path, **options: Any) -> Checkpoint:
    """The tiny decoder with a vocabulary in a file."""
    return tiny.checkpoint(tiny.vocabulary(path / "vocabulary"), **options)


def found(path: Path) -> Checkpoint:
    """The checkpoint of a path."""
    checkpoint = reading.read(path, "tiny").checkpoint
    assert checkpoint is not None
    return checkpoint
