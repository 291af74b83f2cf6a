"""Words of command lines, limits and groups of files: written out, with stand-ins for the tools."""

from __future__ import annotations

import ctypes
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import util
from pathlib import Path
from types import SimpleNamespace
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


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What a child that never ends is waited for, killed with and reaped by."""
    found: list[tuple[str, Any]] = []

    class Child:
        pid = 4194304

        def __init__(self, arguments: list[str], **options: Any) -> None:
            found.append(("session", (options["start_new_session"], options["stdin"], options["stderr"])))

        def wait(self, timeout: float | None = None) -> int:
            found.append(("wait", timeout))
            if timeout is not None:
                raise subprocess.TimeoutExpired("tool", timeout)
            return 0

    monkeypatch.setattr(subprocess, "Popen", Child)
    monkeypatch.setattr(os, "killpg", lambda *given: found.append(("kill", given)))
    return found


@pytest.mark.parametrize(
    ("limit_s", "clock", "asked"),
    [
        (2.5, [10.0, 10.0, 11.0, 11.0, 12.0, 12.0, 12.5], [1.0, 1.0, 0.5]),
        (1.0, [0.0, 0.25, 0.75, 1.25, 1.5], [0.75, 0.0]),
    ],
)
def test_a_child_is_waited_for_until_its_limit_then_killed_and_reaped(
    limit_s: float, clock: list[float], asked: list[float], waits: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(clock)
    with tempfile.TemporaryFile() as output, monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(times))
        with pytest.raises(subprocess.TimeoutExpired):
            process._wait(["tool"], output, None, None, limit_s)
    assert waits == [
        ("session", (True, subprocess.DEVNULL, subprocess.STDOUT)),
        *(("wait", seconds) for seconds in asked),
        ("kill", (4194304, signal.SIGKILL)),
        ("wait", None),
    ]
    assert next(times, None) is None


def test_a_child_without_a_limit_ends_when_it_has_printed_too_much(
    waits: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MOST_OUTPUT_MIB", 1)
    sizes = iter([0, 1 << 20, (1 << 20) + 1])
    with tempfile.TemporaryFile() as output, monkeypatch.context() as patch:
        patch.setattr(os, "fstat", lambda _: SimpleNamespace(st_size=next(sizes)))
        with pytest.raises(process._TooMuch):
            process._wait(["tool"], output, None, None, None)
    assert [seconds for what, seconds in waits if what == "wait"] == [1.0, 1.0, 1.0, None]


def test_of_too_much_output_the_first_part_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_OUTPUT_MIB", 1)
    output = io.BytesIO()
    output.write(b"x" * (1 << 20) + b"y")
    assert process._read(output) == "x" * (1 << 20)


@pytest.mark.parametrize(
    ("platform", "parents", "asked", "left"),
    [
        ("linux", [5, 5], [(1, signal.SIGKILL)], []),
        ("linux", [5, 1], [(1, signal.SIGKILL)], [1]),
        ("darwin", [], [], []),
    ],
)
def test_a_child_asks_to_end_with_its_parent(
    platform: str, parents: list[int], asked: list[Any], left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Option 1 of ``prctl`` is the signal at the parent's end."""
    found: list[Any] = []
    codes: list[int] = []
    numbers = iter(parents)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "getppid", lambda: next(numbers))
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(prctl=lambda *given: found.append(given)))
    process.end_with_parent()
    assert (found, codes) == (asked, left)


def test_a_package_is_where_its_first_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = [SimpleNamespace(origin="/a/b/__init__.py"), SimpleNamespace(origin=None), None]
    monkeypatch.setattr(util, "find_spec", lambda _: found.pop(0))
    assert process.package("b", "B", "install it") == Path("/a/b")
    for _ in range(2):
        with pytest.raises(process.ToolError, match=r"^B was not found; install it$"):
            process.package("b", "B", "install it")


def test_verilator_is_told_where_a_model_goes(told: list[Any], tmp_path: Path) -> None:
    verilator.translate([tmp_path / "w.vlt", tmp_path / "a.v"], "top", tmp_path / "out", ["--vpi"])
    words, options = told[0]
    assert words[1:] == [
        *("--cc", "-Wno-lint", "-Wno-style", "--prefix", "Vtop", "--top-module", "top"),
        *("-Mdir", str(tmp_path / "out"), "-fno-inline", "--x-assign", "fast", "--x-initial", "fast"),
        *("--vpi", str(tmp_path / "w.vlt"), str(tmp_path / "a.v")),
    ]
    assert options["writes"] == [tmp_path / "out" / "Vtop_classes.mk"]
    assert (options["timeout_s"], options["install"]) == (1800.0, verilator.INSTALL)
    assert options["env"]["VERILATOR_ROOT"] == str(verilator.home())


