"""Verilog to a native executable through Yosys's CXXRTL: quick to build, for short runs of many designs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain import cache, compiler, yosys

MODEL = "model.cc"
#: Headers that every model and most programs around a model include.
HEADERS = ("algorithm", "chrono", "cstdio", "vector", "cxxrtl/cxxrtl.h")
#: CXXRTL's headers force every one-line method inline, which pays only in an optimized build. Left as calls, they save
#: a fifth of the compile time of a model that is not optimized.
CALLS = "-D__always_inline__=__unused__"


def executable(
    files: Sequence[Path],
    top: str,
    sources: Mapping[str, str],
    *,
    optimize: str = "-O1",
    flags: Sequence[str] = (),
) -> Path:
    """Build the executable of a design and the program around it, or take it from the cache; returns its path.

    ``sources`` maps file names to C++ texts. The first one is compiled; it includes :data:`MODEL`, in which the
    design is the class ``cxxrtl_design::<mangled top>``. Raises :class:`toolchain.process.ToolError` when Yosys or
    the compiler fails.
    """
    texts = [file.read_bytes() for file in files]
    options = ["-std=c++17", optimize, "-w", *([CALLS] if optimize == "-O0" else []), *flags]

    def build(folder: Path) -> None:
        for name, text in sources.items():
            (folder / name).write_text(text)
        model = folder / MODEL
        yosys.run(_script(files, top, model), timeout_s=compiler.TIMEOUT_S, writes=[model])
        main = folder / next(iter(sources))
        objects = compiler.compile_objects([(main, [*options, *_includes(options)])], cwd=folder)
        compiler.link(objects, folder / "model")
        compiler.keep_only(folder / "model")

    parts = ["cxxrtl", top, yosys.version(), compiler.version(), *options, *cache.flatten(sources), *texts]
    return cache.entry("model", parts, build) / "model"


def _includes(options: Sequence[str]) -> list[str]:
    """Flags for CXXRTL's headers. They are precompiled once for all models, which saves up to a sixth of each build."""
    include = ["-I", str(yosys.cxxrtl_include())]
    if not compiler.precompiles():
        return include

    def build(folder: Path) -> None:
        header = folder / "runtime.h"
        header.write_text("".join(f"#include <{name}>\n" for name in HEADERS))
        compiler.precompile(header, [*options, *include])

    parts = [yosys.version(), compiler.version(), *options, *include, *HEADERS]
    return ["-include", str(cache.entry("cxxrtl-headers", parts, build) / "runtime.h"), *include]


def mangle(name: str) -> str:
    """C++ name of a Verilog name."""
    return "p_" + name.replace("_", "__")


def _script(files: Sequence[Path], top: str, output: Path) -> str:
    read = "\n".join(f'read_verilog -sv "{file.resolve()}"' for file in files)
    # Hierarchy is kept: after flattening, a module with a hundred instances would be compiled a hundred times.
    # -g0 leaves out the names for debuggers, which are not used and would double the compile time.
    return f'{read}\nhierarchy -check -top {top}\nproc\nopt\nclean\nwrite_cxxrtl -g0 -noflatten "{output}"\n'
