"""Entry point of the console script and of ``python -m ternforge``, before any other import."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from ternforge import streams
from ternforge.rooms import HOME

#: Signals that end a command.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """The command line. Ctrl-C and SIGTERM end it with 130 at any time, also during imports."""
    try:
        prepare()
        from ternforge.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        with suppress(OSError):  # standard error may be full or closed
            os.write(2, b"Interrupted; the same command starts again\n")
        sys.exit(130)
    finally:  # the command has ended; a signal must not change its exit code
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)


def prepare() -> None:
    """Set up streams, signals and the import path for a command."""
    streams.prepare()
    for number in _ENDING[1:]:  # tools that were started must end too
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    if sys.path and sys.path[0] in ("", os.getcwd()) and os.getcwd() != HOME:
        del sys.path[0]  # `python -m` looks into the current folder first, where a file may have any name
