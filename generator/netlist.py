"""Amaranth's netlists, for words of many thousand bits.

Amaranth (0.5) keeps an object for every bit of a value and several tables by bit, and walks them in Python. What is
replaced here gives the same netlist and the same errors, with one step for a word where Amaranth takes one for a bit.
Blocks are converted one at a time, so a netlist is one module and its instances (:mod:`generator.emission`).
"""

from __future__ import annotations

import contextlib
import gc
import itertools
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from types import SimpleNamespace
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import _ir, _nir

#: Bits of the number of a net that hold the bit of a cell; Amaranth uses 16, for all ports of a module together.
_BIT = 32
#: Cells without a combinational path from an input to an output.
_CUT = (_nir.Top, _nir.Instance, _nir.SyncReadPort)
#: Number of new objects after which a search for unreferenced ones pays off.
_MANY = 200_000


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Suspend garbage collection while a block is converted: it would visit the objects of all bits again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_count()[0] > _MANY:
            gc.collect()
        if enabled:
            gc.enable()


class _Net:
    """Numbering of nets in modules with more than 65,536 bits of inputs or of an instance's outputs."""

    @staticmethod
    def from_cell(cell: int, bit: int) -> _nir.Net:
        return _nir.Net(cell << _BIT | bit)

    cell = property(lambda net: net >> _BIT)
    bit = property(lambda net: net & ((1 << _BIT) - 1))


def _nets(numbers: range) -> _nir.Value:
    return _nir.Value(map(_nir.Net, numbers))


class _Value:
    """A word of nets."""

    @staticmethod
    def __new__(cls: type, nets: Any = ()) -> Any:
        return tuple.__new__(cls, (nets,) if isinstance(nets, _nir.Net) else nets)


class _Netlist:
    """Replaced methods of Amaranth's netlist that visit all nets."""

    def add_value_cell(self: Any, width: int, cell: Any) -> _nir.Value:
        first = self.add_cell(cell) << _BIT
        cell.nets = _nets(range(first, first + width))
        return cell.nets

    def alloc_late_value(self: Any, signal: Any) -> _nir.Value:
        """Nets to be connected later; only errors ask which signal they were (``_owners``)."""
        self.last_late_net -= len(signal)
        return _nets(range(self.last_late_net, self.last_late_net + len(signal)))

    def resolve_value(self: Any, value: _nir.Value) -> _nir.Value:
        """The nets that drive a word; ``check_comb_cycles`` has left one step to each."""
        return tuple.__new__(_nir.Value, map(self.connections.get, value, value))

    def check_comb_cycles(self: Any) -> None:
        """Follow connections to their ends, cell by cell; check bit by bit only where that shows a cycle."""
        ends = _ends(self.connections)
        if ends is None or not _acyclic(self, ends):
            self.late_to_signal.update(_owners(self))
            _check_comb_cycles(self)
        self.connections.update(ends or {})


_check_comb_cycles = _nir.Netlist.check_comb_cycles


def _ends(connections: dict[Any, Any]) -> dict[Any, Any] | None:
    """The last net of every connection that leads to another one; nothing where some lead in a circle."""
    ends = {}
    for first, net in connections.items():
        if net < 0:
            for _ in range(len(connections)):
                net = connections[net]
                if net >= 0:
                    break
            else:
                return None
            ends[first] = net
    return ends


def _acyclic(netlist: Any, ends: dict[Any, Any]) -> bool:
    """True if no cell reaches itself without a register."""
    known, graph = netlist.connections, TopologicalSorter[int]()
    for number, cell in enumerate(netlist.cells):
        if not isinstance(cell, _CUT):
            nets = (cell.clk, cell.arst) if isinstance(cell, _nir.FlipFlop) else cell.input_nets()
            graph.add(number, *{ends.get(net, known.get(net, net)) >> _BIT for net in nets})
    try:
        graph.prepare()
    except CycleError:
        return False
    return True


def _owners(netlist: Any) -> Iterable[tuple[Any, tuple[Any, int]]]:
    """Late nets with their signal and its bit."""
    for signal, value in netlist.signals.items():
        for bit, net in enumerate(value):
            yield net, (signal, bit)


