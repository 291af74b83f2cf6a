"""Names of a design's ports for the C++ harness, and the executable of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from toolchain import cxxrtl, verilator

Engine = Literal["cxxrtl", "verilator"]


@dataclass(frozen=True)
class Port:
    """One stream port; ``width`` in bytes."""

    name: str
    direction: str
    prefix: str
    width: int


def ports(manifest: Mapping[str, Any]) -> tuple[Port, ...]:
    """Stream ports of a design, inputs first: the order of the harness's own files."""
    listed = [
        Port(name, stream["direction"], stream["prefix"], stream["width"] // 8)
        for name, stream in manifest["streams"].items()
    ]
    return tuple(sorted(listed, key=lambda port: port.direction != "in"))


def executable(manifest: Mapping[str, Any], folder: Path, engine: Engine, optimize: str) -> Path:
    """Build the harness around the design exported to ``folder``, or take it from the cache."""
    files = [folder / name for name in manifest["files"]]
    sources = {
        "harness.cpp": _text("harness.cpp"),
        "ports.h": _text(f"ports_{engine}.h"),
        "binding.h": _binding(manifest, cxxrtl.mangle if engine == "cxxrtl" else verilator.mangle),
    }
    if engine == "cxxrtl":
        return cxxrtl.executable(files, manifest["top"], sources, optimize=optimize)
    return verilator.executable(files, manifest["top"], sources, optimize=optimize)


def _binding(manifest: Mapping[str, Any], mangle: Callable[[str], str]) -> str:
    streams = ports(manifest)
    sources = [port for port in streams if port.direction == "in"]
    sinks = [port for port in streams if port.direction == "out"]
    axil = mangle("s_axil_")
    return "\n".join(
        [
            f"#define TERNFORGE_TOP {mangle(manifest['top'])}",
            f"#define TERNFORGE_CLOCK {mangle(manifest['clock'])}",
            f"#define TERNFORGE_RESET {mangle(manifest['reset'])}",
            f"#define TERNFORGE_AXIL(signal) {axil}##signal",
            _table("SOURCE", sources, mangle),
            _table("SINK", sinks, mangle),
            '#include "ports.h"',
            "",
        ]
    )


def _table(kind: str, streams: Sequence[Port], mangle: Callable[[str], str]) -> str:
    lines = [f"X({index}, {mangle(port.prefix + '_')}, {port.width})" for index, port in enumerate(streams)]
    count = f"#define TERNFORGE_{kind}_COUNT {len(streams)}"
    return "\n".join([count, f"#define TERNFORGE_{kind}S(X) " + " ".join(lines)])


def _text(name: str) -> str:
    return resources.files("simulator.rtl").joinpath("harness", name).read_text()
