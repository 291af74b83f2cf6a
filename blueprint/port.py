"""The boundary of a design: streams of packed fields, registers, and what one run is in terms of them.

Order and place are *expressions*: texts of Python arithmetic over the names of loops, axes and sizes, so that a
manifest says them to a reader and to a program alike. :data:`GRAMMAR` is what they may hold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from blueprint.numbers import whole_bytes
from blueprint.record import Field, Integers, Octets, Record

GRAMMAR = (
    "Python arithmetic on integers: + - * // %, comparisons, x if c else y, min, max, ceil(a / b), output[i][j]; names "
    "are sizes (shapes of inputs, 'given', 'where' in its order), loops around the beat with what their 'where' "
    "defines, axes and members of the field"
)
#: Most bits of beats that are unpacked at a time, a byte each.
BITS_AT_ONCE = 1 << 26
#: What ``tlast`` of every stream of every family means.
LAST = (
    "1 in the last beat of a run, 0 in every other; an input beat that has it elsewhere, or a last one without it, is "
    "taken all the same and sets framing_error"
)


@dataclass(frozen=True)
class BeatLoop:
    """A loop around the beats of a stream; ``where`` are expressions that hold in each turn, by name, in order."""

    name: str
    count: str
    where: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """One AXI4-Stream port; ``tdata`` is a ``beat``, with zeros up to a whole number of bytes.

    ``beats`` are the loops of a run, outermost first: their turns are the beats in their order.
    """

    name: str
    direction: Literal["in", "out"]
    beat: Record
    beats: tuple[BeatLoop, ...] = ()

    @property
    def prefix(self) -> str:
        return f"{'s' if self.direction == 'in' else 'm'}_axis_{self.name}"

    @property
    def field(self) -> Field:
        """The only field. Raises ``ValueError`` where there are several."""
        if len(self.beat) != 1:
            raise ValueError(f"Stream {self.name} must have one field, not {len(self.beat)}")
        return self.beat.fields[0]

    @property
    def width(self) -> int:
        """Bits of ``tdata``."""
        return whole_bytes(self.beat.width)

    def pack(self, values: Integers) -> Octets:
        """Beats from the only field's values: ``(beats, *shape)`` integers to ``(beats, width / 8)`` bytes."""
        if self.field.width == 8 and self.field.offset == 0:
            octets = values.reshape(len(values), -1).astype(np.uint8)
            return np.pad(octets, ((0, 0), (0, self.width // 8 - octets.shape[1])))
        return self.pack_fields({self.field.name: values})

    def pack_fields(self, values: Mapping[str, Integers]) -> Octets:
        """Beats from the values of every field, by name, little-endian."""
        bits = np.zeros((len(values[self.beat.fields[0].name]), self.width), np.uint8)
        for field in self.beat:
            bits[:, field.span] = field.unpacked(values[field.name])
        return np.packbits(bits, axis=1, bitorder="little")

    def unpack(self, data: Octets) -> Integers:
        """The only field's values from beats: the inverse of :meth:`pack`."""
        return self.unpack_fields(data)[self.field.name]

    def unpack_fields(self, data: Octets) -> dict[str, Integers]:
        """Values of every field from beats: the inverse of :meth:`pack_fields`."""
        step = max(1, BITS_AT_ONCE // self.width)
        parts = [self._unpacked(data[first : first + step]) for first in range(0, max(len(data), 1), step)]
        return {field.name: np.concatenate([part[field.name] for part in parts]) for field in self.beat}

    def _unpacked(self, data: Octets) -> dict[str, Integers]:
        bits = np.unpackbits(data, axis=1, bitorder="little")
        return {field.name: field.packed(bits[:, field.span]) for field in self.beat}


@dataclass(frozen=True)
class Operand:
    """An array that a run reads or produces; ``shape`` in names of sizes."""

    name: str
    shape: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Operation:
    """The operation that one run computes.

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
