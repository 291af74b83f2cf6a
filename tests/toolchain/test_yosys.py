"""Yosys runs in a child: an error there is an exception here."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import process, yosys

INVERTER = "module inverter(input a, output b); assign b = ~a; endmodule\n"


def test_script_runs_in_the_folder_and_returns_the_log(tmp_path: Path) -> None:
    (tmp_path / "a.v").write_text(INVERTER)
    log = yosys.run("read_verilog a.v\nsynth -top inverter\nwrite_json a.json", cwd=tmp_path, timeout_s=60)
    assert "Executing SYNTH pass" in log
    assert (tmp_path / "a.json").exists()


def test_error_is_yosys_own_line(tmp_path: Path) -> None:
    (tmp_path / "a.v").write_text("module a;\n  assgn b = c;\nendmodule\n")
    with pytest.raises(process.ToolError) as caught:
        yosys.run("read_verilog a.v", cwd=tmp_path)
    assert str(caught.value) == (
        "Yosys failed with exit code 1: a.v:2: ERROR: syntax error, unexpected '=', expecting '(' or '['"
    )
    assert "Parsing Verilog input" in caught.value.log


def test_unknown_command() -> None:
    with pytest.raises(
        process.ToolError, match=r"^Yosys failed with exit code 1: ERROR: No such command: frob \("
    ):
        yosys.run("frob")


def test_hang_is_ended() -> None:
    with pytest.raises(process.ToolError, match=r"^Yosys did not finish within 0\.5 s"):
        yosys.run("exec -- sleep 60", timeout_s=0.5)


def test_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        process.ToolError, match=r"^Yosys was not found; install it with: pip install pyosys$"
    ):
        yosys.run("help")
    with pytest.raises(process.ToolError, match=r"^Yosys was not found; "):
        yosys.abc()


def test_scratch_files_go_where_they_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "a.v").write_text(INVERTER)
    yosys.run("read_verilog a.v\nsynth -top inverter\nabc -g AND", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.v"]


def test_abc_is_there() -> None:
    assert "UC Berkeley" in process.run([yosys.abc(), "-c", "version"], tool="ABC").log


def test_version_is_a_number() -> None:
    assert float(yosys.version()) >= 0.6
