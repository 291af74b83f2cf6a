"""Writes cells as a Liberty file for Yosys and ABC."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from costmodel.technology.liberty import Arc, Cell, Pin, Table
from costmodel.technology.roles import combinational


def write_liberty(cells: Iterable[Cell], path: Path, name: str = "compact") -> None:
    """Write the combinational `cells` to `path` in ps, fF and nW; flip-flops and macros are left out.

    They are left out because mapping places them itself; ABC needs gates only.
    """
    gates = [cell for cell in cells if combinational(cell)]
    tables = [
        t for cell in gates for arc in cell.arcs for t in (arc.rise, arc.fall, arc.rise_slew, arc.fall_slew)
    ]
    shapes = sorted({_shape(_square(table)) for table in tables if table is not None})
    parts = [_HEAD.format(name=name), *map(_template, shapes), *map(_cell, gates), "}", ""]
    path.write_text("\n".join(parts))


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


def _shape(table: Table) -> tuple[int, int]:
    return len(table.slews), len(table.loads)


def _square(table: Table) -> Table:
    """The table with at least two points on each axis, as ABC wants it."""
    slews = table.slews if len(table.slews) > 1 else (table.slews[0], table.slews[0] + 1)
    loads = table.loads if len(table.loads) > 1 else (table.loads[0], table.loads[0] + 1)
    rows = [row if len(row) > 1 else row * 2 for row in table.values]
    return Table(slews, loads, tuple(rows if len(rows) > 1 else rows * 2))


def _cell(cell: Cell) -> str:
    pins = "\n".join(_pin(pin, [arc for arc in cell.arcs if arc.pin == pin.name]) for pin in cell.pins)
    return f"  cell ({cell.name}) {{\n    area : {cell.area:.6g};\n{pins}\n  }}"


def _pin(pin: Pin, arcs: list[Arc]) -> str:
    lines = [f"    pin ({pin.name}) {{", f"      direction : {pin.direction};"]
    if pin.direction == "input":
        lines.append(f"      capacitance : {pin.capacitance:.6g};")
    if pin.function is not None:
        lines.append(f'      function : "{pin.function}";')
    if pin.max_capacitance is not None:
        lines.append(f"      max_capacitance : {pin.max_capacitance:.6g};")
    lines.extend(_arc(arc) for arc in arcs)
    return "\n".join([*lines, "    }"])


def _arc(arc: Arc) -> str:
    names = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
    tables = (arc.rise, arc.fall, arc.rise_slew, arc.fall_slew)
    text = "\n".join(_table(key, item) for key, item in zip(names, tables, strict=True) if item is not None)
    return (
        f'      timing () {{\n        related_pin : "{arc.related}";\n        timing_sense : {arc.sense};\n'
        f"{text}\n      }}"
    )


def _table(name: str, table: Table) -> str:
    table = _square(table)
    rows = ", \\\n".join(f'            "{_row(row)}"' for row in table.values)
    return (
        f"        {name} (t{len(table.slews)}x{len(table.loads)}) {{\n"
        f'          index_1 ("{_row(table.slews)}");\n          index_2 ("{_row(table.loads)}");\n'
        f"          values ( \\\n{rows} \\\n          );\n        }}"
    )


def _row(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
