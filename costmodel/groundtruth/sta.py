"""Static timing of a mapped design: table delays with rise, fall and slew, pins as loads, wires without delay.

Every clock pin switches at time 0 and every input of the top at time 0; outputs are due at the end of the cycle.
A net whose load exceeds what the strongest small buffer drives well is timed as if behind a balanced tree of those
buffers, eight to a buffer: least-area synthesis inserts none, and without them such a net would decide the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blueprint.errors import ParamError
from costmodel.groundtruth.flatten import CONSTANT_NETS, Flat, Ints, flatten
from costmodel.technology.liberty import Arc, Cell, Table
from costmodel.technology.technology import Technology

Floats = NDArray[np.float64]

_TREE_FANOUT = 8
_NEVER = -np.inf
#: Sense -> pairs of (input edge, output edge); 0 is rise, 1 is fall.
_SENSES: Mapping[str, tuple[tuple[int, int], ...]] = {
    "positive_unate": ((0, 0), (1, 1)),
    "negative_unate": ((1, 0), (0, 1)),
    "non_unate": ((0, 0), (1, 0), (0, 1), (1, 1)),
}
CLASSES = ("register_to_register", "input_to_register", "register_to_output", "input_to_output")


@dataclass(frozen=True)
class Timing:
    """The slowest path of a design, and of each class of paths, in ps (0 where the class has no path)."""

    critical_path_ps: float
    path: tuple[str, ...]
    classes: Mapping[str, float]


def analyze(
    top: str,
    netlists: Mapping[str, Any],
    technology: Technology,
    macros: Mapping[str, tuple[Mapping[str, str], float]] | None = None,
    *,
    input_slew_ps: float | None = None,
    trees: bool = True,
) -> Timing:
    """Time the netlists (Yosys JSON modules on the technology's cells) joined below `top`.

    `macros` gives, for each cell type that is no library cell, its port directions and its clock-to-output time
    in ps. `input_slew_ps` is the slew of the top's inputs, by default that of clocks; `trees` puts buffer
    trees on heavy nets. `ParamError` for a combinational loop.
    """
    flat = flatten(top, netlists)
    graph = _Graph(flat, technology, macros or {}, trees)
    results = {}
    for start, launches in (
        ("register", graph.from_registers()),
        ("input", graph.from_inputs(input_slew_ps)),
    ):
        wave = _Wave(graph, launches)
        for end, ends in (("register", graph.captures), ("output", graph.leaving)):
            results[f"{start}_to_{end}"] = wave.worst(ends)
    name = max(CLASSES, key=lambda key: results[key][0])
    return Timing(results[name][0], results[name][1], {key: results[key][0] for key in CLASSES})


@dataclass(frozen=True)
class _Ends:
    """Path endpoints: net, edge, and the constraint table to add (row of the table set, or -1)."""

    nets: Ints
    edges: Ints
    tables: Ints


class _Tables:
    """Delay tables padded to one shape, so that one NumPy expression reads thousands of them."""

    def __init__(self) -> None:
        self._rows: dict[Table, int] = {}

    def add(self, table: Table | None) -> int:
        """Row of a table; -1 for none."""
        return -1 if table is None else self._rows.setdefault(table, len(self._rows))

    def seal(self) -> None:
        """Build the arrays after every table was added."""
        tables = list(self._rows) or [Table((0.0,), (0.0,), ((0.0,),))]
        shape = (max(2, *(len(t.slews) for t in tables)), max(2, *(len(t.loads) for t in tables)))
        self.slews = np.stack([_axis(t.slews, shape[0]) for t in tables])
        self.loads = np.stack([_axis(t.loads, shape[1]) for t in tables])
        self.values = np.stack([_grid(t, shape) for t in tables])
        self.last = np.array([[max(len(t.slews) - 2, 0), max(len(t.loads) - 2, 0)] for t in tables])

    def read(self, rows: Ints, slews: Floats, loads: Floats) -> Floats:
        """Bilinear interpolation in each row's table, extended linearly beyond its ends; 0 for row -1."""
        i, u = _place(self.slews[rows], slews, self.last[rows, 0])
        j, v = _place(self.loads[rows], loads, self.last[rows, 1])
        v00, v01 = self.values[rows, i, j], self.values[rows, i, j + 1]
        v10, v11 = self.values[rows, i + 1, j], self.values[rows, i + 1, j + 1]
        found: Floats = (1 - u) * ((1 - v) * v00 + v * v01) + u * ((1 - v) * v10 + v * v11)
        return np.where(rows < 0, 0.0, found)


def _axis(points: Sequence[float], size: int) -> Floats:
    # A single point gets a second one with the same values; padding beyond is never reached.
    known = [*points, points[0] + 1.0] if len(points) == 1 else list(points)
    return np.array(known + [np.inf] * (size - len(known)))


def _grid(table: Table, shape: tuple[int, int]) -> Floats:
    known = np.array(table.values)
    return np.pad(
        known, [(0, size - have) for size, have in zip(shape, known.shape, strict=True)], mode="edge"
    )


def _place(axes: Floats, values: Floats, last: Ints) -> tuple[Ints, Floats]:
    index = np.clip((axes <= values[:, None]).sum(axis=1) - 1, 0, last)
    rows = np.arange(len(values))
    low, high = axes[rows, index], axes[rows, index + 1]
    return index, (values - low) / (high - low)


class _Graph:
    """Timing edges between net edges, sorted by level."""

    def __init__(
        self,
        flat: Flat,
        technology: Technology,
        macros: Mapping[str, tuple[Mapping[str, str], float]],
        trees: bool,
    ) -> None:
        self.flat = flat
        self.trees = trees
        self.tables = _Tables()
        self.cells = technology.cells
        self.load = np.zeros(flat.nets)
        self._parts: list[tuple[Ints, Ints, int, int, int, int, str, Ints]] = []
        self._launch: list[tuple[Ints, int, int, int]] = []
        self._fixed: list[tuple[Ints, float]] = []
        self._capture: list[tuple[Ints, int, int]] = []
        for kind, rows in flat.cells.items():
            columns = {pin: index for index, pin in enumerate(flat.pins[kind])}
            if kind in self.cells:
                self._add_cell(self.cells[kind], rows, columns)
            else:
                directions, access = macros.get(kind, ({}, 0.0))
                self._add_macro(rows, flat.pins[kind], directions, access)
        self._tree(technology)
        self.captures = _ends(self._capture)
        leaving = flat.outputs[flat.outputs >= CONSTANT_NETS]
        self.leaving = _ends([(leaving, edge, -1) for edge in (0, 1)])
        self._sort()
        self.tables.seal()
        self._finish_tree()

    def _add_cell(self, cell: Cell, rows: Ints, columns: Mapping[str, int]) -> None:
        for pin in cell.inputs:
            if pin.name in columns:
                np.add.at(self.load, rows[:, columns[pin.name]], pin.capacitance)
        for arc in cell.arcs:
            if arc.related not in columns or arc.pin not in columns:
                continue
            source, target = rows[:, columns[arc.related]], rows[:, columns[arc.pin]]
            if arc.kind in ("rising_edge", "falling_edge"):
                self._launch_arc(arc, target)
            elif arc.kind.startswith("setup"):
                for edge, table in enumerate((arc.rise, arc.fall)):
                    self._capture.append((target, edge, self.tables.add(table)))
            elif cell.sequential is None and arc.kind.startswith("combinational"):
                self._arc(arc, cell, source, target)
        if cell.sequential is not None and not any(arc.kind.startswith("setup") for arc in cell.arcs):
            data = [rows[:, columns[pin.name]] for pin in cell.inputs if pin.name in columns]
            self._capture += [(nets, edge, -1) for nets in data for edge in (0, 1)]

    def _arc(self, arc: Arc, cell: Cell, source: Ints, target: Ints) -> None:
        number = np.arange(len(source), dtype=np.int64)
        for before, after in _SENSES.get(arc.sense, _SENSES["non_unate"]):
            delay = self.tables.add((arc.rise, arc.fall)[after])
            slew = self.tables.add((arc.rise_slew, arc.fall_slew)[after])
            self._parts.append((source, target, before, after, delay, slew, cell.name, number))

    def _launch_arc(self, arc: Arc, target: Ints) -> None:
        for edge, tables in enumerate(((arc.rise, arc.rise_slew), (arc.fall, arc.fall_slew))):
            if tables[0] is not None:
                self._launch.append((target, edge, self.tables.add(tables[0]), self.tables.add(tables[1])))

    def _add_macro(
        self, rows: Ints, pins: Sequence[str], directions: Mapping[str, str], access: float
    ) -> None:
        for column, pin in enumerate(pins):
            if directions.get(pin) == "output":
                self._fixed.append((rows[:, column], access))
            else:
                self._capture += [(rows[:, column], edge, -1) for edge in (0, 1)]

    def _sort(self) -> None:
        """Edges as arrays, grouped by the level of the net they lead to."""
        parts = self._parts
        empty = [np.zeros(0, np.int64)]
        self.source = np.concatenate([part[0] for part in parts] or empty)
        self.target = np.concatenate([part[1] for part in parts] or empty)
        sizes = [len(part[0]) for part in parts]
        before, after, delay, slew = (
            np.repeat(np.array([part[k] for part in parts], np.int64), sizes) for k in (2, 3, 4, 5)
        )
        self.kind = np.repeat(np.arange(len(parts)), sizes)
        self.instance = np.concatenate([part[7] for part in parts] or empty)
        self.before, self.after, self.delay_table, self.slew_table = before, after, delay, slew
        live = self.source >= CONSTANT_NETS
        order = np.flatnonzero(live)
        levels = _levels(self.source[order], self.target[order], self.flat.nets)
        depth = levels[self.target[order]]
        order = order[np.argsort(depth, kind="stable")]
        for name in ("source", "target", "kind", "instance", "before", "after", "delay_table", "slew_table"):
            setattr(self, name, getattr(self, name)[order])
        depth = levels[self.target]
        self.bounds = np.searchsorted(depth, np.arange(1, int(depth.max(initial=0)) + 2))

    def _tree(self, technology: Technology) -> None:
        """The buffer that trees are made of: of those at most twice as large as the smallest, the fastest loaded."""
        smallest = self.cells.get(technology.roles.gates.get("buffer", ""))
        self.stage: tuple[Arc, float] | None = None
        if smallest is None:
            return
        best = np.inf
        for cell in self.cells.values():
            if (
                len(cell.inputs) != 1
                or len(cell.outputs) != 1
                or cell.sequential
                or cell.area > 2 * smallest.area
            ):
                continue
            for arc in cell.arcs:
                pin = cell.inputs[0].capacitance
                if (
                    arc.sense == "positive_unate"
                    and arc.rise
                    and arc.fall
                    and arc.rise_slew
                    and arc.fall_slew
                ):
                    load = 16 * smallest.inputs[0].capacitance
                    delay = max(arc.rise.at(arc.rise.slews[0], load), arc.fall.at(arc.fall.slews[0], load))
                    if delay < best:
                        best, self.stage = delay, (arc, pin)

    def _finish_tree(self) -> None:
        """Delay and slew that a tree adds to each net, and the load its driver then sees."""
        self.added = np.zeros(self.flat.nets)
        self.tree_slew = np.zeros(self.flat.nets)
        self.stage_slew = 0.0
        if self.stage is None:
            return
        arc, pin = self.stage
        assert arc.rise and arc.fall and arc.rise_slew and arc.fall_slew
        limit = _TREE_FANOUT * pin
        slew = arc.rise_slew.slews[0]
        for _ in range(4):  # the slew a stage hands to the next settles at once
            slew = max(arc.rise_slew.at(slew, limit), arc.fall_slew.at(slew, limit))
        self.stage_slew = slew
        delay = max(arc.rise.at(slew, limit), arc.fall.at(slew, limit))
        large = self.load > 2 * limit if self.trees else np.zeros(len(self.load), bool)
        stages = np.ceil(np.log(np.maximum(self.load, limit) / limit) / np.log(_TREE_FANOUT))
        self.added[large] = stages[large] * delay
        self.tree_slew[large] = slew
        self.load[large] = limit

    def default_slew(self) -> float:
        """Slew of clocks and inputs in ps: that of a buffer that drives eight of its kind."""
        return self.stage_slew

    def from_registers(self) -> _Launch:
        """Register and macro outputs after the clock edge."""
        launch = _Launch(self.flat.nets)
        slew = self.default_slew()
        for nets, edge, delay, out_slew in self._launch:
            load = self.load[nets]
            slews = np.full(len(nets), slew)
            arrival, reached = (
                self.tables.read(np.full(len(nets), table), slews, load) for table in (delay, out_slew)
            )
            launch.put(nets, edge, arrival, reached)
        for nets, access in self._fixed:
            for edge in (0, 1):
                launch.put(nets, edge, np.full(len(nets), access), np.full(len(nets), slew))
        return launch

    def from_inputs(self, slew: float | None) -> _Launch:
        """Inputs of the top at time 0; clocks have no outgoing arcs."""
        launch = _Launch(self.flat.nets)
        nets = self.flat.inputs[self.flat.inputs >= CONSTANT_NETS]
        slew = self.default_slew() if slew is None else slew
        for edge in (0, 1):
            launch.put(nets, edge, np.zeros(len(nets)), np.full(len(nets), slew))
        return launch


class _Launch:
    """Initial arrival and slew of each net edge, before propagation."""

    def __init__(self, nets: int) -> None:
        self.arrival = np.full((nets, 2), _NEVER)
        self.slew = np.zeros((nets, 2))

    def put(self, nets: Ints, edge: int, arrival: Floats, slew: Floats) -> None:
        np.maximum.at(self.arrival[:, edge], nets, arrival)
        np.maximum.at(self.slew[:, edge], nets, slew)


class _Wave:
    """Arrival times propagated from one kind of start."""

    def __init__(self, graph: _Graph, launch: _Launch) -> None:
        self.graph = g = graph
        self.arrival, self.slew = launch.arrival, launch.slew
        self.delay = np.zeros(len(g.source))
        begin = 0
        self._pass_trees(np.flatnonzero((self.arrival > _NEVER).any(axis=1)))
        for end in g.bounds:
            part = slice(begin, int(end))
            begin = int(end)
            source, target, before, after = g.source[part], g.target[part], g.before[part], g.after[part]
            slews, loads = self.slew[source, before], g.load[target]
            delay = g.tables.read(g.delay_table[part], slews, loads)
            self.delay[part] = delay
            start = self.arrival[source, before]
            np.maximum.at(self.arrival, (target, after), start + delay)
            reached = start > _NEVER
            slew = g.tables.read(g.slew_table[part], slews, loads)
            np.maximum.at(self.slew, (target[reached], after[reached]), slew[reached])
            self._pass_trees(np.unique(target))

    def _pass_trees(self, nets: Ints) -> None:
        tall = nets[self.graph.added[nets] > 0]
        self.arrival[tall] += self.graph.added[tall, None]
        self.slew[tall] = np.where(
            self.arrival[tall] > _NEVER, self.graph.tree_slew[tall, None], self.slew[tall]
        )

    def worst(self, ends: _Ends) -> tuple[float, tuple[str, ...]]:
        """The latest endpoint: its time in ps and the cells of its path; (0, ()) without any arrival."""
        nets, edges = ends.nets, ends.edges
        arrival = self.arrival[nets, edges]
        clock = np.full(len(nets), self.graph.default_slew())
        total = arrival + self.graph.tables.read(ends.tables, self.slew[nets, edges], clock)
        if not len(total) or total.max() == _NEVER:
            return 0.0, ()
        index = int(np.argmax(total))
        return float(total[index]), self._trace(int(nets[index]), int(edges[index]))

    def _trace(self, net: int, edge: int) -> tuple[str, ...]:
        """Cell types and instances from start to end, with the time each output arrives."""
        g, steps = self.graph, list[str]()
        order = np.argsort(g.target, kind="stable")
        first = np.searchsorted(g.target[order], np.arange(g.flat.nets + 1))
        while True:
            into = order[first[net] : first[net + 1]]
            into = into[g.after[into] == edge]
            arrival = self.arrival[g.source[into], g.before[into]] + self.delay[into] + g.added[net]
            hit = into[np.isclose(arrival, self.arrival[net, edge], rtol=1e-9, atol=1e-6)]
            if not len(hit):
                return (f"{self._start(net)} {self.arrival[net, edge]:.1f}", *reversed(steps))
            step = int(hit[0])
            kind = g._parts[int(g.kind[step])][6]
            tree = " + buffer tree" if g.added[net] else ""
            name = g.flat.names[kind][int(g.instance[step])]
            steps.append(f"{kind} {name}{tree} {self.arrival[net, edge]:.1f}")
            net, edge = int(g.source[step]), int(g.before[step])

    def _start(self, net: int) -> str:
        for kind, rows in self.graph.flat.cells.items():
            cell = self.graph.cells.get(kind)
            if cell is None or cell.sequential is not None:
                found = np.flatnonzero((rows == net).any(axis=1))
                outputs = {pin.name for pin in cell.outputs} if cell else None
                for row in found:
                    pins = [p for p, n in zip(self.graph.flat.pins[kind], rows[row], strict=True) if n == net]
                    if outputs is None or outputs & set(pins):
                        return f"{kind} {self.graph.flat.names[kind][int(row)]}"
        return "input"


def _ends(parts: Sequence[tuple[Ints, int, int]]) -> _Ends:
    empty = [np.zeros(0, np.int64)]
    sizes = [len(nets) for nets, _, _ in parts]
    nets = np.concatenate([nets for nets, _, _ in parts] or empty)
    edges, tables = (np.repeat(np.array([part[k] for part in parts], np.int64), sizes) for k in (1, 2))
    live = nets >= CONSTANT_NETS
    return _Ends(nets[live], edges[live], tables[live])


def _levels(source: Ints, target: Ints, nets: int) -> Ints:
    """Longest distance of each net from a net without incoming edges, in edges. Raises `ParamError` on a loop."""
    pairs = np.unique(np.stack([source, target]), axis=1)
    order = np.argsort(pairs[0], kind="stable")
    heads = pairs[1][order]
    first = np.searchsorted(pairs[0][order], np.arange(nets + 1))
    waiting = np.bincount(pairs[1], minlength=nets)
    level = np.zeros(nets, np.int64)
    ready, done = np.flatnonzero(waiting == 0), 0
    depth = 0
    while len(ready):
        done += len(ready)
        depth += 1
        counts = first[ready + 1] - first[ready]
        starts = np.repeat(first[ready] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        reached = heads[starts + np.arange(counts.sum())]
        np.subtract.at(waiting, reached, 1)
        ready = np.unique(reached[waiting[reached] == 0])
        level[ready] = depth
    if done < nets:
        raise ParamError(
            f"A netlist must have no combinational loop, but {nets - done} nets form or follow one"
        )
    return level
