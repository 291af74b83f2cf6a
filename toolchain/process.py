"""Run a tool as a child process with a time limit, a memory limit and a captured log."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import IO

#: Compilers, Yosys and Python print the cause before they give up, so the first such line is the most useful one.
_ERROR_LINE = re.compile(r"(?:^|[\s:%*(])(?:fatal )?error\b|^[\w.]+Error: ", re.IGNORECASE)
_OUT_OF_MEMORY = re.compile(r"bad_alloc|out of memory|MemoryError|memory exhausted|Cannot allocate memory")
_LINE_LIMIT = 300
#: What stands for bytes that are no text.
_UNREADABLE = "\ufffd"
#: Largest output of a tool. A tool that prints more would not end and would fill the disk.
MOST_OUTPUT_MIB = 256
#: Seconds between two checks of the size of the output.
_POLL_S = 1.0
_PR_SET_PDEATHSIG = 1


class ToolError(RuntimeError):
    """A tool that was missing, failed, crashed or hung; ``log`` holds everything it printed."""

    def __init__(self, tool: str, happened: str, log: str = "") -> None:
        line = meaningful_line(log)
        super().__init__(f"{tool} {happened}: {line}" if line else f"{tool} {happened}")
        self.tool = tool
        self.happened = happened
        self.log = log

    def __reduce__(self) -> tuple[type[ToolError], tuple[str, str, str]]:
        return ToolError, (self.tool, self.happened, self.log)


class _TooMuch(Exception):
    """A child process printed more than :data:`MOST_OUTPUT_MIB`."""


@dataclass(frozen=True)
class Finished:
    """Output and wall time of a child process that ended with exit code 0."""

    log: str
    seconds: float


def run(
    command: Sequence[str | Path],
    *,
    tool: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    memory_mib: int | None = None,
    install: str = "",
    writes: Sequence[str | Path] = (),
) -> Finished:
    """Run ``command`` in its own session and wait for it; processes that it started are killed with it.

    ``tool`` is the name used in messages and ``install`` says how to get it. Standard output and error are
    captured together. Raises :class:`ToolError` when the tool is missing, exits with another code than 0, is
    killed by a signal, or exceeds ``timeout_s`` (wall time) or ``memory_mib`` (address space of each process), and
    where it ends well without one of the files that it ``writes`` (from ``cwd``), or with an empty one.
    """
    program = find(str(command[0]), tool=tool, env=env, install=install)
    arguments = _limited([program, *map(str, command[1:])], memory_mib)
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        try:
            code = _wait(arguments, output, cwd, env, timeout_s)
        except subprocess.TimeoutExpired:
            raise ToolError(tool, f"did not finish within {timeout_s:g} s", _read(output)) from None
        except _TooMuch:
            what = f"printed more than {MOST_OUTPUT_MIB} MiB and was stopped"
            raise ToolError(tool, what, _read(output)) from None
        except OSError as problem:
            raise ToolError(tool, f"could not be started: {problem.strerror or problem}") from None
        log = _read(output)
    if code != 0:
        raise ToolError(tool, _ending(code, log, memory_mib), log)
    for file in (Path(cwd or "", name) for name in writes):
        if not file.is_file() or not file.stat().st_size:
            raise ToolError(
                tool,
                f"must have written {file.name} and ended without an error, and there is nothing in it",
                log,
            )
    return Finished(log, time.perf_counter() - began)


def end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends for any reason; does nothing outside Linux."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before the request took effect
        os._exit(1)


def find(program: str, *, tool: str, env: Mapping[str, str] | None = None, install: str = "") -> str:
    """Path of an executable. Raises :class:`ToolError` with the way to install it if it is not found."""
    path = shutil.which(program, path=(env or os.environ).get("PATH"))
    if path is None:
        raise missing(tool, install)
    return path


def missing(tool: str, install: str) -> ToolError:
    """The error for a missing tool."""
    return ToolError(tool, "was not found; " + install if install else "was not found")


def package(name: str, tool: str, install: str) -> Path:
    """Folder of an installed Python package that contains a tool. Raises :class:`ToolError` if it is not installed."""
    found = util.find_spec(name)
    if found is None or found.origin is None:
        raise missing(tool, install)
    return Path(found.origin).parent


def meaningful_line(log: str) -> str:
    """The most informative line of a log: the first error, else the last line that is not blank.

    What a terminal cannot print, or would obey, is a question mark: a tool may print anything.
    """
    lines = [line.strip() for line in map(_printable, log.splitlines()) if line.strip()]
    errors = [line for line in lines if _ERROR_LINE.search(line)]
    return (errors[:1] or lines[-1:] or [""])[0][:_LINE_LIMIT]


def _printable(line: str) -> str:
    return "".join(sign if sign.isprintable() and sign != _UNREADABLE else "?" for sign in line.expandtabs(1))


def _limited(arguments: list[str], memory_mib: int | None) -> list[str]:
    # A shell sets the limit because code between fork and exec is not safe in a threaded parent.
    if memory_mib is None:
        return arguments
    return ["/bin/sh", "-c", f'ulimit -v {memory_mib * 1024} && exec "$@"', "sh", *arguments]


def _wait(
    arguments: list[str],
    output: IO[bytes],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    timeout_s: float | None,
) -> int:
    child = subprocess.Popen(
        arguments,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    end = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        while True:
            left = _POLL_S if end is None else min(_POLL_S, end - time.monotonic())
            try:
                return child.wait(max(left, 0.0))
            except subprocess.TimeoutExpired:
                if end is not None and time.monotonic() >= end:
                    raise
            if os.fstat(output.fileno()).st_size > MOST_OUTPUT_MIB << 20:
                raise _TooMuch
    finally:
        _kill_group(child)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the child, if it still runs, and everything it started that is left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _read(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read(MOST_OUTPUT_MIB << 20).decode(errors="replace")


def _ending(code: int, log: str, memory_mib: int | None) -> str:
    if memory_mib is not None and _OUT_OF_MEMORY.search(log):
        return f"needed more than its {memory_mib} MiB of memory"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"failed with exit code {code}"
