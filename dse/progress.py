"""Progress of a search on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol, TextIO

from toolchain.remaining import Remaining


class Progress(Protocol):
    """Receives every committed batch."""

    def start(self, total: int, done: int) -> None:
        """``done`` of ``total`` points are there before anything is evaluated."""

    def advance(self, done: int, feasible: int, front: int) -> None:
        """Points evaluated, feasible and on the front so far."""

    def stop(self) -> None:
        """End of the search."""


class Silent:
    """No output."""

    def start(self, total: int, done: int) -> None: ...

    def advance(self, done: int, feasible: int, front: int) -> None: ...

    def stop(self) -> None: ...


class Lines:
    """A line every few seconds, and one at the end."""

    def __init__(self, stream: TextIO, every_seconds: float = 2.0) -> None:
        self._stream = stream
        self._every = every_seconds
        self._last = self._begin = 0.0
        self._total = self._initial = 0
        self._remaining = Remaining(now=0.0)
        self._line = ""

    def start(self, total: int, done: int) -> None:
        self._total, self._initial = total, done
        self._begin = self._last = time.monotonic()
        self._remaining = Remaining(done, self._begin)

    def advance(self, done: int, feasible: int, front: int) -> None:
        now = time.monotonic()
        rate = (done - self._initial) / max(now - self._begin, 1e-9)
        shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        left = self._remaining.seconds(done, self._total, now)
        self._line = (
            f"{done:,}/{self._total:,} designs ({100 * done / self._total:.0f} %), {feasible:,} feasible, "
            f"front {front:,}, {shown}/s, {left:.0f} s left"
        )
        if now - self._last >= self._every or done == self._total:
            self._say(now)

    def stop(self) -> None:
        if self._line:
            self._say(time.monotonic())

    def _say(self, now: float) -> None:
        print(self._line, file=self._stream, flush=True)
        self._last, self._line = now, ""


class Bar:
    """A live bar."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console  # only on a terminal: half the start-up time
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns: list[Any] = [
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} designs"),
            BarColumn(),
            TextColumn("{task.fields[feasible]:,} feasible · front {task.fields[front]:,} ·"),
            TimeRemainingColumn(),
        ]
        self._bar = Progress(*columns, console=Console(file=stream))
        self._task: Any = None

    def start(self, total: int, done: int) -> None:
        self._task = self._bar.add_task("explore", total=total, completed=done, feasible=0, front=0)
        self._bar.start()

    def advance(self, done: int, feasible: int, front: int) -> None:
        self._bar.update(self._task, completed=done, feasible=feasible, front=front)

    def stop(self) -> None:
        self._bar.stop()


def for_stream(stream: TextIO | None = None) -> Progress:
    """The progress that suits a stream, standard error where none is given."""
    stream = stream or sys.stderr
    return Bar(stream) if stream.isatty() else Lines(stream)
