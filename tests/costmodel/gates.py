"""A mapped netlist run cycle by cycle on random vectors, straight from the cells' functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from costmodel.technology import function
from costmodel.technology.liberty import Cell
from costmodel.technology.roles import combinational


class Gates:
    """One flat module on library cells; a value is one 64-bit word, so 64 independent runs go side by side."""

    def __init__(self, netlist: Mapping[str, Any], cells: Mapping[str, Cell]) -> None:
        self.ports = netlist["ports"]
        self.values: dict[Any, int] = {"0": 0, "1": 2**64 - 1, "x": 0}
        self.gates = []
        self.state: list[tuple[Any, Any, bool, Any]] = []
        opens: dict[Any, Any] = {}  # the enable behind which a clock net stands
        for item in netlist["cells"].values():
            if cells[item["type"]].clock_gate:
                pins = {pin: bits[0] for pin, bits in item["connections"].items()}
                assert pins.pop("SE", "0") == "0"
                opens[pins["GCLK"]] = pins.get("ENA", pins.get("GATE"))
        for item in netlist["cells"].values():
            cell, pins = cells[item["type"]], {pin: bits[0] for pin, bits in item["connections"].items()}
            if cell.clock_gate:
                continue
            if combinational(cell):
                names = tuple(pin.name for pin in cell.inputs)
                for pin in cell.outputs:
                    if pin.name in pins and pin.function:
                        table = function.truth(pin.function, names)
                        self.gates.append(([pins[name] for name in names], pins[pin.name], table))
            else:
                assert cell.sequential is not None
                clock = pins[cell.sequential.clock.strip("!()")]
                for pin in cell.outputs:
                    if pin.name in pins and pin.function:
                        data = function.names(cell.sequential.data)[0]
                        inverts = cell.sequential.data.startswith("!") != (
                            pin.function == cell.sequential.inverse
                        )
                        self.state.append((pins[data], pins[pin.name], inverts, opens.get(clock, "1")))
        for _, out, _, _ in self.state:
            self.values[out] = 0

    def settle(self) -> None:
        """Evaluate gates until every one is known."""
        waiting = self.gates
        inputs = {bit for port in self.ports.values() if port["direction"] == "input" for bit in port["bits"]}
        known = inputs | {out for _, out, _, _ in self.state} | {"0", "1", "x"}
        while waiting:
            later = []
            for bits, out, table in waiting:
                if all(bit in known for bit in bits):
                    self.values[out] = _evaluate(table, [self.values[bit] for bit in bits])
                    known.add(out)
                else:
                    later.append((bits, out, table))
            assert len(later) < len(waiting), "the netlist has a loop or an undriven net"
            waiting = later

    def clock(self) -> None:
        """One rising edge, in the runs in which the clock gate of a register is open."""
        full, now, sampled = 2**64 - 1, self.values, {}
        for data, out, inverts, enable in self.state:
            taken = now[data] ^ (full if inverts else 0)
            sampled[out] = taken & now[enable] | now[out] & ~now[enable]
        now.update(sampled)

    def drive(self, port: str, numbers: np.ndarray) -> None:
        """Put 64 numbers on an input port."""
        for index, bit in enumerate(self.ports[port]["bits"]):
            word = sum(1 << lane for lane in range(64) if int(numbers[lane]) >> index & 1)
            self.values[bit] = word

    def read(self, port: str) -> np.ndarray:
        """The 64 unsigned numbers on a port."""
        bits = [self.values[bit] for bit in self.ports[port]["bits"]]
        return np.array(
            [sum((word >> lane & 1) << i for i, word in enumerate(bits)) for lane in range(64)], object
        )


def _evaluate(table: int, words: list[int]) -> int:
    full, result = 2**64 - 1, 0
    for row in range(1 << len(words)):
        if table >> row & 1:
            term = full
            for index, word in enumerate(words):
                term &= word if row >> index & 1 else full & ~word
            result |= term
    return result
