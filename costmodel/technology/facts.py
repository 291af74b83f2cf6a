"""Text format of library cells within a technology file, one fact per line.

    cell NAME AREA LEAKAGE
    in PIN CAPACITANCE [clock]
    out PIN MAX_CAPACITANCE|- FUNCTION|-
    ff|latch STATE INVERSE ; CLOCK ; DATA ; CLEAR|- ; PRESET|-
    gate KIND
    arc RELATED PIN SENSE KIND ; SLEWS ; LOADS ; RISE ; FALL ; RISE_SLEW ; FALL_SLEW
    energy PIN RELATED|- RISE FALL

Areas in um2, capacitances in fF, times in ps, energies in pJ, leakage in nW; tables row by row, one row a slew.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from costmodel.technology.liberty import Arc, Cell, Energy, Pin, Sequential
from costmodel.technology.table import Table


class FactsError(ValueError):
    """A line that is no valid fact; `line` counts from 0."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Wrong(ValueError):
    """The message: what the fact must be, and what it is."""


def dump(cells: Iterable[Cell]) -> str:
    """Write cells as text."""
    return "".join(f"{line}\n" for cell in cells for line in _lines(cell))


def load(text: str) -> dict[str, Cell]:
    """The cells of a text by name. Raises `FactsError`."""
    drafts: list[_Draft] = []
    names: set[str] = set()
    for number, line in enumerate(text.splitlines()):
        words = line.split()
        if not words:
            continue
        try:
            if words[0] == "cell":
                if words[1] in names:
                    raise _Wrong("be of a cell that is not there yet")
                names.add(words[1])
                drafts.append(_Draft(words[1], _amount(words[2]), _amount(words[3])))
            elif not drafts or words[0] not in _READERS:
                kinds = ", ".join(("cell", *_READERS))
                raise FactsError(number, f"a cell fact must start with one of {kinds}, not {words[0]!r}")
            else:
                _READERS[words[0]](drafts[-1], line.strip())
        except (IndexError, ValueError) as problem:
            if isinstance(problem, FactsError):
                raise
            must = str(problem) if isinstance(problem, _Wrong) else "be complete and numeric"
            raise FactsError(number, f"a cell fact must {must}, not {line.strip()[:60]!r}") from None
    return {draft.name: draft.cell() for draft in drafts}


def thin(cell: Cell, points: int) -> Cell:
    """The cell with at most `points` x `points` values in a table, and its energies averaged to one number."""
    arcs = tuple(
        replace(
            arc,
            rise=_thin(arc.rise, points),
            fall=_thin(arc.fall, points),
            rise_slew=_thin(arc.rise_slew, points),
            fall_slew=_thin(arc.fall_slew, points),
        )
        for arc in cell.arcs
        if arc.kind in _KEPT
    )
    return replace(cell, arcs=arcs, energies=_mean_energies(cell))


_KEPT = ("combinational", "rising_edge", "falling_edge", "setup_rising", "setup_falling", "hold_rising")


@dataclass
class _Draft:
    """A cell under construction."""

    name: str
    area: float
    leakage: float
    pins: list[Pin] = field(default_factory=list)
    arcs: list[Arc] = field(default_factory=list)
    energies: list[Energy] = field(default_factory=list)
    sequential: Sequential | None = None
    clock_gate: str | None = None

    def cell(self) -> Cell:
        return Cell(
            self.name,
            self.area,
            tuple(self.pins),
            self.leakage,
            self.sequential,
            tuple(self.arcs),
            tuple(self.energies),
            clock_gate=self.clock_gate,
        )


def _lines(cell: Cell) -> list[str]:
    lines = [f"cell {cell.name} {cell.area:.6g} {cell.leakage:.4g}"]
    for pin in cell.pins:
        if pin.direction == "output":
            limit = "-" if pin.max_capacitance is None else f"{pin.max_capacitance:.4g}"
            lines.append(f"out {pin.name} {limit} {pin.function or '-'}")
        elif pin.direction == "input":
            lines.append(f"in {pin.name} {pin.capacitance:.4g}{' clock' if pin.clock else ''}")
    group = cell.sequential
    if group is not None:
        parts = (group.clock, group.data, group.clear or "-", group.preset or "-")
        lines.append(f"{group.kind} {group.state} {group.inverse} ; {' ; '.join(parts)}")
    if cell.clock_gate:
        lines.append(f"gate {cell.clock_gate}")
    lines.extend(map(_arc_line, cell.arcs))
    for item in cell.energies:
        rise, fall = (0.0 if t is None else t.values[0][0] for t in (item.rise, item.fall))
        lines.append(f"energy {item.pin} {item.related or '-'} {rise:.4g} {fall:.4g}")
    return lines


