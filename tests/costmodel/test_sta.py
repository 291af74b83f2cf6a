"""Static timing: the sum of the tables on a path, and ABC's own figure on mapped logic."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from blueprint.errors import ParamError
from costmodel.groundtruth import sta, synthesis
from costmodel.technology import compact, selection, technology
from tests.costmodel import tiny
from toolchain import yosys

MUX = """module mux (input [127:0] a, input [3:0] s, input g, output [7:0] y);
  assign y = a[s*8 +: 8] ^ {8{g}};
endmodule"""


def cell(kind: str, **pins: Any) -> dict[str, Any]:
    return {"type": kind, "connections": {pin: [bit] for pin, bit in pins.items()}}


def module(ports: dict[str, tuple[str, list[Any]]], **cells: Any) -> dict[str, Any]:
    return {"ports": {k: {"direction": d, "bits": b} for k, (d, b) in ports.items()}, "cells": cells}


CHAIN = module(
    {"ck": ("input", [2]), "d": ("input", [3]), "y": ("output", [7])},
    first=cell("DFFN", CK=2, D=3, QN=4),
    invert=cell("INV", A=4, Y=5),
    both=cell("NAND2", A=5, B=3, Y=6),
    last=cell("DFFN", CK=2, D=6, QN=7),
)


def test_path_is_the_sum_of_its_tables(tmp_path: Path) -> None:
    tech = tiny.technology(tmp_path)
    timing = sta.analyze("m", {"m": CHAIN}, tech, input_slew_ps=0)
    # 0.1 x slew + load in fF + base: every slew is 50 ps but the clock's, which is a buffer's 50 ps as well.
    clock_to_q, inverter, nand, setup = 20 + 5 + 1, 10 + 5 + 1, 10 + 5 + 1, 30
    assert timing.classes["register_to_register"] == pytest.approx(clock_to_q + inverter + nand + setup)
    assert timing.classes["input_to_register"] == pytest.approx(10 + 0 + 1 + setup)
    assert timing.classes["register_to_output"] == pytest.approx(20 + 5 + 0)
    assert timing.classes["input_to_output"] == 0
    assert timing.critical_path_ps == timing.classes["register_to_register"]
    assert [step.split()[0] for step in timing.path] == ["DFFN", "INV", "NAND2"]


def test_paths_cross_module_boundaries(tmp_path: Path) -> None:
    tech = tiny.technology(tmp_path)
    inner = module({"i": ("input", [2]), "o": ("output", [3, 3])}, g=cell("INV", A=2, Y=3))
    outer = module(
        {"ck": ("input", [2]), "d": ("input", [3]), "y": ("output", [8])},
        first=cell("DFFN", CK=2, D=3, QN=4),
        sub={"type": "inner", "connections": {"i": [4], "o": [5, 6]}},
        both=cell("NAND2", A=5, B=6, Y=7),
        last=cell("DFFN", CK=2, D=7, QN=8),
    )
    timing = sta.analyze("m", {"m": outer, "inner": inner}, tech)
    # The inverter drives both inputs of the NAND through a port that repeats its net: 2 fF.
    assert timing.classes["register_to_register"] == pytest.approx(26 + 17 + 16 + 30)
    assert "INV sub.g" in timing.path[1]


def test_constants_and_loose_pins_end_paths(tmp_path: Path) -> None:
    still = module({"y": ("output", [2])}, g=cell("NAND2", A="1", B="0", Y=2), h=cell("INV", A=9, Y=3))
    assert sta.analyze("m", {"m": still}, tiny.technology(tmp_path)).critical_path_ps == 0


def test_heavy_net_is_timed_as_a_tree(tmp_path: Path) -> None:
    tech = tiny.technology(tmp_path)
    readers = {f"r{i}": cell("DFFN", CK=2, D=4, QN=10 + i) for i in range(500)}
    wide = module({"ck": ("input", [2]), "d": ("input", [3])}, first=cell("DFFN", CK=2, D=3, QN=4), **readers)
    direct = sta.analyze("m", {"m": wide}, tech, trees=False).critical_path_ps
    assert direct == pytest.approx(20 + 5 + 500 + 30)
    stage = 10 + 5 + 8
    assert sta.analyze("m", {"m": wide}, tech).critical_path_ps == pytest.approx(20 + 5 + 8 + 2 * stage + 30)


def test_loop_is_refused(tmp_path: Path) -> None:
    ring = module({}, a=cell("INV", A=2, Y=3), b=cell("INV", A=3, Y=2))
    text = "^A netlist must have no combinational loop, but 2 nets form or follow one$"
    with pytest.raises(ParamError, match=text):
        sta.analyze("m", {"m": ring}, tiny.technology(tmp_path))


@pytest.mark.parametrize("name", technology.names())
def test_delay_agrees_with_abc(tmp_path: Path, name: str) -> None:
    """ABC's stime on the same netlist and library; 0.6 percent, since it takes slews of repeated outputs apart."""
    tech = technology.load(name)
    (tmp_path / "mux.v").write_text(MUX)
    netlists = synthesis._netlists(synthesis._front([tmp_path / "mux.v"], "mux", (), False), tech, False)
    compact.write_liberty(selection.smallest(tech.cells.values()), tmp_path / "cells.lib")
    (tmp_path / "mux.blif").write_text(_blif(netlists["mux"]))
    script = "read_lib -w cells.lib; read_blif mux.blif; topo; stime -p"
    log = subprocess.run(
        [yosys.abc(), "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    theirs = float(re.findall(r"Delay = +([0-9.]+) ps", log)[-1])
    ours = sta.analyze("mux", netlists, tech, input_slew_ps=0, trees=False).critical_path_ps
    assert ours == pytest.approx(theirs, rel=0.006)


def _blif(netlist: dict[str, Any]) -> str:
    lines = [".model mux"]
    for key, direction in ((".inputs", "input"), (".outputs", "output")):
        bits = [
            b for port in netlist["ports"].values() if port["direction"] == direction for b in port["bits"]
        ]
        lines.append(f"{key} {' '.join(f'n{bit}' for bit in bits)}")
    for item in netlist["cells"].values():
        pins = " ".join(f"{pin}=n{bits[0]}" for pin, bits in item["connections"].items())
        lines.append(f".gate {item['type']} {pins}")
    return "\n".join([*lines, ".end", ""])
