"""What every design's shell holds: the sizes of a run and which of them go together, status, counters.

One description is read by the hardware (``generator/axi_lite.py``), the register map, the inventory, the check of a
workload and the documentation (``docs/registers.md``), so they cannot disagree about what a design refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from blueprint.numbers import Number, bit_length, choose
from blueprint.port import Register
from blueprint.unit import Unit, flops

#: Bits of the status register that every design has, from bit 0 on.
STATUS = ("busy", "done", "size_error", "framing_error")
#: Counters of every register map, those of stalls in the order in which a cycle is charged to one of them.
COUNTERS = ("cycles", "stall_input", "stall_memory", "stall_output", "stall_dependency")
WORD_BYTES = 4
_FIRST_SIZE = 0x08
_WORD = {"value": (0, 8 * WORD_BYTES)}


@dataclass(frozen=True)
class Size:
    """A number that software writes before a run: from 1 to ``most``.

    A run reads ``bits`` of a copy that is made when it starts; 0 where no step of it depends on the size. ``there`` is
    0 in designs that have no such register.
    """

    name: str
    most: Number
    bits: Number
    text: str
    there: Number = 1

    @property
    def width(self) -> Number:
        """Bits of the register; all of them ones is never a legal size."""
        return bit_length(self.most + 1)

    @property
    def lanes_above(self) -> Number:
        """Bytes of a word that reach beyond the register: one bit each says whether what was written there is not 0."""
        return WORD_BYTES - self.width // 8


@dataclass(frozen=True)
class Bound:
    """``left <= right + offset``, where each side is a sum of sizes."""

    left: tuple[str, ...]
    right: tuple[str, ...] = ()
    offset: Number = 0

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether sizes keep to it."""
        return self.excess(sizes) <= 0

    def excess(self, sizes: Mapping[str, int]) -> int:
        """By how much the left side is larger than the right one; 0 or less where sizes keep to it."""
        right = sum(sizes[name] for name in self.right) + self.offset
        return int(sum(sizes[name] for name in self.left) - right)

    def __str__(self) -> str:
        left, right = " + ".join(self.left), " + ".join(self.right)
        if self.right and self.offset:
            right += f" {'-' if self.offset < 0 else '+'} {abs(self.offset)}"
        return f"{left} <= {right or self.offset}"


@dataclass(frozen=True)
class SizeRule:
    """Sizes run together where at least one of some bounds holds; ``there`` is 0 in designs without the rule.

    ``depth`` names the parameter that is the depth of a FIFO, where sizes that break the rule would wait for that FIFO
    for ever; every offset grows with it one by one.
    """

    bounds: tuple[Bound, ...]
    there: Number = 1
    depth: str = ""

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether sizes keep to it."""
        return any(bound.holds(sizes) for bound in self.bounds)

    def excess(self, sizes: Mapping[str, int]) -> int:
        """The least by which every offset must grow for sizes to keep to it; 0 or less where they do."""
        return min(bound.excess(sizes) for bound in self.bounds)

    def given(self, sizes: Mapping[str, int]) -> str:
        """The sizes that it speaks of, with their values."""
        named = dict.fromkeys(name for bound in self.bounds for name in (*bound.left, *bound.right))
        return ", ".join(f"{name} {sizes[name]}" for name in named)

    def __str__(self) -> str:
        return " or ".join(str(bound) for bound in self.bounds)


def refusal(sizes: Sequence[Size], rules: Sequence[SizeRule], values: Mapping[str, int]) -> str | None:
    """Why a design with these sizes and rules does not start with the values written, ``None`` where it does."""
    for size in sizes:
        if not 1 <= values[size.name] <= size.most:
            return f"Register {size.name} must be from 1 to {size.most}, not {values[size.name]}"
    for rule in rules:
        if not rule.holds(values):
            return f"Registers must keep to {rule}, not be {rule.given(values)}"
    return None


def register_map(
    sizes: Sequence[Size],
    counters: Mapping[str, str],
    design_hash: str,
    *,
    counters_at: int,
    flags: Sequence[str] = (),
) -> tuple[Register, ...]:
    """Control, status (``flags`` above the bits of every design), sizes, counters from ``counters_at`` on, hash.

    ``counters`` says in words what each of :data:`COUNTERS` counts. The addresses stand in ``docs/registers.md``.
    """
    states = {name: (place, 1) for place, name in enumerate((*STATUS, *flags))}
    half = len(design_hash) // 2
    low, high = int(design_hash[half:], 16), int(design_hash[:half], 16)
    hash_at = counters_at + WORD_BYTES * len(COUNTERS)
    return (
        Register("control", 0x00, "rw", "write 1 to start a run", {"start": (0, 1)}),
        Register("status", WORD_BYTES, "ro", "what the core is doing and what went wrong", states),
        *(
            Register(
                size.name, _FIRST_SIZE + WORD_BYTES * place, "rw", size.text, {"value": (0, int(size.width))}
            )
            for place, size in enumerate(sizes)
        ),
        *(
            Register(name, counters_at + WORD_BYTES * place, "ro", counters[name], _WORD)
            for place, name in enumerate(COUNTERS)
        ),
        Register("hash_lo", hash_at, "ro", "design hash, low half", _WORD, low),
        Register("hash_hi", hash_at + WORD_BYTES, "ro", "design hash, high half", _WORD, high),
    )


def units(
    sizes: Sequence[Size], rules: Sequence[SizeRule], counters: Number, flags: Number = 0
) -> Iterator[Unit]:
    """The inventory of a shell: AXI4-Lite, sizes and their copies, status with ``flags`` more, 32-bit ``counters``."""
    written = sum(size.there * (size.width + size.lanes_above) for size in sizes)
    width = sum(size.there * size.width for size in sizes)
    yield flops("shell", 1, written, enable=1, reset=1, activity=0.0)
    yield flops("shell", 1, sum(size.there * size.bits for size in sizes), enable=1, reset=1, activity=0.0)
    # Status and whether a run is counted.
    yield flops("shell", 1, len(STATUS) + flags + 1, enable=1, reset=1, activity=0.1)
    # The start of a run, and a write that is taken.
    yield flops("shell", 1, 2, reset=1, activity=0.0)
    yield flops("shell", counters, 8 * WORD_BYTES, enable=1, reset=1)
    # The word that is read, the answers to a read and a write, and whether they are errors.
    yield flops("shell", 1, 8 * WORD_BYTES + 4, enable=1, reset=1, activity=0.0)
    yield Unit("adder", "shell", counters, {"width": 8 * WORD_BYTES})
    yield Unit("comparator", "shell", 2, {"width": width}, 0.0)
    yield from _rules(sizes, rules)
    entries = 2 + sum(size.there for size in sizes) + len(COUNTERS) + 2
    yield Unit("mux", "shell", 1, {"entries": entries, "width": 8 * WORD_BYTES}, 0.0)


def _rules(sizes: Sequence[Size], rules: Sequence[SizeRule]) -> Iterator[Unit]:
    """One comparison per bound, one addition per further term."""
    widths = {size.name: size.width for size in sizes}
    for rule in rules:
        for bound in rule.bounds:
            names = (*bound.left, *bound.right)
            wide: Number = 0
            for name in names:
                wide = choose(widths[name] > wide, widths[name], wide)
            yield Unit("comparator", "shell", rule.there, {"width": wide}, 0.0)
            yield Unit("adder", "shell", rule.there * max(len(names) - 2, 0), {"width": wide}, 0.0)
