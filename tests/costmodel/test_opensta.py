"""OpenSTA times what we write as we time it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from costmodel.groundtruth import netlist_files, opensta, synthesis
from costmodel.groundtruth.recipe import BUFFERED
from costmodel.technology import technology
from tests.costmodel.test_buffering import WIDE
from tests.costmodel.test_pdk import LANE

needs_sta = pytest.mark.skipif(opensta.installed() is None, reason="OpenSTA is not installed here")
PAIR = f"""{LANE}
module pair (input clk, clr, input [31:0] x, input [3:0] s, output [15:0] y, z);
  lane one (clk, clr, x, s, y); lane two (.clk(clk), .clr(clr), .x({{x[15:0], x[31:16]}}), .s(~s), .y(z));
endmodule"""


def mapped(folder: Path, rtl: str, name: str, **given: object) -> synthesis.Mapped:
    top = re.findall(r"module (\w+)", rtl)[-1]
    (folder / "source.v").write_text(rtl)
    return synthesis.mapped(folder / "source.v", name, top=top, recipe=BUFFERED, **given)  # type: ignore[arg-type]


@needs_sta
@pytest.mark.parametrize("name", technology.names())
@pytest.mark.parametrize("rtl", [WIDE, PAIR], ids=["wide", "pair"])
def test_opensta_agrees(tmp_path: Path, name: str, rtl: str) -> None:
    found = mapped(tmp_path, rtl, name)
    theirs = opensta.analyze(found, tmp_path).critical_path_ps
    assert found.timing.critical_path_ps == pytest.approx(theirs, rel=0.005)


@needs_sta
def test_opensta_disagrees_where_wires_are_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = mapped(tmp_path, WIDE, "ihp_sg13g2")
    told = netlist_files.compact.write_library
    monkeypatch.setattr(
        netlist_files.compact,
        "write_library",
        lambda cells, path, name, wires, macros: told(cells, path, name),
    )
    monkeypatch.setattr(
        netlist_files,
        "sdc",
        lambda found: "\n".join(line for line in _sdc(found).splitlines() if "wire_load" not in line),
    )
    theirs = opensta.analyze(found, tmp_path).critical_path_ps
    assert found.timing.critical_path_ps > 1.05 * theirs


_sdc = netlist_files.sdc


def test_verilog_names_every_cell_and_port_once(tmp_path: Path) -> None:
    found = mapped(tmp_path, PAIR, "asap7")
    text = netlist_files.verilog(found)
    assert text.count("\nendmodule") == 2 and "lane one (" in text and "lane two (" in text
    cells = sum(len(netlist["cells"]) for netlist in found.netlists.values())
    assert sum(line.endswith(");") and line.startswith("  ") for line in text.splitlines()) == cells
    assert netlist_files.clock_ports(found) == ["clk"]


def test_opensta_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opensta, "installed", lambda: None)
    with pytest.raises(RuntimeError, match="^OpenSTA must be installed as sta$"):
        opensta.analyze(mapped(tmp_path, WIDE, "asap7"), tmp_path)
