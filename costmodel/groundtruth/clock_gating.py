"""Clock gates: registers that keep their values by an enable get a gated clock instead of multiplexers.

Yosys collects the registers of a module that share a clock and an enable (`clockgate`) and puts an abstract cell in
front of their clock; here it becomes the library's integrated clock gate, as many of them as the registers' clock
pins need. A group is gated from the number of registers on whose multiplexers cost more than the gate. Enables that
come from another module gate the registers of each instance apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from costmodel.groundtruth.flatten import Flat, Ints
from costmodel.technology.roles import ClockGate, clock_gate
from costmodel.technology.technology import Technology

#: The abstract cell, and its pins in the order in which `clockgate` wants them.
CELL = "ternforge_clock_gate"
_ENABLE, _CLOCK, _GATED = "enable", "clock", "gated"
#: Registers of one gate where the library sets no limit to what its output drives.
_MOST = 64
#: Area of a multiplexer in areas of a NAND of two inputs, where the library has no multiplexer.
_MUX = 2.0

Netlist = dict[str, Any]


def find_gate(technology: Technology) -> ClockGate | None:
    """The clock gate of a library, `None` where it has none for a rising clock."""
    name = technology.roles.clock_gate
    return None if name is None else clock_gate(technology.cells[name])


def gate(technology: Technology) -> ClockGate:
    """The clock gate of a library; `ParamError` where it has none."""
    found = find_gate(technology)
    if found is None:
        raise ParamError(
            f"Recipe must be one without clock gates for {technology.name}, whose technology file names no clock gate "
            "that a rising clock can use"
        )
    return found


def least(technology: Technology) -> int:
    """Registers from which on a gate is smaller than the multiplexers that it makes superfluous."""
    roles, cells = technology.roles, technology.cells
    muxes = [cells[roles.gates[name]].area for name in ("mux2", "muxi2") if name in roles.gates]
    nand = roles.gates.get("nand2", roles.gates["inverter"])
    mux = min([*muxes, _MUX * cells[nand].area])
    return max(2, math.floor(cells[gate(technology).cell].area / mux) + 1)


def find(technology: Technology) -> str:
    """Yosys commands that find enables, before anything else changes the module."""
    gate(technology)
    return "opt_merge\nopt_dff -nosdff\nopt_clean\n"


def group(technology: Technology) -> str:
    """Yosys commands that put an abstract gate before each group of registers, once memories are registers."""
    pins = f"{_ENABLE}:{_CLOCK}:{_GATED}"  # clockgate counts cells, so each has to be of one bit
    put = f"clockgate -pos {CELL} {pins} -min_net_size {least(technology)}"
    return f"{find(technology)}simplemap t:$dffe\n{put}\nopt_clean\n"


def declare(module: Netlist) -> None:
    """Say which pins of the abstract gates drive, in a module of a Yosys JSON netlist."""
    for cell in module["cells"].values():
        if cell["type"] == CELL:
            cell["port_directions"] = {_ENABLE: "input", _CLOCK: "input", _GATED: "output"}


def place(module: Netlist, technology: Technology) -> None:
    """Replace the abstract gates of a module, whose registers are library cells, by those of the library."""
    cells = module["cells"]
    abstract = {name: cell for name, cell in cells.items() if cell["type"] == CELL}
    if not abstract:
        return
    chosen = gate(technology)
    limit = technology.cells[chosen.cell].pin(chosen.output).max_capacitance
    gated = {cell["connections"][_GATED][0]: name for name, cell in abstract.items()}
    readers = _readers(cells, gated, technology)
    bits = (bit for cell in cells.values() for pin in cell["connections"].values() for bit in pin)
    ports = (bit for port in module["ports"].values() for bit in port["bits"])
    fresh = 1 + max(bit for bit in (*bits, *ports) if isinstance(bit, int))
    for output, name in gated.items():
        pins = cells.pop(name)["connections"]
        for number, some in enumerate(_shares(readers[output], limit)):
            bit = output if number == 0 else fresh
            fresh += number > 0
            for cell, pin, _ in some:
                cells[cell]["connections"][pin] = [bit]
            cells[f"{name}_{number}"] = _instance(chosen, pins[_ENABLE], pins[_CLOCK], bit)


def _readers(
    cells: Mapping[str, Any], gated: Mapping[Any, str], technology: Technology
) -> dict[Any, list[tuple[str, str, float]]]:
    """Cell, pin and capacitance of every clock pin behind each gate."""
    found: dict[Any, list[tuple[str, str, float]]] = {output: [] for output in gated}
    for name, cell in cells.items():
        if cell["type"] in technology.cells:
            for pin, bits in cell["connections"].items():
                if bits[0] in found:
                    load = technology.cells[cell["type"]].pin(pin).capacitance
                    found[bits[0]].append((name, pin, load))
    return found


def _shares(readers: list[tuple[str, str, float]], limit: float | None) -> list[list[tuple[str, str, float]]]:
    """Clock pins in as few shares as one gate each can drive, of about the same size."""
    total = sum(load for _, _, load in readers)
    count = math.ceil(total / limit) if limit else math.ceil(len(readers) / _MOST)
    size = math.ceil(len(readers) / max(count, 1))
    return [readers[first : first + size] for first in range(0, len(readers), size)]


def _instance(chosen: ClockGate, enable: list[Any], clock: list[Any], output: Any) -> dict[str, Any]:
    pins = {chosen.enable: enable, chosen.clock: clock, chosen.output: [output]}
    ties = {pin: ["01"[level]] for pin, level in chosen.ties}
    directions = dict.fromkeys([chosen.enable, chosen.clock, *ties], "input") | {chosen.output: "output"}
    return {
        "hide_name": 1,
        "type": chosen.cell,
        "parameters": {},
        "attributes": {},
        "port_directions": directions,
        "connections": pins | ties,
    }


def opens(flat: Flat, technology: Technology) -> Ints:
    """For each net, where it is the clock of a register, the net that has to be 1 for the clock to rise: 1 if none."""
    found = np.ones(flat.nets, np.int64)
    for kind, rows in flat.cells.items():
        gate = clock_gate(technology.cells[kind]) if kind in technology.cells else None
        if gate is not None:
            column = {pin: index for index, pin in enumerate(flat.pins[kind])}
            found[rows[:, column[gate.output]]] = rows[:, column[gate.enable]]
    return found
