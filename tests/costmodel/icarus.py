"""A mapped netlist in Icarus Verilog, with the delays of every arc in an SDF file: toggles of every net."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costmodel.groundtruth import waves
from costmodel.groundtruth.flatten import CONSTANT_NETS, Flat
from costmodel.technology import function
from costmodel.technology.liberty import Cell

Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class Bench:
    """A flat netlist, its gates, and the values of every net before and after each clock edge of one run."""

    flat: Flat
    cells: Mapping[str, Cell]
    gates: waves.Gates
    before: Bits
    after: Bits

    def toggles(self, folder: Path, style: str) -> NDArray[np.int64]:
        """Changes of every net; ``style`` is ``sdf``, or ``gates`` for one delay a gate and edge."""
        period = 4 * int(self.gates.pin_delays.sum(axis=0).max() // max(len(self.gates.outputs), 1) + 1) * 400
        lines, sdf = self._instances(style)
        cells = "".join(self._models())
        (folder / "delays.sdf").write_text(_sdf(sdf))
        annotate = '$sdf_annotate("delays.sdf", bench.dut);' if style == "sdf" else ""
        text = _BENCH.format(
            cells=cells,
            inputs=len(self._driven()),
            rows=len(self.after),
            period=period,
            half=period // 2,
            wires="\n".join(f"  wire n{net};" for net in range(2, len(self.gates.shown))),
            registers="\n".join(self._registers()),
            instances="\n".join(lines),
            annotate=annotate,
        )
        rows = self.after[:, self._driven()][:, ::-1]
        (folder / "inputs.txt").write_text("\n".join("".join(map(str, row)) for row in rows) + "\n")
        (folder / "bench.v").write_text(text)
        for command in (
            ["iverilog", "-g2012", "-gspecify", "-o", "bench.vvp", "bench.v"],
            ["vvp", "-n", "bench.vvp"],
        ):
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
        return _changes((folder / "bench.vcd"), self.flat.nets)

    def _driven(self) -> list[int]:
        """Nets whose values the bench gives: sources that are no register."""
        registers = {net for net, _, _ in self._flip_flops()}
        return [net for net in self.gates.shown[self.gates.sources].tolist() if net not in registers]

    def _flip_flops(self) -> Iterator[tuple[int, str, None]]:
        for kind, rows in self.flat.cells.items():
            cell = self.cells.get(kind)
            if cell is None or cell.sequential is None:
                continue
            column = {pin: index for index, pin in enumerate(self.flat.pins[kind])}
            for row in rows:
                names = {pin: f"n{row[at]}" if row[at] > 1 else f"1'b{row[at]}" for pin, at in column.items()}
                state = _verilog(cell.sequential.data, names)
                known = {cell.sequential.state: state}
                if cell.sequential.inverse:
                    known[cell.sequential.inverse] = f"~{state}"
                for pin in cell.outputs:
                    if pin.name in column and pin.function:
                        yield int(row[column[pin.name]]), _verilog(pin.function, known), None

    def _registers(self) -> list[str]:
        lines = [
            f"  reg q{net} = {self.before[0, net]};\n  always @(posedge clk) q{net} <= {text};"
            for net, text, _ in self._flip_flops()
        ]
        given = "".join(map(str, self.before[0, self._driven()][::-1]))
        return [*lines, f"  initial in = {len(given)}'b{given};"]

    def _instances(self, style: str) -> tuple[list[str], list[str]]:
        gates, lines, sdf = self.gates, list[str](), list[str]()
        place = {net: index for index, net in enumerate(self._driven())}
        for source, (rise, fall) in zip(gates.sources.tolist(), gates.source_delays.tolist(), strict=True):
            shown = int(gates.shown[source])
            value = f"in[{place[shown]}]" if shown in place else f"q{shown}"
            lines.append(f"  assign #({rise},{fall}) n{source} = {value};")
        number = 0
        for cell, output, rows, column in self._kinds():
            for row in rows:
                pins = slice(gates.first[number], gates.first[number + 1])
                delays = gates.pin_delays[pins]
                nets = {
                    pin.name: f"n{row[column[pin.name]]}"
                    if row[column[pin.name]] >= CONSTANT_NETS
                    else f"1'b{row[column[pin.name]]}"
                    for pin in cell.inputs
                }
                out = f"n{gates.outputs[number]}"
                if style == "sdf":
                    ports = ", ".join(f".{name}({net})" for name, net in nets.items())
                    lines.append(f"  {cell.name}__{output} g{number}({ports}, .{output}_out({out}));")
                    paths = "".join(
                        f"(IOPATH {name} {output}_out ({rise}) ({fall}))"
                        for name, (rise, fall) in zip(nets, delays.tolist(), strict=True)
                    )
                    sdf.append(
                        f'(CELL (CELLTYPE "{cell.name}__{output}") (INSTANCE g{number}) '
                        f"(DELAY (ABSOLUTE {paths})))"
                    )
                else:
                    rise, fall = delays.max(axis=0).tolist()
                    ports = ", ".join([out, *nets.values()])
                    lines.append(f"  {cell.name}__{output}_p #({rise},{fall}) g{number}({ports});")
                number += 1
        for gate in range(number, len(gates.outputs)):
            rise, fall = gates.pin_delays[gates.first[gate]].tolist()
            lines.append(
                f"  assign #({rise},{fall}) n{gates.outputs[gate]} = n{gates.pin_nets[gates.first[gate]]};"
            )
        return lines, sdf

    def _kinds(self) -> Iterator[tuple[Cell, str, NDArray[np.int64], dict[str, int]]]:
        for kind, rows in self.flat.cells.items():
            cell = self.cells.get(kind)
            if cell is not None and cell.sequential is None and cell.inputs:
                column = {pin: index for index, pin in enumerate(self.flat.pins[kind])}
                for pin in cell.outputs:
                    if pin.name in column and pin.function:
                        yield cell, pin.name, rows, column

    def _models(self) -> Iterator[str]:
        """Each function of each kind of cell as a primitive, in a module with paths for the delays."""
        for cell, output, _, _ in self._kinds():
            names = [pin.name for pin in cell.inputs]
            text = {pin.name: pin.function for pin in cell.outputs}[output] or ""
            table = function.truth(text, tuple(names))
            rows = "\n".join(
                f"    {' '.join(str(row >> at & 1) for at in range(len(names)))} : {table >> row & 1};"
                for row in range(1 << len(names))
            )
            paths = "\n".join(f"    ({name} => {output}_out) = (1, 1);" for name in names)
            yield (
                f"primitive {cell.name}__{output}_p(output o, {', '.join(f'input {name}' for name in names)});\n"
                f"  table\n{rows}\n  endtable\nendprimitive\n"
                f"module {cell.name}__{output}({', '.join(f'input {name}' for name in names)}, "
                f"output {output}_out);\n  {cell.name}__{output}_p p({output}_out, {', '.join(names)});\n"
                f"  specify\n{paths}\n  endspecify\nendmodule\n"
            )


def _verilog(text: str, names: Mapping[str, str]) -> str:
    """A Liberty function in Verilog, by its sum of products: its truth table and nothing of our compiler."""
    inputs = function.names(text)
    table = function.truth(text, inputs)
    rows = [row for row in range(1 << len(inputs)) if table >> row & 1]
    products = [
        " & ".join(("" if row >> at & 1 else "~") + f"({names[name]})" for at, name in enumerate(inputs))
        or "1'b1"
        for row in rows
    ]
    return "(" + (" | ".join(f"({product})" for product in products) or "1'b0") + ")"


def _sdf(cells: list[str]) -> str:
    return '(DELAYFILE (SDFVERSION "3.0") (TIMESCALE 100fs)\n' + "\n".join(cells) + "\n)\n"


def _changes(path: Path, nets: int) -> NDArray[np.int64]:
    """Changes between 0 and 1 of every net of a VCD, after the values that it begins with."""
    symbols: dict[str, int] = {}
    found = np.zeros(nets, np.int64)
    value: dict[str, str] = {}
    for line in path.read_text().splitlines():
        if line.startswith("$var"):
            parts = line.split()
            if parts[4].startswith("n") and int(parts[4][1:]) < nets:
                symbols[parts[3]] = int(parts[4][1:])
        elif line[:1] in "01" and line[1:] in symbols:
            name = line[1:]
            if value.get(name, line[0]) != line[0]:
                found[symbols[name]] += 1
            value[name] = line[0]
    return found


_BENCH = """`timescale 100fs/100fs
{cells}
module netlist(input clk, input [{inputs}-1:0] given);
  wire [{inputs}-1:0] unused = given;
  reg [{inputs}-1:0] in;
  always @(posedge clk) in <= given;
  wire n0 = 1'b0, n1 = 1'b1;
{wires}
{registers}
{instances}
endmodule
module bench;
  reg clk = 0;
  reg [{inputs}-1:0] rows [0:{rows}-1];
  reg [{inputs}-1:0] given;
  integer k;
  netlist dut(clk, given);
  initial begin
    {annotate}
    $readmemb("inputs.txt", rows);
    #{period};
    $dumpfile("bench.vcd");
    $dumpvars(1, dut);
    for (k = 0; k < {rows}; k = k + 1) begin
      given = rows[k];
      #{half} clk = 1;
      #{half} clk = 0;
    end
    #{period} $finish;
  end
endmodule
"""
