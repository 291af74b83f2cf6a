"""The hardware inventory: a design's bill of materials, by one formula for one design or a million.

Each kind of unit is one object, a :class:`Kind`: the dimensions that size one of it, with what its area, energy and
delay grow, and its rough size in gates. Called, it makes a line of the inventory::

    MUX("lane", lanes, entries=2, width=p.result_width)

What a term costs belongs to a technology and is fitted to synthesis (`costmodel.calibration`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from blueprint.numbers import Real, Truths, Whole, ceil_div, clog2, larger, slices

Dimensions = Mapping[str, Whole]
#: A function of the dimensions with which a cost grows; true and false count as 1 and 0.
Term = Callable[[Dimensions], Real | Truths]
#: Terms by name: the cost of a unit is the sum of coefficient times term.
Terms = Mapping[str, Term]

#: The energy term of clock pins: they switch every cycle, or behind a clock gate when their registers are written.
CLOCK = "clock"
#: The term of a clock gate, which registers that share an enable may have; its own clock pin switches every cycle.
GATE = "gate"
#: The delay term of which only the largest value in a path counts: carries of adders in series ripple in parallel.
OVERLAPPING = ("adder", "width")


@dataclass(frozen=True)
class Unit:
    """One line of the inventory.

    ``count`` instances of ``kind`` sized by ``dims``; ``place`` is the block it stands in (the key of an area
    breakdown) and ``activity`` the operations of one instance per cycle of full throughput (energy). As a step of a
    path, ``count`` instances stand in series, and it may be a fraction: that of an adder between two of its registers.
    Every number is that of one design or an array over designs. Raises ``ValueError`` for an unknown kind and for
    other dimensions than the kind's.
    """

    kind: str
    place: str
    count: Real
    dims: Dimensions = field(default_factory=dict)
    activity: Real = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Unit kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if tuple(self.dims) != KINDS[self.kind].dims:
            raise ValueError(f"A {self.kind} is sized by {KINDS[self.kind].dims}, not {tuple(self.dims)}")

    def counted(self, count: Real) -> Unit:
        """A step of a path: ``count`` of these units in series."""
        return Unit(self.kind, self.place, count, self.dims)

    def times(self, share: Real) -> Unit:
        """The same as a step of a path that only a ``share`` (0 or 1) of the designs has."""
        return self.counted(self.count * share)

    def active(self, share: float) -> Unit:
        """The same where it works in a ``share`` of the cycles that it did."""
        return replace(self, activity=self.activity * share)

    @property
    def flip_flops(self) -> Real:
        """Total flip-flops of all instances."""
        return self.count * self.dims["width"] if self.kind == "register" else 0 * self.count


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of unit.

    ``dims`` are the dimensions of one instance, in order; those in ``defaults`` need not be given. ``area`` are the
    terms of an instance's area, and of one operation's energy where ``energy`` is ``None``: of many lines few switch,
    so some energies grow slower. ``delay`` are the terms of a step of a path. ``gates`` are rough two-input gates of
    area terms, to keep designs small before anything is calibrated. An instance of width 0 costs nothing.
    """

    name: str
    dims: tuple[str, ...]
    area: Terms
    delay: Terms = field(default_factory=dict)
    energy: Terms | None = None
    gates: Mapping[str, float] = field(default_factory=dict)
    defaults: Dimensions = field(default_factory=dict)

    def __call__(self, place: str, count: Real, *, activity: Real = 1.0, **dims: Whole) -> Unit:
        """``count`` instances in a block of the design. Raises ``ValueError`` for a dimension too few or too many."""
        given = {**self.defaults, **dims}
        ordered = {name: given.pop(name) for name in self.dims if name in given}
        return Unit(self.name, place, count, {**ordered, **given}, activity)


# Terms that several kinds have ---------------------------------------------------------------------------------------


def _levels(value: Whole) -> Real:
    """Levels of two-input gates over ``value`` inputs, as a real number; 0 for up to one."""
    levels: Real = np.log2(np.maximum(value, 1))
    return levels


def _by(name: str) -> Term:
    """The dimension itself."""
    return lambda d: d[name]


def _there(name: str) -> Term:
    """True where the dimension is not 0."""
    return lambda d: d[name] > 0


def _by_levels(name: str) -> Term:
    """The levels of two-input gates over as many inputs as the dimension says."""
    return lambda d: _levels(d[name])


def _bits(d: Dimensions) -> Real:
    return d["entries"] * d["width"]


def _chosen(d: Dimensions) -> Real:
    return d["width"] * _levels(d["entries"])


def _gated(d: Dimensions) -> Real:
    return d["enable"] * (d["width"] > 0)


