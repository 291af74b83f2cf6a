"""Entry point of the console script and of ``python -m ternforge``, before any other import."""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys

from ternforge.rooms import HOME

#: Signals that end a command.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: What stands for characters of our output where only ASCII can be written.
_PLAIN = {"µ": "u", "²": "2", "·": "|", "±": "+-", "×": "x"}


def main() -> None:
    """The command line. Ctrl-C and SIGTERM end it with 130 at any time, also during imports."""
    try:
        prepare()
        from ternforge.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        os.write(2, b"Interrupted; the same command starts again\n")
        sys.exit(130)
    finally:  # what was asked for has ended, and its exit code is known
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)


def prepare() -> None:
    """Set up streams, signals and the import path for a command."""
    _open_streams()
    for number in _ENDING[1:]:  # tools that were started must end too
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    if sys.path and sys.path[0] in ("", os.getcwd()) and os.getcwd() != HOME:
        del sys.path[0]  # `python -m` looks into the current folder first, where a file may have any name


def _open_streams() -> None:
    """A file that is opened later must not become standard output because the caller closed that."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
    codecs.register_error("ternforge", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ternforge")


def _plainly(problem: UnicodeError) -> tuple[str, int]:
    """Replacement of characters that the encoding of a terminal lacks, as a C locale lacks µ."""
    assert isinstance(problem, UnicodeEncodeError)
    text = problem.object[problem.start : problem.end]
    return "".join(_PLAIN.get(character, "?") for character in text), problem.end
