"""The boundary of a design: streams of packed fields, registers, and what one run is in terms of them.

Order and place are *expressions*: texts of Python arithmetic over the names of loops, axes and sizes, so that a
manifest says them to a reader and to a program alike. :data:`GRAMMAR` is what they may hold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
import numpy.typing as npt

from blueprint.numbers import ceil_div

Integers = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]

GRAMMAR = (
    "Python arithmetic on integers: + - * // %, comparisons, x if c else y, min, max, ceil(a / b), output[i][j]; names "
    "are sizes (shapes of inputs, 'given', 'where' in its order), loops around the beat with what their 'where' "
    "defines, axes and members of the field"
)
#: What ``tlast`` of every stream of every family means.
LAST = (
    "1 in the last beat of a run, 0 in every other; an input beat that has it elsewhere, or a last one without it, is "
    "taken all the same and sets framing_error"
)


@dataclass(frozen=True)
class Place:
    """The operand element in each element of a field: one index expression per axis of the operand.

    An index below 0 or beyond the operand says that the element is padding: ``beyond`` is sent there, and of a result
    it is not looked at. ``members`` is an axis of so many elements of the operand that one element of the field
    encodes together; ``rank``, where a group of members travels as several elements, says which of these it is.
    """

    operand: str
    index: tuple[str, ...]
    members: tuple[str, int] | None = None
    rank: str = ""
    beyond: int = 0


@dataclass(frozen=True)
class Field:
    """An array of equal elements in a beat, last axis fastest, no padding between.

    ``offset`` is the lowest bit of element 0 in the beat, ``axes`` names the axes of ``shape``, ``encoding`` and
    ``meaning`` say what the bits of an element are, in a word and in a sentence; ``parts`` are fields of an element,
    with offsets in it, ``when`` is the condition under which a part is there.
    """

    name: str
    width: int
    shape: tuple[int, ...] = ()
    signed: bool = True
    format: str = "int"  # or the name of a float format, whose patterns the elements are
    offset: int = 0
    axes: tuple[str, ...] = ()
    encoding: str = ""
    meaning: str = ""
    holds: Place | None = None
    parts: tuple[Field, ...] = ()
    when: str = ""

    @property
    def bits(self) -> int:
        return self.width * prod(self.shape)

    @property
    def span(self) -> slice:
        """Bit range of the field within its beat or element."""
        return slice(self.offset, self.offset + self.bits)

    @property
    def code(self) -> str:
        """The encoding; by default that of the number format."""
        plain = "twos_complement" if self.signed else "unsigned"
        return self.encoding or (plain if self.format == "int" else "float")

    def part(self, name: str) -> Field:
        """The part called ``name``."""
        return _named(self.parts, name)

    def word(self, values: Integers) -> Integers:
        """Pack elements ``(..., *shape)`` into integers ``(...)``, bits at their offset in the beat."""
        flat = values.reshape(*values.shape[: values.ndim - len(self.shape)], -1) & ((1 << self.width) - 1)
        found: Integers = (flat << self.width * np.arange(flat.shape[-1])).sum(axis=-1) << self.offset
        return found

    def join(self, **values: Integers) -> Integers:
        """Compose elements from the values of their parts, by name."""
        words = [self.part(name).word(value) for name, value in values.items()]
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
        digits = bits.reshape(len(bits), -1, self.width).astype(np.int64)
        weights = np.int64(1) << np.arange(self.width, dtype=np.int64)
        if self.signed:
            weights[-1] = -weights[-1]
        return (digits @ weights).reshape(len(bits), *self.shape)


@dataclass(frozen=True)
class BeatLoop:
    """A loop around the beats of a stream; ``where`` are expressions that hold in each turn, by name, in order."""

    name: str
    count: str
    where: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """One AXI4-Stream port; ``tdata`` is the fields, zeros in what they leave, up to a whole number of bytes.

    ``beats`` are the loops of a run, outermost first: their turns are the beats in their order. ``least`` is the number
    of bits of a beat where it has more than the fields take.
    """

    name: str
    direction: Literal["in", "out"]
    fields: tuple[Field, ...]
    beats: tuple[BeatLoop, ...] = ()
    least: int = 0

    @property
    def prefix(self) -> str:
        return f"{'s' if self.direction == 'in' else 'm'}_axis_{self.name}"

    @property
    def field(self) -> Field:
        """The only field. Raises ``ValueError`` where there are several."""
        if len(self.fields) != 1:
            raise ValueError(f"Stream {self.name} must have one field, not {len(self.fields)}")
        return self.fields[0]

    def __getitem__(self, name: str) -> Field:
        return _named(self.fields, name)

    @property
    def width(self) -> int:
        """Bits of ``tdata``."""
        return 8 * int(ceil_div(max(self.least, *(field.span.stop for field in self.fields)), 8))

    def pack(self, values: Integers) -> Octets:
        """Beats from the only field's values: ``(beats, *shape)`` integers to ``(beats, width / 8)`` bytes."""
        if self.field.width == 8 and self.field.offset == 0:
            octets = values.reshape(len(values), -1).astype(np.uint8)
            return np.pad(octets, ((0, 0), (0, self.width // 8 - octets.shape[1])))
        return self.pack_fields({self.field.name: values})

    def pack_fields(self, values: Mapping[str, Integers]) -> Octets:
        """Beats from the values of every field, by name, little-endian."""
        bits = np.zeros((len(values[self.fields[0].name]), self.width), np.uint8)
        for field in self.fields:
            bits[:, field.span] = field.unpacked(values[field.name])
        return np.packbits(bits, axis=1, bitorder="little")

    def unpack(self, data: Octets) -> Integers:
        """The only field's values from beats: the inverse of :meth:`pack`."""
        return self.unpack_fields(data)[self.field.name]

    def unpack_fields(self, data: Octets) -> dict[str, Integers]:
        """Values of every field from beats: the inverse of :meth:`pack_fields`."""
        bits = np.unpackbits(data, axis=1, bitorder="little")
        return {field.name: field.packed(bits[:, field.span]) for field in self.fields}


def _named(fields: tuple[Field, ...], name: str) -> Field:
    for field in fields:
        if field.name == name:
            return field
    raise KeyError(f"Field must be one of {', '.join(field.name for field in fields)}, not {name!r}")


@dataclass(frozen=True)
class Operand:
    """An array that a run reads or produces; ``shape`` in names of sizes."""

    name: str
    shape: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Operation:
    """What one run computes.

    ``given`` are sizes that no operand's shape says, each with a sentence; ``where`` are expressions for sizes that
    follow from others, in order; ``registers`` are those for what software writes before the start.
    """

    computes: str
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    registers: Mapping[str, str]
    given: Mapping[str, str] = dataclasses.field(default_factory=dict)
    where: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Register:
    """One 32-bit AXI4-Lite register; ``fields`` maps a name to (lowest bit, width)."""

    name: str
    address: int
    access: Literal["ro", "rw"]
    description: str
    fields: Mapping[str, tuple[int, int]]
    reset: int = 0
