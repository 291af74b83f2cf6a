"""The exported folder: what stands in it, and who can read it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from blueprint.errors import ParamError
from blueprint.families.ternary_lut import TernaryLutSpec
from generator import families
from generator.arithmetic.integers import one_of, parts, zero_extend
from generator.block import Block
from generator.export import hardware, write_hardware
from toolchain import process, verilator, yosys

SPEC = TernaryLutSpec(mu=2, lut_count=2, fetch_count=2, act_width=8, k_max=64, n_max=100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export")
    write_hardware(SPEC, out)
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
    (needed,) = manifest["memories"].values()
    assert (needed["count"], needed["words"], needed["width"], needed["ports"]) == (1, 50, 30, "1r1w")


@pytest.mark.parametrize("package", ["", "arithmetic = 1\n"], ids=["no package", "a package without it"])
def test_a_family_without_hardware_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    class Drawn(TernaryLutSpec):
        family = f"drawn_{len(package)}"

    if package:
        monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
        (tmp_path / f"{Drawn.family}.py").write_text(package)
    with pytest.raises(ParamError) as caught:
        hardware(Drawn(**SPEC.parameters))
    must = f"must have a class Top in generator/families/{Drawn.family}; there is none"
    assert str(caught.value) == f"Family '{Drawn.family}' {must}"


def test_every_file_listed_is_there_in_order_of_use(folder: Path) -> None:
    waiver, *files = listed(folder / "files.f")
    assert waiver == "lint.vlt"
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
    sets = {
        name: core["filesets"][name]["files"] for name in ("rtl", "memory_models", "memory_stubs", "lint")
    }
    assert {*sets["lint"], *sets["memory_models"], *sets["rtl"]} == set(listed(folder / "files.f"))
    assert [*sets["memory_stubs"], *sets["rtl"]] == listed(folder / "synth.f")
    assert core["targets"]["default"]["filesets"] == ["memory_models", "rtl"]
    assert core["targets"]["synth"]["filesets"] == ["memory_stubs", "rtl"]
    text = (folder / "constraints.sdc").read_text()
    assert "set clk_port_name aclk" in text and "set clk_period 2.0000" in text


def listed(file: Path) -> list[str]:
    """The files that a file list names."""
    return [line for line in file.read_text().splitlines() if not line.startswith("//")]


def test_the_yosys_script_keeps_memories_and_counts_the_flip_flops_of_the_manifest(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    log = yosys.run((folder / "synth.ys").read_text(), cwd=folder, timeout_s=300)
    assert "Found and reported 0 problems" in log
    assert f"{manifest['flip_flops']} flip-flops, as in manifest.json" in log
    total = log[log.rindex("design hierarchy") :]
    assert "ternforge_sram_1r1w_50x30" in total
    cells = re.findall(r"^ +(\d+)\s+\$_\S*DFF\S*$", total, re.MULTILINE)
    assert sum(map(int, cells)) == manifest["flip_flops"]


@pytest.mark.parametrize("fault", ["a number of flip-flops", "a memory with a body"])
def test_the_yosys_script_notices(folder: Path, fault: str) -> None:
    text = (folder / "synth.ys").read_text()
    count = json.loads((folder / "manifest.json").read_text())["flip_flops"]
    broken = text.replace(f"-assert-count {count}", f"-assert-count {count + 1}")
    if fault == "a memory with a body":
        broken = text.replace("read_verilog -lib stubs/", "read_verilog -sv rtl/").replace(
            "flatten\n", "flatten\nmemory\n"
        )
    assert broken != text
    with pytest.raises(process.ToolError, match="Assertion failed: selection"):
        yosys.run(broken, cwd=folder, timeout_s=300)


def verilator_reads(file: Path, top: str) -> str:
    """What Verilator says of a file list, read from another folder."""
    command = [verilator.home() / "bin" / "verilator_bin", "--lint-only", "-Wall", "-Wno-fatal"]
    command += ["--top-module", top, "-F", str(file)]
    with tempfile.TemporaryDirectory() as elsewhere:
        return process.run(command, tool="Verilator", env=verilator.environment(), cwd=Path(elsewhere)).log


def test_the_file_list_is_read_from_any_folder_and_waives_what_is_documented(folder: Path) -> None:
    assert "%Warning" not in verilator_reads(folder / "files.f", SPEC.name)


def test_without_the_waivers_the_file_list_warns(folder: Path) -> None:
    other = folder / "bare.f"
    other.write_text((folder / "files.f").read_text().replace("lint.vlt\n", ""))
    assert "%Warning-UNUSEDSIGNAL" in verilator_reads(other, SPEC.name)
    other.unlink()


def test_a_stub_has_the_ports_of_its_memory_and_no_body(folder: Path) -> None:
    (stub,) = json.loads((folder / "manifest.json").read_text())["stubs"]
    text, model = (folder / stub).read_text(), (folder / "rtl" / Path(stub).name).read_text()
    ports = [re.findall(r"(?:input|output) +(?:wire|reg) +(.*?),?\n", one) for one in (text, model)]
    assert ports[0] == ports[1] and len(ports[0]) == 7
    assert "(* blackbox *)\nmodule" in text and "always" not in text and "always" in model


def test_a_design_without_memories_has_no_stubs(tmp_path: Path) -> None:
    spec = TernaryLutSpec(
        mu=2, lut_count=2, fetch_count=2, act_width=4, k_max=16, n_max=8, accumulator="registers"
    )
    manifest = write_hardware(spec, tmp_path)
    assert (manifest["blackboxes"], manifest["stubs"]) == ([], [])
    assert listed(tmp_path / "synth.f") == manifest["files"]
    core = yaml.safe_load((tmp_path / f"{spec.name}.core").read_text().removeprefix("CAPI=2:\n"))
    assert list(core["filesets"]) == ["rtl", "lint"]
    assert core["targets"]["synth"]["filesets"] == ["rtl"]


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed here")
@pytest.mark.parametrize("files", ["files.f", "synth.f"])
def test_icarus_reads_the_file_lists(folder: Path, tmp_path: Path, files: str) -> None:
    command = ["iverilog", "-g2012", "-s", SPEC.name, "-o", str(tmp_path / "out"), "-c", files]
    assert subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stderr == ""


def core_of(folder: Path) -> dict[str, Any]:
    text = (folder / f"{SPEC.name}.core").read_text()
    found: dict[str, Any] = yaml.safe_load(text.removeprefix("CAPI=2:\n"))
    return found


def test_the_core_has_a_flow_with_what_edalize_asks_for(folder: Path) -> None:
    """Edalize's flow ``generic`` needs ``tool``, its Yosys ``arch``; it knows no synthesis without an architecture."""
    targets = core_of(folder)["targets"]
    assert targets["synth"] == {
        "flow": "generic",
        "flow_options": {"tool": "yosys", "arch": "xilinx", "output_format": "json"},
        "filesets": ["memory_stubs", "rtl"],
        "toplevel": SPEC.name,
    }
    assert targets["lint"]["flow_options"] == {"tool": "verilator", "verilator_options": ["-Wall"]}
    assert set(targets) == {"default", "synth", "lint"} and "flow" not in targets["default"]


