"""Names of a design's ports for the C++ harness, and the executable of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from blueprint import axi
from blueprint.axi import StreamPort
from toolchain import cxxrtl, verilator

Engine = Literal["cxxrtl", "verilator"]


def executable(manifest: Mapping[str, Any], folder: Path, engine: Engine, optimize: str) -> Path:
    """Build the harness around the design exported to ``folder``, or take it from the cache."""
    files = [folder / name for name in manifest["files"]]
    sources = {
        "harness.cpp": _text("harness.cpp"),
        "numbers.h": _text("numbers.h"),
        "ports.h": _text(f"ports_{engine}.h"),
        "binding.h": _binding(manifest, cxxrtl.mangle if engine == "cxxrtl" else verilator.mangle),
    }
    if engine == "cxxrtl":
        return cxxrtl.executable(files, manifest["top"], sources, optimize=optimize)
    return verilator.executable(files, manifest["top"], sources, optimize=optimize)


def _binding(manifest: Mapping[str, Any], mangle: Callable[[str], str]) -> str:
    """Values of the harness's binding: port names in C++, and numbers of the manifest and the job."""
    streams = axi.stream_ports(manifest)
    sources = [port for port in streams if port.is_input]
    sinks = [port for port in streams if not port.is_input]
    return "\n".join(
        [
            f"#define TERNFORGE_TOP {mangle(manifest['top'])}",
            f"#define TERNFORGE_CLOCK {mangle(manifest['clock'])}",
            f"#define TERNFORGE_RESET {mangle(manifest['reset'])}",
            f"#define TERNFORGE_RESET_CYCLES {axi.RESET_CYCLES}",
            f"#define TERNFORGE_ALL_BYTES {axi.ALL_BYTES}",
            "#define TERNFORGE_AXIL(signal) TERNFORGE_AXIL_##signal",
            *(f"#define TERNFORGE_AXIL_{signal} {mangle(axi.lite(signal))}" for signal in axi.LITE),
            _table("SOURCE", sources, mangle),
            _table("SINK", sinks, mangle),
            '#include "ports.h"',
            "",
        ]
    )


def _table(kind: str, streams: Sequence[StreamPort], mangle: Callable[[str], str]) -> str:
    """A macro that calls another one for every stream: place, bytes, and the names of its four ports."""
    lines = []
    for index, port in enumerate(streams):
        names = [mangle(name) for name in (port.valid, port.ready, port.data, port.last)]
        lines.append(f"X({index}, {port.width}, {', '.join(names)})")
    count = f"#define TERNFORGE_{kind}_COUNT {len(streams)}"
    return "\n".join([count, f"#define TERNFORGE_{kind}S(X) " + " ".join(lines)])


def _text(name: str) -> str:
    return resources.files("simulator.rtl").joinpath("harness", name).read_text()
