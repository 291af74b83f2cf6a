"""Staging: a FIFO for every field of every stream between external memory and the units of a system.

A load fills those of inputs, a store drains those of outputs. In memory a field is a row-major array of elements, each
in a *container* of 8, 16, 32 or 64 bits, the smallest that holds it (32 at least where a beat has a single one): signed
fields with their sign extended, others with zeros. Results of products and of attention are what the vector unit's rows
are, so they have the container of those. Words of codes (keys of a product's weights, cached elements of fewer than 8
bits) are one container a beat: a power of two of bytes up to the width of the memory port, a multiple of it beyond.

A field without lanes beside one with lanes has an element for each row, which is *held* for the beats of the row, or
one for the whole run (*once*). Everything else has one container a beat.

Rows of the vector unit are sums of 32 bits or numbers of fewer, so its rows have a second, *narrow* container, which a
load may name: that of the embedding's elements. Integers that the vector unit gives have one of 4 bits beside their
8 where the attention unit takes keys and values of 4 (`packs`): a store that names it saturates to -7 to 7 and puts
two into a byte, the first one low, which makes the words of codes that are loaded again.

Where attention takes floats of a format that the vector unit's holds (``rounds``), the numbers that the vector unit
gives have a second container too, that of the attention unit's: a store that names it rounds to the nearest, ties to
even. Results of attention are stored as numbers of the vector unit's format (``widens``), which is exact; so are rows
of the embedding where they come as numbers of attention's format.
A field that is the same for all rows of a run (the gain) *repeats*:
what was loaded once is given again for as many rows as the unit's register says.
Where a prompt goes through in blocks of several tokens, weights *replay*: what was loaded once is given to as many runs
as the same register says, while the weights of the next runs are loaded behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import FloatFormat
from blueprint.errors import ParamError
from blueprint.numbers import ceil_div
from blueprint.port import Stream
from blueprint.record import Field, Integers
from blueprint.spec import Spec
from blueprint.systems.description import INTEGERS, Buffers
from blueprint.systems.instructions import EVERY, MORE

#: Bits of a container of one element.
CONTAINERS = (8, 16, 32, 64)
#: Bits of the least that is moved: a number by itself has no smaller container.
SCALAR = 32
#: Bits of an element of a cache that is packed, and the largest magnitude of one: symmetric, as those of 8 bits.
PACKED, PACKED_LEVELS = 4, 7
#: Rows that a FIFO holds: one that a run reads while the next one is loaded.
ROWS = 2
#: The least words of a FIFO.
LEAST_DEPTH = 16
#: Scales by which the vector unit dequantizes a row, and words of their FIFOs where rows of the embedding have them.
_SCALE_FIELDS, SCALES = ("weight_scale", "row_scale"), 128
#: Buffers of hardware that no system describes.
BUFFERS = Buffers(weights=16384, cache=16384, activations=65536)
#: Operands whose FIFOs are the buffers of weights and of the cache.
WEIGHTS, CACHED = "wgt", ("key", "value")
#: The unit of products, and all such units: tokens of a block or of a batch share their weights.
PRODUCTS = "matrix"
_SHARING = (PRODUCTS, *MORE)
#: Units whose results the vector unit takes as its rows, and the field of those.
_PRODUCERS, _CONSUMER, _ROWS_FIELD = (*_SHARING, "attention"), "vector", "x"
#: The field of the vector unit's integers, some of which go to the cache.
_INTEGERS_FIELD = "quantized"
#: The field of the vector unit's numbers, some of which attention takes where it takes floats.
_NUMBERS_FIELD = "out"
#: Bits of an element of the embedding, of hardware that no system describes.
EMBEDDING = 16


@dataclass(frozen=True)
class Staged:
    """A field with a FIFO of its own; ``number`` is its ``place`` in a transfer, counted in its direction.

    ``container`` is the bytes of an element in memory, of which a beat of the stream has ``elements``; a beat takes
    ``beat_bytes``. ``depth`` is in words of the FIFO: one word is a field's beat, of an input whose beats are narrower
    than the memory port a beat of that. The ``carrier`` of an input stream is the field whose last transfer says that
    a run ends.
    ``narrow`` is the bytes of the narrow container of an input, ``packs`` the bits of that of an output; 0 where there
    is none. ``rounds`` is the float format of the narrow container where it is not that of the elements. ``widens`` is
    the one that floats become on their way: those of an output in its only container, those of an input from its narrow
    one. What ``replays`` is given to several runs.
    """

    number: int
    unit: str
    stream: str
    field: Field
    direction: Literal["in", "out"]
    container: int
    elements: int
    beat_bytes: int
    held: bool
    once: bool
    carrier: bool
    depth: int
    repeats: bool = False
    narrow: int = 0
    packs: int = 0
    rounds: str = ""
    widens: str = ""
    replays: bool = False

    @property
    def name(self) -> str:
        """Unit, stream and field, joined by dots."""
        return f"{self.unit}.{self.stream}.{self.field.name}"

    @property
    def packed(self) -> bool:
        """True if a beat is one word of codes."""
        return self.container == self.beat_bytes and is_code(self.field)

    @property
    def other_container(self) -> bool:
        """True if a transfer may name narrow containers."""
        return bool(self.narrow or self.packs)

    def moved_bytes(self, narrow: bool) -> int:
        """Bytes of a beat in memory, in narrow containers or not."""
        if not narrow:
            return self.beat_bytes
        return self.elements * self.packs // 8 if self.packs else self.elements * self.narrow

    def converted(self, values: Integers, narrow: bool) -> Integers:
        """The conversion of elements on their way, with or without narrow containers."""
        formats = self.conversion(narrow)
        return floating.convert(*formats, values) if formats else values

    def conversion(self, narrow: bool) -> tuple[FloatFormat, FloatFormat] | None:
        """The float formats that elements have before and behind, if they are converted on their way."""
        source, target = (self.field.format, self.rounds if narrow else self.widens)
        if self.direction == "in":
            source, target = (self.rounds, self.widens if narrow else "")
        return (floating.get(source), floating.get(target)) if target else None

    def words(self, size: int, width: int, narrow: bool = False) -> int:
        """Words of the FIFO that a transfer of ``size`` bytes fills, behind a memory port of ``width`` bits."""
        return ceil_div(size, self.word_bytes(width, narrow))

    def word_bytes(self, width: int, narrow: bool = False) -> int:
        """Bytes in memory of a word of the FIFO."""
        if self.direction == "in" and not narrow:
            return max(self.beat_bytes, width // 8)
        return self.moved_bytes(narrow)


def buffer_of(stream: str) -> str:
    """The buffer that the staging of a stream's fields is part of."""
    return {WEIGHTS: "weights", **dict.fromkeys(CACHED, "cache")}.get(stream, "activations")


