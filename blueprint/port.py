"""The boundary of a design: streams of packed fields, and registers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
import numpy.typing as npt

from blueprint.numbers import ceil_div


@dataclass(frozen=True)
class Field:
    """An array of equal elements in a beat, last axis fastest, element 0 in the lowest bits, no padding between."""

    name: str
    width: int
    shape: tuple[int, ...]
    signed: bool = True
    format: str = "int"  # or the name of a float format, whose patterns the elements are

    @property
    def bits(self) -> int:
        return self.width * prod(self.shape)


@dataclass(frozen=True)
class Stream:
    """One AXI4-Stream port; ``tdata`` is the field padded with zeros to a whole number of bytes."""

    name: str
    direction: Literal["in", "out"]
    field: Field

    @property
    def prefix(self) -> str:
        return f"{'s' if self.direction == 'in' else 'm'}_axis_{self.name}"

    @property
    def width(self) -> int:
        """Bits of ``tdata``."""
        return 8 * int(ceil_div(self.field.bits, 8))

    def pack(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Beats from field values: ``(beats, *shape)`` integers to ``(beats, width / 8)`` bytes, little-endian."""
        beats = len(values)
        field = self.field
        flat = np.ascontiguousarray(values.reshape(beats, -1), dtype=np.int64)
        if field.width == 8:
            return _pad(flat.astype(np.uint8), self.width // 8)
        size = next(size for size in (1, 2, 4, 8) if 8 * size >= field.width)
        octets = flat.astype(f"<u{size}").view(np.uint8).reshape(beats, flat.shape[1], size)
        bits = np.unpackbits(octets, axis=2, count=field.width, bitorder="little").reshape(beats, -1)
        return _pad(np.packbits(bits, axis=1, bitorder="little"), self.width // 8)

    def unpack(self, data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Field values from beats: the inverse of :meth:`pack`."""
        field = self.field
        bits = np.unpackbits(data, axis=1, bitorder="little")[:, : field.bits]
        digits = bits.reshape(len(data), -1, field.width).astype(np.int64)
        weights = np.int64(1) << np.arange(field.width, dtype=np.int64)
        if field.signed:
            weights[-1] = -weights[-1]
        return (digits @ weights).reshape(len(data), *field.shape)


def _pad(data: npt.NDArray[np.uint8], columns: int) -> npt.NDArray[np.uint8]:
    return np.pad(data, ((0, 0), (0, columns - data.shape[1])))


@dataclass(frozen=True)
class Register:
    """One 32-bit AXI4-Lite register; ``fields`` maps a name to (lowest bit, width)."""

    name: str
    address: int
    access: Literal["ro", "rw"]
    description: str
    fields: Mapping[str, tuple[int, int]]
    reset: int = 0
