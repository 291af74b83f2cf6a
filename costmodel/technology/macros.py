"""Memory macros as facts: shape, ports, area, access time, energies and leakage of each, one line a macro.

    NAME PORTS WORDS WIDTH MASK AREA ACCESS READ WRITE LEAKAGE

Areas in um2, times in ps, energies of one access in pJ, leakage in nW; `-` where a library states none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from costmodel.technology.liberty import Cell, Energy

SINGLE, TWO = "single_port", "two_port"
_WRITE = re.compile(r"(^|_)g?w(e|r)", re.IGNORECASE)
_READ = re.compile(r"(^|_)(re|rd)", re.IGNORECASE)
_LOW = re.compile(r"(b|n|bar)\d*$", re.IGNORECASE)  # how names of pins end that are active at 0
_LITERAL = re.compile(r"(!?)\s*([A-Za-z_]\w*)")


@dataclass(frozen=True)
class Macro:
    """Facts of one macro; a quantity that the library does not state is 0."""

    name: str
    ports: str
    words: int
    width: int
    mask: int
    area_um2: float
    access_ps: float
    read_pj: float
    write_pj: float
    leakage_nw: float

    @property
    def kind(self) -> str:
        """True if the macro can read and write in one cycle."""
        return SINGLE if self.ports == "1rw" else TWO


def read(cells: Iterable[Cell]) -> tuple[Macro, ...]:
    """The macros among cells that can be written, by ports and size."""
    found = []
    for cell in cells:
        if cell.memory is None or "w" not in cell.memory.ports:
            continue
        shape, (reading, writing) = cell.memory, _energies(cell)
        numbers = (cell.area, _access_time(cell), reading, writing, cell.leakage)
        rounded = (float(f"{number:.6g}") for number in numbers)
        found.append(Macro(cell.name, shape.ports, shape.words, shape.width, shape.mask, *rounded))
    return tuple(sorted(found, key=lambda macro: (macro.kind, macro.words, macro.width, macro.name)))


def dump(macros: Sequence[Macro]) -> str:
    """The facts as text."""
    return "".join(
        f"{m.name} {m.ports} {m.words} {m.width} {m.mask} "
        + " ".join(
            f"{v:g}" if v else "-" for v in (m.area_um2, m.access_ps, m.read_pj, m.write_pj, m.leakage_nw)
        )
        + "\n"
        for m in macros
    )


def load(text: str) -> tuple[Macro, ...]:
    """The macros of a text. Raises `ValueError` with what is wrong with the first line that is no fact."""
    found = []
    for line in text.splitlines():
        parts = line.split()
        try:
            name, ports, *numbers = parts
            words, width, mask, *values = (0.0 if part == "-" else float(part) for part in numbers)
            found.append(Macro(name, ports, int(words), int(width), int(mask), *values))
        except (TypeError, ValueError):
            raise ValueError(f"a macro must have a name, ports and 8 numbers, not {line[:60]!r}") from None
    return tuple(found)


def _access_time(cell: Cell) -> float:
    """Slowest clock to output arc at its middle slew and load, ps."""
    tables = [t for arc in cell.arcs if "edge" in arc.kind for t in (arc.rise, arc.fall) if t is not None]
    return max((t.values[len(t.slews) // 2][len(t.loads) // 2] for t in tables), default=0.0)


def _energies(cell: Cell) -> tuple[float, float]:
    """Internal energy in pJ of one clock cycle of a port that reads, and of one that writes.

    Liberty states it at the clock pin for each state of the enables. Where the states do not distinguish reads from
    writes, both get the largest energy.
    """
    clocks = {arc.related for arc in cell.arcs if "edge" in arc.kind} or {
        pin.name for pin in cell.pins if pin.clock
    }
    states = [(dict(_literals(item.when)), _cycle(item)) for item in cell.energies if item.pin in clocks]
    most = max((energy for _, energy in states), default=0.0)
    known = _by_enables(states)
    return known if known else (most, most)


def _cycle(item: Energy) -> float:
    tables = (t for t in (item.rise, item.fall) if t is not None)
    return sum(t.values[len(t.slews) // 2][len(t.loads) // 2] for t in tables)


def _literals(when: str) -> list[tuple[str, bool]]:
    """Pins and their levels in a conjunction; nothing of any other expression."""
    return [] if "|" in when or "+" in when else [(name, not sign) for sign, name in _LITERAL.findall(when)]


def _by_enables(states: Sequence[tuple[dict[str, bool], float]]) -> tuple[float, float] | None:
    """Energies of a read and a write where the states say which is which."""

    def most(**levels: bool) -> float:
        pins = {"write": _WRITE, "read": _READ}
        return max(
            (
                energy
                for state, energy in states
                if all(_level(state, pins[role]) == level for role, level in levels.items())
            ),
            default=0.0,
        )

    names = {name for state, _ in states for name in state}
    if not any(map(_WRITE.search, names)):
        return None
    if any(map(_READ.search, names)):  # an access costs more than none, which shows the active level
        high = most(write=True, read=True) >= most(write=False, read=False)
        found = most(write=not high, read=high), most(write=high, read=not high)
    else:
        high = not any(_LOW.search(name) for name in names if _WRITE.search(name))
        found = most(write=not high), most(write=high)
    return found if min(found) > 0 else None


def _level(state: dict[str, bool], pin: re.Pattern[str]) -> bool | None:
    return next((level for name, level in state.items() if pin.search(name)), None)