def inputs(
    units: Mapping[str, Spec],
    width: int,
    buffers: Buffers = BUFFERS,
    embedding: int = EMBEDDING,
    block: int = 1,
    scored: bool = False,
) -> tuple[Staged, ...]:
    """The fields that ``load`` fills, by number, where a prompt goes through in blocks of ``block`` tokens.

    With ``scored`` the vector unit takes the scores of a unit of products, each with a scale of its own.
    Raises ``ParamError`` where a beat does not fit the memory port.
    """
    found = (_narrowed(one, units, width, embedding, scored) for one in _staged(units, width, buffers, "in"))
    return tuple(_blocked(one, units, width, block) for one in found)


def outputs(units: Mapping[str, Spec], width: int, buffers: Buffers = BUFFERS) -> tuple[Staged, ...]:
    """The fields that ``store`` drains, by number. Raises ``ParamError`` as `inputs` does."""
    found = (_packing(one, units, width) for one in _staged(units, width, buffers, "out"))
    return tuple(_converting(one, units) for one in found)


def is_code(field: Field) -> bool:
    """True if a beat of the field is a word of codes, not an array of numbers."""
    return bool(field.encoding) or bool(field.shape) and int(field.width) < CONTAINERS[0]


def container_bits(field: Field) -> int:
    """Bits of the smallest container of an element; of a single one at least those that the movers move.

    Raises ``ParamError`` for an element of more than 64 bits.
    """
    least = int(field.width) if field.shape else max(int(field.width), SCALAR)
    for bits in CONTAINERS:
        if bits >= least:
            return bits
    raise ParamError(
        f"Elements of field {field.name} must have at most {CONTAINERS[-1]} bits, not {field.width}"
    )


def code_bytes(bits: int, width: int) -> int:
    """Bytes of a word of codes of ``bits`` bits, behind a memory port of ``width`` bits."""
    size, port = ceil_div(bits, 8), width // 8
    return ceil_div(size, port) * port if size > port else 1 << (size - 1).bit_length()


def _staged(
    units: Mapping[str, Spec], width: int, buffers: Buffers, direction: Literal["in", "out"]
) -> tuple[Staged, ...]:
    found: list[Staged] = []
    for unit in (name for name in EVERY if name in units):
        for stream in units[unit].streams():
            if stream.direction == direction:
                for field in (field for field in stream.beat if field.bits):
                    found.append(_field(len(found), units, unit, stream, field, width, buffers))
    return tuple(found)


