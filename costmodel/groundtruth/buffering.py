"""Buffer trees on nets that their drivers drive badly, module by module from the leaves of the hierarchy.

A module is buffered once, whatever its instances: each of its nets is driven by its own cells, or by an average
driver where it comes in by a port, and its ports say to the parent what they load and what drives them. So a net
between instances gets its tree in the parent, and a net that fans out below a port gets it there. A net gets the
smallest tree whose delay is at most a tenth above that of the fastest tree, and none where a tree saves less than a
fifth of the delay. Clocks are ideal: nets that reach a clock pin have no buffers.
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from costmodel.groundtruth.mapping import Bit, Netlist
from costmodel.technology.liberty import Arc, Cell, WireLoad
from costmodel.technology.table import place
from costmodel.technology.technology import Technology

#: Loads of a buffer to try, in its own input capacitances.
_EFFORTS = (4.0, 8.0, 12.0, 20.0)
#: A tree may be this much slower than the fastest if it is smaller; a net gets one if its driver is this much slower.
_WORSE, _GAIN = 1.1, 1.25
_PREFIX = "buf"


@dataclass(frozen=True)
class Buffer:
    """A buffer of the library: its pins and its slower edge's arc."""

    cell: Cell
    enters: str
    leaves: str
    arc: Arc

    @property
    def capacitance(self) -> float:
        """Input capacitance in fF."""
        return self.cell.pin(self.enters).capacitance

    def delay(self, slew: float, load: float) -> float:
        """Delay of the slower edge in ps."""
        return _delay(self.arc, slew, load)


@dataclass(frozen=True)
class _Tree:
    """Buffers of one kind that each drive at most `load` fF in `levels` levels."""

    buffer: Buffer
    load: float
    levels: int


@dataclass
class _Port:
    """Electrical properties of a finished module's port, bit by bit, as its parent sees them."""

    load: list[float] = field(default_factory=list)  # fF that an input pin puts on its net, wires left out
    fanout: list[int] = field(default_factory=list)
    clock: list[bool] = field(default_factory=list)
    driver: list[tuple[Arc, ...]] = field(default_factory=list)  # arcs to the net of an output


@dataclass
class _Net:
    """One net of a module: its readers and its driver."""

    readers: list[tuple[str, str, int]] = field(default_factory=list)  # cell, pin, bit of the pin
    loads: list[float] = field(default_factory=list)
    fanouts: list[int] = field(default_factory=list)
    clock: bool = False
    arcs: tuple[Arc, ...] = ()
    fixed: float = 0.0  # load below a port that drives the net, which no tree can take off
    fixed_fanout: int = 0


def insert(
    top: str, netlists: Mapping[str, Netlist], technology: Technology, wires: WireLoad | None
) -> dict[str, Netlist]:
    """The netlists with buffers; modules and their ports stay as they are."""
    return _Hierarchy(netlists, technology, wires).done(top)


def ports(top: str, netlists: Mapping[str, Netlist], technology: Technology) -> dict[str, list[bool]]:
    """For each port of the top, bit by bit, whether it reaches a clock pin."""
    hierarchy = _Hierarchy(netlists, technology, None, keep=True)
    hierarchy.done(top)
    return {name: port.clock for name, port in hierarchy.ports[top].items()}


class _Hierarchy:
    """Modules from the leaves up."""

    def __init__(
        self,
        netlists: Mapping[str, Netlist],
        technology: Technology,
        wires: WireLoad | None,
        keep: bool = False,
    ) -> None:
        self.keep = keep
        self.netlists = netlists
        self.cells = technology.cells
        self.trees = Trees(technology, wires)
        self.ports: dict[str, dict[str, _Port]] = {}
        self.results: dict[str, Netlist] = {}

    def done(self, top: str) -> dict[str, Netlist]:
        self._visit(top)
        return self.results

    def _visit(self, name: str) -> None:
        if name in self.results or name not in self.netlists:
            return
        netlist = self.netlists[name]
        for kind in dict.fromkeys(cell["type"] for cell in netlist["cells"].values()):
            self._visit(kind)
        changed: Netlist = {"ports": netlist["ports"], "cells": copy.deepcopy(netlist["cells"])}
        nets = self._nets(changed)
        editor = _Editor(changed, self.trees)
        for bit, net in nets.items():
            if not self.keep and not net.clock and len(net.readers) > 1:
                editor.tree(bit, net)
        self.ports[name] = self._summary(changed)
        self.results[name] = changed

    def _nets(self, netlist: Netlist) -> dict[Bit, _Net]:
        nets: dict[Bit, _Net] = {}
        for name, item in netlist["cells"].items():
            for pin, bits in item["connections"].items():
                for index, bit in enumerate(bits):
                    if not isinstance(bit, str):
                        self._connect(nets.setdefault(bit, _Net()), name, item["type"], pin, index)
        return nets

    def _connect(self, net: _Net, name: str, kind: str, pin: str, index: int) -> None:
        cell = self.cells.get(kind)
        if cell is not None:
            if cell.pin(pin).direction == "input":
                net.readers.append((name, pin, index))
                net.loads.append(cell.pin(pin).capacitance)
                net.fanouts.append(1)
                net.clock |= pin in _clocks(cell)
            else:
                net.arcs += _into(cell, pin)
            return
        port = self.ports.get(kind, {}).get(pin)
        if port is None or index >= len(port.load):
            return
        if self.netlists[kind]["ports"][pin]["direction"] == "input":
            net.readers.append((name, pin, index))
            net.loads.append(port.load[index])
            net.fanouts.append(port.fanout[index])
            net.clock |= port.clock[index]
        else:
            net.arcs += port.driver[index]
            net.fixed += port.load[index]
            net.fixed_fanout += port.fanout[index]

    def _summary(self, netlist: Netlist) -> dict[str, _Port]:
        nets = self._nets(netlist)
        found = {}
        for name, item in netlist["ports"].items():
            port = found[name] = _Port()
            for bit in item["bits"]:
                net = _Net() if isinstance(bit, str) else nets.get(bit, _Net())
                port.load.append(sum(net.loads) + net.fixed)
                port.fanout.append(sum(net.fanouts) + net.fixed_fanout)
                port.clock.append(net.clock)
                port.driver.append(net.arcs)
        return found