def _arc_line(arc: Arc) -> str:
    tables = (arc.rise, arc.fall, arc.rise_slew, arc.fall_slew)
    axes = next(table for table in tables if table is not None)
    # The tables of an arc share their axes in thinned cells; otherwise all are read at the axes of the first.
    fields = [_numbers(axes.slews), _numbers(axes.loads)]
    for table in tables:
        rows = [] if table is None else [table.at(slew, load) for slew in axes.slews for load in axes.loads]
        fields.append(_numbers(rows) or "-")
    return f"arc {arc.related} {arc.pin} {arc.sense} {arc.kind} ; {' ; '.join(fields)}"


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


def _thin(table: Table | None, points: int) -> Table | None:
    if table is None:
        return None
    rows, columns = _spread(len(table.slews), points), _spread(len(table.loads), points)
    return Table(
        tuple(table.slews[i] for i in rows),
        tuple(table.loads[j] for j in columns),
        tuple(tuple(table.values[i][j] for j in columns) for i in rows),
    )


def _spread(count: int, points: int) -> list[int]:
    """At most `points` indices of `count`, both ends among them, denser at the start, where fast paths are."""
    if count <= points:
        return list(range(count))
    return sorted({round((step / (points - 1)) ** 1.5 * (count - 1)) for step in range(points)})


def _mean_energies(cell: Cell) -> tuple[Energy, ...]:
    """One rise and one fall energy for each pin and cause: the middle of the table, averaged over the states."""
    sums: dict[tuple[str, str], list[list[float]]] = {}
    for item in cell.energies:
        sides = sums.setdefault((item.pin, item.related), [[], []])
        for side, table in zip(sides, (item.rise, item.fall), strict=True):
            if table is not None:
                side.append(table.values[len(table.slews) // 2][len(table.loads) // 2])
    return tuple(
        Energy(pin, related, *(Table((0.0,), (0.0,), ((sum(s) / len(s) if s else 0.0,),)) for s in sides))
        for (pin, related), sides in sums.items()
    )


def _read_in(draft: _Draft, line: str) -> None:
    words = line.split()
    draft.pins.append(Pin(words[1], "input", _amount(words[2]), clock="clock" in words[3:]))


def _read_out(draft: _Draft, line: str) -> None:
    _, name, limit, text = line.split(None, 3)
    maximum = None if limit == "-" else _amount(limit)
    draft.pins.append(Pin(name, "output", 0.0, _optional(text), max_capacitance=maximum))


def _read_sequential(draft: _Draft, line: str) -> None:
    head, clock, data, clear, preset = (part.strip() for part in line.split(";"))
    kind, state, inverse = head.split()
    draft.sequential = Sequential(kind, state, inverse, clock, data, _optional(clear), _optional(preset))


def _read_gate(draft: _Draft, line: str) -> None:
    draft.clock_gate = line.split()[1]


def _read_arc(draft: _Draft, line: str) -> None:
    head, *fields = (part.strip() for part in line.split(";"))
    _, related, pin, sense, kind = head.split()
    slews, loads = (_axis(text) for text in fields[:2])
    tables = [_read_table(slews, loads, text) for text in fields[2:6]]
    draft.arcs.append(Arc(pin, related, sense, kind, *tables))


def _read_table(slews: tuple[float, ...], loads: tuple[float, ...], text: str) -> Table | None:
    if text == "-":
        return None
    values = tuple(map(_number, text.split()))
    if len(values) != len(slews) * len(loads):
        raise ValueError(text)
    width = len(loads)
    return Table(slews, loads, tuple(values[row * width : (row + 1) * width] for row in range(len(slews))))


def _read_energy(draft: _Draft, line: str) -> None:
    _, pin, related, rise, fall = line.split()
    sides = [Table((0.0,), (0.0,), ((_number(text),),)) for text in (rise, fall)]
    draft.energies.append(Energy(pin, _optional(related) or "", *sides))


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or "_" in text:
        raise _Wrong("have finite numbers")
    return value


def _amount(text: str) -> float:
    """A number of area, leakage or capacitance."""
    value = _number(text)
    if value < 0:
        raise _Wrong("have no negative area, leakage or capacitance")
    return value


def _axis(text: str) -> tuple[float, ...]:
    points = tuple(map(_number, text.split()))
    if not points or any(after <= before for before, after in itertools.pairwise(points)):
        raise _Wrong("have slews and loads that rise")
    return points


def _optional(text: str) -> str | None:
    return None if text == "-" else text


_READERS: Mapping[str, Callable[[_Draft, str], None]] = {
    "in": _read_in,
    "out": _read_out,
    "ff": _read_sequential,
    "latch": _read_sequential,
    "gate": _read_gate,
    "arc": _read_arc,
    "energy": _read_energy,
}
