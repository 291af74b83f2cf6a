"""Switching with delays: what every net does between two clock edges, glitches included.

A register or input switches after the edge, and its change spreads through gates that take time. The delay of an arc
is read from the library's table at the slew and the load of static timing; it differs by pin and by edge of the
output. Delays are inertial, as in the Verilog and SDF models that libraries ship: a gate that changes its mind
before its output has switched does not switch, so that a pulse shorter than the gate's delay ends there.

Every cycle is simulated by itself, from settled values to settled values, since a clock that the design can have
leaves each the time to settle. So any sample of cycles will do. The values to which the nets settle are compared
every time with those of a simulation without delays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.groundtruth import sta
from costmodel.groundtruth.flatten import CONSTANT_NETS, Flat, Ints
from costmodel.technology import function
from costmodel.technology.liberty import Arc, Cell, WireLoad
from costmodel.technology.technology import Technology
from toolchain import cache as store
from toolchain import compiler, files, process

Floats = NDArray[np.float64]
Bits = NDArray[np.uint8]

#: Ticks of the simulator's clock in a ps.
TICKS_PER_PS = 10
_TIMEOUT_S = 1800.0
_FLAGS = ("-std=c++17", "-O2", "-Wall")


@dataclass(frozen=True)
class Gates:
    """Combinational gates as arrays, and the nets that switch by themselves.

    Gate g reads ``pin_nets[first[g]:first[g + 1]]``, the first pin being the lowest bit of the index into its truth
    table; ``pin_delays`` of shape (pins, 2) is what the output takes to rise and to fall after that pin switched, in
    ticks. ``shown`` names the net of the design whose value a net carries: nets beyond those of the design are the
    inputs of the buffer trees that static timing supposes.
    """

    first: Ints
    pin_nets: Ints
    pin_delays: Ints
    outputs: Ints
    tables: tuple[int, ...]
    sources: Ints
    source_delays: Ints
    shown: Ints


class Counted(NamedTuple):
    """Toggles of every net over all transitions, energy and last event (ps) of each transition, and the work done.

    ``cancelled`` are pulses that were too short for a gate.
    """

    toggles: Ints
    energies: Floats
    settled_ps: Floats
    events: int
    evaluations: int
    cancelled: int
    seconds: float


#: Directions of the ports of each kind of memory macro, and its access time after the clock in ps.
Macros = Mapping[str, tuple[Mapping[str, str], float]]


def gates(
    flat: Flat,
    technology: Technology,
    macros: Macros | None = None,
    trees: bool = True,
    wires: WireLoad | None = None,
) -> Gates:
    """The gates of a netlist with their delays; the arguments are those of static timing (`sta.analyze`)."""
    return _Builder(sta.Graph(flat, technology, macros or {}, trees, wires), macros or {}).gates()


def count(netlist: Gates, before: Bits, after: Bits, weights: Floats) -> Counted:
    """Simulate transitions between settled values: ``before`` and ``after`` have shape (transitions, nets), one
    byte a bit; ``weights`` is what one toggle of each net costs.

    Raises `ToolError` without a C++ compiler, and `RuntimeError` where nets settle to other values than ``after``.
    """
    shown = netlist.shown
    rows = [np.packbits(bits[:, shown], axis=1, bitorder="little") for bits in (before, after)]
    costs = np.zeros(len(shown))
    costs[: len(weights)] = weights
    with files.scratch() as scratch:
        job, answer = scratch / "job", scratch / "answer"
        job.write_bytes(_encode(netlist, costs, len(before)) + np.stack(rows, axis=1).tobytes())
        finished = process.run([_program(), job, answer], tool="delay simulation", timeout_s=_TIMEOUT_S)
        return _decode(answer.read_bytes(), len(shown), len(before), len(weights), finished.seconds)


def _decode(data: bytes, nets: int, transitions: int, wanted: int, seconds: float) -> Counted:
    numbers = np.frombuffer(data, np.int64)
    toggles, energies, settled, wrong, work = np.split(numbers, np.cumsum([nets, *[transitions] * 3]))
    if wrong.any():
        raise RuntimeError(
            f"nets settle to other values with delays than without: {int(wrong.max())} of {nets} in a cycle"
        )
    events, evaluations, cancelled = map(int, work)
    times = settled / TICKS_PER_PS
    return Counted(
        toggles[:wanted], energies.view(np.float64), times, events, evaluations, cancelled, seconds
    )


def _encode(netlist: Gates, weights: Floats, transitions: int) -> bytes:
    """The job file up to its transitions."""
    known: dict[tuple[int, int], int] = {}
    words, places = list[int](), list[int]()
    for table, pins in zip(netlist.tables, np.diff(netlist.first).tolist(), strict=True):
        if (table, pins) not in known:
            known[table, pins] = len(words)
            size = max(1, (1 << pins) // 64)
            words += [table >> 64 * word & (1 << 64) - 1 for word in range(size)]
        places.append(known[table, pins])
    head = [len(netlist.outputs), len(weights), len(netlist.pin_nets), len(words), len(netlist.sources)]
    head.append(transitions)
    numbers: Sequence[Any] = (
        *(netlist.first, netlist.pin_nets, netlist.pin_delays, netlist.outputs, places),
        np.array(words, np.uint64),
        *(netlist.sources, netlist.source_delays, weights),
    )
    parts = [
        item if getattr(item, "dtype", None) in (np.uint64, np.float64) else np.asarray(item, np.int32)
        for item in numbers
    ]
    return np.array(head, np.int64).tobytes() + b"".join(np.ascontiguousarray(p).tobytes() for p in parts)


@cache
def _program() -> Path:
    """The simulator, compiled once for each text and compiler."""
    text = resources.files("costmodel.groundtruth").joinpath("delay_kernel.cpp").read_text()

    def build(folder: Path) -> None:
        source = folder / "delay_kernel.cpp"
        source.write_text(text)
        objects = compiler.compile_objects([(source, _FLAGS)], cwd=folder)
        compiler.link(objects, folder / "kernel")
        compiler.keep_only(folder / "kernel")

    return store.entry("delay-kernel", [text, *_FLAGS, compiler.version()], build) / "kernel"


class _Builder:
    """Reads gates and delays out of a flat netlist."""

    def __init__(self, graph: sta.Graph, macros: Macros) -> None:
        self.flat = graph.flat
        self.cells = graph.cells
        self.macros = macros
        self.graph = graph
        launch, inputs = graph.from_registers(), graph.from_inputs(None)
        launch.arrival = np.maximum(launch.arrival, inputs.arrival)
        launch.slew = np.maximum(launch.slew, inputs.slew)
        self.slew = sta.Wave(graph, launch).slew
        self.pins: list[
            tuple[Ints, Floats]
        ] = []  # of one function: (instances, pins) and (instances, pins, 2)
        self.outputs: list[Ints] = []
        self.tables: list[int] = []
        self.sources: list[tuple[Ints, Floats]] = []

    def gates(self) -> Gates:
        for kind, rows in self.flat.cells.items():
            columns = {pin: rows[:, index] for index, pin in enumerate(self.flat.pins[kind])}
            cell = self.cells.get(kind)
            if cell is None:
                self._memory(kind, rows)
            elif cell.sequential is not None:
                self._flip_flop(cell, columns)
            elif cell.clock_gate is None:
                self._gate(cell, columns)
        self._inputs()
        tall = np.flatnonzero(self.graph.added[: self.flat.nets] > 0)
        driven = np.arange(self.flat.nets)
        driven[tall] = self.flat.nets + np.arange(len(tall))
        outputs = driven[np.concatenate([*self.outputs, np.zeros(0, np.int64)])]
        self._trees(tall, driven[tall])
        widths = [np.full(len(nets), nets.shape[1]) for nets, _ in self.pins]
        return Gates(
            np.concatenate([[0], np.cumsum(np.concatenate([*widths, np.zeros(0, np.int64)]))]),
            np.concatenate([nets.ravel() for nets, _ in self.pins] or [np.zeros(0, np.int64)]),
            _ticks(np.concatenate([d.reshape(-1, 2) for _, d in self.pins] or [np.zeros((0, 2))])),
            np.concatenate([outputs, tall]),
            tuple(self.tables),
            driven[np.concatenate([nets for nets, _ in self.sources])],
            _ticks(np.concatenate([delays for _, delays in self.sources])),
            np.concatenate([np.arange(self.flat.nets), tall]),
        )

    def _gate(self, cell: Cell, columns: Mapping[str, Ints]) -> None:
        for pin in cell.outputs:
            if pin.name not in columns or not pin.function or not cell.inputs:
                continue
            count = len(columns[pin.name])
            names = [item.name for item in cell.inputs]
            nets = np.stack([columns.get(name, np.zeros(count, np.int64)) for name in names], axis=1)
            delays = np.stack([self._delay(cell, name, pin.name, columns, count) for name in names], axis=1)
            self.pins.append((nets, delays))
            self.outputs.append(columns[pin.name])
            self.tables += [function.truth(pin.function, tuple(names))] * count

    def _delay(self, cell: Cell, related: str, pin: str, columns: Mapping[str, Ints], count: int) -> Floats:
        """Delay in ps of every instance from a pin to the rise and the fall of another, of shape (instances, 2)."""
        total, found = np.zeros((count, 2)), np.zeros(2)
        wanted = (related, pin) if related in columns else None
        for arc in cell.arcs:
            if (arc.related, arc.pin) == wanted and arc.kind.startswith("combinational"):
                for before, after in sta._SENSES.get(arc.sense, sta._SENSES["non_unate"]):
                    slews = self.slew[columns[related], before]
                    total[:, after] += _read(arc, after, slews, self.graph.load[columns[pin]])
                    found[after] += 1
        return total / np.maximum(found, 1)

    def _flip_flop(self, cell: Cell, columns: Mapping[str, Ints]) -> None:
        for pin in cell.outputs:
            if pin.name not in columns or not pin.function:
                continue
            nets = columns[pin.name]
            delays = np.zeros((len(nets), 2))
            for arc in cell.arcs:
                if arc.pin == pin.name and arc.kind in ("rising_edge", "falling_edge"):
                    slews = np.full(len(nets), self.graph.default_slew())
                    for edge in (0, 1):
                        delays[:, edge] = _read(arc, edge, slews, self.graph.load[nets])
            self.sources.append((nets, delays))

    def _memory(self, kind: str, rows: Ints) -> None:
        directions, access_ps = self.macros[kind]
        pins = self.flat.pins[kind]
        answers = [index for index, pin in enumerate(pins) if directions.get(pin) == "output"]
        nets = rows[:, answers].ravel()
        self.sources.append((nets, np.full((len(nets), 2), access_ps)))

    def _inputs(self) -> None:
        """Inputs of the top come from registers like those of the design."""
        known = [delays for nets, delays in self.sources if len(nets)]
        usual = float(np.median(np.concatenate(known))) if known else 0.0
        nets = np.unique(self.flat.inputs)
        nets = nets[nets >= CONSTANT_NETS]
        self.sources.append((nets, np.full((len(nets), 2), usual)))

    def _trees(self, tall: Ints, roots: Ints) -> None:
        """The buffer trees that static timing supposes, each as one buffer."""
        if len(tall):
            self.pins.append((roots[:, None], np.repeat(self.graph.added[tall], 2).reshape(-1, 1, 2)))
            self.tables += [0b10] * len(tall)


def _read(arc: Arc, edge: int, slews: Floats, loads: Floats) -> Floats:
    """Delays in ps of an arc to the rise (0) or the fall (1) of its output; 0 where it states none."""
    table = (arc.rise, arc.fall)[edge]
    if table is None:
        return np.zeros(len(slews))
    values = np.array(table.values)
    i, u = _place(np.array(table.slews), slews)
    j, v = _place(np.array(table.loads), loads)
    below, right = np.minimum(i + 1, values.shape[0] - 1), np.minimum(j + 1, values.shape[1] - 1)
    low = (1 - v) * values[i, j] + v * values[i, right]
    high = (1 - v) * values[below, j] + v * values[below, right]
    found: Floats = (1 - u) * low + u * high
    return found


def _place(points: Floats, values: Floats) -> tuple[Ints, Floats]:
    """The interval of an axis that each value stands in, and where; the first and the last go on beyond the axis."""
    if len(points) == 1:
        return np.zeros(len(values), np.int64), np.zeros(len(values))
    index = np.clip(np.searchsorted(points, values, side="right") - 1, 0, len(points) - 2)
    return index, (values - points[index]) / (points[index + 1] - points[index])


def _ticks(delays: Floats) -> Ints:
    """Delays in ps as ticks; what a table extends below zero takes no time."""
    return np.maximum(np.rint(delays * TICKS_PER_PS), 0).astype(np.int64)