_WIDTH: Terms = {"width": _by("width")}
_ONE: Terms = {"one": _there("width")}
#: A float adder has two shifters over its significand and little else that grows.
_FLOAT_SUM: Terms = {
    "shift": lambda d: (d["fraction"] + 3) * _levels(d["fraction"] + 3),
    "fraction": _by("fraction"),
    "exponent": _by("exponent"),
    "one": _there("fraction"),
    # Fewer registers leave more steps in series between two registers, and these map to larger logic than single steps.
    "joined": lambda d: (5 - np.minimum(d["stages"], 5)) * (d["exponent"] + d["fraction"]),
}
_FLOAT_DELAY: Terms = {"fraction": _by("fraction"), "one": _there("fraction")}
_FLOAT = ("exponent", "fraction", "stages")

# The kinds -----------------------------------------------------------------------------------------------------------

#: Flip-flops; ``enable`` and ``reset`` are 0 or 1.
REGISTER = Kind(
    "register",
    ("width", "enable", "reset"),
    area={
        **_WIDTH,
        "enable": lambda d: d["width"] * d["enable"],
        GATE: _gated,
        "reset": lambda d: d["width"] * d["reset"],
    },
    energy={CLOCK: _by("width"), GATE: _gated, **_WIDTH},
    gates={"width": 4.0, "enable": 2.0},
    defaults={"enable": 0, "reset": 0},
)
#: Carry-propagating adder of two operands. The lowest and the highest bit of a sum are less than full adders.
ADDER = Kind(
    "adder",
    ("width",),
    area={"width": lambda d: np.maximum(d["width"] - 2, 0), **_ONE},
    energy=_WIDTH,
    # Carries of adders in series ripple in parallel, unless a step between them needs the highest bit.
    delay={**_WIDTH, **_ONE, "each": _by("width")},
    gates={"width": 6.0},
)
#: The upper bits of an adder, where one operand is only an extended sign.
SIGN_ADDER = Kind("sign_adder", ("width",), area=_WIDTH, gates={"width": 4.0})
#: A carry-save row of full adders: three operands to two.
COMPRESSOR = Kind("compressor", ("width",), area=_WIDTH, delay={**_ONE, **_WIDTH}, gates={"width": 6.0})
#: A carry-save row of half adders, or the carry of a counter.
HALF_ADDER = Kind("half_adder", ("width",), area=_WIDTH, delay=_WIDTH, gates={"width": 3.0})
#: One word out of ``entries``, binary select.
MUX = Kind(
    "mux",
    ("entries", "width"),
    area={"bits": _bits, **_WIDTH, "entries": lambda d: d["entries"] * (d["width"] > 0)},
    energy={"levels": _chosen, **_WIDTH},
    delay={"levels": _by_levels("entries")},
    gates={"bits": 1.5},
)
#: AND-OR of ``entries`` words by one-hot lines.
SELECT = Kind(
    "select",
    ("entries", "width"),
    area={"bits": _bits},
    energy={"bits": _bits, "levels": _chosen, **_WIDTH},
    delay={"levels": _by_levels("entries"), **_ONE},
    gates={"bits": 1.0},
)
#: Binary code to one-hot lines.
DECODER = Kind(
    "decoder",
    ("inputs", "outputs"),
    area={"outputs": _by("outputs"), "one": _there("outputs")},
    energy={"outputs": _by("outputs"), "inputs": _by("inputs"), "one": _there("outputs")},
    delay={"levels": _by_levels("outputs")},
    gates={"outputs": 2.0},
)
XOR_ROW = Kind("xor_row", ("width",), area=_WIDTH, delay=_ONE, gates={"width": 2.0})
AND_ROW = Kind("and_row", ("width",), area=_WIDTH, delay=_ONE, gates={"width": 1.0})
#: Translation between encodings of keys.
RECODER = Kind(
    "recoder",
    ("inputs", "outputs"),
    area={"cross": lambda d: d["inputs"] * d["outputs"], "outputs": _by("outputs")},
    delay={"inputs": _by("inputs")},
    gates={"cross": 1.0},
)
#: Equality or magnitude against a value.
COMPARATOR = Kind(
    "comparator", ("width",), area=_WIDTH, delay={"levels": _by_levels("width")}, gates={"width": 2.0}
)
#: Adds -1, 0 or +1.
COUNTER = Kind("counter", ("width",), area=_WIDTH, delay=_WIDTH, gates={"width": 4.0})
#: Bits of an integer to digits of base 4.
DIGIT_ENCODER = Kind(
    "digit_encoder",
    ("digits",),
    area={"digits": _by("digits")},
    delay={"one": _there("digits")},
    gates={"digits": 8.0},
)
#: None, one or two times a word, of either sign, by the lines of a digit.
DIGIT_SELECT = Kind("digit_select", ("width",), area=_WIDTH, delay=_ONE, gates={"width": 3.5})
#: A multiplier of significands and two shifters.
FLOAT_MULTIPLIER = Kind(
    "float_multiplier",
    _FLOAT,
    area={
        "square": lambda d: d["fraction"] ** 2,
        "shift": lambda d: d["fraction"] * _levels(d["fraction"]),
        "exponent": _by("exponent"),
        "one": _there("fraction"),
    },
    delay=_FLOAT_DELAY,
    gates={"square": 6.0, "shift": 5.0, "exponent": 12.0},
    defaults={"stages": 0},
)
FLOAT_ADDER = Kind(
    "float_adder",
    _FLOAT,
    area=_FLOAT_SUM,
    delay=_FLOAT_DELAY,
    gates={"shift": 5.0, "fraction": 15.0, "exponent": 12.0},
    defaults={"stages": 0},
)
#: Sum and difference of the same two floats.
FLOAT_PAIR = Kind(
    "float_pair",
    _FLOAT,
    area=_FLOAT_SUM,
    delay=_FLOAT_DELAY,
    gates={"shift": 6.0, "fraction": 25.0, "exponent": 18.0},
    defaults={"stages": 0},
)
#: A significand to a fixed-point word.
TO_FIXED = Kind(
    "to_fixed",
    ("inputs", "outputs"),
    area={"shift": lambda d: d["outputs"] * _levels(d["outputs"]), "inputs": _by("inputs")},
    delay={"one": _there("outputs"), "outputs": _by("outputs")},
    gates={"shift": 3.0},
)
#: A fixed-point word to a float.
TO_FLOAT = Kind(
    "to_float",
    ("inputs", "outputs"),
    area={"shift": lambda d: d["inputs"] * _levels(d["inputs"]), "outputs": _by("outputs")},
    delay={"inputs": _by("inputs"), "outputs": _by("outputs")},
    gates={"shift": 5.0},
)
#: Two-input gate equivalents of control.
LOGIC = Kind(
    "logic",
    ("gates",),
    area={"gates": _by("gates")},
    delay={"levels": _by_levels("gates")},
    gates={"gates": 1.0},
)
#: A net that drives many loads: no area of its own, but energy and delay.
BROADCAST = Kind(
    "broadcast",
    ("fanout",),
    area={},
    energy={"fanout": _by("fanout")},
    delay={"levels": _by_levels("fanout")},
)
#: One read and one write port; a technology has laws of its own for memories.
SRAM = Kind("sram", ("words", "width"), area={})
#: One port that reads or writes.
SRAM_1RW = Kind("sram_1rw", ("words", "width"), area={})

