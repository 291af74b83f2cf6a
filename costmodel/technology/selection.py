"""Selects the cells of a technology: the smallest of each function, and a few stronger ones."""

from __future__ import annotations

from collections.abc import Iterable

from costmodel.technology.liberty import Cell, Sequential
from costmodel.technology.roles import Roles, combinational, ranking, table

Signature = tuple[int, tuple[int | None, ...]]
Footprint = tuple[
    frozenset[tuple[str, str, int | str | None]], Sequential | None, frozenset[tuple[str, str, str, str]]
]

#: Area of a drive strength, in areas of the cell that mapping uses, beyond which it is left out.
_LARGEST = 8
_TIMED = ("combinational", "rising_edge", "falling_edge", "setup_rising", "setup_falling")


def smallest(cells: Iterable[Cell]) -> list[Cell]:
    """One-output gates: of all cells with one function the smallest, and of the smallest the fastest."""
    cells = list(cells)
    rank = ranking(cells)
    best: dict[Signature, Cell] = {}
    for cell in cells:
        if cell.dont_use or not combinational(cell) or len(cell.outputs) != 1 or cell.area <= 0:
            continue
        key = signature(cell)
        if key not in best or rank(cell) < rank(best[key]):
            best[key] = cell
    return [best[key] for key in sorted(best, key=lambda key: best[key].name)]


def useful(cells: Iterable[Cell], roles: Roles) -> list[Cell]:
    """Cells that a technology keeps: the smallest gate of each function and all cells with a role."""
    cells = list(cells)
    kept = {cell.name: cell for cell in smallest(cells)}
    fixed = (
        roles.full_adder,
        roles.half_adder,
        roles.flip_flop,
        roles.enable_flip_flop,
        roles.clear_flip_flop,
    )
    names = {role.cell for role in (*fixed, roles.set_flip_flop, roles.latch) if role is not None}
    names |= set(roles.gates.values()) | {
        tie[0] for tie in (roles.tie_high, roles.tie_low) if tie is not None
    }
    names |= {roles.clock_gate} if roles.clock_gate else set()
    kept |= {cell.name: cell for cell in cells if cell.name in names or _strong(cell, roles, cells)}
    return [kept[name] for name in sorted(kept)]


def drives(cells: Iterable[Cell], kept: Iterable[Cell]) -> list[Cell]:
    """Cells that do what a kept cell does on pins of the same names: its drive strengths, without the kept ones."""
    kept = list(kept)
    largest: dict[Footprint, float] = {}
    for cell in kept:
        largest[footprint(cell)] = max(_LARGEST * cell.area, largest.get(footprint(cell), 0.0))
    names = {cell.name for cell in kept}
    return sorted(
        (
            cell
            for cell in cells
            if cell.name not in names
            and not cell.dont_use
            and not cell.scan
            and cell.clock_gate is None
            and 0 < cell.area <= largest.get(footprint(cell), 0.0)
        ),
        key=lambda cell: cell.name,
    )


def footprint(cell: Cell) -> Footprint:
    """Properties that interchangeable cells share: pins, functions, state and timing arcs."""
    pins = frozenset((pin.name, pin.direction, _truth(cell, pin.name)) for pin in cell.pins)
    return (
        pins,
        cell.sequential,
        frozenset((arc.related, arc.pin, arc.sense, arc.kind) for arc in cell.arcs if arc.kind in _TIMED),
    )


def _truth(cell: Cell, name: str) -> int | str | None:
    pin = cell.pin(name)
    return table(cell, pin) if cell.sequential is None else pin.function


def _strong(cell: Cell, roles: Roles, cells: list[Cell]) -> bool:
    """A stronger inverter or buffer for nets of high fan-out."""
    if cell.dont_use or not combinational(cell) or len(cell.inputs) != 1 or len(cell.outputs) != 1:
        return False
    names = {roles.gates.get("inverter"), roles.gates.get("buffer")}
    area = min(item.area for item in cells if item.name in names)
    return cell.area <= 4 * area


def signature(cell: Cell) -> Signature:
    """Number of inputs and the truth table of every output, inputs in file order."""
    return len(cell.inputs), tuple(table(cell, pin) for pin in cell.outputs)
