"""The system's C++ compiler."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from toolchain import process

INSTALL = "install it with the system's package manager (Debian: apt install g++ make perl)"
TIMEOUT_S = 1800.0


def command() -> str:
    """Name of the compiler: the environment variable ``CXX``, or ``g++``."""
    return os.environ.get("CXX") or "g++"


@cache
def _version(compiler: str) -> str:
    finished = process.run([compiler, "--version"], tool=compiler, timeout_s=30, install=INSTALL)
    return finished.log.splitlines()[0]


def version() -> str:
    """First line of the compiler's ``--version`` output."""
    return _version(command())


def compile_objects(jobs: Sequence[tuple[Path, Sequence[str]]], *, cwd: Path) -> list[Path]:
    """Compile each source with its flags into an object in ``cwd``, one job per processor at a time.

    Returns the objects in the order of ``jobs``. Raises :class:`toolchain.process.ToolError` when the compiler fails.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda job: _compile(job[0], job[1], cwd), jobs))


def precompiles() -> bool:
    """True if a precompiled header of this compiler can be cached; Clang ties it to the folder where it was made."""
    return "clang" not in version().lower()


def precompile(header: Path, flags: Sequence[str]) -> None:
    """Compile a header into a ``.gch`` file next to it, which ``-include header`` with the same flags then uses."""
    _run(["-x", "c++-header", header, *flags], header.with_name(f"{header.name}.gch"), header.parent)


def link(objects: Sequence[Path], output: Path, flags: Sequence[str | Path] = ()) -> Path:
    """Link objects into an executable."""
    _run([*objects, *flags], output, output.parent)
    return output


def keep_only(result: Path) -> None:
    """Delete the intermediate files next to a finished result."""
    for scrap in result.parent.iterdir():
        if scrap != result:
            scrap.unlink()


def _compile(source: Path, flags: Sequence[str], cwd: Path) -> Path:
    target = cwd / f"{source.stem}.o"
    _run(["-c", source, *flags], target, cwd)
    return target


def _run(arguments: Sequence[str | Path], target: Path, cwd: Path) -> None:
    process.run(
        [command(), *arguments, "-o", target], tool=command(), cwd=cwd, timeout_s=TIMEOUT_S, install=INSTALL,
        writes=[target],
    )  # fmt: skip
