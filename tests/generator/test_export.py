"""The exported folder: what stands in it, and who can read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from blueprint.ternary_lut import TernaryLutSpec
from generator.arithmetic import one_of, parts, zero_extend
from generator.block import Block
from generator.export import generate
from toolchain import yosys

SPEC = TernaryLutSpec(mu=2, lut_count=2, fetch_count=2, act_width=8, k_max=64, n_max=100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export")
    generate(SPEC, out)
    return out


def test_manifest_describes_ports_to_the_bit(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["schema"] == "ternforge/manifest/v1"
    assert manifest["parameters"] == SPEC.parameters
    weights = manifest["streams"]["wgt"]
    assert weights["prefix"] == "s_axis_wgt" and weights["width"] == 16
    (key,) = weights["fields"]
    assert (
        key | {"name": "key", "width": 4, "shape": [2, 2], "signed": False, "format": "int", "offset": 0}
        == key
    )
    assert [(part["name"], part["offset"], part["width"]) for part in key["parts"]] == [
        ("index", 0, 3),
        ("sign", 3, 1),
    ]
    assert key["holds"]["index"] == ["tile * 4 + table * 2 + place", "column_group * 2 + column"]
    assert [(loop["loop"], loop["count"]) for loop in weights["beats"]] == [
        ("token_group", "ceil(tokens / 1)"),
        ("tile", "ceil(k / 4)"),
        ("column_group", "ceil(n / 2)"),
    ]
    assert manifest["registers"]["cycles"]["address"] == 0x14
    assert manifest["blackboxes"] == ["ternforge_sram_1r1w_50x30"]


def test_every_file_listed_is_there_in_order_of_use(folder: Path) -> None:
    files = (folder / "files.f").read_text().split()
    assert files == json.loads((folder / "manifest.json").read_text())["files"]
    seen: set[str] = set()
    for file in files:
        text = (folder / file).read_text()
        for other in files:
            name = Path(other).stem
            if f"  {name} " in text:
                assert name in seen, f"{file} uses {name} before it is read"
        seen.add(Path(file).stem)


def test_core_file_and_constraints_name_the_top_and_its_clock(folder: Path) -> None:
    core = yaml.safe_load((folder / f"{SPEC.name}.core").read_text().removeprefix("CAPI=2:\n"))
    assert core["targets"]["default"]["toplevel"] == SPEC.name
    assert set(core["filesets"]["rtl"]["files"]) == set((folder / "files.f").read_text().split())
    text = (folder / "constraints.sdc").read_text()
    assert "set clk_port_name aclk" in text and "set clk_period 2.0000" in text


def test_the_yosys_script_runs_as_it_is(folder: Path) -> None:
    log = yosys.run((folder / "synth.ys").read_text(), cwd=folder, timeout_s=300)
    assert "Found and reported 0 problems" in log


def test_the_bench_is_legal_python_and_names_the_design(folder: Path) -> None:
    text = (folder / "bench" / "test_top.py").read_text()
    compile(text, "test_top.py", "exec")
    assert f"def test_{SPEC.name}()" in text


def test_no_text_names_this_machine_or_a_time(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            text = file.read_text()
            assert str(folder) not in text and "202" not in text.split("module")[0], file


class Leaf(Block):
    """A wire."""

    place = "leaf"

    def __init__(self) -> None:
        from amaranth.lib.wiring import In, Out

        super().__init__("leaf", {"a": In(1), "b": Out(1), "none": In(0)}, clocked=False)

    def elaborate(self, platform: Any) -> Any:
        m = self.module()
        m.d.comb += self.b.eq(self.a)
        return m


def test_a_connection_to_no_port_is_refused() -> None:
    from amaranth.hdl import Module, Signal

    parent = Leaf()
    with pytest.raises(ValueError, match=r"^Block leaf has no port 'c'$"):
        parent.use(Module(), Leaf(), "child", a=Signal(), c=Signal())


def test_a_port_of_no_width_is_no_port() -> None:
    assert list(Leaf().signature.members) == ["a", "b"]


def test_helpers_split_choose_and_extend() -> None:
    from amaranth.hdl import Const, Module, Signal
    from amaranth.sim import Simulator

    m = Module()
    out, first = Signal(4), Signal(2)
    pieces = parts(Const(0b1101, 4), 2)
    m.d.comb += [out.eq(zero_extend(one_of([Const(0, 1), Const(1, 1)], pieces), 4)), first.eq(pieces[0])]
    seen = []

    async def look(ctx: Any) -> None:
        seen.append((ctx.get(out), ctx.get(first)))

    simulator = Simulator(m)
    simulator.add_testbench(look)
    simulator.run()
    assert seen == [(0b11, 0b01)]
