"""A mapped hierarchy as one flat netlist of arrays, and the place of each of its instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

#: Nets that carry the constants; a constant has no timing.
CONSTANT_NETS = 2


@dataclass(frozen=True)
class Flat:
    """Nets are numbered from 0; nets below `CONSTANT_NETS` are constants.

    `cells` maps a cell type to one row of nets an instance, in the order of `pins` (a wide pin stands there once a
    bit), `names` to the instances' paths, and `origins` to the index in `templates` of the cell of a module that each
    is an instance of: `(module, cell)`.
    """

    nets: int
    inputs: Ints
    outputs: Ints
    pins: Mapping[str, tuple[str, ...]]
    cells: Mapping[str, Ints]
    names: Mapping[str, tuple[str, ...]]
    origins: Mapping[str, Ints] = field(default_factory=dict)
    templates: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Owners:
    """The place of every instance of a flat netlist: its number in `names`, by cell type in the order of instances."""

    names: tuple[str, ...]
    numbers: Mapping[str, Ints]


def owners(flat: Flat, places: Mapping[str, str]) -> Owners:
    """The place of every instance: that of the module whose cell it is; `places` has the place of each module."""
    names = sorted(set(places.values()))
    number = {module: names.index(place) for module, place in places.items()}
    templates = np.array([number[module] for module, _ in flat.templates], np.int64)
    return Owners(tuple(names), {kind: templates[origins] for kind, origins in flat.origins.items()})


@dataclass(frozen=True)
class _Template:
    """One module with its nets numbered from 0: ports as net lists, cells by type, one row of nets an instance."""

    nets: int
    ports: Mapping[str, Ints]
    cells: Mapping[str, tuple[Ints, tuple[str, ...]]]


def flatten(top: str, netlists: Mapping[str, Any]) -> Flat:
    """The netlists (Yosys JSON modules by name) joined below `top`."""
    shapes = _shapes(netlists)
    builder = _Builder(shapes, {name: _template(module, shapes) for name, module in netlists.items()})
    nets = builder.place(top, {}, "")
    root = _roots(builder.count, builder.joined)
    sides: dict[str, list[Ints]] = {"input": [np.zeros(0, np.int64)], "output": [np.zeros(0, np.int64)]}
    for port, item in netlists[top]["ports"].items():
        side = "input" if item["direction"] == "input" else "output"
        sides[side].append(root[nets[builder.templates[top].ports[port]]])
    return Flat(
        builder.count,
        np.concatenate(sides["input"]),
        np.concatenate(sides["output"]),
        {
            kind: tuple(pin for pin, width in shape.items() for _ in range(width))
            for kind, shape in shapes.items()
        },
        {kind: root[np.concatenate(rows)] for kind, rows in builder.cells.items()},
        {kind: tuple(labels) for kind, labels in builder.names.items()},
        {kind: np.concatenate(parts) for kind, parts in builder.origins.items()},
        tuple(builder.numbered),
    )


def port_nets(flat: Flat, ports: Mapping[str, Any]) -> dict[str, Ints]:
    """Nets of the top's ports, which `flatten` lists side by side in order."""
    sides = {"input": flat.inputs, "output": flat.outputs}
    begin = {"input": 0, "output": 0}
    found = {}
    for name, item in ports.items():
        side = "input" if item["direction"] == "input" else "output"
        width = len(item["bits"])
        found[name] = sides[side][begin[side] : begin[side] + width]
        begin[side] += width
    return found