class _Emitter:
    """Replaced methods of Amaranth's emitter, which turns statements into nets."""

    def emit_signal(self: Any, signal: Any) -> _nir.Value:
        signals = self.netlist.signals
        if signal not in signals:
            signals[signal] = self.netlist.alloc_late_value(signal)
        return signals[signal]

    def connect(self: Any, lhs: _nir.Value, rhs: _nir.Value, *, src_loc: Any) -> None:
        known = self.netlist.connections
        before, fresh = len(known), known.keys().isdisjoint(lhs)
        if fresh:
            known.update(zip(lhs, rhs, strict=True))
            self.connect_src_loc[lhs] = src_loc
        if not fresh or len(known) != before + len(lhs):
            self._conflict(lhs, rhs, src_loc)

    def emit_undriven(self: Any) -> None:
        connected = self.netlist.connections.__contains__
        if not all(all(map(connected, value)) for value in self.netlist.signals.values()):
            _emit_undriven(self)

    def _conflict(self: Any, lhs: _nir.Value, rhs: _nir.Value, src_loc: Any) -> None:
        """Have Amaranth say which bit has two drivers."""
        self.late_net_to_signal.update(_owners(self.netlist))
        places = [(net, place) for word, place in self.connect_src_loc.items() for net in word]
        self.connect_src_loc = dict(places)
        _connect(self, lhs, rhs, src_loc=src_loc)


_connect, _emit_undriven = _ir.NetlistEmitter.connect, _ir.NetlistEmitter.emit_undriven


class _Text:
    """Replaced methods of Amaranth's writer, which turns nets into RTLIL."""

    def emit_driven_wire(self: Any, value: _nir.Value) -> Any:
        name = self.value_names.get(value)
        if name is None:
            wire = self.builder.wire(len(value), attrs=self.value_attrs.get(value, {}))
        else:
            wire = self.sigport_wires[name][0]
            self.driven_sigports.add(name)
        self.nets.update((net, (wire, bit)) for bit, net in enumerate(value))
        return wire

    def emit_cell_wires(self: Any) -> None:
        for number in self.module.cells:
            cell = self.netlist.cells[number]
            if isinstance(cell, _nir.Instance):
                for name, (start, width) in cell.ports_o.items():
                    wire = self.emit_driven_wire(cell.nets[start : start + width])
                    self.instance_wires[number, name] = wire
            else:
                one = SimpleNamespace(**vars(self), emit_driven_wire=self.emit_driven_wire)
                one.module = SimpleNamespace(cells=[number])
                _emit_cell_wires(one)

    def sigspec(self: Any, *parts: Any) -> str:
        """A word as chunks of wires, the highest first."""
        nets = list(itertools.chain.from_iterable(map(_nir.Value, parts)))
        places = list(map(self.nets.get, nets))
        chunks, begin = [], 0
        while begin < len(nets):
            end = _run(places, begin)
            if places[begin] is None:
                bits = "".join(map(str, map(int, reversed(nets[begin:end]))))
                chunks.append(f"{end - begin}'{bits}")
            else:
                wire, low = places[begin]
                high = low + end - begin - 1
                chunks.append(f"{wire.name} [{low}]" if high == low else f"{wire.name} [{high}:{low}]")
            begin = end
        return chunks[0] if len(chunks) == 1 else "{ " + " ".join(reversed(chunks)) + " }"


_emit_cell_wires = rtlil.ModuleEmitter.emit_cell_wires


def _run(places: list[Any], begin: int) -> int:
    """The end of the bits that follow each other in one wire, or of the constants."""
    place = places[begin]
    if place is None:
        while begin < len(places) and places[begin] is None:
            begin += 1
        return begin
    wire, bit = place
    while begin < len(places) and places[begin] == (wire, bit):
        begin, bit = begin + 1, bit + 1
    return begin


def _compute_net_flows(netlist: Any) -> None:
    """Which nets go from one module to another."""
    if len(netlist.modules) > 1:
        _flows(netlist)


def _compute_ports(netlist: Any) -> None:
    """The ports of every module."""
    if len(netlist.modules) > 1:
        _ports(netlist)
        return
    module, top = netlist.modules[0], netlist.top
    for name, (start, width) in top.ports_i.items():
        module.ports[name] = _nets(range(start, start + width)), _nir.ModuleNetFlow.Input
    for name, value in top.ports_o.items():
        module.ports[name] = value, _nir.ModuleNetFlow.Output


_flows, _ports = _ir._compute_net_flows, _ir._compute_ports
_ir._compute_net_flows, _ir._compute_ports = _compute_net_flows, _compute_ports
for _theirs, _ours in (
    (_nir.Net, _Net), (_nir.Value, _Value), (_nir.Netlist, _Netlist), (_ir.NetlistEmitter, _Emitter),
    (rtlil.ModuleEmitter, _Text),
):  # fmt: skip
    for _name, _part in vars(_ours).items():
        if _name == "__new__" or not _name.startswith("__"):
            setattr(_theirs, _name, _part)
