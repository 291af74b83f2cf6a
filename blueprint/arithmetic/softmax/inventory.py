"""Inventory of the softmax blocks, and the timing paths through them.

Every formula holds for one design and for arrays of designs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from blueprint.arithmetic.softmax.arithmetic import Arithmetic
from blueprint.arithmetic.softmax.blocks import BLOCKS, STAGES_LIMIT, Reciprocal, cuts
from blueprint.arithmetic.softmax.parts import Step
from blueprint.numbers import Number, Real, flag
from blueprint.unit import REGISTER, Path, Unit

#: The place of all paths, whose delays they share: a row of a multiplier takes as long in one block as in another.
PATHS = "softmax"


def blocks(
    a: Arithmetic, place: str, count: Number, stages: Number, activity: Real = 1.0
) -> tuple[Unit, ...]:
    """``count`` blocks of one kind with ``stages`` registers each, used ``activity`` times in a cycle."""
    block = BLOCKS[place]
    held = REGISTER(place, count, width=block.held_bits(a, stages), enable=block.enabled, activity=activity)
    parts = (part for step in block.steps(a) for part in step)
    return (held, *(Unit(part.kind, place, count * part.total, part.dims, activity) for part in parts))


def whole(a: Arithmetic, place: str, share: Number) -> tuple[Unit, ...]:
    """Path through a block without registers, scaled by ``share``."""
    return _passed(BLOCKS[place].steps(a), share)


def tail(a: Arithmetic, place: str, stages: Number, share: Number) -> tuple[Unit, ...]:
    """Path behind the last register of a two-step block that has one register or none."""
    first, last = BLOCKS[place].steps(a)
    return (*_passed((first,), share * flag(stages == 0)), *_passed((last,), share))


def segments(
    a: Arithmetic,
    place: str,
    share: Number,
    stages: Number,
    before: tuple[Unit, ...] = (),
) -> Iterator[Path]:
    """Paths between the registers of a block, scaled by ``share``; ``before`` is the logic in front of the first."""
    steps = BLOCKS[place].steps(a)
    ends: dict[tuple[int, int], list[int]] = {}
    for count in range(STAGES_LIMIT + 1):
        edges = sorted({0, len(steps), *cuts(BLOCKS[place].delays, count)})
        for segment in zip(edges, edges[1:], strict=False):
            ends.setdefault(segment, []).append(count)
    for (first, last), counts in ends.items():
        here = sum(flag(stages == count) for count in counts)
        passed = _passed(steps[first:last], share * here)
        yield Path(f"{place}-{first}-{last}", (*(before if first == 0 else ()), *passed))


def division(a: Arithmetic, stages: Number) -> Iterator[Path]:
    """The segments of a reciprocal: its first, which without registers is all of it, the longest between, its last."""
    block = Reciprocal()
    begin, row, pack = block.steps(a)
    first, middle, last = (_passed((row,), rows, "reciprocal") for rows in block.rows(a, stages))
    yield Path("reciprocal-first", (*_passed((begin,), 1), *first, *_passed((pack,), flag(stages == 0))))
    yield Path("reciprocal-middle", middle)
    yield Path("reciprocal-last", (*_passed((pack,), 1), *last))


def _passed(steps: Iterable[Step], share: Number, place: str = PATHS) -> tuple[Unit, ...]:
    parts = (part for step in steps for part in step)
    return tuple(Unit(part.kind, place, part.passed * share, part.dims) for part in parts)
