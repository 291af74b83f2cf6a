"""Sums of many words in carry-save form: trees with registers inside, accumulators of two words."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed

from blueprint.arithmetic import carry_save
from generator.arithmetic.integers import add, zero_extend
from generator.block import register


def _step(
    m: Module, rows: list[Value], step: carry_save.Step, limit: int, free: list[Value], name: str
) -> None:
    """Append the sum and the carry row of one carry-save step."""
    a, b, c = rows[step.a], rows[step.b], rows[step.c]
    low, middle = step.full, step.half
    total = Signal(len(c), name=f"{name}_sum")
    x, y, z = a[:low], b[:low], c[:low]
    odd = Signal(low, name=f"{name}_odd")
    m.d.comb += odd.eq(x ^ y)
    sums, carries = [odd ^ z], [(x & y) | (z & odd)]
    if middle > low:
        sums.append(b[low:middle] ^ c[low:middle])
        carries.append(b[low:middle] & c[low:middle])
    m.d.comb += total.eq(Cat(*sums, c[middle:]))
    first = free.pop(0) if step.carry_in else Const(0, 1)
    carry = Signal(min(middle + 1, limit), name=f"{name}_carry")
    m.d.comb += carry.eq(Cat(first, *carries))
    rows += [total, carry]


def signed_sum(
    m: Module,
    words: list[Value],
    signs: list[Value],
    width: int,
    accumulator: Value | None = None,
    enable: list[Value] | None = None,
) -> tuple[Value, list[Value]]:
    """Add words whose top bit is inverted (offset binary) and single bits, modulo ``2**width``.

    With the offset every word is unsigned, no sign is extended, and all offsets together are one power of two, which
    the last adder subtracts. ``accumulator`` is a two's complement word of ``width`` bits that is added as well.
    ``enable`` are the enables of registers inside the tree. Returns the sum and the single bits that found no free
    place.
    """
    if enable:
        left = offset_rows(m, words, signs, width, enable)
        rows, free, top = left.rows, left.singles, left.top
    else:
        sums = carry_save.Offset(len(words), len(words[0]), width, len(signs))
        rows, free, top = [w[:width] for w in words], list(signs), sums.top
        if sums.missing:
            rows.append(Const(sums.missing, top))
        if accumulator is not None:
            rows.append(accumulator[: min(top, width)])
        widths = tuple(min(len(row), width) for row in rows)
        rows = [row[:limit] for row, limit in zip(rows, widths, strict=True)]
        plan = carry_save.plan(widths, width, len(free))
        for number, step in enumerate(plan.steps):
            _step(m, rows, step, width, free, f"csa{number}")
        rows = [rows[number] for number in plan.rows]
    carry = free.pop(0) if free and (len(rows) > 1 or accumulator is not None) else None
    return _take_off(rows, carry, top, width, accumulator), free


@dataclass(frozen=True)
class Rows:
    """Rows and single bits that add up to words whose top bit is inverted, with ``2**top`` for all their offsets.

    ``known`` are the bits of every row that are the same for all words, ``None`` elsewhere.
    """

    rows: list[Value]
    known: list[tuple[int | None, ...]]
    singles: list[Value]
    top: int

    def merged(self) -> "Rows":
        """The rows with both bits of column ``top``, of which at most one is set, merged into the first row."""
        top = self.top
        low, known = [row[:top] for row in self.rows], [row[:top] for row in self.known]
        pairs = zip(self.rows, self.known, strict=True)
        high = [row[top] for row, bits in pairs if len(bits) > top and bits[top] is None]
        if high:
            known[0] = (*known[0], *(0,) * (top - len(known[0])), None)
            low[0] = Cat(zero_extend(low[0], top), Cat(*high).any())
        return Rows(low, known, self.singles, top)

    def held(self, m: Module, name: str, enable: Value) -> "Rows":
        """The registered rows; there must be no single bits."""
        rows = [
            _held(m, f"{name}{number}", enable, row, known)
            for number, (row, known) in enumerate(zip(self.rows, self.known, strict=True))
        ]
        return Rows(rows, self.known, [], self.top)


def offset_rows(m: Module, words: list[Value], signs: list[Value], width: int, enable: list[Value]) -> Rows:
    """Words whose top bit is inverted, and single bits, as one or two rows modulo ``2**width``.

    A register stands in the tree for each of ``enable``. Single bits that found no free column are left; no row has a
    bit above the one that all offsets add up to.
    """
    top = carry_save.Offset(len(words), len(words[0]), width, len(signs)).top
    sums = carry_save.Offset(len(words), len(words[0]), min(width, top + 1), len(signs))
    plan, known, cuts = sums.plan, sums.known(), sums.cuts(len(enable))
    rows = [*words, Const(sums.missing, top)][: len(sums.widths)]
    rows = [row[:limit] for row, limit in zip(rows, sums.widths, strict=True)]
    free, number = list(signs), 0
    for stage, level in enumerate([*cuts, plan.depth]):
        while number < len(plan.steps) and plan.level(number) <= level:
            _step(m, rows, plan.steps[number], sums.width, free, f"csa{number}")
            number += 1
        if stage < len(cuts):
            for row in sums.alive(level):
                rows[row] = _held(m, f"row{stage}_{row}", enable[stage], rows[row], known[row])
            free = [
                register(m, 1, f"single{stage}_{place}", enable[stage], single)
                for place, single in enumerate(free)
            ]
    return Rows([rows[row] for row in plan.rows], [known[row] for row in plan.rows], free, top)


def _held(m: Module, name: str, enable: Value, row: Value, known: Sequence[int | None]) -> Value:
    """A registered row; bits that are the same for all words have no flip-flop."""
    places = [place for place, bit in enumerate(known) if bit is None]
    held = register(m, len(places), name, enable, Cat(*(row[place] for place in places)))
    own = dict(zip(places, held, strict=True))
    return Cat(*(own.get(place, Const(bit or 0, 1)) for place, bit in enumerate(known)))


def accumulate(m: Module, beat: Rows, sums: list[Value], singles: list[Value]) -> list[Value]:
    """Next sum and carry word: the accumulator's two words ``sums`` plus merged rows, less ``2**top``.

    The ones from bit ``top`` up that subtract the offset stand in the second row. Two single bits find free columns.
    """
    width, top = len(sums[0]), beat.top
    second = beat.rows[1] if len(beat.rows) > 1 else Const(0, 0)
    if top < width:
        second = Cat(zero_extend(second, top), Const(-1, signed(width - top)))
    rows = [zero_extend(beat.rows[0], width), zero_extend(second, width), *sums]
    free = list(singles)
    plan = carry_save.plan((width,) * len(rows), width, len(free))
    for number, step in enumerate(plan.steps):
        _step(m, rows, step, width, free, f"accumulate{number}")
    return [rows[row] for row in plan.rows]


def _take_off(
    rows: list[Value], carry: Value | None, top: int, width: int, accumulator: Value | None
) -> Value:
    """The sum of two rows, the carry and the accumulator's upper bits, less ``2**top``."""
    if top >= width:
        return _plain(rows, carry, width)
    low = [row[:top] for row in rows]
    high = [bit for row in rows for bit in row[top : top + 1]]
    beyond = any(len(row) > top + 1 for row in rows)
    upper = accumulator[top:] if accumulator is not None else Cat(*high[1:2])
    room = 1 if accumulator is not None else 2
    if beyond or len(high) > room:
        extra = [Cat(Const(0, top), accumulator[top:])] if accumulator is not None else []
        offset = Const((-(1 << top)) % (1 << width), width)
        return _plain([*rows, *extra, offset], carry, width)
    # x - 1 at weight 2**top is -(not x): its sign fills every column above.
    fill = (~high[0] if high else Const(1, 1)).replicate(width - top)
    left = Cat(zero_extend(low[0], top), zero_extend(upper, width - top))
    right = Cat(zero_extend(low[1] if len(low) > 1 else Const(0, 0), top), fill)
    return add(left, right, carry, width)


def _plain(rows: list[Value], carry: Value | None, width: int) -> Value:
    total = zero_extend(rows[0], width)
    for number, row in enumerate(rows[1:]):
        total = add(total, row, carry if number == 0 else None, width)
    return total if carry is None or len(rows) > 1 else add(total, Const(0, width), carry, width)
