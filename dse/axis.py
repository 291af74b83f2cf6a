"""An axis of a space: a parameter and its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.files.design import CLOCKS
from blueprint.files.document import Section, is_kind
from blueprint.files.nearest import suggestion
from blueprint.files.tree import show
from blueprint.parameters import Parameter

MOST_VALUES = 100_000
#: The axis of clocks that a space asks for: no parameter of a design, but part of its name.
CLOCK = "clock_mhz"
#: The word for the highest clock of each design.
FASTEST = "max"
#: Shorter axes are listed.
_SHORT = 9
_FORMS = ("range", "log2")
#: Position of an item in a file.
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Axis:
    """A parameter and its values in the order of the file; a single value is a constant of the space."""

    name: str
    values: tuple[Any, ...]

    def array(self) -> npt.NDArray[Any]:
        """The values as a NumPy array of their own kind."""
        return np.array(self.values)

    @property
    def ordered(self) -> bool:
        """True if the values are ordered, so that a small step is a small change."""
        return len(self.values) > 2 and all(type(value) is int for value in self.values)

    def content(self) -> Any:
        """The axis as written in a file, in its shortest form."""
        if len(self.values) == 1:
            return self.values[0]
        if not self.ordered or len(self.values) < _SHORT:
            return list(self.values)
        first, second, *_, last = self.values
        step = second - first
        if step > 0 and self.values == tuple(range(first, last + 1, step)):
            return {"range": [first, last, step]}
        powers = first > 0 and all(b == 2 * a for a, b in pairwise(self.values)) and not first & (first - 1)
        return {"log2": [first, last]} if powers else list(self.values)


def read_axis(section: Section, name: str, limit: Parameter) -> Axis:
    """The axis under ``name``: a value, a list, ``{range: [a, b, step]}`` or ``{log2: [a, b]}``, ends included.

    Raises ``SpecError`` for anything else, for a value that ``limit`` forbids and for one that stands twice.
    """
    return _axis(section, name, section.raw()[name], lambda at, item: _check(section, at, name, item, limit))


def read_clock(section: Section) -> tuple[Axis, ...]:
    """The axis of the clocks that a space asks for; none for ``max``, or where it says nothing.

    In the forms of :func:`read_axis`, in MHz. Raises ``SpecError``.
    """
    value = section.take(CLOCK, (bool, int, float, str, list, dict, type(None)), default=FASTEST)
    if value == FASTEST:
        return ()
    return (_axis(section, CLOCK, value, lambda at, item: _check_clock(section, at, item)),)


def _axis(section: Section, name: str, value: Any, check: Callable[[Place, Any], None]) -> Axis:
    """The axis of a value of a file; ``check`` refuses items by their place in it."""
    if isinstance(value, dict):
        values = _formula(section.section(name), name)
        for item in (values[0], values[-1]):
            check((name, next(iter(value))), item)
        return Axis(name, values)
    if not isinstance(value, list):
        check((name,), value)
        return Axis(name, (value,))
    if not value:
        raise section.error(name, f"{name} must list at least one value, not none")
    for place, item in enumerate(value):
        check((name, place), item)
        if item in value[:place]:
            raise section.error((name, place), f"{name} must list every value once, not {show(item)} again")
    return Axis(name, tuple(value))


def _check_clock(section: Section, where: Place, value: Any) -> None:
    low, high = CLOCKS
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and low <= value <= high):  # refuses NaN as well
        what = f"{CLOCK} must be {FASTEST}, or MHz from {low:g} to {high:g}, not {show(value)}"
        raise section.error(where, what)


def _check(section: Section, where: Place, name: str, value: Any, limit: Parameter) -> None:
    if not is_kind(value, limit.kind) or (limit.choices and str(value) not in limit.choices):
        hint = suggestion(str(value), limit.choices) if limit.choices else ""
        raise section.error(where, f"{name} must be {limit.allowed()}, not {show(value)}{hint}")
    low, high = limit.minimum, limit.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise section.error(where, f"{name} must be {limit.allowed()}, not {show(value)}")


def _formula(section: Section, name: str) -> tuple[int, ...]:
    section.allow(_FORMS)
    if len(section.keys()) != 1:
        found = " and ".join(section.keys()) or "neither"
        raise section.error(None, f"{name} must have one of range, log2, not {found}")
    form = section.keys()[0]
    numbers = section.take(form, list)
    words = "[first, last, step]" if form == "range" else "[first, last]"
    if len(numbers) not in ((2, 3) if form == "range" else (2,)):
        raise section.error(form, f"{form} must be {words}, not {len(numbers)} values")
    for place, number in enumerate(numbers):
        if type(number) is not int:
            raise section.error((form, place), f"{form} must hold integers, not {show(number)}")
    return _range(section, numbers) if form == "range" else _powers(section, numbers)


def _range(section: Section, numbers: list[int]) -> tuple[int, ...]:
    first, last, step = (*numbers, 1)[:3]
    if step < 1:
        raise section.error(("range", 2), f"step must be at least 1, not {step}")
    if last < first:
        raise section.error(("range", 1), f"last must be at least the first value {first}, not {last}")
    count = (last - first) // step + 1
    if count > MOST_VALUES:
        raise section.error("range", f"range must hold at most {MOST_VALUES} values, not {count}")
    return tuple(range(first, last + 1, step))


def _powers(section: Section, numbers: list[int]) -> tuple[int, ...]:
    for place, number in enumerate(numbers):
        if number < 1 or number & (number - 1):
            what = f"log2 must hold powers of two (the values themselves, not exponents), not {number}"
            raise section.error(("log2", place), what)
    first, last = numbers
    if last < first:
        raise section.error(("log2", 1), f"last must be at least the first value {first}, not {last}")
    return tuple(1 << power for power in range(first.bit_length() - 1, last.bit_length()))
