"""Synthesis made afresh: cells by kind and paths are the recorded ones; text and hierarchy of netlists by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from blueprint import registry
from blueprint.errors import ParamError, SpecError
from costmodel.calibration import sampling
from costmodel.groundtruth import flatten, mapping, rtlil
from costmodel.groundtruth.recipe import LEAST
from costmodel.groundtruth.synthesis import Synthesis, synthesize
from costmodel.technology import importing, liberty, technology
from costmodel.technology.technology import Technology
from tests.costmodel import tiny
from toolchain import yosys

#: An adder tree, a subtractor, carry-save by hand, constants into adders, registers that hold or clear, parameters.
RTL = """
module leaf #(parameter W = 4) (input clk, input [W-1:0] a, b, output reg [W:0] y);
  always @(posedge clk) y <= a + b;
endmodule
module mixed (input clk, rst_n, en, input [31:0] x, output reg [7:0] sum, output reg [8:0] less, output [4:0] p,
              output [6:0] q, output reg [5:0] count, output reg [9:0] kept, output [8:0] same, output [2:0] odd);
  wire [7:0] a = x[7:0], b = x[15:8], c = x[23:16], d = x[31:24];
  wire [7:0] s = a ^ b ^ c, m = (a & b) | (a & c) | (b & c);
  leaf one (.clk(clk), .a(a[3:0]), .b(b[3:0]), .y(p));
  leaf #(.W(6)) two (.clk(clk), .a(c[5:0]), .b(d[5:0]), .y(q));
  assign same = a + 8'd93, odd = {^x, &c, |d};
  always @(posedge clk) begin
    sum <= s + {m[6:0], 1'b0};
    less <= a - d;
    if (!rst_n) count <= 0; else if (en) count <= count + 1;
    if (en) kept <= {a, 2'b0} + b + c + d;
  end
endmodule
"""
FLIP_FLOPS = 8 + 9 + 5 + 7 + 6 + 10
#: The Yosys that cells were counted with.
YOSYS = "0.70"
#: Cells by kind, area in um2 and the critical path in ps, as this recipe and Yosys 0.70 gave them.
RECORDED: dict[str, tuple[dict[str, int], float, float]] = {
    "asap7": (
        {
            "A2O1A1Ixp33_ASAP7_75t_R": 1,
            "AND4x1_ASAP7_75t_R": 1,
            "AND5x1_ASAP7_75t_R": 1,
            "AOI21xp5_ASAP7_75t_R": 12,
            "DFFHQNx1_ASAP7_75t_R": 45,
            "FAx1_ASAP7_75t_R": 48,
            "HAxp5_ASAP7_75t_R": 18,
            "HB1xp67_ASAP7_75t_R": 2,
            "INVx1_ASAP7_75t_R": 66,
            "NAND2xp5_ASAP7_75t_R": 5,
            "NOR2xp33_ASAP7_75t_R": 13,
            "NOR4xp25_ASAP7_75t_R": 2,
            "OAI21xp5_ASAP7_75t_R": 3,
            "OAI31xp33_ASAP7_75t_R": 1,
            "XNOR2xp5_ASAP7_75t_R": 22,
            "XOR2xp5_ASAP7_75t_R": 11,
        },
        35.32734,
        473.3665,
    ),
    "ihp_sg13g2": (
        {
            "sg13g2_a21o_1": 17,
            "sg13g2_a21oi_1": 24,
            "sg13g2_and2_1": 11,
            "sg13g2_and3_1": 2,
            "sg13g2_dfrbpq_1": 45,
            "sg13g2_inv_1": 9,
            "sg13g2_nand2_1": 26,
            "sg13g2_nand2b_1": 9,
            "sg13g2_nand3_1": 3,
            "sg13g2_nand4_1": 2,
            "sg13g2_nor2_1": 35,
            "sg13g2_nor2b_1": 24,
            "sg13g2_nor4_1": 2,
            "sg13g2_o21ai_1": 24,
            "sg13g2_or2_1": 2,
            "sg13g2_xnor2_1": 92,
            "sg13g2_xor2_1": 38,
        },
        5748.0192,
        1765.13147,
    ),
    "sky130hd": (
        {
            "sky130_fd_sc_hd__a21o_1": 1,
            "sky130_fd_sc_hd__a21oi_1": 7,
            "sky130_fd_sc_hd__a31oi_1": 1,
            "sky130_fd_sc_hd__and2_1": 5,
            "sky130_fd_sc_hd__and3_1": 1,
            "sky130_fd_sc_hd__dfxtp_1": 45,
            "sky130_fd_sc_hd__fa_1": 47,
            "sky130_fd_sc_hd__inv_2": 9,
            "sky130_fd_sc_hd__mux2_2": 8,
            "sky130_fd_sc_hd__nand2_1": 4,
            "sky130_fd_sc_hd__nand2b_1": 1,
            "sky130_fd_sc_hd__nand3_1": 3,
            "sky130_fd_sc_hd__nand4_1": 2,
            "sky130_fd_sc_hd__nor2_1": 13,
            "sky130_fd_sc_hd__nor2b_1": 2,
            "sky130_fd_sc_hd__nor3_1": 3,
            "sky130_fd_sc_hd__nor3b_1": 2,
            "sky130_fd_sc_hd__nor4_1": 1,
            "sky130_fd_sc_hd__o21a_1": 1,
            "sky130_fd_sc_hd__o21ai_1": 4,
            "sky130_fd_sc_hd__xnor2_1": 29,
            "sky130_fd_sc_hd__xor2_1": 12,
        },
        2584.9792,
        3917.99483,
    ),
    "tiny": (
        {"BUF": 2, "DFFN": 45, "FA": 48, "HA": 18, "INV": 83, "NAND2": 20, "NOR2": 46, "XOR2": 33},
        981.0,
        350.0,
    ),
}


def made(folder: Path, tech: Technology, monkeypatch: pytest.MonkeyPatch) -> Synthesis:
    """Synthesis of the design without what an earlier one left."""
    monkeypatch.setenv("TERNFORGE_CACHE", str(folder / "cache"))
    (folder / "mixed.v").write_text(RTL)
    return synthesize(folder / "mixed.v", tech, top="mixed", recipe=LEAST)


@pytest.mark.parametrize("name", ["tiny", *technology.names()])
def test_cells_and_paths_are_the_recorded_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if yosys.version() != YOSYS:
        pytest.skip(f"cells were counted with Yosys {YOSYS}, not {yosys.version()}")
    found = made(
        tmp_path, tiny.technology(tmp_path) if name == "tiny" else technology.load(name), monkeypatch
    )
    cells, area, path = RECORDED[name]
    assert dict(found.cells) == cells
    assert found.area_um2 == pytest.approx(area) and found.critical_path_ps == pytest.approx(path)
    assert found.flip_flops == FLIP_FLOPS
    assert sorted(found.modules[module].instances for module in found.modules) == [1, 1, 1]


def test_adders_of_a_library_without_cells_for_them_are_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = made(tmp_path, tiny.technology(tmp_path, "FA", "HA"), monkeypatch)
    assert found.flip_flops == FLIP_FLOPS and set(found.cells) <= {
        "INV",
        "NAND2",
        "NOR2",
        "XOR2",
        "BUF",
        "DFFN",
    }


def test_adder_cells_dearer_than_gates_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two XOR gates and three NAND gates are 14 um2: a full adder is worth up to that."""
    for area, worth in ((13.9, True), (14.0, False)):
        extra = tiny.GATES["FA"].replace("area : 6", f"area : {area}")
        folder = tmp_path / str(area)
        folder.mkdir()
        found = made(folder, tiny.technology(folder, "FA", "HA", extra=extra), monkeypatch)
        assert (found.cells.get("FA", 0) > 0) == worth


def fa(bits: list[Any], total: Any, carry: Any) -> dict[str, Any]:
    pins = dict(zip(("A", "B", "C", "Y", "X"), ([bit] for bit in (*bits, total, carry)), strict=True))
    directions = dict.fromkeys("ABC", "input") | dict.fromkeys("XY", "output")
    return {"type": "$fa", "connections": pins, "port_directions": directions}


def evaluate(module: dict[str, Any], values: dict[Any, int]) -> dict[Any, int]:
    """Bits of a placed module, from gates and from cells of the tiny library."""
    functions: dict[str, Any] = {
        "$_NOT_": lambda p: {"Y": 1 - p["A"]},
        "$_BUF_": lambda p: {"Y": p["A"]},
        "$_AND_": lambda p: {"Y": p["A"] & p["B"]},
        "$_OR_": lambda p: {"Y": p["A"] | p["B"]},
        "$_XOR_": lambda p: {"Y": p["A"] ^ p["B"]},
        "$_XNOR_": lambda p: {"Y": 1 - (p["A"] ^ p["B"])},
        "FA": lambda p: {"SN": 1 - (p["A"] ^ p["B"] ^ p["CI"]), "CON": int(p["A"] + p["B"] + p["CI"] < 2)},
        "HA": lambda p: {"SN": 1 - (p["A"] ^ p["B"]), "CON": 1 - (p["A"] & p["B"])},
    }
    known: dict[Any, int] = {"0": 0, "1": 1, "x": 0, **values}
    waiting = list(module["cells"].values())
    while waiting:
        ready = [
            cell
            for cell in waiting
            if all(
                bits[0] in known
                for pin, bits in cell["connections"].items()
                if cell["port_directions"][pin] == "input"
            )
        ]
        assert ready, "a loop or a bit without a driver"
        for cell in ready:
            pins = {pin: known[bits[0]] for pin, bits in cell["connections"].items() if bits[0] in known}
            for pin, value in functions[cell["type"]](pins).items():
                if pin in cell["connections"]:
                    known[cell["connections"][pin][0]] = value
            waiting.remove(cell)
    return known


#: Inputs of one adder: bits 2, 3, 4 of the module, and constants.
ADDED = [
    [2, 3, 4], [2, 3, "0"], [2, 3, "1"], ["0", 2, 3], [2, "1", 3], [2, "0", "0"], [2, "0", "1"], [2, "1", "1"],
    ["1", "1", "1"], ["1", "0", "1"], ["0", "0", "1"], ["0", "0", "0"], [2, 2, 3], [2, 3, 2], [2, 2, 2], [2, 2, "1"],
    [2, 2, "0"], ["x", 2, 3],
]  # fmt: skip


@pytest.mark.parametrize("bits", ADDED, ids=str)
@pytest.mark.parametrize("outputs", ["both", "total", "carry"])
@pytest.mark.parametrize("without", [(), ("FA", "HA")], ids=["cells", "gates"])
def test_an_adder_adds_whatever_is_constant_repeated_or_unread(
    bits: list[Any], outputs: str, without: tuple[str, ...], tmp_path: Path
) -> None:
    tech = tiny.technology(tmp_path, *without)
    areas = {cell.name: cell.area for cell in tech.cells.values()}
    read = {"both": [5, 6], "total": [5], "carry": [6]}[outputs]
    module = {
        "ports": {"i": {"direction": "input", "bits": [2, 3, 4]}, "o": {"direction": "output", "bits": read}},
        "cells": {"add": fa(bits, 5, 6)},
    }
    mapping.place(module, tech.roles, areas)
    for case in range(8):
        values = {2: case & 1, 3: case >> 1 & 1, 4: case >> 2}
        known = evaluate(module, values)
        total = sum({"0": 0, "1": 1, "x": 0, **values}[bit] for bit in bits)
        assert [known[bit] for bit in read] == [{5: total & 1, 6: total >> 1}[bit] for bit in read], case


def test_an_unread_adder_goes_with_what_only_it_reads(tmp_path: Path) -> None:
    tech = tiny.technology(tmp_path)
    areas = {cell.name: cell.area for cell in tech.cells.values()}
    cells = {"first": fa([2, 3, 4], 5, 6), "second": fa([5, 6, 2], 7, 8), "third": fa([2, 3, 4], 9, 10)}
    module = {
        "ports": {"i": {"direction": "input", "bits": [2, 3, 4]}, "o": {"direction": "output", "bits": [9]}},
        "cells": cells,
    }
    mapping.place(module, tech.roles, areas)
    kinds = sorted(cell["type"] for cell in module["cells"].values())
    assert kinds.count("FA") == 1 and set(kinds) == {"$_NOT_", "FA"}


def test_an_adder_of_four_bits_is_four_adders(tmp_path: Path) -> None:
    tech = tiny.technology(tmp_path)
    areas = {cell.name: cell.area for cell in tech.cells.values()}
    wide = {
        "type": "$fa",
        "connections": {"A": [2, 3], "B": [4, 5], "C": [6, 7], "Y": [8, 9], "X": [10, 11]},
        "port_directions": dict.fromkeys("ABC", "input") | dict.fromkeys("XY", "output"),
    }
    module = {
        "ports": {
            "i": {"direction": "input", "bits": [2, 3, 4, 5, 6, 7]},
            "o": {"direction": "output", "bits": [8, 9, 10, 11]},
        },
        "cells": {"wide": wide},
    }
    mapping.place(module, tech.roles, areas)
    assert [cell["type"] for cell in module["cells"].values()].count("FA") == 2
    known = evaluate(module, {2: 1, 3: 0, 4: 1, 5: 1, 6: 1, 7: 0})
    assert [known[bit] for bit in (8, 9, 10, 11)] == [1, 1, 1, 0]


def test_a_register_without_a_cell_is_refused(tmp_path: Path) -> None:
    tech = tiny.technology(tmp_path)
    cell = {"type": "$_DLATCH_P_", "connections": {"D": [2], "E": [3], "Q": [4]}, "port_directions": {}}
    with pytest.raises(
        ParamError, match=r"^The technology must have a cell for every register, not none for \$_DLATCH_P_$"
    ):
        mapping.place(
            {"ports": {}, "cells": {"q": cell}}, tech.roles, {c.name: c.area for c in tech.cells.values()}
        )


MODULE = r"""
attribute \blackbox 1
attribute \src "a.v:1"
module \ram_64x16
  attribute \src "a.v:1.2"
  wire width 6 input 1 \addr
  wire width 16 output 2 \q
  wire input 3 \en
end
attribute \top 1
module \top
  wire $auto$proc.cc:1$77
  wire width 3 signed output 1 \y
  wire width 2 inout 2 \b
  cell $paramod\leaf\W=4 \one
  end
  cell \ram_64x16 \two
    connect \q $auto$proc.cc:1$77
    connect \p $auto$opt.cc:2$9
  end
  cell $add \sum
  end
end
"""


def test_modules_of_a_text_have_ports_and_children() -> None:
    found = rtlil.modules(MODULE)
    ram, top = found["ram_64x16"], found["top"]
    assert (ram.blackbox, top.blackbox) == (True, False)
    assert ram.ports == {"addr": ("input", 6), "q": ("output", 16), "en": ("input", 1)}
    assert ram.directions == {"addr": "input", "q": "output", "en": "input"}
    assert top.ports == {"y": ("output", 3), "b": ("inout", 2)}
    assert top.children == {r"$paramod\leaf\W=4", "ram_64x16"}
    assert "\\src" not in ram.text and "proc.cc" not in top.text
    assert top.text.count("$n0") == 2 and top.text.count("$n1") == 1 and r"$paramod\leaf\W=4" in top.text
    assert ram.stub == (
        "attribute \\blackbox 1\nmodule \\ram_64x16\n  wire width 6 input 1 \\addr\n"
        "  wire width 16 output 2 \\q\n  wire width 1 input 3 \\en\nend"
    )
    assert rtlil.Module("$paramod", "", False).stub.splitlines()[1] == "module $paramod"


@pytest.mark.parametrize(
    ("name", "ports", "shape"),
    [
        ("ram_64x16", {}, (64, 16)),
        ("ram_64x16_fast", {}, (64, 16)),
        ("32x8", {}, (32, 8)),
        (
            "ram",
            {"raddr": ("input", 5), "waddr": ("input", 6), "q": ("output", 9), "r": ("output", 8)},
            (64, 9),
        ),
    ],
)
def test_shape_of_a_memory_is_in_its_name_or_its_ports(
    name: str, ports: dict[str, tuple[str, int]], shape: tuple[int, int]
) -> None:
    assert rtlil.Module(name, "", True, ports).memory_shape() == shape


@pytest.mark.parametrize("ports", [{"addr": ("input", 5)}, {"q": ("output", 9)}])
def test_a_black_box_that_is_no_memory_is_refused(ports: dict[str, tuple[str, int]]) -> None:
    text = "^Blackbox odd must be a memory with address and data ports, or be named so$"
    with pytest.raises(ParamError, match=text):
        rtlil.Module("odd", "", True, ports).memory_shape()


def test_constants_and_repeated_nets_cross_modules_as_one_net() -> None:
    """Module ``in`` drives one output by 1, passes an input on and gives one net twice."""

    def cell(kind: str, **pins: list[Any]) -> dict[str, Any]:
        return {"type": kind, "connections": pins}

    def ports(**bits: tuple[str, list[Any]]) -> dict[str, Any]:
        return {name: {"direction": way, "bits": value} for name, (way, value) in bits.items()}

    inner = {
        "ports": ports(
            a=("input", [2]), one=("output", ["1"]), same=("output", [2]), twice=("output", [3, 3])
        ),
        "cells": {"g": cell("NAND", A=[2], B=["1"], Y=[3])},
    }
    top = {
        "ports": ports(i=("input", [2]), o=("output", [9])),
        "cells": {
            "sub": cell("in", a=[2], one=[3], same=[4], twice=[5, 6]),
            "x": cell("NAND", A=[3], B=[4], Y=[7]),
            "y": cell("NAND", A=[5], B=[6], Y=[8]),
            "z": cell("NAND", A=[7], B=[8], Y=[9]),
        },
    }
    flat = flatten.flatten("top", {"top": top, "in": inner})
    rows = dict(zip(flat.names["NAND"], flat.cells["NAND"].tolist(), strict=True))
    (given,) = flat.inputs.tolist()
    assert flat.pins["NAND"] == ("A", "B", "Y")
    assert set(rows) == {"sub.g", "x", "y", "z"}
    assert rows["sub.g"][:2] == [given, 1] and rows["x"][:2] == [1, given]
    assert rows["y"][0] == rows["y"][1] == rows["sub.g"][2]
    assert rows["z"][:2] == [rows["x"][2], rows["y"][2]]
    assert flat.outputs.tolist() == [rows["z"][2]]
    assert len({given, *(row[2] for row in rows.values())}) == 5 and flat.nets > max(map(max, rows.values()))


@pytest.mark.parametrize(
    ("table", "there"), [("cell_rise", (1, 0)), ("cell_fall", (0, 1)), ("rise_constraint", (1, 0))]
)
def test_an_arc_may_have_one_table_only(table: str, there: tuple[int, int], tmp_path: Path) -> None:
    text = (
        f"{tiny.HEAD} cell (A) {{ area : 1; pin (Y) {{ direction : output; timing () {{ related_pin : B; "
        f'{table} (scalar) {{ values ("0.02"); }} }} }} }} }}'
    )
    (tmp_path / "x.lib").write_text(text)
    (arc,) = liberty.parse(tmp_path / "x.lib").cells["A"].arcs
    assert (arc.rise is not None, arc.fall is not None) == tuple(map(bool, there))
    given = arc.rise or arc.fall
    assert given is not None and given.values[0][0] == pytest.approx(20)


def mappings(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Places of a file that hold keys."""
    if not isinstance(value, dict):
        return []
    return [path, *(place for key, entry in value.items() for place in mappings(entry, (*path, key)))]


def test_a_surplus_key_is_refused_at_every_place_of_a_technology_file(tmp_path: Path) -> None:
    importing.import_library([tiny.write(tmp_path)], "tiny", tmp_path / "tiny.yaml")
    text = (tmp_path / "tiny.yaml").read_text()
    places = mappings(yaml.safe_load(text))
    free = {("sources",), ("corner",), ("roles", "gates")}  # whose keys are names
    assert ("roles", "full_adder") in places and ("roles", "flip_flop") in places
    for place in places:
        if place in free or place[:1] == ("model",):
            continue
        content = yaml.safe_load(text)
        inside = content
        for key in place:
            inside = inside[key]
        inside["surplus"] = 1
        (tmp_path / "more.yaml").write_text(yaml.safe_dump(content))
        with pytest.raises(SpecError, match="surplus"):
            technology.load(tmp_path / "more.yaml").cells  # noqa: B018 - read when asked for


#: Hashes of the designs of seed 3, drawn from few designs.
CALIBRATED: dict[str, list[str]] = {
    "streaming_attention": [
        "b4e8c5ce8fc5c278",
        "24595bd0b8d57558",
        "b09456477192b1f4",
        "4b6000d2c4a821ad",
        "5d13858c107aeae6",
        "1ceddd816f0e50ea",
    ],
    "systolic": [
        "3fb5b794031e6e85",
        "b7b1b8704d2efb01",
        "4d988ba7c08b47d6",
        "d0af0094fbf0fa19",
        "0aa385431cc01796",
        "7a3ecb88c4e35615",
    ],
    "ternary_lut": [
        "0128f9dc733f27fc",
        "22890fddd3dcaf8e",
        "9cc2a2e4aac1b800",
        "449158731be84de2",
        "b4ad46874227eda1",
        "08e02101c15ef34a",
    ],
    "vector": [
        "18abc33c2ce3974d",
        "043c5794be585d98",
        "2f05f354b884bed5",
        "0bbf18c14e6ec807",
        "782f3e5e2b4d31fe",
        "38909c362f473b48",
    ],
}


@pytest.mark.parametrize("family", registry.families())
def test_designs_of_calibration_are_the_recorded_ones(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed names the designs that a model was fitted to, which the technology files state."""
    kind = registry.get(family)
    samples: Any = kind.facets.samples
    monkeypatch.setattr(samples, "calibration", replace(samples.calibration, pool=600))
    assert [spec.design_hash for spec in sampling.designs(kind, 6, 3)] == CALIBRATED[family]