class _Builder:
    """Instances put down one after the other."""

    def __init__(self, shapes: Mapping[str, Mapping[str, int]], templates: Mapping[str, _Template]) -> None:
        self.shapes = shapes
        self.templates = templates
        self.count = CONSTANT_NETS
        self.cells: dict[str, list[Ints]] = {}
        self.names: dict[str, list[str]] = {}
        self.joined: list[tuple[Ints, Ints]] = []
        self.origins: dict[str, list[Ints]] = {}
        self.numbered: list[tuple[str, str]] = []
        self._first: dict[tuple[str, str], int] = {}

    def place(self, name: str, binding: Mapping[str, Ints], prefix: str) -> Ints:
        """Add an instance of a module whose ports are bound to nets; return its nets."""
        template = self.templates[name]
        nets = np.arange(self.count, self.count + template.nets, dtype=np.int64)
        self.count += template.nets
        bound = np.zeros(template.nets, bool)
        nets[:CONSTANT_NETS], bound[:CONSTANT_NETS] = range(CONSTANT_NETS), True
        for port, outer in binding.items():
            local = template.ports[port]
            free = ~bound[local]
            nets[local[free]], bound[local] = outer[free], True
            # A port that repeats a net, or feeds another port through, makes one net of two outside.
            same = nets[local] == outer
            if not same.all():
                self.joined.append((outer[~same], nets[local][~same]))
        for kind, (rows, labels) in template.cells.items():
            placed = nets[rows]
            if kind in self.templates:
                self._descend(kind, placed, [f"{prefix}{label}." for label in labels])
            else:
                self.cells.setdefault(kind, []).append(placed)
                self.names.setdefault(kind, []).extend(prefix + label for label in labels)
                self.origins.setdefault(kind, []).append(self._number(name, kind, labels))
        return nets

    def _number(self, name: str, kind: str, labels: tuple[str, ...]) -> Ints:
        """The numbers of a module's cells of one type, the same for every instance of the module."""
        if (name, kind) not in self._first:
            self._first[name, kind] = len(self.numbered)
            self.numbered.extend((name, label) for label in labels)
        first = self._first[name, kind]
        return np.arange(first, first + len(labels), dtype=np.int64)

    def _descend(self, kind: str, rows: Ints, prefixes: list[str]) -> None:
        shape = self.shapes[kind]
        ends = np.cumsum(list(shape.values()))[:-1]
        for row, prefix in zip(rows, prefixes, strict=True):
            self.place(kind, dict(zip(shape, np.split(row, ends), strict=True)), prefix)


def _roots(count: int, joined: list[tuple[Ints, Ints]]) -> Ints:
    """The net that stands for each net: the lowest of those it is joined with."""
    root = np.arange(count, dtype=np.int64)

    def find(net: int) -> int:
        while root[net] != net:
            root[net] = root[root[net]]
            net = int(root[net])
        return net

    for one, other in joined:
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            low, high = sorted((find(a), find(b)))
            root[high] = low
    while (root[root] != root).any():
        root = root[root]
    return root


def _shapes(netlists: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Width of each pin of each cell type: a module's ports, or the widest connection of its instances."""
    found: dict[str, dict[str, int]] = {
        name: {port: len(item["bits"]) for port, item in module["ports"].items()}
        for name, module in netlists.items()
    }
    for module in netlists.values():
        for cell in module["cells"].values():
            if cell["type"] not in netlists:
                pins = found.setdefault(cell["type"], {})
                for pin, bits in cell["connections"].items():
                    pins[pin] = max(pins.get(pin, 0), len(bits))
    return found


def _template(module: Any, shapes: Mapping[str, Mapping[str, int]]) -> _Template:
    numbers: dict[Any, int] = {"0": 0, "1": 1, "x": 0, "z": 0}
    count = CONSTANT_NETS

    def net(bit: Any) -> int:
        nonlocal count
        if bit not in numbers:
            numbers[bit] = count
            count += 1
        return numbers[bit]

    ports = {
        name: np.array([net(bit) for bit in item["bits"]], np.int64) for name, item in module["ports"].items()
    }
    rows: dict[str, list[list[int]]] = {}
    labels: dict[str, list[str]] = {}
    for name, cell in module["cells"].items():
        kind, row, pins = cell["type"], list[int](), cell["connections"]
        for pin, width in shapes[kind].items():
            bits = pins.get(pin, [])
            missing = width - len(bits)
            row += [net(bit) for bit in bits] + list(range(count, count + missing))
            count += missing
        rows.setdefault(kind, []).append(row)
        labels.setdefault(kind, []).append(name)
    cells = {kind: (np.array(rows[kind], np.int64), tuple(labels[kind])) for kind in rows}
    return _Template(count, ports, cells)