LISTS = """VM_TRACE = 1
VM_CLASSES_FAST += cf
VM_CLASSES_SLOW += cs
VM_SUPPORT_FAST +=
VM_SUPPORT_SLOW +=
VM_GLOBAL_FAST += verilated verilated_vpi
VM_GLOBAL_SLOW += verilated_slow
"""


def test_hot_code_is_optimized_and_linked_with_the_run_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jobs: list[tuple[Path, list[str]]] = []
    linked: list[Any] = []

    def translate(files: list[Path], top: str, folder: Path, _: object) -> None:
        (folder / "Vtop_classes.mk").write_text(LISTS)
        (folder / "cf.cpp").write_text("x")
        (folder / "cs.cpp").write_text("x" * 100_001)

    def compile_objects(asked: list[tuple[Path, list[str]]], *, cwd: Path) -> list[Path]:
        jobs.extend(asked)
        return [cwd / f"{source.stem}.o" for source, _ in asked]

    monkeypatch.setattr(cache, "entry", lambda kind, parts, build: build(tmp_path) or tmp_path)
    monkeypatch.setattr(verilator, "translate", translate)
    monkeypatch.setattr(verilator, "runtime_objects", lambda names: [Path("/rt", name) for name in names])
    monkeypatch.setattr(compiler, "compile_objects", compile_objects)
    monkeypatch.setattr(compiler, "link", lambda *given: linked.append(given))
    monkeypatch.setattr(compiler, "keep_only", lambda path: linked.append(path))
    sources = {"main.cpp": "m", "w.vlt": "v", "note.h": "h"}
    model = verilator.executable(
        [], "top", sources, optimize="-O3", flags=["-DX"], libraries=["-lm", Path("l").name]
    )
    assert model == tmp_path / "model" and (tmp_path / "note.h").read_text() == "h"
    common = [
        *("-std=gnu++20", "-fcoroutines", "-w"),
        *verilator._defines({"VM_TRACE": ["1"]}),
        *("-DX", *verilator.includes(), "-I", str(tmp_path)),
    ]
    units = {"fast0": '#include "main.cpp"\n#include "cf.cpp"\n', "slow0": '#include "cs.cpp"\n'}
    assert jobs == [
        (tmp_path / f"unit_{name}.cc", [*common, level])
        for name, level in zip(units, ("-O3", "-O0"), strict=True)
    ]
    assert [path.read_text() for path, _ in jobs] == list(units.values())
    objects = [tmp_path / "unit_fast0.o", tmp_path / "unit_slow0.o"]
    rt = [Path("/rt", name) for name in ("verilated", "verilated_vpi", "verilated_slow")]
    assert linked == [
        ([*objects, *rt], tmp_path / "model", ["-lm", "l", "-pthread"]),
        tmp_path / "model",
    ]


def test_a_model_of_cxxrtl_is_compiled_as_its_name_in_the_cache_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named: dict[str, list[Any]] = {}
    given: list[Any] = []

    def entry(kind: str, parts: list[Any], build: Callable[[Path], None]) -> Path:
        named[kind] = list(parts)
        folder = tmp_path / kind
        folder.mkdir()
        build(folder)
        return folder

    def note(name: str) -> Callable[..., list[str]]:
        return lambda *words, **options: given.append((name, *words, options)) or [name]

    monkeypatch.setattr(cache, "entry", entry)
    monkeypatch.setattr(yosys, "version", lambda: "0.7")
    monkeypatch.setattr(compiler, "version", lambda: "g++ 12")
    monkeypatch.setattr(yosys, "run", note("yosys"))
    for name in ("compile_objects", "precompile", "link", "keep_only"):
        monkeypatch.setattr(compiler, name, note(name))
    source = tmp_path / "a.v"
    source.write_bytes(b"verilog")
    cxxrtl.executable([source], "top", {"main.cpp": "m", "b.h": "h"}, optimize="-O2", flags=["-DX"])
    options = ["-std=c++17", "-O2", "-w", "-DX"]
    include = ["-I", str(yosys.cxxrtl_include())]
    model, headers = tmp_path / "model", tmp_path / "cxxrtl-headers"
    assert named == {
        "model": ["cxxrtl", "top", "0.7", "g++ 12", *options, "main.cpp", "m", "b.h", "h", b"verilog"],
        "cxxrtl-headers": ["0.7", "g++ 12", *options, *include, *cxxrtl.HEADERS],
    }
    assert given == [
        (
            "yosys",
            cxxrtl._script([source], "top", model / "model.cc"),
            {"timeout_s": 1800.0, "writes": [model / "model.cc"]},
        ),
        ("precompile", headers / "runtime.h", [*options, *include], {}),
        (
            "compile_objects",
            [(model / "main.cpp", [*options, "-include", str(headers / "runtime.h"), *include])],
            {"cwd": model},
        ),
        ("link", ["compile_objects"], model / "model", {}),
        ("keep_only", model / "model", {}),
    ]
    assert [(model / name).read_text() for name in ("main.cpp", "b.h")] == ["m", "h"]
    assert (headers / "runtime.h").read_text().splitlines() == [
        f"#include <{name}>" for name in cxxrtl.HEADERS
    ]


