"""Inventory of the softmax blocks, and the timing paths through them.

Every formula holds for one design and for arrays of designs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from blueprint.arithmetic.softmax import turns
from blueprint.arithmetic.softmax.arithmetic import Arithmetic
from blueprint.arithmetic.softmax.blocks import BLOCKS, STAGES_LIMIT, Reciprocal, cuts, sum_adder
from blueprint.arithmetic.softmax.deep import DEEP, Deep
from blueprint.arithmetic.softmax.parts import Step, one, prefixes, shifter
from blueprint.arithmetic.softmax.short import SHORT, ShortReciprocal
from blueprint.numbers import Number, Real, choose, flag, possible
from blueprint.unit import ADDER, REGISTER, Path, Unit


def blocks(
    a: Arithmetic, place: str, count: Number, stages: Number, activity: Real = 1.0
) -> tuple[Unit, ...]:
    """Units of ``count`` blocks of one kind with ``stages`` registers each, used ``activity`` times per cycle."""
    block = BLOCKS[place]
    held = REGISTER(place, count, width=block.held_bits(a, stages), enable=block.enabled, activity=activity)
    parts = (part for step in block.steps(a) for part in step)
    return (held, *(Unit(part.kind, place, count * part.total, part.dims, activity) for part in parts))


def deep(a: Arithmetic, place: str, count: Number, cuts: Number, activity: Real = 1.0) -> tuple[Unit, ...]:
    """Units of ``count`` blocks with ``cuts`` registers between short steps; shared operands are delayed outside."""
    block, flat = DEEP[place], flag(cuts == 0)
    found = blocks(a, place, count * flat, 0, activity)
    if not possible(cuts > 0):
        return found
    return *found, *_of_steps(a, place, block, count, cuts, count * (1 - flat), activity)


def _of_steps(
    a: Arithmetic, place: str, block: Deep, count: Number, registers: Number, copies: Number, activity: Real
) -> Iterator[Unit]:
    """Registers of ``count`` blocks and parts of ``copies``."""
    yield REGISTER(place, count, width=block.held_bits(a, registers), activity=activity)
    kinds = ((kind, copies * kind.used(registers)) for kind in block.kinds(a))
    for part, there in ((part, there) for kind, there in kinds for step in kind.parts for part in step):
        yield Unit(part.kind, place, there * part.total, part.dims, activity)


def either(
    a: Arithmetic, place: str, count: Number, stages: Number, short: Number, activity: Real = 1.0
) -> tuple[Unit, ...]:
    """Units of ``count`` blocks with ``stages`` registers, which have short steps where ``short`` is 1."""
    found = blocks(a, place, count * (1 - short), stages, activity)
    if not possible(short):
        return found
    return *found, *_of_steps(a, place, SHORT[place], count * short, stages, count * short, activity)


def summed(a: Arithmetic, place: str, count: Number, short: Number, activity: Real = 1.0) -> tuple[Unit, ...]:
    """Units of ``count`` running sums, whose carries pass a network of prefixes where ``short`` is 1.

    Where partial sums take turns there are registers inside the addition.
    """
    found = blocks(a, place, count, 0, activity)
    if possible(a.sum_stages > 0):
        block, several = BLOCKS[place], flag(a.sum_stages > 0)
        more = turns.held_bits(a, a.sum_stages, int(place == "sum_values")) - block.held_bits(a, 0)
        width = several * more
        found = (*found, REGISTER(place, count, width=width, enable=1, activity=activity))
    if not possible(short):
        return found
    network = prefixes(_sum_width(a, place))
    there = count * short * (1 - a.sums_are_floats)
    return *found, Unit(network.kind, place, there * network.total, network.dims, activity)


def _sum_width(a: Arithmetic, place: str) -> Number:
    return a.l_width if place == "sum_weights" else a.o_width


def summed_path(a: Arithmetic, place: str, share: Number) -> tuple[Unit, ...]:
    """Path around the register of a running sum with a network of prefixes, or of floats."""
    width, exact = _sum_width(a, place), 1 - a.sums_are_floats
    moved = shifter(width, width).times(a.rescales * exact)
    added = prefixes(width).times(exact)
    steps = (one("and_row", width=width), moved, added, *sum_adder(a, width)[1:])
    return _passed(place, (steps,), share)


def turn_paths(a: Arithmetic, name: str, stages: Number) -> Iterator[Path]:
    """Paths between the registers of running sums that take turns."""
    if possible(stages > 0):
        for count, number, step in turns.pieces(a):
            yield Path(f"{name}-{count}-{number}", _passed("sum_values", (step,), flag(stages == count)))


def short_paths(
    a: Arithmetic,
    place: str,
    share: Number,
    stages: Number,
    before: tuple[Unit, ...] = (),
    behind: tuple[Unit, ...] = (),
) -> Iterator[Path]:
    """Paths between the registers of a block of short steps; ``before`` and ``behind`` are the logic around it.

    ``behind`` counts where no register stands at the end.
    """
    for kind, first, last, here in SHORT[place].segments(a, stages, whole=True):
        ahead = tuple(unit.times(here) for unit in before) if first == 0 else ()
        open_end = flag(stages < len(kind.delays)) if last == len(kind.delays) else 0
        after = tuple(unit.times(here * open_end) for unit in behind)
        passed = _passed(place, kind.parts[first:last], share * here)
        yield Path(f"{place}-{kind.kind}-{first}-{last}", (*ahead, *passed, *after))


def gain_registers(a: Arithmetic, stages: Number, short: Number) -> Number:
    """Registers of a reciprocal in front of the step that multiplies by the gain."""
    return choose(short, ShortReciprocal().before_gain(a, stages), Reciprocal().before_gain(a, stages))


def deep_paths(
    a: Arithmetic, name: str, place: str, share: Number, cuts: Number, before: tuple[Unit, ...] = ()
) -> Iterator[Path]:
    """Paths between the registers of a block of short steps; ``before`` is the logic in front of the first."""
    for kind, first, last, here in DEEP[place].segments(a, cuts):
        ahead = tuple(unit.times(here) for unit in before) if first == 0 else ()
        passed = _passed(place, kind.parts[first:last], share * here)
        yield Path(f"{name}-{kind.kind}-{first}-{last}", (*ahead, *passed))


def deep_tail(a: Arithmetic, place: str, share: Number, cuts: Number) -> tuple[Unit, ...]:
    """Path after the last register of a block of short steps; through the whole block where it has none."""
    found = whole(a, place, share * flag(cuts == 0))
    for kind, first, last, here in DEEP[place].segments(a, cuts):
        if last == len(kind.delays):
            ends = kind.ends(first, cuts)
            found = (*found, *_passed(place, kind.parts[first:last], share * here * ends))
    return found


def whole(a: Arithmetic, place: str, share: Number) -> tuple[Unit, ...]:
    """Path through a block without registers, scaled by ``share``."""
    return _passed(place, BLOCKS[place].steps(a), share)


def weighted(a: Arithmetic, share: Number) -> tuple[Unit, ...]:
    """Path of a term through its product and the adder of a sum of values, scaled by ``share``."""
    return (*whole(a, "product", share), *_passed("sum_values", (sum_adder(a, a.o_width),), share))


def tail(a: Arithmetic, place: str, stages: Number, share: Number) -> tuple[Unit, ...]:
    """Path after the last register of a two-step block that has one register or none."""
    first, last = BLOCKS[place].steps(a)
    return (*_passed(place, (first,), share * flag(stages == 0)), *_passed(place, (last,), share))


def segments(
    a: Arithmetic,
    place: str,
    share: Number,
    stages: Number,
    before: tuple[Unit, ...] = (),
) -> Iterator[Path]:
    """Paths between the registers of a block, scaled by ``share``; ``before`` is the logic in front of the first."""
    steps = BLOCKS[place].steps(a)
    for first, last, here in _between_registers(place, stages):
        passed = _passed(place, steps[first:last], share * here)
        yield Path(f"{place}-{first}-{last}", (*(before if first == 0 else ()), *passed))


def _between_registers(place: str, stages: Number) -> Iterator[tuple[int, int, Number]]:
    """(first step, step after the last, 1 where a design has it) of all segments between two registers."""
    total = len(BLOCKS[place].delays)
    ends: dict[tuple[int, int], list[int]] = {}
    for count in range(STAGES_LIMIT + 1):
        edges = sorted({0, total, *cuts(BLOCKS[place].delays, count)})
        for segment in zip(edges, edges[1:], strict=False):
            ends.setdefault(segment, []).append(count)
    for (first, last), counts in ends.items():
        yield first, last, sum(flag(stages == count) for count in counts)


def powers(a: Arithmetic, share: Number, stages: Number, before: tuple[Unit, ...] = ()) -> Iterator[Path]:
    """Paths through a power of two whose reference is at least every exponent; ``before`` is the logic in front of it.

    The polynomial takes the fraction of the exponent unchanged; the reference only sets the shift of its result.
    """
    steps = BLOCKS["exp2"].steps(a)
    for first, last, here in _between_registers("exp2", stages):
        yield Path(f"exp2-{first}-{last}", _passed("exp2", steps[max(first, 1) : last], share * here))
        if first == 0:
            moved = steps[-1:] if last == len(steps) else ()
            passed = _passed("exp2", (steps[0], *moved), share * here)
            yield Path(f"reference-{first}-{last}", (*(unit.times(here) for unit in before), *passed))


def division(a: Arithmetic, stages: Number, share: Number) -> Iterator[Path]:
    """Paths of a reciprocal, scaled by ``share``: its first segment (all of it without registers), the longest middle
    one, and its last.
    """
    block = Reciprocal()
    begin, row, pack = block.steps(a)
    first, middle, last = (_passed("reciprocal", (row,), rows * share) for rows in block.rows(a, stages))
    # The remainder after two quotient bits is two less the divisor. The area of this subtraction is counted with the
    # rows. Its delay is that of an ordinary adder, not of one in a row, which follows the selection of the row before.
    left = ADDER("left", share, width=a.divisor_bits)
    ends = _passed("reciprocal", (pack,), flag(stages == 0) * share)
    yield Path("reciprocal-first", (*_passed("reciprocal", (begin,), share), left, *first, *ends))
    yield Path("reciprocal-middle", middle)
    yield Path("reciprocal-last", (*_passed("reciprocal", (pack,), share), *last))


def _passed(place: str, steps: Iterable[Step], share: Number) -> tuple[Unit, ...]:
    parts = (part for step in steps for part in step)
    return tuple(Unit(part.kind, place, part.passed * share, part.dims) for part in parts)
