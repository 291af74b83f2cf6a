"""Yosys and ABC from the ``pyosys`` package."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

from toolchain import files, process

INSTALL = "install it with: pip install pyosys"


def run(
    script: str,
    *,
    cwd: Path | None = None,
    timeout_s: float | None = None,
    memory_mib: int | None = None,
    writes: Sequence[str | Path] = (),
) -> str:
    """Run Yosys commands, one or more per line, and return the log.

    Relative paths in the script start at ``cwd``, as do those of the files that it ``writes``. Raises
    :class:`toolchain.process.ToolError` with Yosys's own error line, and where one of the files is not there.
    """
    home()
    with files.scratch("ternforge-yosys-") as scratch:
        file = scratch / "run.ys"
        file.write_text(script)
        child = Path(__file__).with_name("yosys_child.py")
        finished = process.run(
            [sys.executable, "-P", child, file],
            tool="Yosys",
            cwd=cwd,
            env={**os.environ, "TMPDIR": str(scratch)},
            timeout_s=timeout_s,
            memory_mib=memory_mib,
            writes=writes,
        )
    return finished.log


def home() -> Path:
    """Folder of the installed ``pyosys`` package."""
    return process.package("pyosys", "Yosys", INSTALL)


def abc() -> Path:
    """Path of the ``yosys-abc`` executable."""
    path = home() / "yosys-abc"
    if not path.exists():
        raise process.missing("ABC (yosys-abc)", INSTALL)
    return path


@cache
def version() -> str:
    """Version of Yosys, such as ``0.70``."""
    home()
    return metadata.version("pyosys")


def cxxrtl_include() -> Path:
    """Folder of the C++ headers that models written by ``write_cxxrtl`` include."""
    return home() / "share" / "include" / "backends" / "cxxrtl" / "runtime"
