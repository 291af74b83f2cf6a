"""Words of command lines, limits and groups of files: written out, with stand-ins for the tools."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from toolchain import bench, cache, compiler, cxxrtl, doctor, process, verilator, yosys


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, Any]]]:
    """The command lines that would be run, with their options."""
    lines: list[tuple[list[str], dict[str, Any]]] = []

    def run(command: Any, **options: Any) -> process.Finished:
        lines.append(([str(word) for word in command], options))
        return process.Finished("%Warning-A: one\nno warning\n%Warning-B: two\n", 1.0)

    monkeypatch.setattr(process, "run", run)
    monkeypatch.delenv("CXX", raising=False)
    return lines


def test_the_compiler_is_the_one_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, name in ((None, "g++"), ("", "g++"), ("clang++", "clang++")):
        monkeypatch.delenv("CXX", raising=False)
        if value is not None:
            monkeypatch.setenv("CXX", value)
        assert compiler.command() == name


def test_command_lines_of_the_compiler(told: list[Any], tmp_path: Path) -> None:
    source, other = tmp_path / "a.cc", tmp_path / "sub" / "b.cpp"
    objects = compiler.compile_objects([(source, ["-O2"]), (other, ["-O0", "-w"])], cwd=tmp_path)
    assert objects == [tmp_path / "a.o", tmp_path / "b.o"]
    assert compiler.link(objects, tmp_path / "out" / "model", ["-lx"]) == tmp_path / "out" / "model"
    compiler.precompile(tmp_path / "h.h", ["-O1"])
    lines = sorted(line for line, _ in told[:2]) + [line for line, _ in told[2:]]
    assert lines == [
        ["g++", "-c", str(source), "-O2", "-o", str(objects[0])],
        ["g++", "-c", str(other), "-O0", "-w", "-o", str(objects[1])],
        ["g++", str(objects[0]), str(objects[1]), "-lx", "-o", str(tmp_path / "out" / "model")],
        ["g++", "-x", "c++-header", str(tmp_path / "h.h"), "-O1", "-o", str(tmp_path / "h.h.gch")],
    ]
    assert all(options["writes"] == [Path(line[-1])] for line, options in told)
    assert [options["cwd"] for _, options in told] == [tmp_path, tmp_path, tmp_path / "out", tmp_path]
    assert {(o["timeout_s"], o["install"], o["tool"]) for _, o in told} == {(1800.0, compiler.INSTALL, "g++")}


@pytest.mark.parametrize(("text", "moves"), [("g++ (Debian) 12.2", True), ("Debian Clang version 14", False)])
def test_headers_of_clang_are_not_moved(text: str, moves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "version", lambda: text)
    assert compiler.precompiles() is moves


def test_what_stands_beside_a_result_is_deleted(tmp_path: Path) -> None:
    for name in ("model", "a.o", "a.cc"):
        (tmp_path / name).touch()
    compiler.keep_only(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_lint_gives_warnings_alone(told: list[Any], tmp_path: Path) -> None:
    found = verilator.lint([tmp_path / "a.v"], "top", [tmp_path / "w.vlt"])
    assert found == ["%Warning-A: one", "%Warning-B: two"]
    words, options = told[0]
    assert words[1:] == [
        *("--lint-only", "-Wall", "-Wno-fatal", "--top-module", "top"),
        *(str(tmp_path / "w.vlt"), str(tmp_path / "a.v")),
    ]
    assert Path(words[0]) == verilator.home() / "bin" / "verilator_bin" and options["timeout_s"] == 600


def test_environment_of_verilator_keeps_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKEFLAGS", "-s")
    monkeypatch.setenv("PATH", "/somewhere")
    monkeypatch.setenv("KEPT", "yes")
    found = verilator.environment()
    assert found["KEPT"] == "yes" and found["VERILATOR_ROOT"] == str(verilator.home())
    assert found["PATH"] == f"{verilator.home() / 'bin'}{os.pathsep}/somewhere"
    words = found["MAKEFLAGS"].split()
    assert words[0] == "-s" and words[1:] == [f"{k}={v}" for k, v in verilator.MAKE_VARIABLES.items()]
    monkeypatch.delenv("PATH")
    assert verilator.environment()["PATH"] == f"{verilator.home() / 'bin'}{os.pathsep}{os.defpath}"


def test_lists_of_a_makefile_are_read_over_their_lines(tmp_path: Path) -> None:
    (tmp_path / "list.mk").write_text(
        "# note\nVM_TRACE = 1\nVM_CLASSES_FAST += \\\n  a \\\n  b \\\n\nEMPTY = \n"
    )
    found = verilator._makefile_lists(tmp_path / "list.mk")
    assert found == {"VM_TRACE": ["1"], "VM_CLASSES_FAST": ["a", "b"], "EMPTY": []}


def test_switches_of_a_model_are_those_of_its_makefile() -> None:
    assert verilator._defines({"VM_TRACE": ["1"], "VM_TRACE_VCD": ["1"], "VM_TIMING": ["0"]}) == [
        *("-DVERILATOR=1", "-DVM_SC=0", "-DVM_TIMING=0", "-DVM_COVERAGE=0"),
        *("-DVM_TRACE=1", "-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0", "-DVM_TRACE_VCD=1"),
    ]


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [
        ([], []),
        ([700_000], [[0]]),
        ([300_000, 300_000, 1], [[0, 1], [2]]),
        ([300_000, 300_001, 299_999], [[0], [1, 2]]),
        ([700_000, 1, 2], [[0], [1, 2]]),
    ],
)
def test_units_hold_as_much_text_as_one_compilation_takes(
    sizes: list[int], shares: list[list[int]], tmp_path: Path
) -> None:
    for place, size in enumerate(sizes):
        (tmp_path / f"f{place}.cpp").write_bytes(b" " * size)
    units = verilator._shares(tmp_path, "fast", [f"f{place}.cpp" for place in range(len(sizes))])
    assert [unit.name for unit in units] == [f"unit_fast{n}.cc" for n in range(len(shares))]
    included = ["".join(f'#include "f{place}.cpp"\n' for place in share) for share in shares]
    assert [unit.read_text() for unit in units] == included


@pytest.mark.parametrize(("size", "apart"), [(100_000, False), (100_001, True)])
def test_much_start_up_code_is_compiled_apart(size: int, apart: bool, tmp_path: Path) -> None:
    (tmp_path / "main.cpp").touch()
    for name, length in (("cf", 1), ("sf", 1), ("cs", size), ("ss", 0)):
        (tmp_path / f"{name}.cpp").write_bytes(b" " * length)
    lists = {"CLASSES_FAST": ["cf"], "SUPPORT_FAST": ["sf"], "CLASSES_SLOW": ["cs"], "SUPPORT_SLOW": ["ss"]}
    fast, slow = verilator._units(tmp_path, {f"VM_{k}": v for k, v in lists.items()}, ["main.cpp"])
    hot, late = ["main.cpp", "cf.cpp", "sf.cpp"], ["cs.cpp", "ss.cpp"]
    texts = [
        "".join(f'#include "{n}"\n' for n in names) for names in ((hot, late) if apart else (hot + late,))
    ]
    assert [unit.read_text() for unit in [*fast, *slow]] == texts and len(slow) == apart


def test_names_of_models() -> None:
    assert (verilator.mangle("a__b_c"), cxxrtl.mangle("a_b")) == ("a___05Fb_c", "p_a__b")


def test_script_of_cxxrtl_reads_every_file(tmp_path: Path) -> None:
    files = [tmp_path / "a b.v", tmp_path / "c.v"]
    assert cxxrtl._script(files, "top", tmp_path / "model.cc").splitlines() == [
        f'read_verilog -sv "{tmp_path}/a b.v"',
        f'read_verilog -sv "{tmp_path}/c.v"',
        *("hierarchy -check -top top", "proc", "opt", "clean"),
        f'write_cxxrtl -g0 -noflatten "{tmp_path}/model.cc"',
    ]


def test_yosys_is_given_the_limits_that_were_asked_for(told: list[Any], tmp_path: Path) -> None:
    yosys.run("help", cwd=tmp_path, timeout_s=5.0, memory_mib=77)
    _, options = told[0]
    assert (options["cwd"], options["timeout_s"], options["memory_mib"]) == (tmp_path, 5.0, 77)
    assert options["tool"] == "Yosys" and "ternforge-yosys-" in options["env"]["TMPDIR"]


def test_the_cache_has_four_gib_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, mib in ((None, 4096), ("", 4096), ("0", 0), ("17", 17)):
        monkeypatch.delenv("TERNFORGE_CACHE_MIB", raising=False)
        if text is not None:
            monkeypatch.setenv("TERNFORGE_CACHE_MIB", text)
        assert cache._limit_mib() == mib
    monkeypatch.setenv("TERNFORGE_CACHE_MIB", "-1")
    with pytest.raises(cache.CacheError, match=r"^TERNFORGE_CACHE_MIB must be a number of MiB, not '-1'$"):
        cache._limit_mib()


@pytest.mark.parametrize(("took", "due"), [(0.5, 100.5), (0.6, 112.6)])
def test_a_long_eviction_rests_twenty_times_as_long(
    took: float, due: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((100.0, 100.0 + took))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(cache, "evict", lambda _: None)
    monkeypatch.setattr(cache._Turn, "due", 100.0)
    cache._evict_in_turn(1)
    assert cache._Turn.due == pytest.approx(due)


def test_a_key_is_the_hash_of_lengths_and_parts() -> None:
    text = subprocess.run(
        ["sh", "-c", r"printf '\1\0\0\0\0\0\0\0a\2\0\0\0\0\0\0\0bc' | sha256sum"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert cache.key(["a", b"bc"]) == text[:32]
    assert cache.flatten({"a": "1", "b": "2"}) == ["a", "1", "b", "2"]


def test_a_long_line_of_a_log_is_cut() -> None:
    assert process.meaningful_line("x" * 301) == "x" * 300
    assert process.meaningful_line("a\nfatal error: b\nerror: c\n  \n") == "fatal error: b"


def test_the_first_error_of_a_log_or_its_last_line_is_what_it_means() -> None:
    assert process.meaningful_line("one\ntwo\n three \n\n") == "three"
    assert process.meaningful_line("one\nerror: two\nerror: three\nfour") == "error: two"
    assert process.meaningful_line(" \n\n") == process.meaningful_line("") == ""


def test_a_bench_that_did_not_run_took_no_time(tmp_path: Path) -> None:
    runner = bench._Runner(tmp_path / "sim", [], 5.0)
    assert (runner.finished.log, runner.finished.seconds, runner.timeout_s) == ("", 0.0, 5.0)
    runner.test_args, runner.plusargs = ["--one"], ["+two"]
    assert runner._test_command() == [[str(tmp_path / "sim"), "--one", "+two"]]


def test_run_time_of_verilator_is_an_object_for_each_of_its_sources(
    told: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named: list[tuple[str, list[Any]]] = []

    def entry(kind: str, parts: Any, build: Any) -> Path:
        named.append((kind, list(parts)))
        build(tmp_path)
        return tmp_path

    monkeypatch.setattr(cache, "entry", entry)
    monkeypatch.setattr(verilator, "_versions", lambda: ["5", "12"])
    names = ["verilated", "verilated_threads"]
    assert verilator.runtime_objects(names) == [tmp_path / f"{name}.o" for name in names]
    assert sorted((kind, parts[2]) for kind, parts in named) == [
        ("verilator-runtime", name) for name in names
    ]
    assert all(parts[:2] == ["5", "12"] and "-O2" in parts for _, parts in named)
    sources = sorted(line[line.index("-c") + 1] for line, _ in told)
    assert sources == [str(verilator.home() / "include" / f"{name}.cpp") for name in names]


def test_memory_is_blamed_only_where_it_was_limited() -> None:
    log = "terminate called after throwing an instance of 'std::bad_alloc'"
    assert process._ending(1, log, None) == "failed with exit code 1"
    assert process._ending(1, log, 8) == "needed more than its 8 MiB of memory"
    assert process._ending(-9, "", 8) == "was killed by SIGKILL"
    limited = process._limited(["true"], 3)
    assert limited == ["/bin/sh", "-c", 'ulimit -v 3072 && exec "$@"', "sh", "true"]
    assert process.MOST_OUTPUT_MIB == 256


def test_a_tool_is_looked_for_where_its_environment_says(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert process.find("tool", tool="T", env={"PATH": str(tmp_path)}) == str(tool)
    with pytest.raises(process.ToolError, match=r"^T was not found$"):
        process.find("tool", tool="T")


def test_the_doctor_says_what_it_does_next_and_how_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise process.ToolError("make", "was not found")

    times = iter((1.0, 3.5, 10.0, 10.25))
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    monkeypatch.setattr(doctor, "PROBES", {"make": broken, "Verilator": lambda: "5"})
    said: list[str] = []
    found = doctor.examine(said.append)
    assert said == ["checking make", "checking Verilator: builds a model, about 20 s of one core"]
    assert [(c.name, c.ok, c.detail, c.seconds) for c in found] == [
        ("make", False, "make was not found", 2.5),
        ("Verilator", True, "5", 0.25),
    ]


def test_python_from_3_11_on_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 11, 0, "final", 0))
    assert doctor._python() == "3.11.0"
    assert list(doctor.PROBES)[:4] == ["Python", "g++", "make", "perl"]


CASES = """<testsuites><testsuite>
<testcase name='a'/><testcase name='b'><failure message='&#10; two&#10;three'/></testcase>
<testcase name='c'><error error_msg='bad'/></testcase><testcase name='d'><failure> text </failure></testcase>
<testcase name='e'><failure/></testcase></testsuite></testsuites>"""


def test_failures_of_a_bench_are_named_by_the_first_line_they_have(tmp_path: Path) -> None:
    (tmp_path / "results.xml").write_text(CASES)
    found = bench._failures(tmp_path / "results.xml")
    assert sorted(found) == ["b: two", "c: bad", "d: text", "e: no message"]


def test_only_what_a_bench_names_is_made_visible() -> None:
    assert bench._visible({"top": ["clk", "out"], "part": ["x"]}).splitlines() == [
        "`verilator_config",
        'public_flat_rw -module "top" -var "clk"',
        'public_flat_rw -module "top" -var "out"',
        'public_flat_rw -module "part" -var "x"',
    ]
