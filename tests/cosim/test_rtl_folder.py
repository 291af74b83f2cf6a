"""``ternforge verify --rtl``: a folder that is not what it must be is bad input, a wrong design is a verdict."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blueprint import registry
from generator.export import write_hardware
from ternforge.cli import run

SMALL = {"mu": 2, "lut_count": 2, "fetch_count": 2, "act_width": 4, "k_max": 64, "n_max": 16}
EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "systolic" / "design.yaml")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("written")
    write_hardware(registry.get("ternary_lut").from_mapping(SMALL), out)
    return out


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "rtl"))


def change(folder: Path, place: str, old: str, new: str) -> None:
    """Change the Verilog of the module at a place."""
    modules = json.loads((folder / "manifest.json").read_text())["modules"]
    name = next(name for name, facts in modules.items() if facts["place"] == place)
    path = folder / "rtl" / f"{name}.v"
    text = path.read_text()
    assert old in text, f"{name} must contain {old!r}"
    path.write_text(text.replace(old, new))


def edit(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return apply


def put(text: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / "manifest.json").write_text(text)

    return apply


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "none": (
        lambda folder: (folder / "manifest.json").unlink(),
        "Folder must hold the manifest.json that ternforge generate writes, and does not: {folder}",
    ),
    "garbled": (
        put('{"schema": '),
        "{folder}/manifest.json: manifest must be JSON, and is not: Expecting value: line 1 column 12 (char 11)",
    ),
    "a list": (put("[]"), "{folder}/manifest.json: manifest must be an object of JSON, not a list"),
    "foreign": (
        put('{"schema": "npm"}'),
        "{folder}/manifest.json: schema must be ternforge/manifest/v1, not 'npm'",
    ),
    "no files": (
        edit(lambda m: m.update(files=[])),
        "{folder}/manifest.json: files must be a list of file names, not []",
    ),
    "no top": (edit(lambda m: m.pop("top")), "{folder}/manifest.json: top must be given, and is missing"),
    "parameters in a list": (
        edit(lambda m: m.update(parameters=[])),
        "{folder}/manifest.json: parameters must be a mapping, not a list",
    ),
    "unknown family": (
        edit(lambda m: m.update(family="ternary_lot")),
        "{folder}/manifest.json: Family must be one of streaming_attention, systolic, ternary_lut, vector, "
        "not 'ternary_lot'; did you mean 'ternary_lut'?",
    ),
    "impossible parameters": (
        edit(lambda m: m["parameters"].update(mu=99)),
        "{folder}/manifest.json: Parameter 'mu' must be an integer from 1 to 6, not 99",
    ),
    "another design": (
        edit(lambda m: m["parameters"].update(act_width=5)),
        "{folder}/manifest.json: design_hash must be ",
    ),
    "a missing file": (
        lambda folder: next((folder / "rtl").glob("*_lane_*.v")).unlink(),
        "{folder}/manifest.json: every file that it lists must be there, and {folder}/rtl/ternary_lut_lane_",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_folder_that_is_not_ours_is_one_sentence(
    folder: Path, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, says = BAD[fault]
    spoil(folder)
    assert run(["verify", "--rtl", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith(says.format(folder=folder))


def test_neither_a_design_nor_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify"]) == 2
    assert capsys.readouterr().err == "Design must be given, by SPEC or --rtl DIR\n"


def test_a_folder_of_another_design_than_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is said to be built."""
    assert run(["verify", EXAMPLE, "--rtl", str(folder)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith(f"{folder}/manifest.json: design must be systolic_output_stationary_ternary_r8c32")
    assert ", the one asked for, not ternary_lut_mu2_l2_f2_a4_t1_" in err


def test_parameters_are_not_set_for_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--rtl", str(folder), "--set", "mu=3"]) == 2
    assert capsys.readouterr().err == "Parameters must be set for a SPEC, not for the Verilog in a folder\n"


def test_verilog_that_does_not_compile_is_the_first_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder, "control", "assign finished = ", "assign finished = = ")
    assert run(["verify", "--rtl", str(folder), "-q"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("Verilator failed with exit code 1: %Error: ") and "syntax error" in err


def test_the_largest_task_of_a_workload_must_fit(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work.yaml"
    work.write_text("schema: ternforge/workload/v1\ngemm: {m: 1, k: 65, n: 2}\n")
    assert run(["verify", "--rtl", str(folder), "--workload", str(work), "-q"]) == 2
    assert capsys.readouterr().err == "Gemm k must be at most k_max 64, not 65\n"
    work.write_text("schema: ternforge/workload/v1\nattention: {seq: 2, dim: 2}\n")
    assert run(["verify", "--rtl", str(folder), "--workload", str(work), "-q"]) == 2
    says = "Family ternary_lut runs gemm, not attention of 2x2, 1/1 heads of 2\n"
    assert capsys.readouterr().err == says
    assert run(["verify", "--rtl", str(folder), "--workload", str(work), "--gemm", "1x2x3", "-q"]) == 2
    assert capsys.readouterr().err == "Workload must be given by --workload or --gemm, not both\n"


def verdict(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The JSON answer of a design that does not hold."""
    assert run(["verify", *arguments, "--cases", "2", "--json", "-q"]) == 1
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert not answer["ok"]
    return answer


def test_a_design_that_hangs_is_a_verdict_with_the_ports_that_wait(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder, "control", "assign wgt_tready = ", "assign wgt_tready = 1'h0 & ")
    answer = verdict(["--rtl", str(folder)], capsys)
    assert answer["cases"] == [] and answer["mismatches"] == 0
    said = answer["failure"]
    assert said.startswith("the design hangs: no beat moved for 20,000 cycles: s_axis_act waits at beat ")
    assert "s_axis_wgt waits at beat 0 of " in said and "(tvalid 1, tready 0)" in said
    assert "m_axis_out waits at beat 0 of " in said and "(tvalid 0, tready 1)" in said
    assert [part["complete"] for part in answer["checks"]][:2] == [False, False]
    assert run(["verify", "--rtl", str(folder), "--cases", "2"]) == 1
    out = capsys.readouterr().out
    assert "no case came to its end; seed 1\nFAIL: the design hangs: " in out and "0 cases" not in out


@pytest.mark.slow
def test_a_signal_without_a_driver_is_a_verdict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder, "control", "assign finished = ", "wire nobody;\n  assign finished = nobody | ")
    answer = verdict(["--rtl", str(folder)], capsys)
    (drivers,) = [part for part in answer["checks"] if part["name"] == "drivers"]
    assert not drivers["ok"] and "Signal is not driven: 'nobody'" in drivers["findings"][0]


@pytest.mark.slow
def test_a_port_that_is_missing_is_bad_input(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = json.loads((folder / "manifest.json").read_text())["top"]
    path = folder / "rtl" / f"{top}.v"
    path.write_text(path.read_text().replace("m_axis_out_tlast", "m_axis_out_tend"))
    assert run(["verify", "--rtl", str(folder), "-q"]) == 2
    says = f"Top module {top} must have the ports of its manifest, and lacks m_axis_out_tlast of 1 bits\n"
    assert capsys.readouterr().err == says


@pytest.mark.slow
def test_attention_takes_a_workload_file_and_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {"dim": 2, "keys_max": 8, "queries_max": 4, "heads_max": 2, "mask": "causal"}
    write_hardware(registry.get("streaming_attention").from_mapping(sizes), tmp_path / "rtl")
    work = tmp_path / "work.yaml"
    work.write_text(
        "schema: ternforge/workload/v1\nattention: {queries: 3, keys: 7, heads: 2, dim: 2, mask: causal}\n"
    )
    arguments = ["--rtl", str(tmp_path / "rtl"), "--workload", str(work), "--cases", "2", "--json"]
    assert run(["verify", *arguments]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] and answer["failure"] is None and len(answer["cases"]) == 2
    first = answer["cases"][0]
    assert (first["queries"], first["keys"], first["heads"], first["stalls"]) == (3, 7, 2, "none")
    names = [part["name"] for part in answer["checks"]]
    assert names == [
        "runs", "registers", "accesses", "refusals", "values", "framing", "resets", "handshakes", "long stalls",
        "counters", "limits", "drivers",
    ]  # fmt: skip
    assert all(part["ok"] and part["complete"] for part in answer["checks"])
