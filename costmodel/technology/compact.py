"""Writes cells as a Liberty file: gates for Yosys and ABC, or everything that another timing tool needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from costmodel.technology.liberty import Arc, Cell, Pin, WireLoad
from costmodel.technology.roles import clock_gate, combinational
from costmodel.technology.table import Table


def write_liberty(cells: Iterable[Cell], path: Path, name: str = "compact") -> None:
    """Write the combinational `cells` to `path` in ps, fF and nW; flip-flops and macros are left out.

    Our own mapping places flip-flops and macros; ABC needs gates only.
    """
    gates = [cell for cell in cells if combinational(cell)]
    tables = [
        t for cell in gates for arc in cell.arcs for t in (arc.rise, arc.fall, arc.rise_slew, arc.fall_slew)
    ]
    shapes = sorted({_shape(_square(table)) for table in tables if table is not None})
    parts = [_HEAD.format(name=name), *map(_template, shapes), *map(_cell, gates), "}", ""]
    path.write_text("\n".join(parts))


def write_library(
    cells: Iterable[Cell],
    path: Path,
    name: str,
    wires: WireLoad | None = None,
    memories: Iterable[Macro] = (),
) -> None:
    """Write gates, flip-flops, latches and memory macros in ps, fF, nW and kohm, and a wire load as the default."""
    cells = list(cells)
    delays = {_shape(_square(table)) for cell in cells for arc in cell.arcs for table in _tables(arc)}
    memories = list(memories)
    widths = sorted({width for item in memories for _, _, width in item.ports if width > 1})
    parts = [
        _HEAD.format(name=name),
        _THRESHOLDS,
        *map(_template, sorted(delays)),
        *map(_constraint, sorted(delays)),
    ]
    parts += [_WIRES.format(**_wire_facts(wires))] if wires else []
    parts += [_BUS.format(width=width, last=width - 1) for width in widths]
    path.write_text("\n".join([*parts, *map(_cell, cells), *map(_memory, memories), "}", ""]))


@dataclass(frozen=True)
class Macro:
    """A memory macro as a timer sees it: ports `(name, direction, bits)`, its clock and access time in ps."""

    name: str
    ports: tuple[tuple[str, str, int], ...]
    clock: str
    access_ps: float


#: Where delays and slews are measured.
_THRESHOLDS = "\n".join(
    f"  {key}_{edge} : {share};"
    for key, share in (
        ("input_threshold_pct", 50),
        ("output_threshold_pct", 50),
        ("slew_lower_threshold_pct", 20),
        ("slew_upper_threshold_pct", 80),
    )
    for edge in ("rise", "fall")
)
#: Wires are loads at the driver without resistance, as in our own timing.
_WIRES = """  wire_load ("{name}") {{
    capacitance : {capacitance:.8g};
    resistance : 0;
    slope : {slope:.8g};
{points}
  }}
  default_wire_load : "{name}";
  default_wire_load_mode : top;"""
_BUS = """  type (bus{width}) {{
    base_type : array; data_type : bit; bit_width : {width}; bit_from : {last}; bit_to : 0; downto : true;
  }}"""


def _wire_facts(wires: WireLoad) -> dict[str, Any]:
    points = "\n".join(f"    fanout_length ({fanout}, {length:.8g});" for fanout, length in wires.lengths)
    return {
        "name": wires.name,
        "capacitance": wires.capacitance,
        "slope": wires.slope,
        "points": points,
    }


def _memory(item: Macro) -> str:
    pins = []
    for name, direction, width in item.ports:
        kind, extra = ("bus", f"bus_type : bus{width}; ") if width > 1 else ("pin", "")
        clock = " clock : true;" if name == item.clock else ""
        timing = ""
        if direction == "output":
            timing = _edge(item.clock, "rising_edge", "cell", "transition", item.access_ps)
        elif not clock:
            timing = _edge(item.clock, "setup_rising", "constraint", "", 0.0)
        load = "capacitance : 0;" if direction == "input" else ""
        pins.append(f"    {kind} ({name}) {{ {extra}direction : {direction};{clock} {load}{timing} }}")
    body = "\n".join(pins)
    return f"  cell ({item.name}) {{\n    area : 0; interface_timing : true;\n{body}\n  }}"


def _edge(clock: str, kind: str, name: str, slew: str, value: float) -> str:
    def scalar(key: str, number: float) -> str:
        return f'{key} (scalar) {{ values ("{number:.6g}"); }}'

    if name == "constraint":
        tables = f"{scalar('rise_constraint', value)} {scalar('fall_constraint', value)}"
    else:
        tables = " ".join(
            [scalar("cell_rise", value), scalar("cell_fall", value)]
            + [scalar(f"{edge}_{slew}", 10.0) for edge in ("rise", "fall")]
        )
    return f'\n      timing () {{ related_pin : "{clock}"; timing_type : {kind}; {tables} }}'


_HEAD = """library ({name}) {{
  delay_model : table_lookup;
  time_unit : "1ps";
  voltage_unit : "1V";
  current_unit : "1uA";
  leakage_power_unit : "1nW";
  pulling_resistance_unit : "1kohm";
  capacitive_load_unit (1,ff);"""


def _template(shape: tuple[int, int]) -> str:
    axes = [_row(float(step) for step in range(count)) for count in shape]
    return (
        f"  lu_table_template (t{shape[0]}x{shape[1]}) {{\n"
        "    variable_1 : input_net_transition;\n    variable_2 : total_output_net_capacitance;\n"
        f'    index_1 ("{axes[0]}");\n    index_2 ("{axes[1]}");\n  }}'
    )


def _constraint(shape: tuple[int, int]) -> str:
    text = _template(shape).replace("input_net_transition", "constrained_pin_transition")
    text = text.replace("total_output_net_capacitance", "related_pin_transition")
    return text.replace("(t", "(c", 1)


def _tables(arc: Arc) -> list[Table]:
    return [t for t in (arc.rise, arc.fall, arc.rise_slew, arc.fall_slew) if t is not None]


def _shape(table: Table) -> tuple[int, int]:
    return len(table.slews), len(table.loads)


def _square(table: Table) -> Table:
    """The table with at least two points on each axis, as ABC wants it."""
    slews = table.slews if len(table.slews) > 1 else (table.slews[0], table.slews[0] + 1)
    loads = table.loads if len(table.loads) > 1 else (table.loads[0], table.loads[0] + 1)
    rows = [row if len(row) > 1 else row * 2 for row in table.values]
    return Table(slews, loads, tuple(rows if len(rows) > 1 else rows * 2))


def _cell(cell: Cell) -> str:
    gate = clock_gate(cell)
    words = {} if gate is None else {gate.clock: "clock", gate.enable: "enable", gate.output: "out"}
    words |= {} if gate is None else {pin: "test" for pin, _ in gate.ties}
    pins = "\n".join(
        _pin(pin, [arc for arc in cell.arcs if arc.pin == pin.name], words.get(pin.name)) for pin in cell.pins
    )
    kind = f"    clock_gating_integrated_cell : {cell.clock_gate};\n" if cell.clock_gate else ""
    return f"  cell ({cell.name}) {{\n    area : {cell.area:.6g};\n{kind}{_state(cell)}{pins}\n  }}"


def _state(cell: Cell) -> str:
    group = cell.sequential
    if group is None:
        return ""
    clock, data = ("clocked_on", "next_state") if group.kind == "ff" else ("enable", "data_in")
    facts = {clock: group.clock, data: group.data, "clear": group.clear, "preset": group.preset}
    lines = " ".join(f'{key} : "{text}";' for key, text in facts.items() if text)
    return f"    {group.kind} ({group.state}, {group.inverse or group.state + 'N'}) {{ {lines} }}\n"


def _pin(pin: Pin, arcs: list[Arc], gate: str | None = None) -> str:
    """One pin with its arcs; `gate` is what it is to a clock gate."""
    lines = [f"    pin ({pin.name}) {{", f"      direction : {pin.direction};"]
    lines += [f"      clock_gate_{gate}_pin : true;"] if gate else []
    if pin.direction == "input":
        lines.append(f"      capacitance : {pin.capacitance:.6g};")
        lines += ["      clock : true;"] * pin.clock
    if pin.function is not None:
        lines.append(f'      function : "{pin.function}";')
    if pin.max_capacitance is not None:
        lines.append(f"      max_capacitance : {pin.max_capacitance:.6g};")
    lines.extend(_arc(arc) for arc in arcs)
    return "\n".join([*lines, "    }"])


def _arc(arc: Arc) -> str:
    constraint = arc.kind.startswith(("setup", "hold"))
    names = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
    if constraint:
        names = ("rise_constraint", "fall_constraint", "", "")
    tables = (arc.rise, arc.fall, arc.rise_slew, arc.fall_slew)
    text = "\n".join(
        _table(key, item, "c" if constraint else "t")
        for key, item in zip(names, tables, strict=True)
        if item is not None
    )
    kind = "" if arc.kind == "combinational" else f"        timing_type : {arc.kind};\n"
    sense = "" if constraint else f"        timing_sense : {arc.sense};\n"
    return f'      timing () {{\n        related_pin : "{arc.related}";\n{kind}{sense}{text}\n      }}'


def _table(name: str, table: Table, template: str = "t") -> str:
    table = _square(table)
    rows = ", \\\n".join(f'            "{_row(row)}"' for row in table.values)
    return (
        f"        {name} ({template}{len(table.slews)}x{len(table.loads)}) {{\n"
        f'          index_1 ("{_row(table.slews)}");\n          index_2 ("{_row(table.loads)}");\n'
        f"          values ( \\\n{rows} \\\n          );\n        }}"
    )


def _row(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
