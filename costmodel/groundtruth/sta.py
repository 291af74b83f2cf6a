"""Static timing of a mapped design: table delays with rise, fall and slew, pins as loads, wires without delay.

Every clock pin switches at time 0, behind a clock gate too (the gate's enable is an endpoint, with its setup time), and
every input of the top at time 0; outputs are due at the end of the cycle.
A net whose load exceeds what the strongest small buffer drives well is timed as if behind a balanced tree of those
buffers, eight to a buffer: least-area synthesis inserts none, and without them such a net would decide the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from blueprint.errors import ParamError
from costmodel.groundtruth.flatten import CONSTANT_NETS, Flat, Ints, flatten
from costmodel.groundtruth.nldm import Floats, Tables
from costmodel.technology.liberty import Arc, Cell, WireLoad
from costmodel.technology.technology import Technology

_NONE: Ints = np.zeros(0, np.int64)
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
    wires: WireLoad | None = None,
) -> Timing:
    """Time the netlists (Yosys JSON modules on the technology's cells) joined below `top`.

    `macros` gives, for each cell type that is no library cell, its port directions and its clock-to-output time
    in ps. `input_slew_ps` is the slew of the top's inputs, by default that of clocks; `trees` pretends
    buffer trees on heavy nets, for netlists of a recipe that inserts none; `wires` adds wires. `ParamError`
    where the netlist has a combinational loop.
    """
    return slowest(Graph(flatten(top, netlists), technology, macros or {}, trees, wires), input_slew_ps)


def slowest(graph: Graph, input_slew_ps: float | None = None) -> Timing:
    """The slowest paths of a timing graph; `input_slew_ps` is the slew of the inputs, by default that of clocks."""
    results = {}
    for start, launches in (
        ("register", graph.from_registers()),
        ("input", graph.from_inputs(input_slew_ps)),
    ):
        wave = Wave(graph, launches)
        for end, ends in (("register", graph.captures), ("output", graph.leaving)):
            results[f"{start}_to_{end}"] = wave.worst(ends)
    name = max(CLASSES, key=lambda key: results[key][0])
    return Timing(results[name][0], results[name][1], {key: results[key][0] for key in CLASSES})


@dataclass(frozen=True)
class Ends:
    """Path endpoints: net, edge, and the constraint table to add (row of the table set, or -1) by drive strength."""

    nets: Ints
    edges: Ints
    tables: Ints
    rows: Ints
    instances: Ints

    def constraints(self, sizes: Ints) -> Ints:
        """The constraint table of each endpoint when instances have these sizes."""
        if not len(sizes):
            return np.full(len(self.rows), -1, np.int64)
        chosen: Ints = self.tables[self.rows, np.minimum(sizes[self.instances], self.tables.shape[1] - 1)]
        return chosen


def wire_loads(flat: Flat, cells: Mapping[str, Cell], wires: WireLoad | None) -> Floats:
    """Wire capacitance in fF of each net of a flat netlist, from its fan-out; shape (nets,)."""
    nets = [flat.outputs]
    for kind, rows in flat.cells.items():
        if kind in cells:
            inputs = {pin.name for pin in cells[kind].inputs}
            nets += [rows[:, index] for index, pin in enumerate(flat.pins[kind]) if pin in inputs]
    return _lengths(np.bincount(np.concatenate(nets), minlength=flat.nets), wires)


def _lengths(fanout: Ints, wires: WireLoad | None) -> Floats:
    """Wire capacitance in fF for each fan-out."""
    if wires is None:
        return np.zeros(len(fanout))
    largest = int(fanout[CONSTANT_NETS:].max(initial=0))
    lengths = np.array([0.0, *(wires.length(n) for n in range(1, largest + 1))])
    found: Floats = lengths[np.minimum(fanout, largest)] * wires.capacitance
    return found


class Graph:
    """Timing edges between net edges, sorted by level; a cell may be exchanged for another drive strength."""

    def __init__(
        self,
        flat: Flat,
        technology: Technology,
        macros: Mapping[str, tuple[Mapping[str, str], float]],
        trees: bool = False,
        wires: WireLoad | None = None,
    ) -> None:
        self.flat = flat
        self.trees = trees
        self.tables = Tables()
        self.cells = technology.cells
        self.clock = flat.nets  # the net at which every register starts
        self.strengths: list[tuple[Cell, ...]] = []  # by cell type, in the order of `kinds`
        self.kinds: list[str] = []
        self.first: list[int] = []
        self.instances = 0
        self._strengths_of = technology.strengths
        self._parts: list[Any] = []  # source, target, edges, tables of delay and slew, kind, pin capacitances
        self._pins: list[tuple[Ints, int, list[float]]] = []
        self._fixed: list[tuple[Ints, float]] = []
        self._capture: list[tuple[Ints, int, list[int], int]] = []
        for kind, rows in flat.cells.items():
            columns = {pin: index for index, pin in enumerate(flat.pins[kind])}
            if kind in self.cells:
                self._add_cell(self.cells[kind], rows, columns)
            else:
                directions, access = macros.get(kind, ({}, 0.0))
                self._add_macro(rows, flat.pins[kind], directions, access)
        self._wire(wires)
        self._stage(technology)
        self._sort()
        self.tables.seal()
        self.resize(np.concatenate([self._start_size(k) for k in range(len(self.kinds))] or [_NONE]))

    def _add_cell(self, cell: Cell, rows: Ints, columns: Mapping[str, int]) -> None:
        kind, group = len(self.kinds), [self.cells[name] for name in self._strengths_of[cell.name]]
        self.kinds.append(cell.name)
        self.strengths.append(tuple(group))
        self.first.append(self.instances)
        self.instances += len(rows)
        for pin in cell.inputs:
            if pin.name in columns:
                caps = [other.pin(pin.name).capacitance for other in group]
                self._pins.append((rows[:, columns[pin.name]], kind, caps))
        for arc in cell.arcs:
            if arc.related not in columns or arc.pin not in columns:
                continue
            source, target = rows[:, columns[arc.related]], rows[:, columns[arc.pin]]
            arcs = [_same_arc(other, arc) for other in group]
            if arc.kind in ("rising_edge", "falling_edge"):
                self._launch_arc(arcs, target, kind)
            elif arc.kind.startswith("setup"):
                for edge in (0, 1):
                    tables = [self.tables.add((a.rise, a.fall)[edge]) for a in arcs]
                    self._capture.append((target, edge, tables, kind))
            elif (
                cell.sequential is None
                and cell.clock_gate is None  # clocks are ideal behind a gate too
                and arc.kind.startswith("combinational")
            ):
                caps = [other.pin(arc.related).capacitance for other in group]
                self._arc(arcs, source, target, kind, caps)
        if cell.sequential is not None and not any(arc.kind.startswith("setup") for arc in cell.arcs):
            data = [rows[:, columns[pin.name]] for pin in cell.inputs if pin.name in columns]
            self._capture += [(nets, edge, [-1], kind) for nets in data for edge in (0, 1)]

    def _arc(self, arcs: list[Arc], source: Ints, target: Ints, kind: int, caps: list[float]) -> None:
        for before, after in _SENSES.get(arcs[0].sense, _SENSES["non_unate"]):
            delays = [self.tables.add((a.rise, a.fall)[after]) for a in arcs]
            slews = [self.tables.add((a.rise_slew, a.fall_slew)[after]) for a in arcs]
            self._parts.append((source, target, before, after, delays, slews, kind, caps))

    def _launch_arc(self, arcs: list[Arc], target: Ints, kind: int) -> None:
        source = np.full(len(target), self.clock, np.int64)
        for edge in (0, 1):
            if (arcs[0].rise, arcs[0].fall)[edge] is not None:
                delays = [self.tables.add((a.rise, a.fall)[edge]) for a in arcs]
                slews = [self.tables.add((a.rise_slew, a.fall_slew)[edge]) for a in arcs]
                self._parts.append((source, target, 0, edge, delays, slews, kind, [0.0]))

    def _add_macro(
        self, rows: Ints, pins: Sequence[str], directions: Mapping[str, str], access: float
    ) -> None:
        for column, pin in enumerate(pins):
            if directions.get(pin) == "output":
                self._fixed.append((rows[:, column], access))
            else:
                self._capture += [(rows[:, column], edge, [-1], -1) for edge in (0, 1)]

    def _start_size(self, kind: int) -> Ints:
        """Index, among its strengths, of the cell that the netlist names."""
        names = [cell.name for cell in self.strengths[kind]]
        return np.full(len(self.flat.cells[self.kinds[kind]]), names.index(self.kinds[kind]), np.int64)

    def _numbers(self, kind: int, count: int) -> Ints:
        """Instances of a cell type; macros are none."""
        first = self.first[kind] if kind >= 0 else 0
        return np.arange(first, first + count) if kind >= 0 else np.zeros(count, np.int64)

    def _sort(self) -> None:
        """Edges as arrays, grouped by the level of the net they lead to."""
        parts = self._parts
        self.source = np.concatenate([part[0] for part in parts] or [_NONE])
        self.target = np.concatenate([part[1] for part in parts] or [_NONE])
        sizes = [len(part[0]) for part in parts]
        self.before, self.after = (
            np.repeat(np.array([part[k] for part in parts], np.int64), sizes) for k in (2, 3)
        )
        self.part = np.repeat(np.arange(len(parts)), sizes)
        self.instance = np.concatenate([self._numbers(part[6], len(part[0])) for part in parts] or [_NONE])
        self.delays, self.slews = (_padded([part[k] for part in parts], -1) for k in (4, 5))
        self.pin_caps = _padded([part[7] for part in parts], 0.0)
        order = np.flatnonzero((self.source >= CONSTANT_NETS) & (self.target >= CONSTANT_NETS))
        levels = _levels(self.source[order], self.target[order], self.flat.nets + 1)
        depth = levels[self.target[order]]
        order = order[np.argsort(depth, kind="stable")]
        for name in ("source", "target", "part", "instance", "before", "after"):
            setattr(self, name, getattr(self, name)[order])
        depth = levels[self.target]
        self.bounds = np.searchsorted(depth, np.arange(1, int(depth.max(initial=0)) + 2))
        self.captures = _ends(self._capture, self._numbers)
        leaving = self.flat.outputs[self.flat.outputs >= CONSTANT_NETS]
        self.leaving = _ends([(leaving, edge, [-1], -1) for edge in (0, 1)], self._numbers)
        self._pin_nets = np.concatenate([nets for nets, _, _ in self._pins] or [_NONE])
        counts = [len(nets) for nets, _, _ in self._pins]
        self._pin_rows = np.repeat(np.arange(len(counts)), counts)
        self._pin_instances = np.concatenate([self._numbers(k, len(n)) for n, k, _ in self._pins] or [_NONE])
        self._caps = _padded([caps for _, _, caps in self._pins], 0.0)

    def _wire(self, wires: WireLoad | None) -> None:
        """Capacitance of the wire of each net, by fan-out; resistance is left out (Liberty's `best_case_tree`)."""
        nets = [*(nets for nets, _, _ in self._pins), self.flat.outputs]
        self.fanout = np.bincount(np.concatenate(nets), minlength=self.flat.nets + 1)
        self.wire = _lengths(self.fanout, wires)

    def resize(self, sizes: Ints) -> None:
        """Take, for each instance, the strength with this index."""
        self.sizes = sizes
        caps = self._caps[self._pin_rows, np.minimum(sizes[self._pin_instances], self._caps.shape[1] - 1)]
        self.load = self.wire + np.bincount(self._pin_nets, caps, self.flat.nets + 1)
        chosen = sizes[self.instance]
        self.delay_table, self.slew_table = self.delays[self.part, chosen], self.slews[self.part, chosen]
        self._finish_tree()

    def _stage(self, technology: Technology) -> None:
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
        self.added = np.zeros(self.flat.nets + 1)
        self.tree_slew = np.zeros(self.flat.nets + 1)
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

    def name(self, instance: int) -> str:
        """Cell and path of an instance."""
        kind, number = self.of(instance)
        cell = self.strengths[self.kinds.index(kind)][int(self.sizes[instance])].name
        return f"{cell} {self.flat.names[kind][number]}"

    def of(self, instance: int) -> tuple[str, int]:
        """The cell type of an instance, and its number among those of the type in the flat netlist."""
        kind = int(np.searchsorted(self.first, instance, side="right")) - 1
        return self.kinds[kind], instance - self.first[kind]

    @cached_property
    def into(self) -> tuple[Ints, Ints]:
        """Timing edges sorted by the net they lead to, and where those of each net begin."""
        order = np.argsort(self.target, kind="stable")
        return order, np.searchsorted(self.target[order], np.arange(self.flat.nets + 2))

    def default_slew(self) -> float:
        """Slew of clocks and inputs in ps: that of a buffer that drives eight of its kind."""
        return self.stage_slew

    def from_registers(self) -> Launch:
        """Registers at the clock edge, memory macros an access time after it."""
        launch = Launch(self.flat.nets + 1)
        slew = self.default_slew()
        launch.put(np.array([self.clock]), 0, np.zeros(1), np.full(1, slew))
        for nets, access in self._fixed:
            for edge in (0, 1):
                launch.put(nets, edge, np.full(len(nets), access), np.full(len(nets), slew))
        return launch

    def from_inputs(self, slew: float | None) -> Launch:
        """Inputs of the top at time 0; clocks have no outgoing arcs."""
        launch = Launch(self.flat.nets + 1)
        nets = self.flat.inputs[self.flat.inputs >= CONSTANT_NETS]
        slew = self.default_slew() if slew is None else slew
        for edge in (0, 1):
            launch.put(nets, edge, np.zeros(len(nets)), np.full(len(nets), slew))
        return launch


class Step(NamedTuple):
    """One step of a path: the instance (None for an input or a macro), the net it drives, and when that switches."""

    instance: int | None
    net: int
    arrival_ps: float


class Launch:
    """Initial arrival and slew of each net edge, before propagation."""

    def __init__(self, nets: int) -> None:
        self.arrival = np.full((nets, 2), _NEVER)
        self.slew = np.zeros((nets, 2))

    def put(self, nets: Ints, edge: int, arrival: Floats, slew: Floats) -> None:
        np.maximum.at(self.arrival[:, edge], nets, arrival)
        np.maximum.at(self.slew[:, edge], nets, slew)


class Wave:
    """Arrival times propagated from one kind of startpoint."""

    def __init__(self, graph: Graph, launch: Launch) -> None:
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

    def worst(self, ends: Ends) -> tuple[float, tuple[str, ...]]:
        """The latest endpoint: its time in ps and the cells of its path; (0, ()) without any arrival."""
        nets, edges = ends.nets, ends.edges
        total = self.arrival[nets, edges] + self.setup(ends)
        if not len(total) or total.max() == _NEVER:
            return 0.0, ()
        index = int(np.argmax(total))
        return float(total[index]), self._trace(int(nets[index]), int(edges[index]))

    def latest(self, ends: Ends) -> float:
        """Time of the latest endpoint in ps; 0 without any arrival."""
        total = self.arrival[ends.nets, ends.edges] + self.setup(ends)
        return max(0.0, float(total.max(initial=0.0)))

    def slack(self, period: float, ends: Sequence[Ends]) -> Floats:
        """Slack of each timing edge of the graph in ps when paths have `period`."""
        g = self.graph
        required = np.full(self.arrival.shape, np.inf)
        for some in ends:
            np.minimum.at(required, (some.nets, some.edges), period - self.setup(some))
        for end, begin in zip(g.bounds[::-1], [*g.bounds[::-1][1:], 0], strict=True):
            part = slice(int(begin), int(end))
            due = required[g.target[part], g.after[part]] - self.delay[part]
            np.minimum.at(required, (g.source[part], g.before[part]), due)
        arrival = self.arrival[g.source, g.before] + self.delay
        slack: Floats = required[g.target, g.after] - arrival
        return np.where(np.isfinite(arrival), slack, np.inf)

    def setup(self, ends: Ends) -> Floats:
        """Setup time of each endpoint."""
        slews = self.slew[ends.nets, ends.edges]
        clock = np.full(len(slews), self.graph.default_slew())
        return self.graph.tables.read(ends.constraints(self.graph.sizes), slews, clock)

    def _trace(self, net: int, edge: int) -> tuple[str, ...]:
        """Cell types and instances from start to end, with the time each output arrives."""
        g, lines = self.graph, list[str]()
        for step in self.steps(net, edge):
            if step.instance is None:
                lines.append(f"{self._start(step.net)} {step.arrival_ps:.1f}")
            else:
                tree = " + buffer tree" if lines and g.added[step.net] else ""
                lines.append(f"{g.name(step.instance)}{tree} {step.arrival_ps:.1f}")
        return tuple(lines)

    def steps(self, net: int, edge: int) -> list[Step]:
        """The slowest path to an edge of a net, from its start."""
        g, steps = self.graph, list[Step]()
        order, first = g.into
        while True:
            into = order[first[net] : first[net + 1]]
            into = into[g.after[into] == edge]
            arrival = self.arrival[g.source[into], g.before[into]] + self.delay[into] + g.added[net]
            hit = into[np.isclose(arrival, self.arrival[net, edge], rtol=1e-9, atol=1e-6)]
            cell = int(g.instance[hit[0]]) if len(hit) else None
            steps.append(Step(cell, net, float(self.arrival[net, edge])))
            if not len(hit) or g.source[hit[0]] == g.clock:
                return steps[::-1]
            net, edge = int(g.source[hit[0]]), int(g.before[hit[0]])

    def _start(self, net: int) -> str:
        """The macro that drives a net, or `input`."""
        flat = self.graph.flat
        for kind, rows in flat.cells.items():
            if kind not in self.graph.cells:
                found = np.flatnonzero((rows == net).any(axis=1))
                if len(found):
                    return f"{kind} {flat.names[kind][int(found[0])]}"
        return "input"


def _same_arc(cell: Cell, arc: Arc) -> Arc:
    key = (arc.related, arc.pin, arc.sense, arc.kind)
    return next(item for item in cell.arcs if (item.related, item.pin, item.sense, item.kind) == key)


def _padded(rows: Sequence[Sequence[float]], fill: float) -> Any:
    """Rows of different lengths as one array; what is missing repeats the row's last value."""
    width = max((len(row) for row in rows), default=1)
    kind = np.int64 if isinstance(fill, int) else np.float64
    return np.array([[*row, *[row[-1]] * (width - len(row))] for row in rows] or [[fill] * width], kind)


def _ends(parts: Sequence[tuple[Ints, int, list[int], int]], numbers: Callable[[int, int], Ints]) -> Ends:
    sizes = [len(part[0]) for part in parts]
    nets = np.concatenate([part[0] for part in parts] or [_NONE])
    edges = np.repeat(np.array([part[1] for part in parts], np.int64), sizes)
    rows = np.repeat(np.arange(len(parts)), sizes)
    instances = np.concatenate([numbers(part[3], len(part[0])) for part in parts] or [_NONE])
    live = nets >= CONSTANT_NETS
    tables = _padded([part[2] for part in parts], -1)
    return Ends(nets[live], edges[live], tables, rows[live], instances[live])


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
