"""Liberty libraries: cells with area, pins, functions, delays and energies in um2, fF, ps, pJ and nW."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from blueprint.errors import SpecError
from costmodel.technology import liberty_text, wire_loads
from costmodel.technology.liberty_text import Group
from costmodel.technology.table import Table
from costmodel.technology.wire_loads import WireLoad as WireLoad
from costmodel.technology.wire_loads import Wires as Wires

_SCALE = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}
_UNWANTED = ("dont_use", "is_isolation_cell", "is_level_shifter", "always_on", "pad_cell", "is_macro_cell")
_TEST = re.compile("bist|test|scan", re.IGNORECASE)  # ports of a memory that only its tests use
_MASK = re.compile(r"(mask|strb|_bm|bwe|bweb|wem|byte_?en|(^|_)w?ben?)\d*$", re.IGNORECASE)
_UNIT = re.compile(r"\s*([0-9.eE+-]*)\s*([fpnumk]?)(s|f|w|v|a|ohm)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Arc:
    """One timing arc: from pin `related` to pin `pin`; delays in ps, or setup/hold where `kind` says so."""

    pin: str
    related: str
    sense: str
    kind: str
    rise: Table | None
    fall: Table | None
    rise_slew: Table | None = None
    fall_slew: Table | None = None


@dataclass(frozen=True)
class Energy:
    """Internal energy in pJ of a rise and a fall of `pin`, caused by `related` in the state `when` where given."""

    pin: str
    related: str
    rise: Table | None
    fall: Table | None
    when: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class Pin:
    """One pin; a bus pin has `width` bits. Capacitance in fF."""

    name: str
    direction: str
    capacitance: float
    function: str | None = None
    clock: bool = False
    width: int = 1
    tristate: bool = False
    nextstate_type: str | None = None
    max_capacitance: float | None = None


@dataclass(frozen=True)
class Sequential:
    """The `ff` or `latch` group: state variables and the functions that drive them."""

    kind: str
    state: str
    inverse: str
    clock: str
    data: str
    clear: str | None = None
    preset: str | None = None


@dataclass(frozen=True)
class Memory:
    """A memory macro's shape: `ports` as `1rw`, `2rw`, `1rw1r`, and bits of the write mask (0: whole words)."""

    words: int
    width: int
    ports: str = "1rw"
    mask: int = 0


@dataclass(frozen=True)
class Cell:
    """One library cell; leakage in nW."""

    name: str
    area: float
    pins: tuple[Pin, ...]
    leakage: float = 0.0
    sequential: Sequential | None = None
    arcs: tuple[Arc, ...] = ()
    energies: tuple[Energy, ...] = ()
    dont_use: bool = False
    memory: Memory | None = None
    clock_gate: str | None = None
    scan: bool = False

    @property
    def inputs(self) -> tuple[Pin, ...]:
        """Input pins, in file order."""
        return tuple(pin for pin in self.pins if pin.direction == "input")

    @property
    def outputs(self) -> tuple[Pin, ...]:
        """Output pins, in file order."""
        return tuple(pin for pin in self.pins if pin.direction == "output")

    def pin(self, name: str) -> Pin:
        """The pin called `name`; `KeyError` where there is none."""
        for pin in self.pins:
            if pin.name == name:
                return pin
        raise KeyError(name)


@dataclass(frozen=True)
class Library:
    """Cells of one or several files read together, with the corner they were characterized at."""

    name: str
    cells: dict[str, Cell]
    sources: tuple[tuple[str, str], ...]  # file name, sha256
    voltage: float | None
    temperature: float | None
    process: float | None
    notes: tuple[str, ...] = ()
    wires: Wires | None = None


#: Bits of address and of a word: beyond these a number in a file is no macro's.
_ADDRESS_MOST, _WORD_MOST = 40, 1 << 20


@dataclass(frozen=True)
class _Units:
    """Factors from the file's units to ps, fF, pJ, nW and kohm, and the templates its tables refer to."""

    time: float
    capacitance: float
    energy: float
    leakage: float
    templates: dict[str, Group] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    input_capacitance: float = 0.0
    resistance: float = 1.0