@pytest.mark.parametrize(("waves", "traced"), [("", []), ("vcd", ["--trace-vcd"])])
def test_a_simulator_is_built_for_what_it_records(
    waves: bench.Waves, traced: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(
        verilator, "executable", lambda *words, **options: given.extend([words, options]) or tmp_path
    )
    assert bench.build([tmp_path / "a.v"], "top", {"top": ["x"]}, waves=waves, arguments=["-y"]) == tmp_path
    (files, top, sources), options = given
    assert (files, top, list(sources)) == ([tmp_path / "a.v"], "top", ["visible.vlt", "verilator.cpp"])
    assert sources["visible.vlt"] == bench._visible({"top": ["x"]}) and "main(" in sources["verilator.cpp"]
    assert options["arguments"] == ["--vpi", "--timescale", "1ns/1ps", *traced, "-y"]
    assert options["optimize"] == "-O1"
    rpath, search, library = options["libraries"]
    assert rpath == f"-Wl,-rpath,{search[2:]}" and library == "-lcocotbvpi_verilator"


def test_a_bench_is_run_where_it_was_asked_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[Any] = []

    class Runner:
        finished = process.Finished("log", 2.0)

        def __init__(self, *words: Any) -> None:
            given.append(words)

        def test(self, *words: Any, **options: Any) -> None:
            given.extend([words, options])
            counted = "<testsuite tests='5' failures='3' errors='1'>"
            Path(options["results_xml"]).write_text(CASES.replace("<testsuite>", counted))
            raise SystemExit(1)

    monkeypatch.setattr(bench, "_Runner", Runner)
    model = tmp_path / "built" / "model"
    found = bench.run(
        model, "top", "module", folder=tmp_path, env={"A": "1"}, seed=3, arguments=["--trace"], timeout_s=7
    )
    assert (found.tests, found.log, found.seconds) == (5, "log", 2.0) and len(found.failures) == 4
    assert given == [
        (model, (), 7),
        ("module", "top"),
        {
            "hdl_toplevel_lang": "verilog", "seed": 3, "test_args": ["--trace"], "extra_env": {"A": "1"},
            "build_dir": model.parent, "test_dir": tmp_path, "results_xml": str(tmp_path / "results.xml"),
        },
    ]  # fmt: skip


def test_what_the_doctor_runs_and_how_long_it_may_take(
    told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "version", lambda: "12")
    monkeypatch.setattr(yosys, "abc", lambda: Path("/abc"))
    monkeypatch.setattr(yosys, "version", lambda: "0.7")
    for name in ("g++", "make", "ABC", "Amaranth", "Yosys"):
        assert doctor.PROBES[name]()
    lines = [(words, options["timeout_s"]) for words, options in told]
    (compiled, _), (linked, _), (probe, limit_s), *others, (synthesis, yosys_s) = lines
    scratch = Path(probe[0]).parent
    assert compiled[1:] == [
        *("-c", f"{scratch}/probe.cc", "-std=gnu++20", "-fcoroutines", "-o", f"{scratch}/probe.o")
    ]
    assert linked[1:] == [f"{scratch}/probe.o", "-o", f"{scratch}/probe"]
    assert (probe, limit_s) == ([f"{scratch}/probe"], 300.0) and not scratch.exists()
    assert others == [
        (["make", "--version"], 30),
        (["/abc", "-c", "version"], 300.0),
        ([sys.executable, "-P", "-c", "import amaranth.hdl, amaranth.back.rtlil"], 300.0),
    ]
    assert synthesis[1] == "-P" and yosys_s == 300.0
