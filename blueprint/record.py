"""Records: ordered fields with their widths, for beats, FIFO words, sideband and processing elements.

This is the one type for it. Streams, the manifest, the inventory and the hardware (``generator/layout.py``) read the
same records, so no place is decided twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from blueprint.numbers import Number, larger

Integers = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]

#: The offset of a field that stands right behind the one before it.
BEHIND = -1


@dataclass(frozen=True)
class Place:
    """The operand element in each element of a field: one index expression per axis of the operand.

    An index below 0 or beyond the operand says that the element is padding: ``beyond`` is sent there, and in a result
    it is ignored. ``members`` is an axis of so many elements of the operand that one element of the field
    encodes together; ``rank``, where a group of members travels as several elements, says which of these it is.
    """

    operand: str
    index: tuple[str, ...]
    members: tuple[str, int] | None = None
    rank: str = ""
    beyond: int = 0


@dataclass(frozen=True)
class Field:
    """An array of equal elements in a record, last axis fastest, no padding between.

    ``offset`` is the lowest bit of element 0 in the record, by default behind the field before; ``axes`` names the axes
    of ``shape``, ``encoding`` and ``meaning`` say what the bits of an element are, in a word and in a sentence;
    ``parts`` is the record that an element is, ``when`` is the condition under which a part is there. A field that a
    design lacks has no bits.
    """

    name: str
    width: Number
    shape: tuple[Number, ...] = ()
    signed: bool = True
    format: str = "int"  # or the name of a float format, whose patterns the elements are
    offset: Number = BEHIND
    axes: tuple[str, ...] = ()
    encoding: str = ""
    meaning: str = ""
    holds: Place | None = None
    parts: Record = dataclasses.field(default_factory=lambda: Record())
    when: str = ""

    @property
    def bits(self) -> Number:
        """Bits of all elements."""
        return self.width * prod(self.shape)

    @property
    def span(self) -> slice:
        """Bit range of the field within its record."""
        return slice(self.offset, self.offset + self.bits)

    @property
    def code(self) -> str:
        """The encoding; by default that of the number format."""
        plain = "twos_complement" if self.signed else "unsigned"
        return self.encoding or (plain if self.format == "int" else "float")

    def word(self, values: Integers) -> Integers:
        """Pack elements ``(..., *shape)`` into integers ``(...)``, bits at their offset in the beat.

        Raises ``ValueError`` for a field that is in no record yet, which has no offset.
        """
        if self.offset < 0:
            raise ValueError(f"Field {self.name} must be in a record before its bits have a place")
        flat = values.reshape(*values.shape[: values.ndim - len(self.shape)], -1) & ((1 << self.width) - 1)
        found: Integers = (flat << self.width * np.arange(flat.shape[-1])).sum(axis=-1) << self.offset
        return found

    def join(self, **values: Integers) -> Integers:
        """Compose elements from the values of their parts, by name."""
        words = [self.parts[name].word(value) for name, value in values.items()]
        found: Integers = np.bitwise_or.reduce(np.broadcast_arrays(*words))
        return found

    def unpacked(self, values: Integers) -> Octets:
        """Bits, lowest first, from element values: ``(beats, *shape)`` integers to ``(beats, bits)`` zeros and ones."""
        flat = np.ascontiguousarray(values.reshape(len(values), -1), dtype=np.int64)
        size = next(size for size in (1, 2, 4, 8) if 8 * size >= self.width)
        octets = flat.astype(f"<u{size}").view(np.uint8).reshape(*flat.shape, size)
        bits = np.unpackbits(octets, axis=2, count=self.width, bitorder="little")
        return bits.reshape(len(values), -1)

    def packed(self, bits: Octets) -> Integers:
        """Element values from bits: the inverse of :meth:`unpacked`."""
        octets = np.packbits(bits.reshape(len(bits), -1, self.width), axis=2, bitorder="little")
        words = np.zeros((*octets.shape[:2], 8), np.uint8)
        words[:, :, : octets.shape[2]] = octets
        values, above = words.view("<i8"), 64 - self.width
        if self.signed:
            values = values << above >> above
        return values.reshape(len(bits), *self.shape)


@dataclass(frozen=True)
class Record:
    """Fields in their order, lowest bits first; bits that no field takes are 0.

    A field without an offset stands behind the one before. ``least`` is the number of bits where fields take fewer.
    """

    fields: tuple[Field, ...] = ()
    least: int = 0

    def __post_init__(self) -> None:
        placed: list[Field] = []
        end: Number = 0
        for field in self.fields:
            behind = isinstance(field.offset, int) and field.offset == BEHIND
            begin = end if behind else field.offset
            placed.append(dataclasses.replace(field, offset=begin))
            end = begin + field.bits
        object.__setattr__(self, "fields", tuple(placed))

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, name: str) -> Field:
        """The field called ``name``. Raises ``KeyError``."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"Field must be one of {', '.join(field.name for field in self.fields)}, not {name!r}")

    @property
    def width(self) -> Number:
        """Bits of the record."""
        found: Number = self.least
        for field in self.fields:
            found = larger(found, field.span.stop)
        return found


def bits(name: str, width: Number, *shape: Number, there: Number = 1) -> Field:
    """A field of uninterpreted bits; it has no bits where ``there`` is 0."""
    return Field(name, there * width, shape, signed=False)