def parse(paths: Iterable[str | Path] | str | Path) -> Library:
    """The library that the files make together.

    `SpecError` (`file:line: ...`) for text that is not Liberty, a cell without a numeric area, a cell defined
    twice, and files without any cell.
    """
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    if not files:
        raise SpecError("a library must come from at least one Liberty file, not none")
    parts = [_library(liberty_text.read(path)) for path in files]
    _check_corner(parts, files)
    cells: dict[str, Cell] = {}
    for part, path in zip(parts, files, strict=True):
        for name, cell in part.cells.items():
            if name in cells:
                raise SpecError(f"{path}:1: cell {name} must be defined once, but an earlier file has it too")
            cells[name] = cell
    if not cells:
        raise SpecError(f"{files[0]}:1: a library must hold at least one cell, not none")
    logic = next((part for part in parts if any(c.memory is None for c in part.cells.values())), parts[0])
    return replace(
        logic,
        cells=cells,
        sources=tuple(source for part in parts for source in part.sources),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _check_corner(parts: list[Library], files: list[str | Path]) -> None:
    """Check that all files are of one corner: no circuit has the delays and energies of several."""
    for key, unit in (("voltage", "V"), ("temperature", "C")):
        stated = [(getattr(part, key), file) for part, file in zip(parts, files, strict=True)]
        stated = [(value, file) for value, file in stated if value is not None]
        for value, file in stated[1:]:
            if not math.isclose(value, stated[0][0], rel_tol=1e-6, abs_tol=1e-6):
                first = f"{stated[0][0]:g} {unit} as that of {stated[0][1]}"
                raise SpecError(f"{file}:1: {key} must be {first}, not {value:g} {unit}")


def _library(group: Group) -> Library:
    notes: list[str] = []
    units = _units(group, notes)
    cells: dict[str, Cell] = {}
    for item in group.all("cell"):
        cell = _cell(item, units, notes)
        if cell.name in cells:
            raise item.error(f"cell {cell.name} must be defined once, not twice")
        cells[cell.name] = cell
    source = (Path(group.source.path).name, group.source.sha256)
    return Library(
        group.names[0],
        cells,
        (source,),
        *_corner(group),
        tuple(notes),
        wire_loads.read(group, units.capacitance, units.resistance),
    )


def _corner(group: Group) -> tuple[float | None, float | None, float | None]:
    """Voltage, temperature and process of the library."""
    corner = next(iter(group.all("operating_conditions")), group)
    voltage, temperature, process = (
        group.number(f"nom_{key}", corner.number(key)) for key in ("voltage", "temperature", "process")
    )
    return voltage, temperature, process


def _units(group: Group, notes: list[str]) -> _Units:
    time = _unit(group, "time_unit", "s", 1e-9, notes)
    volt = _unit(group, "voltage_unit", "v", 1.0, notes)
    leakage = _unit(group, "leakage_power_unit", "w", 1e-9, notes)
    texts = group.complex.get("capacitive_load_unit", [])
    if texts:
        parts = [part.strip().strip('"') for part in texts[-1].replace("\\", " ").split(",")]
        farad = _quantity("".join(parts), "f")
        if farad is None:
            raise group.error(f"capacitive_load_unit must be a number and ff or pf, not ({texts[-1]})")
    else:
        notes.append("capacitive_load_unit is missing: 1 pF assumed")
        farad = 1e-12
    templates = {item.names[0]: item for item in group.groups if item.kind.endswith("template")}
    types = {item.names[0]: int(item.number("bit_width", 1) or 1) for item in group.all("type")}
    default = group.number("default_input_pin_cap", 0.0) or 0.0
    scale = farad * 1e15
    return _Units(
        time * 1e12,
        scale,
        farad * volt**2 * 1e12,
        leakage * 1e9,
        templates,
        types,
        default * scale,
        (_quantity(group.simple.get("pulling_resistance_unit", ""), "ohm") or 1e3) * 1e-3,
    )


def _unit(group: Group, key: str, kind: str, default: float, notes: list[str]) -> float:
    text = group.simple.get(key)
    if text is None:
        notes.append(f"{key} is missing: Liberty's default {default:g} {kind} assumed")
        return default
    value = _quantity(text, kind)
    if value is None:
        raise group.error(f"{key} must be a number and a unit of {kind}, not {text!r}")
    return value


def _quantity(text: str, kind: str) -> float | None:
    match = _UNIT.fullmatch(text)
    if match is None or match[3].lower() != kind:
        return None
    try:
        return float(match[1] or "1") * _SCALE[match[2].lower()]
    except ValueError:
        return None


def _cell(group: Group, units: _Units, notes: list[str]) -> Cell:
    name = group.names[0]
    if not name:
        raise group.error("a cell must have a name, not ()")
    area = group.number("area")
    if area is None:
        notes.append("cells without an area are left out")
        return Cell(name, 0.0, (), dont_use=True)
    if area < 0:
        raise group.error(f"area of cell {name} must be at least 0, not {area:g}")
    pins: list[Pin] = []
    arcs: list[Arc] = []
    energies: list[Energy] = []
    for item in _pin_groups(group):
        for pin_name in item.names:
            pin = _pin(item, pin_name, units)
            pins.append(pin)
            arcs.extend(_arcs(item, pin_name, units))
            energies.extend(_energies(item, pin_name, units))
    return Cell(
        name,
        area,
        tuple({pin.name: pin for pin in pins}.values()),
        _leakage(group, units),
        _sequential(group),
        _worst_arcs(arcs),
        tuple(energies),
        any(group.simple.get(key, "false").lower() == "true" for key in _UNWANTED),
        _memory(group, pins, arcs),
        group.simple.get("clock_gating_integrated_cell"),
        "test_cell" in {item.kind for item in group.groups} or group.simple.get("scan_group") is not None,
    )


def _pin_groups(group: Group) -> list[Group]:
    """Pins, buses and bundles of a cell; pins written inside a bus are represented by the bus."""
    return group.all("pin", "bus", "bundle")


def _pin(group: Group, name: str, units: _Units) -> Pin:
    capacitance = group.number("capacitance")
    if capacitance is None:
        sides = [group.number(key) for key in ("rise_capacitance", "fall_capacitance")]
        known = [side for side in sides if side is not None]
        capacitance = sum(known) / len(known) if known else None
    direction = group.simple.get("direction") or next(
        (item.simple["direction"] for item in group.all("pin") if "direction" in item.simple), "input"
    )
    cap = units.input_capacitance if capacitance is None else capacitance * units.capacitance
    limit = group.number("max_capacitance")
    width = (
        len(group.all("pin"))
        if group.kind == "bundle"
        else units.types.get(group.simple.get("bus_type", ""), 1)
    )
    return Pin(
        name,
        direction,
        cap if direction == "input" else 0.0,
        group.simple.get("function"),
        group.simple.get("clock", "false").lower() == "true",
        width,
        "three_state" in group.simple,
        group.simple.get("nextstate_type"),
        None if limit is None else limit * units.capacitance,
    )


def _leakage(group: Group, units: _Units) -> float:
    """Leakage of a cell: the stated average, else the unconditional value, else the mean over the states."""
    stated = group.number("cell_leakage_power")
    if stated is None:
        states = group.all("leakage_power")
        free = [item.number("value", 0.0) or 0.0 for item in states if "when" not in item.simple]
        values = free or [item.number("value", 0.0) or 0.0 for item in states]
        stated = max(values) if free else sum(values) / len(values) if values else 0.0
    return stated * units.leakage


def _sequential(group: Group) -> Sequential | None:
    for item in group.all("ff", "latch", "ff_bank", "latch_bank"):
        kind = item.kind.split("_")[0]
        clock, data = ("clocked_on", "next_state") if kind == "ff" else ("enable", "data_in")
        if clock not in item.simple:
            continue
        state, inverse = [*item.names, "", ""][:2]
        return Sequential(
            kind,
            state,
            inverse,
            item.simple[clock],
            item.simple.get(data, ""),
            item.simple.get("clear"),
            item.simple.get("preset"),
        )
    return None


def _memory(group: Group, pins: Sequence[Pin], arcs: Sequence[Arc]) -> Memory | None:
    for item in group.all("memory"):
        address, width = item.number("address_width"), item.number("word_width")
        if address is None or width is None:
            raise item.error("a memory must state address_width and word_width")
        if not (1 <= address <= _ADDRESS_MOST and 1 <= width <= _WORD_MOST):
            what = f"from 1 to {_ADDRESS_MOST} bits of address and from 1 to {_WORD_MOST} of data"
            raise item.error(f"a memory must have {what}, not {address:g} and {width:g}")
        ports = _ports(group) or f"{max(1, len({arc.related for arc in arcs if 'edge' in arc.kind}))}rw"
        masks = [pin.width for pin in pins if _MASK.search(pin.name) and not _TEST.search(pin.name)]
        return Memory(1 << int(address), int(width), ports, max(masks, default=0))
    return None


def _ports(group: Group) -> str:
    """Ports of a memory by the use of its address buses, without ports for tests; empty where the library is silent."""
    served: dict[str, set[str]] = {}
    for bus in _pin_groups(group):
        for holder in (bus, *bus.all("pin")):
            for kind in ("read", "write"):
                for item in holder.all(f"memory_{kind}"):
                    served.setdefault(item.simple.get("address", ""), set()).add(kind[0])
    kinds = ["".join(sorted(found)) for address, found in served.items() if not _TEST.search(address)]
    return "".join(f"{kinds.count(kind)}{kind}" for kind in ("rw", "r", "w") if kind in kinds)


def _arcs(pin: Group, name: str, units: _Units) -> list[Arc]:
    arcs: list[Arc] = []
    inner = [item for child in pin.all("pin") for item in child.all("timing")]
    for item in [*pin.all("timing"), *inner]:
        tables = {child.kind: child for child in item.groups}
        kinds = (
            ("cell_rise", "cell_fall")
            if "cell_rise" in tables or "cell_fall" in tables
            else (
                "rise_constraint",
                "fall_constraint",
            )
        )
        rise, fall = (_table(tables.get(kind), units, units.time) for kind in kinds)
        slews = [_table(tables.get(f"{edge}_transition"), units, units.time) for edge in ("rise", "fall")]
        if rise is None and fall is None:
            continue
        sense, kind = (
            item.simple.get("timing_sense", "non_unate"),
            item.simple.get("timing_type", "combinational"),
        )
        for related in item.simple.get("related_pin", "").split():
            arcs.append(Arc(name, related, sense, kind, rise, fall, slews[0], slews[1]))
    return arcs


def _worst_arcs(arcs: list[Arc]) -> tuple[Arc, ...]:
    """One arc for each pair of pins, sense and kind: the slowest over the states of the other pins."""
    merged: dict[tuple[str, str, str, str], Arc] = {}
    for arc in arcs:
        key = (arc.pin, arc.related, arc.sense, arc.kind)
        first = merged.get(key)
        merged[key] = (
            arc
            if first is None
            else Arc(
                *key,
                _worst(first.rise, arc.rise),
                _worst(first.fall, arc.fall),
                _worst(first.rise_slew, arc.rise_slew),
                _worst(first.fall_slew, arc.fall_slew),
            )
        )
    return tuple(merged.values())


def _worst(one: Table | None, other: Table | None) -> Table | None:
    if one is None or other is None:
        return one or other
    values = tuple(
        tuple(max(value, other.at(slew, load)) for value, load in zip(row, one.loads, strict=True))
        if (one.slews, one.loads) != (other.slews, other.loads)
        else tuple(map(max, row, other.values[index]))
        for index, (row, slew) in enumerate(zip(one.values, one.slews, strict=True))
    )
    return Table(one.slews, one.loads, values)


def _energies(pin: Group, name: str, units: _Units) -> list[Energy]:
    energies = []
    for item in pin.all("internal_power"):
        tables = {child.kind: child for child in item.groups}
        both = tables.get("power")
        rise, fall = (
            _table(tables.get(kind, both), units, units.energy) for kind in ("rise_power", "fall_power")
        )
        if rise is not None or fall is not None:
            when = item.simple.get("when", "")
            energies.append(Energy(name, item.simple.get("related_pin", ""), rise, fall, when=when))
    return energies


def _table(group: Group | None, units: _Units, scale: float) -> Table | None:
    """A table with the input slew first and the load (or clock slew) second, whatever order the file uses."""
    if group is None or "values" not in group.complex:
        return None
    rows = [_numbers(group, row) for row in _rows(group.complex["values"][-1])]
    template = units.templates.get(group.names[0])
    variables = [template.simple.get(f"variable_{axis}", "") if template else "" for axis in (1, 2)]
    indices = [_index(group, template, f"index_{axis}") for axis in (1, 2)]
    flat = [value for row in rows for value in row]
    if len(flat) == 1:
        return Table((0.0,), (0.0,), ((flat[0] * scale,),))
    if not indices[0]:
        indices[0] = [
            float(step) for step in range(len(flat) if not indices[1] else len(flat) // len(indices[1]))
        ]
    shape = (len(indices[0]), len(indices[1]) or 1)
    if shape[0] * shape[1] != len(flat):
        raise group.error(f"{group.kind} must hold {shape[0]} x {shape[1]} values, not {len(flat)}")
    grid = [flat[step * shape[1] : (step + 1) * shape[1]] for step in range(shape[0])]
    first_is_load = "capacitance" in variables[0] or (
        variables[0] == "related_pin_transition" and shape[1] > 1
    )
    axes = [indices[0], indices[1] or [0.0]]
    if first_is_load:
        grid, axes = [list(column) for column in zip(*grid, strict=True)], axes[::-1]
    factors = [units.time, units.time if group.kind.endswith("constraint") else units.capacitance]
    slews, loads = (tuple(v * f for v in axis) for axis, f in zip(axes, factors, strict=True))
    return Table(slews, loads, tuple(tuple(value * scale for value in row) for row in grid))


def _index(group: Group, template: Group | None, key: str) -> list[float]:
    for holder in (group, template):
        if holder is not None and key in holder.complex:
            return [value for row in _rows(holder.complex[key][-1]) for value in _numbers(holder, row)]
    return []


def _rows(text: str) -> list[str]:
    quoted = re.findall(r'"([^"]*)"', text)
    return quoted or [text]


def _numbers(group: Group, text: str) -> list[float]:
    try:
        return [float(part) for part in text.replace("\\", " ").replace(",", " ").split()]
    except ValueError:
        raise group.error(f"{group.kind} must hold numbers, not {text.strip()[:40]!r}") from None
