"""Checkpoints that must be refused: how each is made, and the one sentence in which it is."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from checkpoints.checkpoint import Checkpoint
from tests.checkpoints import files

Make = Callable[[Path, Checkpoint], Path]
Q = "model.layers.0.self_attn.q_proj.weight"
UP = "model.layers.1.mlp.up_proj.weight"


def changed(how: files.Change) -> Make:
    """A packed folder whose tensors are changed."""

    def make(path: Path, made: Checkpoint) -> Path:
        files.change(files.folder(path / "m", made), how)
        return path / "m"

    return make


def put(name: str, value: Any) -> Make:
    return changed(lambda tensors: tensors.update({name: value}))


def lost(*names: str) -> Make:
    return changed(lambda tensors: [tensors.pop(name) for name in names])


def renamed(old: str, new: str) -> Make:
    return changed(lambda tensors: tensors.update({new: tensors.pop(old)}))


def edited(name: str, at: tuple[int, ...], value: float) -> Make:
    def how(tensors: files.Tensors) -> None:
        tensors[name] = tensors[name].copy()
        tensors[name][at] = value

    return changed(how)


def configured(**values: Any) -> Make:
    def make(path: Path, made: Checkpoint) -> Path:
        files.configure(files.folder(path / "m", made), **values)
        return path / "m"

    return make


def masters(value: float, **config: Any) -> Make:
    """Float weights, one of which is ``value``."""

    def make(path: Path, made: Checkpoint) -> Path:
        files.floats(path / "m", made, lambda m: m.weights(), quantization_config=config or None)
        files.change(
            path / "m", lambda t: t.update({Q: np.where(t[Q] == t[Q][3, 5], np.float32(value), t[Q])})
        )
        return path / "m"

    return make


def header(content: Any, data: bytes = b"", length: int | None = None) -> Make:
    """A packed folder whose file has this header."""

    def make(path: Path, made: Checkpoint) -> Path:
        files.folder(path / "m", made)
        files.header(path / "m" / "model.safetensors", content, data, length)
        return path / "m"

    return make


def content(data: bytes) -> Make:
    """A packed folder whose file has this content."""

    def make(path: Path, made: Checkpoint) -> Path:
        files.folder(path / "m", made)
        (path / "m" / "model.safetensors").write_bytes(data)
        return path / "m"

    return make


def indexed(how: Callable[[dict[str, Any]], object]) -> Make:
    """A folder of shards whose index is changed."""

    def make(path: Path, made: Checkpoint) -> Path:
        place = files.shards(path / "m", made)
        places = json.loads((place / "model.safetensors.index.json").read_text())["weight_map"]
        how(places)
        files.write_index(place, places)
        return place

    return make


def shard_gone(path: Path, made: Checkpoint) -> Path:
    place = files.shards(path / "m", made)
    (place / "model-00002-of-00003.safetensors").rename(place / "model-00002-of-0003.safetensors")
    return place


def shard_alone(path: Path, made: Checkpoint) -> Path:
    return files.shards(path / "m", made) / "model-00002-of-00003.safetensors"


def part_of_gguf(path: Path, made: Checkpoint) -> Path:
    """A number that is there is called the number of parts."""
    old, new = text("general.file_type"), text("split.count")
    place = files.gguf(path / "m.gguf", made)
    files.replace(place, old, new)
    return place


def shard_with_more(path: Path, made: Checkpoint) -> Path:
    """A tensor of the first file is in the second as well."""
    place = files.shards(path / "m", made)
    first, second = (place / f"model-0000{n}-of-00003.safetensors" for n in (1, 2))
    both = files.tensors(second)
    both[next(iter(files.tensors(first)))] = np.zeros(1, np.float32)
    files.save_file(both, str(second))
    return place


def gguf(how: Callable[[bytearray], object], encoding: str = "tq2_0") -> Make:
    """A GGUF file whose bytes are changed."""

    def make(path: Path, made: Checkpoint) -> Path:
        place = files.gguf(path / "m.gguf", made, encoding)
        data = bytearray(place.read_bytes())
        how(data)
        place.write_bytes(data)
        return place

    return make


def swapped(old: bytes, new: bytes) -> Make:
    """A GGUF file in which bytes, which are there, are replaced."""

    def how(data: bytearray) -> None:
        at = data.index(old)
        data[at : at + len(old)] = new

    return gguf(how)


def text(value: str) -> bytes:
    """A text as GGUF writes it."""
    return struct.pack("<Q", len(value.encode())) + value.encode()


def number_of(key: str, old: int, new: int) -> Make:
    """A GGUF file in which a 32-bit number is another one."""
    begin = text(key) + struct.pack("<I", 4)
    return swapped(begin + struct.pack("<I", old), begin + struct.pack("<I", new))


def float_of(key: str, new: float) -> Make:
    """A GGUF file in which a float is another one."""

    def how(data: bytearray) -> None:
        begin = text(key) + struct.pack("<I", 6)
        at = data.index(begin) + len(begin)
        data[at : at + 4] = struct.pack("<f", new)

    return gguf(how)


def tensor_field(name: str, field: int, value: int) -> Make:
    """A GGUF file in which a number behind a matrix's name (0: columns, 1: rows, 2: type, 3: offset) is another one."""
    place, form = [(4, "<Q"), (12, "<Q"), (20, "<I"), (24, "<Q")][field]

    def how(data: bytearray) -> None:
        at = data.index(text(name)) + len(text(name)) + place
        data[at : at + struct.calcsize(form)] = struct.pack(form, value)

    return gguf(how)


def in_tensor(name: str, at: int, value: bytes, encoding: str = "tq2_0") -> Make:
    """A GGUF file in which bytes of a tensor are others."""

    def make(path: Path, made: Checkpoint) -> Path:
        place = files.gguf(path / "m.gguf", made, encoding)
        from checkpoints import gguf_file

        stored = gguf_file.read_file(place)[1][name]
        data = bytearray(place.read_bytes())
        first = data.index(stored.all().tobytes())
        data[first + at : first + at + len(value)] = value
        place.write_bytes(data)
        return place

    return make