def test_what_fusesoc_has_yosys_do_keeps_memories_as_black_boxes(folder: Path, tmp_path: Path) -> None:
    """The commands of Edalize's script for the target ``synth``."""
    core = core_of(folder)
    target = core["targets"]["synth"]
    options = target["flow_options"]
    files = [file for name in target["filesets"] for file in core["filesets"][name]["files"]]
    lines = [f"read_verilog -sv -defer {file}" for file in files]
    lines += [f"synth_{options['arch']} -top {target['toplevel']}"]
    lines += [f"write_{options['output_format']} {tmp_path}/out.json"]
    yosys.run("\n".join(lines), cwd=folder, timeout_s=300)
    cells = json.loads((tmp_path / "out.json").read_text())["modules"][SPEC.name]["cells"].values()
    kinds = [cell["type"] for cell in cells]
    assert kinds.count("ternforge_sram_1r1w_50x30") == 1
    assert "FDRE" in kinds


@pytest.mark.skipif(shutil.which("fusesoc") is None, reason="FuseSoC is not installed here")
@pytest.mark.parametrize("arguments", ["synth", "lint", "synth --arch ecp5"])
def test_fusesoc_sets_the_targets_up(arguments: str, folder: Path, tmp_path: Path) -> None:
    target, *more = arguments.split()
    command = ["fusesoc", "--cores-root", str(folder), "run", "--setup", f"--target={target}"]
    done = subprocess.run([*command, f"::{SPEC.name}:0", *more], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr
    (made,) = (tmp_path / "build").glob(f"*/{target}/Makefile")
    assert made.read_text()


@pytest.mark.skipif(shutil.which("fusesoc") is None, reason="FuseSoC is not installed here")
def test_fusesoc_reads_the_core(folder: Path, tmp_path: Path) -> None:
    command = ["fusesoc", "--cores-root", str(folder), "core", "show", f"::{SPEC.name}:0"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert all(f"{target} " in shown for target in ("default", "synth", "lint"))


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
    assert list(Leaf().pins) == ["a", "b"]


def test_what_is_connected_to_a_port_of_no_width_is_left_out() -> None:
    from amaranth.hdl import Module, Signal

    parent, given = Leaf(), Signal(3)
    ends = parent.use(Module(), Leaf(), "child", a=Signal(), none=given)
    assert ends.none is given and len(ends.b) == 1


def test_an_input_that_is_missing_is_refused() -> None:
    from amaranth.hdl import Module

    with pytest.raises(ValueError, match=r"^Port a of block leaf must be connected$"):
        Leaf().use(Module(), Leaf(), "child")


def test_a_connection_of_another_width_is_refused() -> None:
    from amaranth.hdl import Module, Signal

    with pytest.raises(ValueError, match=r"^Port a of block leaf must be given 1 bits, not 2$"):
        Leaf().use(Module(), Leaf(), "child", a=Signal(2))


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
