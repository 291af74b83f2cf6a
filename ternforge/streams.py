"""Standard streams of a command: always open, in any encoding, and their faults named."""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from typing import Any

#: What stands for characters of our output where only ASCII can be written.
_PLAIN = {"µ": "u", "²": "2", "·": "|", "±": "+-", "×": "x"}
#: What a fault of standard output names instead of a file.
OUTPUT = "standard output"


def prepare() -> None:
    """Open the streams that the caller closed, and replace output streams by ones whose errors name the stream."""
    _open()
    codecs.register_error("ternforge", _plainly)
    for name, kind in (("stdout", _Output), ("stderr", _Errors)):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _replaced(stream, kind))


class _Output(io.FileIO):
    """Standard output: the first fault names the stream, and all later output is dropped.

    Without that the interpreter would try once more when it ends, and fail again.
    """

    faulty = False

    def write(self, data: Any, /) -> int:
        """Write all of ``data``; raises ``OSError`` that names the stream, once."""
        if not self.faulty:
            try:
                self._all(memoryview(data).cast("B"))
            except OSError as problem:
                self.faulty = True
                self.told(problem)
        return memoryview(data).nbytes

    def told(self, problem: OSError) -> None:
        """Raise the fault under the name of the stream."""
        raise OSError(problem.errno, problem.strerror, OUTPUT) from problem

    def _all(self, data: memoryview) -> None:
        while data:
            count = super().write(data)
            if count is None:  # a non-blocking pipe is full
                select.select([], [self], [])
            else:
                data = data[count:]


class _Errors(_Output):
    """Standard error: a fault of it does not fail the command; all later output is dropped."""

    def told(self, problem: OSError) -> None:
        """Keep quiet: progress is lost, the work is not."""


def _replaced(stream: io.TextIOWrapper, kind: type[_Output]) -> io.TextIOWrapper:
    """The same stream over a file that names its faults."""
    stream.flush()
    raw = kind(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="ternforge",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _open() -> None:
    """Open the standard streams that the caller closed, so that no file opened later takes their numbers."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _plainly(problem: UnicodeError) -> tuple[str, int]:
    """Replacement of characters that the encoding of a terminal lacks, as a C locale lacks µ."""
    assert isinstance(problem, UnicodeEncodeError)
    text = problem.object[problem.start : problem.end]
    return "".join(_PLAIN.get(character, "?") for character in text), problem.end
