"""How tools are called: limits of time, flags of what is compiled once, and deletions that one file does not stop."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolchain import bench, cache, compiler, doctor, files, process, verilator, yosys

Calls = list[tuple[list[str], dict[str, Any]]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The command lines that would be run, with their options."""
    found: Calls = []

    def run(command: Any, **options: Any) -> process.Finished:
        found.append(([str(word) for word in command], options))
        return process.Finished("\n  first line\nsecond\n", 1.0)

    monkeypatch.setattr(process, "run", run)
    monkeypatch.delenv("CXX", raising=False)
    return found


def test_every_tool_has_as_long_as_it_may_take(calls: Calls, tmp_path: Path) -> None:
    compiler._version.__wrapped__("g++")
    verilator.lint([tmp_path / "a.v"], "top")
    verilator.translate([tmp_path / "a.v"], "top", tmp_path)
    compiler.link([tmp_path / "a.o"], tmp_path / "a")
    yosys.run("help")
    doctor._package("numpy", "import numpy")
    assert doctor._first_line("make", "--version") == "first line"
    told = [(options["tool"], options["timeout_s"], options.get("install", "")) for _, options in calls]
    assert told == [
        ("g++", 30, compiler.INSTALL),
        ("Verilator", 600, verilator.INSTALL),
        ("Verilator", 1800.0, verilator.INSTALL),
        ("g++", 1800.0, compiler.INSTALL),
        ("Yosys", None, ""),
        ("numpy", 300.0, ""),
        ("make", 30, compiler.INSTALL),
    ]
    defaults = {name: value.default for name, value in inspect.signature(bench.run).parameters.items()}
    assert defaults["timeout_s"] == 600 and defaults["seed"] is None and defaults["arguments"] == ()


def test_the_version_of_a_compiler_is_its_first_line(calls: Calls) -> None:
    assert compiler._version.__wrapped__("clang++") == ""
    assert calls == [
        (["clang++", "--version"], {"tool": "clang++", "timeout_s": 30, "install": compiler.INSTALL})
    ]


def test_a_design_is_translated_by_these_words(calls: Calls, tmp_path: Path) -> None:
    verilator.translate([tmp_path / "b.v"], "the_top", tmp_path / "out", ["--trace-vcd"])
    (words, options), out = calls[0], tmp_path / "out"
    assert words[1:] == [
        *(
            "--cc",
            "-Wno-lint",
            "-Wno-style",
            "--prefix",
            "Vtop",
            "--top-module",
            "the_top",
            "-Mdir",
            str(out),
        ),
        *("-fno-inline", "--x-assign", "fast", "--x-initial", "fast", "--trace-vcd", str(tmp_path / "b.v")),
    ]
    assert options["writes"] == [out / "Vtop_classes.mk"]


def test_the_run_time_of_models_is_compiled_once_with_the_flags_of_models(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named: list[Any] = []

    def entry(kind: str, parts: list[Any], build: Callable[[Path], None]) -> Path:
        named.append([kind, *parts])
        build(tmp_path)
        return tmp_path

    monkeypatch.setattr(cache, "entry", entry)
    monkeypatch.setattr(verilator, "_versions", lambda: ["5", "12"])
    assert verilator.runtime_objects(["verilated"]) == [tmp_path / "verilated.o"]
    options = ["-std=gnu++20", "-fcoroutines", "-w", "-O2", "-DVERILATOR=1", "-DVM_SC=0"]
    options += [
        f"-DVM_{name}=0" for name in ("TIMING", "COVERAGE", "TRACE", "TRACE_FST", "TRACE_SAIF", "TRACE_VCD")
    ]
    assert named == [["verilator-runtime", "5", "12", "verilated", *options]]
    (words, _), home = calls[0], verilator.home() / "include"
    assert words == [
        *("g++", "-c", str(home / "verilated.cpp"), *options, "-I", str(home), "-I", str(home / "vltstd")),
        *("-o", str(tmp_path / "verilated.o")),
    ]


def full(folder: Path) -> Path:
    """A folder of three files, of which one cannot be deleted."""
    folder.mkdir(parents=True)
    for name in ("a", "stays", "z"):
        (folder / name).touch()
    return folder


def swept(folder: Path) -> None:
    full(folder / ".x-1-00000000.new")
    files.sweep(folder)


def drafted(folder: Path) -> None:
    with files.draft(folder, ".x-") as draft:
        for name in ("a", "stays", "z"):
            (draft / name).touch()


def evicted(folder: Path) -> None:
    entry = full(folder / "kind" / "entry")
    (entry / ".seal.json").touch()
    os.utime(entry / ".seal.json", (1.0, 1.0))
    cache.evict(-1)


def published(folder: Path) -> None:
    full(folder / "entry")
    cache._publish(folder / "entry", lambda draft: None)


@pytest.mark.parametrize("delete", [swept, drafted, evicted, published])
def test_a_file_that_cannot_be_deleted_does_not_keep_the_others(
    delete: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERNFORGE_CACHE", str(tmp_path))
    unlink = os.unlink

    def refused(path: Any, **options: Any) -> None:
        if os.path.basename(path) == "stays":
            raise PermissionError(13, "Permission denied", path)
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refused)
        delete(tmp_path)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()} - {".seal.json"}
    assert left == {"stays"}
