"""Synthesis: the netlist computes what the RTL says, no flip-flop is gained or lost, inverters cancel."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from blueprint.errors import ParamError, SpecError
from costmodel.groundtruth import mapping, synthesis
from costmodel.groundtruth.recipe import LEAST
from costmodel.technology import technology
from costmodel.technology.technology import Technology
from tests.costmodel import tiny
from tests.costmodel.gates import Gates
from toolchain.process import ToolError

RIPPLE = """module ripple (input clk, input [11:0] a, b, output reg [11:0] y);
  always @(posedge clk) y <= a - b;
endmodule"""
TREE = """module tree (input clk, input [63:0] x, output reg [10:0] y);
  reg [63:0] r; reg [10:0] s; integer i;
  always @* begin s = 0; for (i = 0; i < 8; i = i + 1) s = s + r[8*i +: 8]; end
  always @(posedge clk) begin r <= x; y <= s; end
endmodule"""
CARRY_SAVE = """module carry_save (input clk, input [7:0] a, b, c, output reg [9:0] y);
  wire [7:0] s = a ^ b ^ c, d = (a & b) | (a & c) | (b & c);
  always @(posedge clk) y <= {1'b0, d, 1'b0} + s;
endmodule"""
ACCUMULATE = """module accumulate (input clk, rst_n, en, input [9:0] a, output reg [9:0] y);
  always @(posedge clk) if (!rst_n) y <= 0; else if (en) y <= y + a + 1;
endmodule"""
PAIR = """module leaf (input clk, input [3:0] a, b, output reg [3:0] y); always @(posedge clk) y <= a + b; endmodule
module pair (input clk, input [3:0] a, b, c, d, output [3:0] y, z, output w);
  leaf one (clk, a, b, y); leaf two (.clk(clk), .a(c), .b(d), .y(z)); assign w = a[0] ^ y[3];
