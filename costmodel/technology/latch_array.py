"""Memories of standard cells: a latch for each bit, and a clock gate for each word.

    bits  x (latch + 1.5 NAND)    the word and its share of the AND-OR tree that reads
    words x (clock gate + 4 NAND) write enable, and the decoders of both addresses
    width x (2 flip-flops + 3 NAND) registers for data to write and for the last word read, held until the next read

The structure is that of standard-cell memories (P. Meinerzhagen, C. Roth, A. Burg, "Towards generic low-power
area-efficient standard cell based memory architectures", MWSCAS 2010). Areas, pins and leakage are the library's;
energies assume that half of the bits of a word change; the access time is the delay of decoder and tree.
"""

from __future__ import annotations

from collections.abc import Mapping

from costmodel.technology import roles
from costmodel.technology.liberty import Cell
from costmodel.technology.roles import Roles
from costmodel.technology.sram import QUANTITIES, Law, Laws

_TREE = 1.5  # NANDs of a bit's share of the tree
_DECODERS = 4  # NANDs of a word's share of both decoders
_KEEPERS = 2  # flip-flops of a bit of width
_HOLD = 3  # NANDs of a bit of width that hold the last word read
_TOGGLE = 0.5  # bits of a word that change
_FANOUT = 4


def laws(cells: Mapping[str, Cell], chosen: Roles, voltage: float) -> Laws:
    """Laws of a latch array by quantity, from the cells with these roles; `voltage` in V."""
    keeper = chosen.latch or chosen.flip_flop or chosen.clear_flip_flop or chosen.set_flip_flop
    flip_flop = chosen.flip_flop or chosen.clear_flip_flop or chosen.set_flip_flop
    assert keeper is not None and flip_flop is not None
    latch, register = cells[keeper.cell], cells[flip_flop.cell]
    gate = cells[chosen.gates.get("nand2") or chosen.gates.get("nor2") or chosen.gates["inverter"]]
    clocks = [cells[chosen.clock_gate]] if chosen.clock_gate else [latch, gate]
    found = {
        "area": _sum("area", latch, register, gate, clocks),
        "access_time": _time(register, flip_flop.output, gate),
        "read_energy": _read(register, gate, voltage),
        "write_energy": _write(latch, keeper.data, register, clocks, voltage),
        "leakage": _sum("leakage", latch, register, gate, clocks),
    }
    parts = f"{latch.name}, {register.name}, {gate.name} and {' + '.join(cell.name for cell in clocks)}"
    sources = {"area": f"library: a latch array of {parts}", "leakage": f"library: a latch array of {parts}"}
    assumed = f"assumed: half of the bits change in a latch array of {parts}"
    sources["access_time"] = f"library: flip-flop, decoder and tree of a latch array of {parts}"
    return {
        name: Law(
            {term: float(f"{value:.4g}") for term, value in found[name].items()},
            unit,
            sources.get(name, assumed),
        )
        for name, unit in QUANTITIES.items()
    }


def _sum(quantity: str, latch: Cell, register: Cell, gate: Cell, clocks: list[Cell]) -> dict[str, float]:
    one, bit, row = (float(getattr(cell, quantity)) for cell in (gate, latch, register))
    return {
        "bits": bit + _TREE * one,
        "words": sum(float(getattr(cell, quantity)) for cell in clocks) + _DECODERS * one,
        "width": _KEEPERS * row + _HOLD * one,
    }


def _time(register: Cell, output: str, gate: Cell) -> dict[str, float]:
    """Read time in ps by term: from a clock edge through a flip-flop, the decoder and the tree to the output."""
    load = _FANOUT * gate.inputs[0].capacitance
    tables = [
        table
        for arc in register.arcs
        if arc.pin == output and "edge" in arc.kind
        for table in (arc.rise, arc.fall)
        if table is not None
    ]
    start = max((table.at(table.slews[len(table.slews) // 4], load) for table in tables), default=0.0)
    step = roles.delay(gate, load)
    return {"fixed": start + 2 * step, "levels": 2 * step}


def _read(register: Cell, gate: Cell, voltage: float) -> dict[str, float]:
    """Energy of a read in pJ by term: a word line up and down, half of the tree's outputs, the output register."""
    line = _charge(gate, gate.inputs[0].name, voltage)
    tree = _TOGGLE * 2 * (energy(gate) + line / 2)
    return {"width": line + tree + energy(register), "levels": 4 * (energy(gate) + line / 2)}


def _write(latch: Cell, data: str, register: Cell, clocks: list[Cell], voltage: float) -> dict[str, float]:
    """Energy of a write in pJ by term: the data lines, the latches of one word, the clock gates of all words."""
    line = _charge(latch, data, voltage)
    return {
        "bits": _TOGGLE * line / 2,
        "width": energy(register) + energy(latch),
        "words": sum(energy(cell) for cell in clocks),
    }


def _charge(cell: Cell, pin: str, voltage: float) -> float:
    """Energy in pJ that the supply gives to the capacitance of a pin for a rise and a fall."""
    return cell.pin(pin).capacitance * 1e-3 * voltage**2


def energy(cell: Cell) -> float:
    """Mean internal energy of a transition in pJ, at the middle of the tables; 0 if the library states none."""
    values = [
        table.values[len(table.slews) // 2][len(table.loads) // 2]
        for item in cell.energies
        for table in (item.rise, item.fall)
        if table is not None
    ]
    return max(0.0, sum(values) / len(values)) if values else 0.0