def _narrowed(staged: Staged, units: Mapping[str, Spec], width: int, embedding: int, scored: bool) -> Staged:
    """A field with its narrow container, if it holds rows of the embedding.

    A memory beat must not have more than one beat of the field, which is what a unit takes in a cycle.
    """
    if staged.unit == _CONSUMER and staged.field.name in _SCALE_FIELDS and (embedding == INTEGERS or scored):
        return replace(staged, depth=SCALES)
    if (staged.unit, staged.field.name) != (_CONSUMER, _ROWS_FIELD):
        return staged
    few, many = _converted(units) if embedding != INTEGERS else ("", "")
    own = floating.get(few).width if few else units[_CONSUMER].element_width
    least = INTEGERS if embedding == INTEGERS else own
    for bits in CONTAINERS:
        fills = bits * staged.elements >= width and 8 * staged.container <= width
        if least <= bits < 8 * staged.container and fills:
            return replace(staged, narrow=bits // 8, rounds=few, widens=many)
    return staged


def _converted(units: Mapping[str, Spec]) -> tuple[str, str]:
    """The float formats of attention and of the vector unit where they are two and the second holds the first."""
    if _CONSUMER not in units or "attention" not in units:
        return "", ""
    few, many = (units[name].float_format for name in ("attention", _CONSUMER))
    if not few or not many or few == many or not floating.get(many).holds(floating.get(few)):
        return "", ""
    return few, many


def _blocked(staged: Staged, units: Mapping[str, Spec], width: int, block: int) -> Staged:
    """A field of products by which the tokens of a block go: weights replay, a vector of each token has room."""
    holds = staged.field.holds
    if block == 1 or staged.unit not in _SHARING or holds is None:
        return staged
    if holds.operand == WEIGHTS:
        return replace(staged, replays=True)
    longest = _longest(units[staged.unit], holds.operand) * staged.container
    return replace(staged, depth=max(staged.depth, block * ceil_div(longest, staged.word_bytes(width))))


def _packing(staged: Staged, units: Mapping[str, Spec], width: int) -> Staged:
    """A field with its narrow container, if it is the integers of which some become a packed cache."""
    if (staged.unit, staged.field.name) != (_CONSUMER, _INTEGERS_FIELD) or "attention" not in units:
        return staged
    widths = {int(units["attention"].stream(name).beat[name].width) for name in CACHED}
    size, port = staged.elements * PACKED, width
    if widths != {PACKED} or size % 8 or (size % port and port % size):
        return staged
    return replace(staged, packs=PACKED)


def _converting(staged: Staged, units: Mapping[str, Spec]) -> Staged:
    """A field with what is done to its floats, if the attention unit's are of a format that the vector unit's holds."""
    few, many = _converted(units)
    if few and (staged.unit, staged.field.format) == ("attention", few):
        return replace(staged, widens=many)
    if few and (staged.unit, staged.field.name) == (_CONSUMER, _NUMBERS_FIELD):
        return replace(staged, packs=floating.get(few).width, rounds=few)
    return staged


def _field(
    number: int,
    units: Mapping[str, Spec],
    unit: str,
    stream: Stream,
    field: Field,
    width: int,
    buffers: Buffers,
) -> Staged:
    code = is_code(field)
    elements = 1 if code else int(prod(field.shape))
    size = code_bytes(int(field.bits), width) if code else _container(units, unit, stream, field) // 8
    beat = elements * size
    port = width // 8
    if beat % port and port % beat:
        what = f"a part or a multiple of the memory port's {port} bytes"
        raise ParamError(f"A beat of field {field.name} of {unit} must be {what} in memory, not {beat} bytes")
    lanes = [other for other in stream.beat if other.shape]
    alone = bool(lanes) and not field.shape
    once = alone and field.holds is not None and not field.holds.index
    carrier = stream.direction == "in" and field is (lanes or list(stream.beat))[0]
    depth = _depth(
        units[unit], stream, field, max(beat, port) if stream.direction == "in" else beat, size, buffers
    )
    return Staged(
        number, unit, stream.name, field, stream.direction, size, elements, beat, alone and not once, once, carrier,
        depth, stream.direction == "in" and unit == _CONSUMER and _repeats(units[unit], field),
    )  # fmt: skip


def _container(units: Mapping[str, Spec], unit: str, stream: Stream, field: Field) -> int:
    own = container_bits(field)
    if unit in _PRODUCERS and stream.direction == "out" and field.shape and _CONSUMER in units:
        return max(own, container_bits(units[_CONSUMER].stream(_ROWS_FIELD).beat[_ROWS_FIELD]))
    return own


def _repeats(spec: Spec, field: Field) -> bool:
    """True if an input of the vector unit is the same for all rows."""
    shapes = {operand.name: operand.shape for operand in spec.operation().inputs}
    return field.holds is not None and shapes[field.holds.operand] == shapes[_ROWS_FIELD][1:]


def _depth(spec: Spec, stream: Stream, field: Field, word: int, container: int, buffers: Buffers) -> int:
    """Words of a FIFO: the buffer of weights, half of the cache's, or two of the longest rows of its operand."""
    operand = field.holds.operand if field.holds is not None else ""
    if stream.direction == "in" and operand == WEIGHTS:
        return max(buffers.weights // word, LEAST_DEPTH)
    if stream.direction == "in" and operand in CACHED:
        return max(buffers.cache // len(CACHED) // word, LEAST_DEPTH)
    longest = _longest(spec, operand) if field.shape else 0
    return max(ROWS * ceil_div(longest * container, word), LEAST_DEPTH)


def _longest(spec: Spec, name: str) -> int:
    """Elements of the longest row of an operand; 0 where no parameter bounds it."""
    bounds, operation = spec.bounds(), spec.operation()
    for operand in (*operation.inputs, *operation.outputs):
        if operand.name == name and operand.shape[-1] in bounds:
            return int(getattr(spec, bounds[operand.shape[-1]]))
    return 0