class _Driver:
    """The slowest of some arcs at one input slew, as a function of load."""

    def __init__(self, arcs: Iterable[Arc], slew: float) -> None:
        lines: dict[tuple[float, ...], set[tuple[float, ...]]] = {}
        for table in (table for arc in arcs for table in (arc.rise, arc.fall) if table is not None):
            points = tuple(table.at(slew, load) for load in table.loads)
            lines.setdefault(table.loads, set()).add(points)
        self.curves = [(axis, _undominated(found)) for axis, found in lines.items()]

    def delay(self, load: float) -> float:
        """Delay in ps, extended linearly beyond the ends of the tables."""
        slowest = -math.inf
        for axis, lines in self.curves:
            j, v = place(axis, load)
            k = min(j + 1, len(axis) - 1)
            for points in lines:
                slowest = max(slowest, (1 - v) * points[j] + v * points[k])
        return slowest


def _undominated(lines: Iterable[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Lines that no other is above at every load, beyond the axis included."""
    kept: list[tuple[float, ...]] = []
    for line in sorted(lines, reverse=True):
        ends = line[:2][::-1], line[-2:]
        if not any(
            all(map(operator.ge, other, line))
            and all(
                b[-1] - b[0] >= a[-1] - a[0] for a, b in zip(ends, (other[:2][::-1], other[-2:]), strict=True)
            )
            for other in kept
        ):
            kept.append(line)
    return kept


class Trees:
    """Chooses trees for loads."""

    def __init__(self, technology: Technology, wires: WireLoad | None) -> None:
        self.wires = wires
        self.buffers = buffers(technology)
        typical = min(self.buffers, key=lambda item: item.cell.area)
        self.slew = typical.arc.rise_slew.slews[0] if typical.arc.rise_slew else 0.0
        for _ in range(4):  # settles at once
            self.slew = _slew(typical.arc, self.slew, 8 * typical.capacitance)
        self.driver: tuple[Arc, ...] = (typical.arc,)
        self.least = 3 * typical.capacitance
        self.drivers = [_Driver((item.arc,), self.slew) for item in self.buffers]
        self._drivers: dict[tuple[int, ...], _Driver] = {}
        self._known: dict[tuple[float | int | tuple[int, ...], ...], _Tree | None] = {}

    def wire(self, fanout: int) -> float:
        """Capacitance of the wire of a net."""
        return self.wires.length(fanout) * self.wires.capacitance if self.wires and fanout else 0.0

    def choose(self, net: _Net) -> _Tree | None:
        """The tree for a net; None where the driver alone is better."""
        readers, pins = sum(net.fanouts), sum(net.loads)
        before = pins + net.fixed + self.wire(readers + net.fixed_fanout)
        if before <= self.least or not self.buffers:
            return None
        arcs = net.arcs or self.driver
        names = tuple(map(id, arcs))  # the technology keeps its arcs
        key = (names, len(net.loads), readers, pins, net.fixed, net.fixed_fanout)
        if key not in self._known:
            driver = self._drivers.get(names) or self._drivers.setdefault(names, _Driver(arcs, self.slew))
            self._known[key] = self._choose(net, driver, pins, readers, before)
        return self._known[key]

    def _choose(self, net: _Net, driver: _Driver, pins: float, readers: int, before: float) -> _Tree | None:
        direct = driver.delay(before)
        found = [
            item
            for number in range(len(self.buffers))
            for item in self._options(number, net, driver, pins, readers)
        ]
        if not found:  # as many buffers as loads would not be a tree
            return None
        fastest = min(delay for delay, _, _ in found)
        if fastest * _GAIN >= direct:
            return None
        return min(
            (area, delay, number, tree)
            for number, (delay, area, tree) in enumerate(found)
            if delay <= fastest * _WORSE
        )[3]

    def _options(
        self, number: int, net: _Net, driver: _Driver, pins: float, readers: int
    ) -> Iterable[tuple[float, float, _Tree]]:
        buffer, own = self.buffers[number], self.drivers[number]
        wire = self.wire(readers) / max(readers, 1)
        for effort in _EFFORTS:
            limit = effort * buffer.capacitance
            count, levels, area, load = len(net.loads), 0, 0.0, pins + wire * readers
            delay = 0.0
            while levels < 4:
                each = max(1, math.ceil(load / limit))
                if each >= count:
                    break
                delay += own.delay(load / each)
                count, levels, area = each, levels + 1, area + each * buffer.cell.area
                load = count * buffer.capacitance + self.wire(count)
                rest = net.fixed + self.wire(net.fixed_fanout)
                yield delay + driver.delay(load + rest), area, _Tree(buffer, limit, levels)
                if count == 1:
                    break


class _Editor:
    """Puts trees into one module."""

    def __init__(self, netlist: Netlist, trees: Trees) -> None:
        self.cells = netlist["cells"]
        self.trees = trees
        bits = [b for item in self.cells.values() for pins in item["connections"].values() for b in pins]
        bits += [b for port in netlist["ports"].values() for b in port["bits"]]
        self.next = max((bit for bit in bits if isinstance(bit, int)), default=1) + 1

    def tree(self, bit: Bit, net: _Net) -> None:
        """Buffer one net, if that is faster."""
        chosen = self.trees.choose(net)
        if chosen is None:
            return
        readers = list(zip(net.readers, net.loads, net.fanouts, strict=True))
        for _ in range(chosen.levels):
            readers = self._level(readers, chosen)
        for (name, pin, index), _, _ in readers:
            self.cells[name]["connections"][pin][index] = bit

    def _level(
        self, readers: list[tuple[tuple[str, str, int], float, int]], tree: _Tree
    ) -> list[tuple[tuple[str, str, int], float, int]]:
        above = []
        for group in _groups(readers, tree.load, self.trees):
            leaf, name = self.next, f"{_PREFIX}{self.next}"
            self.next += 1
            for (cell, pin, index), _, _ in group:
                self.cells[cell]["connections"][pin][index] = leaf
            buffer = tree.buffer
            # The readers of this level connect the input.
            pins = {buffer.enters: [None], buffer.leaves: [leaf]}
            self.cells[name] = {"type": buffer.cell.name, "connections": pins}
            above.append(((name, buffer.enters, 0), buffer.capacitance, 1))
        return above


def _groups(
    readers: list[tuple[tuple[str, str, int], float, int]], limit: float, trees: Trees
) -> list[list[tuple[tuple[str, str, int], float, int]]]:
    """Readers in their order, in groups of about the same load, none above `limit` unless one reader is."""
    fanout = sum(reader[2] for reader in readers)
    share = trees.wire(fanout) / max(fanout, 1)
    total = sum(load + share * count for _, load, count in readers)
    each = total / max(1, math.ceil(total / limit))
    groups: list[list[tuple[tuple[str, str, int], float, int]]] = [[]]
    filled = 0.0
    for reader in readers:
        load = reader[1] + share * reader[2]
        if groups[-1] and filled + load / 2 > each * len(groups):
            groups.append([])
        groups[-1].append(reader)
        filled += load
    return groups


def buffers(technology: Technology) -> tuple[Buffer, ...]:
    """Buffers of a technology that have delays, smallest first; delay cells, far slower at their size, left out."""
    smallest = technology.cells[technology.roles.gates["buffer"]]
    found = []
    for name in technology.strengths[smallest.name]:
        cell = technology.cells[name]
        arcs = [arc for arc in cell.arcs if arc.rise and arc.fall and arc.rise_slew and arc.fall_slew]
        if arcs:
            found.append(Buffer(cell, cell.inputs[0].name, cell.outputs[0].name, arcs[0]))
    load = 16 * smallest.inputs[0].capacitance
    kept: list[Buffer] = []
    for item in found:
        fastest = min((other.delay(0.0, load) for other in kept), default=math.inf)
        if item.delay(0.0, load) < fastest:
            kept.append(item)
    return tuple(kept)


def _clocks(cell: Cell) -> set[str]:
    named = {pin.name for pin in cell.pins if pin.clock}
    clocked = cell.sequential is not None or cell.clock_gate is not None
    return named | {arc.related for arc in cell.arcs if clocked and arc.kind != "combinational"}


def _into(cell: Cell, pin: str) -> tuple[Arc, ...]:
    return tuple(arc for arc in cell.arcs if arc.pin == pin and (arc.rise or arc.fall))


def _delay(arc: Arc, slew: float, load: float) -> float:
    return max(table.at(slew, load) for table in (arc.rise, arc.fall) if table is not None)


def _slew(arc: Arc, slew: float, load: float) -> float:
    tables = [table for table in (arc.rise_slew, arc.fall_slew) if table is not None]
    return max((table.at(slew, load) for table in tables), default=0.0)
