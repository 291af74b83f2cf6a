"""Checkpoints in GGUF files: where each tensor lies, and how its rows are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkpoints import gguf_header, packages, packing
from checkpoints.faults import fault, of_tensor
from checkpoints.gguf_header import Described
from checkpoints.stored import Stored

#: Type of bitnet.cpp that the package ``gguf`` does not know.
I2_S = 36
#: Other types of bitnet.cpp and of older ggml, by number: name and origin.
_KNOWN_ELSEWHERE = {
    31: "Q4_0_4_4, which ggml no longer has",
    32: "Q4_0_4_8, which ggml no longer has",
    33: "Q4_0_8_8, which ggml no longer has",
    37: "I8_S of bitnet.cpp",
    38: "TL1 of bitnet.cpp, laid out for one processor",
}
_NUMBERS = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, Stored]]:
    """Metadata and tensors of a file. Raises ``SpecError``."""
    if not path.is_file() or path.stat().st_size == 0:
        raise fault(
            path, f"file must be a GGUF model, not {'an empty file' if path.is_file() else 'a folder'}"
        )
    data = np.memmap(path, dtype=np.uint8, mode="r")
    header = gguf_header.read(path, data)
    parts = header.metadata.get("split.count", 1)
    if parts not in (0, 1):
        raise fault(
            path, f"file must hold a whole model, not one of {parts} parts; join them with llama-gguf-split"
        )
    sizes = {tensor.name: _bytes(path, tensor) for tensor in header.tensors}
    _check_places(path, header, sizes, len(data))
    stored = {}
    for tensor in header.tensors:
        first = header.start + tensor.offset
        stored[tensor.name] = _stored(path, tensor, data[first : first + sizes[tensor.name]])
    return header.metadata, stored


def kind_of(path: Path, tensor: Described) -> str:
    """Name of a tensor's type. Raises ``SpecError`` for one that cannot be read here."""
    if tensor.type == I2_S:
        return "I2_S"
    types = packages.load("gguf", "read GGUF files").GGMLQuantizationType
    if tensor.type in types._value2member_map_:
        return str(types(tensor.type).name)
    known = _KNOWN_ELSEWHERE.get(tensor.type)
    what = f"{tensor.type} ({known})" if known else str(tensor.type)
    must = "must be of a known type (TQ1_0, TQ2_0 or I2_S where it is ternary)"
    raise of_tensor(path, tensor.name, f"{must}, not {what}; convert it to TQ2_0")


def _bytes(path: Path, tensor: Described) -> int:
    """Bytes of a tensor's data, from its type and shape."""
    kind = kind_of(path, tensor)
    count = 1
    for size in tensor.shape:
        count *= size
    if kind == "I2_S":
        _check_multiple(path, tensor, count, "elements", packing.I2_S_BLOCK, kind)
        return count // 4 + packing.I2_S_TRAILER
    package = packages.load("gguf", "read GGUF files")
    block, size = package.GGML_QUANT_SIZES[package.GGMLQuantizationType(tensor.type)]
    _check_multiple(path, tensor, tensor.shape[-1], "columns", block, kind)
    return int(count // block * size)


def _check_multiple(path: Path, tensor: Described, count: int, what: str, block: int, kind: str) -> None:
    if count % block:
        must = f"must have a multiple of {block} {what} as {kind}, not {count}"
        raise of_tensor(path, tensor.name, must)


def _check_places(path: Path, header: gguf_header.Header, sizes: dict[str, int], total: int) -> None:
    """Refuse tensors that lie outside of the file or overlap."""
    end, before = header.start, ""
    for tensor in sorted(header.tensors, key=lambda each: each.offset):
        first = header.start + tensor.offset
        if first + sizes[tensor.name] > total:
            what = f"must lie in the file of {total} bytes, not at {first} to {first + sizes[tensor.name]}"
            raise of_tensor(path, tensor.name, f"{what}: the file is truncated")
        if first < end:
            raise of_tensor(
                path, tensor.name, f"must not share bytes with {before!r}, and both have byte {first}"
            )
        end, before = first + sizes[tensor.name], tensor.name


def _stored(path: Path, tensor: Described, data: NDArray[np.uint8]) -> Stored:
    kind, shape = kind_of(path, tensor), tensor.shape
    if kind in _NUMBERS:
        whole = data.view(_NUMBERS[kind]).reshape(shape)
        return Stored(path, tensor.name, shape, kind, lambda first, last: whole[first:last])
    if kind == "I2_S":
        return Stored(path, tensor.name, shape, kind, lambda first, last: data)
    rows = data.reshape(-1, len(data) * shape[-1] // _elements(shape))
    return Stored(path, tensor.name, shape, kind, lambda first, last: data, _dequantized(tensor, rows))


def _elements(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=object))


def _dequantized(tensor: Described, rows: NDArray[np.uint8]) -> Callable[[int, int], NDArray[np.float32]]:
    """A reader of rows stored in blocks of ggml, by the package ``gguf``."""
    per_row = len(rows) // tensor.shape[0]

    def floats(first: int, last: int) -> NDArray[np.float32]:
        package = packages.load("gguf", "read GGUF files")
        part = rows[first * per_row : last * per_row]
        with np.errstate(all="ignore"):
            found = package.quants.dequantize(part, package.GGMLQuantizationType(tensor.type))
        return np.asarray(found, np.float32).reshape(last - first, *tensor.shape[1:])

    return floats
