"""The header of a GGUF file: metadata, and what its tensors are.

Read by our own code and not by the reader of the package ``gguf``, which raises on the type I2_S of bitnet.cpp,
trusts every length that a header states, and reads vocabularies element by element. Here a length is checked against
the bytes of the file before it is used, so a damaged file costs no memory. The tests compare both readers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blueprint.files import kinds
from checkpoints.faults import fault, of_tensor, shown

MAGIC, VERSIONS = b"GGUF", (2, 3)
_ALIGNMENT = 32
#: Types of metadata by number: fixed ones with their NumPy type.
_SCALARS = {
    0: "u1",
    1: "i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "?",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_TEXT, _ARRAY = 8, 9
_MOST_DIMENSIONS = 4


@dataclass(frozen=True)
class Described:
    """A tensor as the header describes it; ``shape`` as NumPy writes it, ggml's dimensions in reverse."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


@dataclass(frozen=True)
class Header:
    """Header of a file; ``start`` is the byte from which the offsets of tensors count."""

    metadata: dict[str, Any]
    tensors: tuple[Described, ...]
    start: int


def read(path: Path, data: NDArray[np.uint8]) -> Header:
    """The header of the file whose bytes are ``data``. Raises ``SpecError``."""
    return _Cursor(path, data.data).header()


class _Cursor:
    """A position in the file; reading beyond its end raises ``SpecError``."""

    def __init__(self, path: Path, data: memoryview) -> None:
        self.path, self.data, self.at = path, data, 0

    def take(self, size: int, what: str) -> memoryview:
        left = len(self.data) - self.at
        if size > left:
            raise fault(
                self.path, f"{what} must have {size} bytes at byte {self.at}, and the file ends after {left}"
            )
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, form: str, what: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form), what))[0])

    def text(self, what: str) -> str:
        raw = bytes(self.take(self.number("<Q", what), what))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise fault(self.path, f"{what} must be UTF-8 at byte {self.at - len(raw)}, and is not") from None

    def count(self, least: int, what: str) -> int:
        """A number of items, each of which takes at least ``least`` bytes."""
        found = self.number("<Q", what)
        if found * least > len(self.data) - self.at:
            raise fault(self.path, f"{what} must fit into the file of {len(self.data)} bytes, not be {found}")
        return found

    def header(self) -> Header:
        self.version()
        tensors = self.count(24, "number of tensors")
        metadata = dict(self.pairs(self.count(13, "number of metadata")))
        alignment = metadata.get("general.alignment", _ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 8 or alignment & (alignment - 1):
            raise fault(
                self.path, f"general.alignment must be a power of two from 8, not {shown(str(alignment))}"
            )
        listed = tuple(self.described(tensors))
        return Header(metadata, listed, -(-self.at // alignment) * alignment)

    def version(self) -> None:
        magic = bytes(self.take(min(4, len(self.data)), "magic"))
        if magic != MAGIC:
            found = kinds.of_path(self.path)
            raise fault(self.path, f"file must be a GGUF model, which begins with 'GGUF', not {found}")
        version = self.number("<I", "version")
        if version & 0xFFFF == 0:
            raise fault(
                self.path, "file must be little-endian GGUF, not big-endian; convert it where it was written"
            )
        if version not in VERSIONS:
            raise fault(self.path, f"version of GGUF must be 2 or 3, not {version}")

    def pairs(self, count: int) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for _ in range(count):
            key = self.text("key of metadata")
            if key in seen:
                raise fault(self.path, f"key of metadata must be given once, not again: {shown(key)}")
            seen.add(key)
            yield key, self.value(self.number("<I", f"type of {shown(key)}"), key)

    def value(self, kind: int, key: str) -> Any:
        if kind in _SCALARS:
            return self.scalars(kind, 1, key)[0].item()
        if kind == _TEXT:
            return self.text(shown(key))
        if kind != _ARRAY:
            raise fault(self.path, f"type of {shown(key)} must be one of GGUF's 0 to 12, not {kind}")
        item = self.number("<I", f"type of {shown(key)}")
        if item == _TEXT:
            return [self.text(shown(key)) for _ in range(self.count(8, f"length of {shown(key)}"))]
        if item not in _SCALARS:
            raise fault(self.path, f"items of {shown(key)} must be numbers or texts, not of type {item}")
        return self.scalars(item, self.number("<Q", f"length of {shown(key)}"), key)

    def scalars(self, kind: int, count: int, key: str) -> NDArray[Any]:
        form = np.dtype(_SCALARS[kind])
        return np.frombuffer(self.take(count * form.itemsize, shown(key)), form)

    def described(self, count: int) -> Iterator[Described]:
        seen: set[str] = set()
        for _ in range(count):
            name = self.text("name of a tensor")
            if name in seen:
                raise of_tensor(self.path, name, "must be in the header once, not again")
            seen.add(name)
            dimensions = self.number("<I", "dimensions of a tensor")
            if not 1 <= dimensions <= _MOST_DIMENSIONS:
                raise of_tensor(
                    self.path, name, f"must have 1 to {_MOST_DIMENSIONS} dimensions, not {dimensions}"
                )
            shape = tuple(self.number("<Q", "shape of a tensor") for _ in range(dimensions))[::-1]
            if 0 in shape:
                raise of_tensor(self.path, name, f"must have elements, not the shape {list(shape)}")
            yield Described(
                name, shape, self.number("<I", "type of a tensor"), self.number("<Q", "offset of a tensor")
            )
