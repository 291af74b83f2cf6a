"""The hardware inventory: a design's bill of materials, by one formula for one design or a million."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from blueprint.numbers import Number, ceil_div, clog2, larger, slices

#: Every kind of unit and the dimensions that size one of it.
KINDS: Mapping[str, tuple[str, ...]] = {
    "register": ("width", "enable", "reset"),  # flip-flops; enable and reset are 0 or 1
    "adder": ("width",),  # two operands, carry propagated
    "sign_adder": ("width",),  # the upper bits of an adder where one operand is nothing but its sign
    "compressor": ("width",),  # carry-save row of full adders: three operands to two
    "half_adder": ("width",),  # carry-save row of half adders
    "mux": ("entries", "width"),  # one word out of `entries`, binary select
    "select": ("entries", "width"),  # AND-OR of `entries` words by one-hot lines
    "decoder": ("inputs", "outputs"),  # binary code to one-hot lines
    "xor_row": ("width",),
    "and_row": ("width",),
    "recoder": ("inputs", "outputs"),  # translation between key encodings
    "comparator": ("width",),  # equality or magnitude against a value
    "counter": ("width",),  # adds -1, 0 or +1
    "digit_encoder": ("digits",),  # bits of an integer to digits of base 4
    "digit_select": ("width",),  # none, one or two times a word, of either sign, by the lines of a digit
    "float_multiplier": ("exponent", "fraction", "stages"),
    "float_adder": ("exponent", "fraction", "stages"),
    "float_pair": ("exponent", "fraction", "stages"),  # sum and difference of the same two floats
    "to_fixed": ("inputs", "outputs"),  # a significand to a fixed-point word
    "to_float": ("inputs", "outputs"),  # a fixed-point word to a float
    "logic": ("gates",),  # two-input gate equivalents of control
    "broadcast": ("fanout",),  # a net driving many loads: no area of its own, but delay
    "sram": ("words", "width"),  # one read and one write port
    "sram_1rw": ("words", "width"),  # one port that reads or writes
}


@dataclass(frozen=True)
class Unit:
    """One line of the inventory.

    ``count`` instances of ``kind`` sized by ``dims``; ``place`` is the block it stands in (the key of an area
    breakdown) and ``activity`` the operations of one instance per cycle of full throughput (energy).
    Every number is an ``int`` or an array over designs.
    """

    kind: str
    place: str
    count: Number
    dims: Mapping[str, Number] = field(default_factory=dict)
    activity: Number = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Unit kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if tuple(self.dims) != KINDS[self.kind]:
            raise ValueError(f"A {self.kind} is sized by {KINDS[self.kind]}, not {tuple(self.dims)}")

    @property
    def flip_flops(self) -> Number:
        """Total flip-flops of all instances."""
        return self.count * self.dims["width"] if self.kind == "register" else 0 * self.count


def registers(
    place: str, count: Number, width: Number, *, enable: int = 0, reset: int = 0, activity: Number = 1.0
) -> Unit:
    """``count`` registers of ``width`` flip-flops each."""
    return Unit("register", place, count, {"width": width, "enable": enable, "reset": reset}, activity)


def memories(count: Number, words: Number, width: Number) -> Iterator[Unit]:
    """``count`` memories; words wider than a vector are split into banks."""
    banks, wide = slices(width)
    yield Unit("sram", "memory", count * (banks - 1), {"words": words, "width": wide})
    yield Unit("sram", "memory", count, {"words": words, "width": width - wide * (banks - 1)})


def alternating(count: Number, words: Number, width: Number) -> Iterator[Unit]:
    """``count`` memories of two single-port ones for even and odd words, with a word that waits between them.

    ``generator.cells.memory.Alternating`` is the hardware; what is no memory stands in the place ``banks``.
    """
    banks, wide = slices(width)
    address, rows = clog2(words), larger(clog2(words) - 1, 1)
    for copies, part in ((banks - 1, wide), (1, width - wide * (banks - 1))):
        dims = {"words": ceil_div(words, 2), "width": part}
        yield Unit("sram_1rw", "memory", 2 * count * copies, dims)
    yield registers("banks", count, width, enable=1, activity=1 / larger(words, 1))
    yield registers("banks", count, address, enable=1, activity=1 / larger(words, 1))
    yield registers("banks", count, 1, reset=1, activity=1 / larger(words, 1))
    yield registers("banks", count, 2, enable=1, reset=1)
    yield Unit("mux", "banks", 4 * count, {"entries": 2, "width": width})
    yield Unit("mux", "banks", 2 * count, {"entries": 3, "width": rows})
    yield Unit("comparator", "banks", 3 * count, {"width": address})
    yield Unit("logic", "banks", count, {"gates": 20})


def flip_flops(units: tuple[Unit, ...]) -> Number:
    """Total flip-flops of an inventory."""
    return sum(unit.flip_flops for unit in units)


@dataclass(frozen=True)
class Path:
    """A path between two registers; its delay is the sum of the delays of its steps."""

    name: str
    steps: tuple[Unit, ...]
