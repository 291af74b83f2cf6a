"""The register file of every design: the sizes of a run and which of them run together, status, counters, hash.

One description (:class:`RegisterFile`) allocates the addresses. The hardware (``generator/cells/register_file.py``),
the inventory, the manifest, the C header, the check of a workload and ``docs/registers.md`` all read it, so they
cannot disagree about what a design refuses or where a register is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from blueprint.counting import REACH, carries
from blueprint.numbers import Number, bit_length, choose, larger
from blueprint.port import Register
from blueprint.unit import ADDER, COMPARATOR, HALF_ADDER, MUX, REGISTER, Path, Unit

#: Bits of the status register that every design has, from bit 0 on.
STATUS = ("busy", "done", "size_error", "framing_error")
#: Reasons for which a run waits, in the order of the counters; :data:`blueprint.timing.STALL_REASONS` gives the reason
#: that a cycle is charged to.
WAITS = ("input", "memory", "output", "dependency")


def stall_counter(reason: str) -> str:
    """The register that counts the cycles of a run that are charged to a reason."""
    return f"stall_{reason}"


STALLS = tuple(stall_counter(reason) for reason in WAITS)
COUNTERS = ("cycles", *STALLS)
WORD_BYTES = 4
WORD_BITS = 8 * WORD_BYTES
#: Bits of an address of the AXI4-Lite port.
ADDRESS_BITS = 6
_WORD = {"value": (0, WORD_BITS)}
#: Name, access, description, fields and reset value of a register.
_Entry = tuple[str, Literal["ro", "rw"], str, Mapping[str, tuple[int, int]], int]
#: Words before the sizes (control, status) and behind the counters (the two halves of the hash).
_FIXED, _HASHES = 2, 2
# Below are the flip-flops of the register file, named as in the RTL, whose number does not depend on the design.
#: Signals that are 1 for a single cycle.
PULSES = {"start": 1, "write_accept": 1}
#: Answers to reads and writes that wait until they are taken.
ANSWERS = {
    "read_data": WORD_BITS,
    "read_turn": 1,
    "read_answer": 1,
    "read_error": 1,
    "write_answer": 1,
    "write_error": 1,
}
#: A counter: its word, its carries, whether it counts the cycle before, and whether it is being read.
COUNTING = {"held": WORD_BITS, "held_full": carries(WORD_BITS, 1), "happens": 1, "read": 1}
#: The comparisons of a written size with the ends of its range.
_RANGE = ("not zero", "at most the largest")
#: The sides of a bound: each compares one sum of sizes.
_SIDES = 2


@dataclass(frozen=True)
class Size:
    """A number that software writes before a run: from 1 to ``most``.

    A run reads ``bits`` of a copy that is made when it starts; 0 where no step of it depends on the size. ``there`` is
    0 in designs that have no such register. A ``later`` size stands behind the hash, so that all other registers keep
    their addresses.
    """

    name: str
    most: Number
    bits: Number
    text: str
    there: Number = 1
    later: bool = False

    @property
    def width(self) -> Number:
        """Bits of the register; all ones is never a legal size."""
        return bit_length(self.most + 1)

    @property
    def lanes_above(self) -> Number:
        """Bytes of a word above the register; a flip-flop for each records a nonzero write."""
        return WORD_BYTES - self.width // 8


@dataclass(frozen=True)
class Bound:
    """``left <= right + offset``, where each side is a sum of sizes."""

    left: tuple[str, ...]
    right: tuple[str, ...] = ()
    offset: Number = 0

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """True if the sizes satisfy it."""
        return self.excess(sizes) <= 0

    def excess(self, sizes: Mapping[str, int]) -> int:
        """Excess of the left side over the right one; at most 0 if the sizes satisfy the bound."""
        right = sum(sizes[name] for name in self.right) + self.offset
        return sum(sizes[name] for name in self.left) - right

    def __str__(self) -> str:
        left, right = " + ".join(self.left), " + ".join(self.right)
        if self.right and self.offset:
            right += f" {'-' if self.offset < 0 else '+'} {abs(self.offset)}"
        return f"{left} <= {right or self.offset}"


@dataclass(frozen=True)
class SizeRule:
    """A rule between sizes: at least one bound must hold; ``there`` is 0 in designs without the rule.

    ``depth`` names the parameter that is the depth of a FIFO, where sizes that break the rule would wait for that FIFO
    for ever; every offset grows with it one by one.
    """

    bounds: tuple[Bound, ...]
    there: Number = 1
    depth: str = ""

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """True if the sizes satisfy it."""
        return any(bound.holds(sizes) for bound in self.bounds)

    def excess(self, sizes: Mapping[str, int]) -> int:
        """Smallest increase of every offset with which the sizes satisfy the rule; at most 0 if they do already."""
        return min(bound.excess(sizes) for bound in self.bounds)

    def given(self, sizes: Mapping[str, int]) -> str:
        """The sizes of the rule with their values, in words."""
        named = dict.fromkeys(name for bound in self.bounds for name in (*bound.left, *bound.right))
        return ", ".join(f"{name} {sizes[name]}" for name in named)

    def __str__(self) -> str:
        return " or ".join(str(bound) for bound in self.bounds)


def refusal(sizes: Sequence[Size], rules: Sequence[SizeRule], values: Mapping[str, int]) -> str | None:
    """Reason why a design with these sizes and rules refuses the written values, else ``None``."""
    for size in sizes:
        if not 1 <= values[size.name] <= size.most:
            return f"Register {size.name} must be from 1 to {size.most}, not {values[size.name]}"
    for rule in rules:
        if not rule.holds(values):
            return f"Registers must keep to {rule}, not be {rule.given(values)}"
    return None


@dataclass(frozen=True)
class RegisterFile:
    """The register file of a family's designs: what it holds, where, and what it costs.

    ``sizes`` and ``rules`` are all that a design of the family may have; those with ``there`` 0 are left out.
    ``waits`` says in words what each stall counter counts, by the reason in :data:`WAITS`; ``dependency`` is 1 where a
    run may wait for its own results and the hardware counts such cycles. ``flags`` are status bits of the family,
    above those of every design. ``words`` are the words reserved for sizes, without later ones, where that is not one
    for each of ``sizes``: all designs of a family have their counters at the same addresses.
    """

    sizes: tuple[Size, ...]
    waits: Mapping[str, str]
    rules: tuple[SizeRule, ...] = ()
    dependency: Number = 0
    flags: tuple[str, ...] = ()
    words: int | None = None

    @property
    def stalls(self) -> tuple[str, ...]:
        """Stall counters that a design implements; the others read as 0."""
        absent = () if self.dependency else ("dependency",)
        return tuple(stall_counter(reason) for reason in WAITS if reason not in absent)

    @property
    def present(self) -> tuple[Size, ...]:
        """The size registers of one design, in the order of their addresses."""
        return tuple(
            size for later in (False, True) for size in self.sizes if size.there and size.later == later
        )

    @property
    def present_rules(self) -> tuple[SizeRule, ...]:
        """The rules between the sizes of one design."""
        return tuple(rule for rule in self.rules if rule.there)

    @property
    def legal(self) -> dict[str, tuple[int, int]]:
        """Legal range of every size register, by name."""
        return {size.name: (1, size.most) for size in self.present}

    def refusal(self, values: Mapping[str, int]) -> str | None:
        """Reason why a run with these values in the size registers is refused, else ``None``."""
        return refusal(self.present, self.present_rules, values)

    def registers(self, design_hash: str) -> tuple[Register, ...]:
        """The register map of one design, addresses rising; ``design_hash`` is 16 hexadecimal digits.

        Raises ``ValueError`` where the sizes of the design need more words than are reserved for them.
        """
        described = zip(self._addresses(), self._described(design_hash), strict=True)
        return tuple(
            Register(name, address, access, text, fields, reset)
            for address, (name, access, text, fields, reset) in described
        )

    def _described(self, design_hash: str) -> Iterator[_Entry]:
        """All registers without their addresses."""
        half = len(design_hash) // 2
        low, high = int(design_hash[half:], 16), int(design_hash[:half], 16)
        yield "control", "rw", "write 1 to start a run", {"start": (0, 1)}, 0
        yield "status", "ro", "what the core is doing and what went wrong", self._status(), 0
        yield from self._described_sizes(later=False)
        yield "cycles", "ro", "cycles from the first input beat to the last output beat", _WORD, 0
        for reason, name in zip(WAITS, STALLS, strict=True):
            yield name, "ro", self.waits.get(reason, "always 0"), _WORD, 0
        yield "hash_lo", "ro", "design hash, low half", _WORD, low
        yield "hash_hi", "ro", "design hash, high half", _WORD, high
        yield from self._described_sizes(later=True)

    def _described_sizes(self, *, later: bool) -> Iterator[_Entry]:
        for size in self.present:
            if size.later == later:
                yield size.name, "rw", size.text, {"value": (0, size.width)}, 0

    def _status(self) -> dict[str, tuple[int, int]]:
        return {name: (place, 1) for place, name in enumerate((*STATUS, *self.flags))}

    def _addresses(self) -> Iterator[int]:
        """One address for each register of one design: counters follow the words that are reserved for sizes."""
        later = sum(size.later for size in self.present)
        used = _FIXED + len(self.present) - later
        early = sum(not size.later for size in self.sizes)
        reserved = _FIXED + (early if self.words is None else self.words)
        if used > reserved:
            raise ValueError(f"Sizes of a design must fit {reserved - _FIXED} words, not {used - _FIXED}")
        words = (*range(used), *range(reserved, reserved + len(COUNTERS) + _HASHES + later))
        return (WORD_BYTES * word for word in words)

    def units(self) -> Iterator[Unit]:
        """The inventory: AXI4-Lite, sizes and their copies, status, 32-bit counters."""
        written = sum(size.there * (size.width + size.lanes_above) for size in self.sizes)
        width = sum(size.there * size.width for size in self.sizes)
        copied = sum(size.there * size.bits for size in self.sizes)
        counters = len(COUNTERS) - 1 + self.dependency
        yield REGISTER("shell", 1, width=written, enable=1, reset=1, activity=0.0)
        yield REGISTER("shell", 1, width=copied, enable=1, reset=1, activity=0.0)
        yield REGISTER("shell", 1, width=sum(self.run_flags().values()), enable=1, reset=1, activity=0.1)
        yield REGISTER("shell", 1, width=sum(PULSES.values()), reset=1, activity=0.0)
        yield REGISTER("shell", counters, width=COUNTING["held"], enable=1, reset=1)
        yield REGISTER("shell", counters, width=COUNTING["held_full"], enable=1, reset=1, activity=0.0)
        yield REGISTER("shell", counters, width=COUNTING["happens"], reset=1)
        yield REGISTER("shell", counters, width=COUNTING["read"], enable=1, reset=1, activity=0.0)
        yield REGISTER("shell", 1, width=self._compared(), reset=1, activity=0.0)
        yield REGISTER("shell", 1, width=sum(ANSWERS.values()), enable=1, reset=1, activity=0.0)
        yield ADDER("shell", counters, width=WORD_BITS)
        yield COMPARATOR("shell", len(_RANGE), width=width, activity=0.0)
        yield from _rules(self.sizes, self.rules)
        entries = _FIXED + sum(size.there for size in self.sizes) + len(COUNTERS) + _HASHES
        yield MUX("shell", 1, entries=entries, width=WORD_BITS, activity=0.0)

    def _compared(self) -> Number:
        """Flip-flops that compare the written sizes: one for every size and rule, and the sums that rules compare."""
        widths = {size.name: size.width for size in self.sizes}
        bits: Number = sum(size.there for size in self.sizes)
        for rule in self.rules:
            sides = (side for bound in rule.bounds for side in (bound.left, bound.right))
            bits = bits + rule.there * (1 + sum(_sum_width(side, widths) for side in sides))
        return bits

    def run_flags(self) -> dict[str, int]:
        """Flip-flops of the state of a run by name: the status bits, and the flag that counts cycles."""
        return {**dict.fromkeys((*STATUS, *self.flags), 1), "counting": 1}

    def path(self) -> Path:
        """Critical path of the register file: the increment of a piece of a counter."""
        return Path("counters", (HALF_ADDER("shell", 1, width=REACH),))


def _sum_width(names: Sequence[str], widths: Mapping[str, Number]) -> Number:
    """Bits of the register of a sum of sizes; 0 for a single one, which is compared as it is."""
    width: Number = widths[names[0]] if len(names) > 1 else 0
    for name in names[1:]:
        width = larger(width, widths[name]) + 1
    return width


def _rules(sizes: Sequence[Size], rules: Sequence[SizeRule]) -> Iterator[Unit]:
    """Inventory of the rules: one comparator per bound, with an adder for every size but one on each side."""
    widths = {size.name: size.width for size in sizes}
    for rule in rules:
        for bound in rule.bounds:
            names = (*bound.left, *bound.right)
            wide: Number = 0
            for name in names:
                wide = choose(widths[name] > wide, widths[name], wide)
            yield COMPARATOR("shell", rule.there, width=wide, activity=0.0)
            yield ADDER("shell", rule.there * max(len(names) - _SIDES, 0), width=wide, activity=0.0)