#: Every kind by name.
KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        REGISTER, ADDER, SIGN_ADDER, COMPRESSOR, HALF_ADDER, MUX, SELECT, DECODER, XOR_ROW, AND_ROW, RECODER,
        COMPARATOR, COUNTER, DIGIT_ENCODER, DIGIT_SELECT, FLOAT_MULTIPLIER, FLOAT_ADDER, FLOAT_PAIR, TO_FIXED,
        TO_FLOAT, LOGIC, BROADCAST, SRAM, SRAM_1RW,
    )
}  # fmt: skip


def memories(count: Whole, words: Whole, width: Whole) -> Iterator[Unit]:
    """``count`` memories; words wider than a vector are split into banks."""
    banks, wide = slices(width)
    yield SRAM("memory", count * (banks - 1), words=words, width=wide)
    yield SRAM("memory", count, words=words, width=width - wide * (banks - 1))


def alternating(place: str, count: int, words: int, width: int) -> Iterator[Unit]:
    """``count`` memories of two single-port ones for even and odd words, with a word that waits between them.

    ``generator.cells.memory.Alternating`` is the hardware; what is no memory stands in ``place``.
    """
    banks, wide = slices(width)
    address, rows = clog2(words), larger(clog2(words) - 1, 1)
    for copies, part in ((banks - 1, wide), (1, width - wide * (banks - 1))):
        yield SRAM_1RW("memory", 2 * count * copies, words=ceil_div(words, 2), width=part)
    yield REGISTER(place, count, width=width, enable=1, activity=1 / words)
    yield REGISTER(place, count, width=address, enable=1, activity=1 / words)
    yield REGISTER(place, count, width=1, reset=1, activity=1 / words)
    yield REGISTER(place, count, width=2, enable=1, reset=1)
    yield MUX(place, 4 * count, entries=2, width=width)
    yield MUX(place, 2 * count, entries=3, width=rows)
    yield COMPARATOR(place, 3 * count, width=address)
    yield LOGIC(place, count, gates=20)


def flip_flops(units: tuple[Unit, ...]) -> Real:
    """Total flip-flops of an inventory."""
    return sum(unit.flip_flops for unit in units)


@dataclass(frozen=True)
class Path:
    """A path between two registers; its delay is the sum of the delays of its steps."""

    name: str
    steps: tuple[Unit, ...]


class Built(Protocol):
    """What has an inventory and paths: a design, columns of many, what stands around the units of a system."""

    def units(self) -> tuple[Unit, ...]:
        """The bill of materials."""

    def paths(self) -> tuple[Path, ...]:
        """The paths between registers that may be the slowest."""


@dataclass(frozen=True)
class Cells:
    """What is built, without its memories."""

    built: Built

    def units(self) -> tuple[Unit, ...]:
        """The bill of materials."""
        return tuple(unit for unit in self.built.units() if unit.kind not in (SRAM.name, SRAM_1RW.name))

    def paths(self) -> tuple[Path, ...]:
        """The paths between registers that may be the slowest."""
        return self.built.paths()