endmodule"""


@pytest.fixture(params=["tiny", *technology.names()])
def tech(request: pytest.FixtureRequest, tmp_path: Path) -> Technology:
    return tiny.technology(tmp_path) if request.param == "tiny" else technology.load(request.param)


@pytest.fixture
def lanes() -> Iterator[np.random.Generator]:
    yield np.random.default_rng(20)


def netlist(folder: Path, rtl: str, tech: Technology) -> Gates:
    top = re.findall(r"module (\w+)", rtl)[-1]
    (folder / f"{top}.v").write_text(rtl)
    modules = synthesis._front([folder / f"{top}.v"], top, (), True)
    return Gates(synthesis._netlists(modules, tech, False)[top], tech.cells)


def synthesize(
    folder: Path, rtl: str, tech: Technology, flatten: bool = False, recipe: str | None = None
) -> synthesis.Synthesis:
    top = re.findall(r"module (\w+)", rtl)[-1]
    (folder / f"{top}.v").write_text(rtl)
    return synthesis.synthesize(folder / f"{top}.v", tech, top=top, flatten=flatten, recipe=recipe)


def run(gates: Gates, inputs: dict[str, np.ndarray], cycles: int = 1) -> None:
    for port, numbers in {"clk": np.zeros(64, int), **inputs}.items():
        gates.drive(port, numbers)
    for _ in range(cycles):
        gates.settle()
        gates.clock()
    gates.settle()


def test_subtractor_subtracts(tmp_path: Path, tech: Technology, lanes: np.random.Generator) -> None:
    gates = netlist(tmp_path, RIPPLE, tech)
    a, b = lanes.integers(0, 4096, (2, 64))
    run(gates, {"a": a, "b": b})
    assert (gates.read("y") == (a - b) % 4096).all()


def test_tree_of_eight_adds(tmp_path: Path, tech: Technology, lanes: np.random.Generator) -> None:
    gates = netlist(tmp_path, TREE, tech)
    x = lanes.integers(0, 256, (64, 8))
    run(gates, {"x": np.array([sum(int(v) << 8 * i for i, v in enumerate(row)) for row in x], object)}, 2)
    assert (gates.read("y") == x.sum(axis=1)).all()


def test_carry_save_by_hand_adds_on_full_adders(
    tmp_path: Path, tech: Technology, lanes: np.random.Generator
) -> None:
    gates = netlist(tmp_path, CARRY_SAVE, tech)
    a, b, c = lanes.integers(0, 256, (3, 64))
    run(gates, {"a": a, "b": b, "c": c})
    assert (gates.read("y") == a + b + c).all()
    adder = tech.roles.full_adder
    if adder is not None:
        assert synthesize(tmp_path, CARRY_SAVE, tech).cells[adder.cell] >= 14


def test_accumulator_resets_holds_and_adds(
    tmp_path: Path, tech: Technology, lanes: np.random.Generator
) -> None:
    gates = netlist(tmp_path, ACCUMULATE, tech)
    total = np.zeros(64, int)
    for cycle in range(20):
        a, en = lanes.integers(0, 1024, 64), lanes.integers(0, 2, 64)
        reset = np.full(64, int(cycle not in (0, 9)))
        run(gates, {"a": a, "en": en, "rst_n": reset})
        total = np.where(reset == 0, 0, np.where(en, (total + a + 1) % 1024, total))
        assert (gates.read("y") == total).all()


@pytest.mark.parametrize(("rtl", "count"), [(RIPPLE, 12), (TREE, 75), (ACCUMULATE, 10), (PAIR, 8)])
def test_flip_flops_are_counted_exactly(tmp_path: Path, tech: Technology, rtl: str, count: int) -> None:
    assert synthesize(tmp_path, rtl, tech).flip_flops == count


def test_modules_add_up_and_are_mapped_once(tmp_path: Path, tech: Technology) -> None:
    found = synthesize(tmp_path, PAIR, tech)
    leaf, pair = found.modules["leaf"], found.modules["pair"]
    assert (leaf.instances, leaf.flip_flops, pair.instances) == (2, 4, 1)
    assert pair.total_area_um2 == pytest.approx(pair.area_um2 + 2 * leaf.area_um2)
    assert found.area_um2 == pytest.approx(pair.total_area_um2)
    assert found.area_um2 == pytest.approx(found.combinational_area_um2 + found.register_area_um2)
    assert synthesize(tmp_path, PAIR, tech) == found
    assert set(synthesize(tmp_path, PAIR, tech, flatten=True).modules) == {"pair"}


def test_inversions_cancel_between_adders_and_registers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tech = technology.load("asap7")
    inverter = tech.roles.gates["inverter"]
    chosen = synthesize(tmp_path, TREE, tech)
    monkeypatch.setattr(mapping, "_choose_phases", lambda nodes, editor: None)
    monkeypatch.setattr(synthesis, "_MAPPING", "all in one phase")
    plain = synthesize(tmp_path, TREE, tech)
    assert chosen.cells[inverter] < 0.5 * plain.cells[inverter]
    assert chosen.area_um2 < 0.93 * plain.area_um2


def test_least_area_on_asap7_does_not_grow(tmp_path: Path) -> None:
    """Ceilings are what this recipe gave, rounded up; a recipe that passes them is better."""
    tech = technology.load("asap7")
    for rtl, ceiling in ((RIPPLE, 6.8), (TREE, 34.9), (ACCUMULATE, 6.9)):
        assert synthesize(tmp_path, rtl, tech, recipe=LEAST).area_um2 <= ceiling


def test_memory_blackbox_counts_as_macro(tmp_path: Path) -> None:
    tech = technology.load("asap7")
    box = "module ram_64x16 (input clk, input [5:0] addr, output [15:0] q); endmodule\n"
    top = (
        "module top (input clk, input [5:0] a, output reg [15:0] y); wire [15:0] q; ram_64x16 m (clk, a, q);"
    )
    (tmp_path / "top.v").write_text(f"{box}{top} always @(posedge clk) y <= q; endmodule")
    manifest = {"files": ["top.v"], "top": "top", "blackboxes": ["ram_64x16"]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    found = synthesis.synthesize(tmp_path, tech)
    assert found.macro_area_um2 == pytest.approx(tech.sram.area_um2(64, 16, "single_port"))
    assert found.macros == {"ram_64x16": 1} and found.flip_flops == 16
    assert found.critical_path_ps > tech.sram.access_ps(64, 16)


def test_user_library_replaces_the_technology(tmp_path: Path) -> None:
    (tmp_path / "ripple.v").write_text(RIPPLE)
    found = synthesis.synthesize(tmp_path / "ripple.v", "asap7", top="ripple", liberty=[tiny.write(tmp_path)])
    assert found.register_area_um2 == 12 * 6 and set(found.cells) <= set(tiny.GATES)


def test_missing_manifest_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match="manifest.json: a design folder must hold manifest.json; run ternforge generate$"
    ):
        synthesis.synthesize(tmp_path, "asap7")


def test_broken_manifest_is_said(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(SpecError, match="manifest must be JSON with files and top, not 'files'$"):
        synthesis.synthesize(tmp_path, "asap7")


def test_missing_design_and_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match="gone: a design must be a generated folder or a Verilog file, and there is none$"
    ):
        synthesis.synthesize(tmp_path / "gone", "asap7")
    with pytest.raises(SpecError, match="gone.v: a Verilog file must exist, and there is none$"):
        synthesis.synthesize([tmp_path / "gone.v"], "asap7", top="x")


def test_files_need_a_top(tmp_path: Path) -> None:
    (tmp_path / "ripple.v").write_text(RIPPLE)
    text = "^Synthesis of Verilog files must be told the top module, not left to guess$"
    with pytest.raises(ParamError, match=text):
        synthesis.synthesize(tmp_path / "ripple.v", "asap7")
    with pytest.raises(ToolError, match="^Yosys failed with exit code 1: .*Module `other' not found"):
        synthesis.synthesize(tmp_path / "ripple.v", "asap7", top="other")


def test_register_without_a_cell_is_said(tmp_path: Path) -> None:
    rtl = "module hold (input g, d, output reg q); always @* if (g) q = d; endmodule"
    with pytest.raises(ToolError, match="^Yosys failed with exit code 1: .*"):
        synthesize(tmp_path, rtl, tiny.technology(tmp_path))
