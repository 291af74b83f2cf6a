"""Selects the cells of a technology: the smallest of each function, and a few stronger ones."""

from __future__ import annotations

from collections.abc import Iterable

from costmodel.technology.liberty import Cell
from costmodel.technology.roles import Roles, combinational, ranking, table

Signature = tuple[int, tuple[int | None, ...]]


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
    fixed = (roles.full_adder, roles.half_adder, roles.flop, roles.enable_flop, roles.clear_flop)
    names = {role.cell for role in (*fixed, roles.set_flop, roles.latch) if role is not None}
    names |= set(roles.gates.values()) | {
        tie[0] for tie in (roles.tie_high, roles.tie_low) if tie is not None
    }
    names |= {roles.clock_gate} if roles.clock_gate else set()
    kept |= {cell.name: cell for cell in cells if cell.name in names or _strong(cell, roles, cells)}
    return [kept[name] for name in sorted(kept)]


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
