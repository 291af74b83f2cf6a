"""Output of commands: answers on standard output, progress and errors on standard error."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from toolchain.remaining import Remaining

#: What a verb gives: the keys of its ``--json`` answer.
Answer = dict[str, Any]
#: Seconds between two lines of progress.
_PAUSE = 2.0
#: A function that is called with each line of progress.
Note = Callable[[str], None]


def silent(_: str) -> None:
    """The default for ``note``: progress is not shown."""


@dataclasses.dataclass
class Session:
    """Output options of a command: ``--json``, ``-q`` and ``-v``."""

    json: bool = False
    quiet: bool = False
    verbosity: int = 0

    def note(self, text: str) -> None:
        """Progress, for people: standard error, nothing under ``-q``."""
        if not self.quiet and sys.stderr is not None:
            print(text, file=sys.stderr, flush=True)

    def answer(self, data: Mapping[str, Any], lines: Iterable[str]) -> None:
        """The result: one JSON object under ``--json``, else lines of text (none under ``-q``)."""
        if self.json:
            _say([json.dumps(plain(data), allow_nan=False, indent=2)])
        elif not self.quiet:
            _say(lines)

    def fail(self, message: str) -> None:
        """An error: one line on standard error, and ``{"error": ...}`` as the answer under ``--json``."""
        message = " ".join(message.split())
        if self.json:
            with suppress(OSError):
                _say([json.dumps({"error": message})])
        if sys.stderr is not None:  # it is None if the caller closed it
            with suppress(OSError):
                print(message, file=sys.stderr, flush=True)


def _say(lines: Iterable[str]) -> None:
    """Lines on standard output, whose faults :mod:`ternforge.streams` names."""
    if sys.stdout is None:  # the caller closed it
        return
    for line in lines:
        print(line)
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """Convert a value to strict JSON: NumPy and dataclasses are unpacked, non-finite numbers become ``null``."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def paced(note: Note, text: str) -> Callable[[int, int], None]:
    """A function that notes every two seconds how much is done, and how long the rest will take."""
    last = time.monotonic()
    remaining = Remaining(now=last)

    def told(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PAUSE and done < total:
            note(f"{text.format(done, total)}, {remaining.seconds(done, total, now):.0f} s left")
            last = now

    return told


def table(rows: Iterable[Iterable[Any]], header: Iterable[str] = ()) -> list[str]:
    """Rows as lines of aligned columns; numbers to the right."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    lines = ([list(header)] if header else []) + cells
    numeric = [all(_is_number(row[i]) for row in cells) for i in range(len(lines[0]))] if lines else []
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))] if lines else []
    return [
        "  ".join(_align(*item) for item in zip(line, widths, numeric, strict=False)).rstrip()
        for line in lines
    ]


def line(*words: str | Path) -> str:
    """A command line to type: words quoted, and files kept apart from options by ``./``."""
    texts = [
        f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word) for word in words
    ]
    return " ".join(map(shlex.quote, texts))


def spelled(value: Any) -> str:
    """A parameter's value as files and ``--set`` write it: ``true``, not ``True``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def size_columns(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """The sizes of a workload's layers: what stands between their name and their count in any of them."""
    found: dict[str, None] = {}
    for layer in layers:
        names = list(layer)
        found |= dict.fromkeys(names[names.index("name") + 1 : names.index("count")])
    return list(found)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return spelled(value)


def _is_number(text: str) -> bool:
    return (
        text.replace(",", "")
        .replace(".", "")
        .replace("-", "")
        .replace("e", "")
        .replace("+", "")
        .strip("%")
        .isdigit()
    )


def _align(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)
