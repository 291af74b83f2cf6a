"""Value types of options, for help texts and shell completion; their meaning is checked elsewhere.

All verbs share options; the code that lists technologies or designs is imported only when their names are shown.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from blueprint.words import vanishes

Names = Callable[[], Iterable[str]]


class Named(click.ParamType):  # type: ignore[type-arg]  # no type arguments before Click 8.5
    """One of a closed set of names, or, where ``file`` is set, a file."""

    def __init__(self, names: Names, *, file: bool = False, shown: str | None = None) -> None:
        self.names, self.file, self.shown = names, file, shown
        self.name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The text, which may not be empty."""
        if value == "":
            files = ", or a file" if self.file else ""
            self.fail(f"it must be one of {', '.join(self.names())}{files}, not empty", param, ctx)
        return value

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Placeholder of the value in the help: the names, or ``shown`` if there are many."""
        return self.shown or f"[{'|'.join([*self.names(), *(['FILE'] if self.file else [])])}]"

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The names, for the error of an option that must be given."""
        return f"It must be one of {', '.join(self.names())}{', or a file' if self.file else ''}"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """The names that begin with ``incomplete``; files where none does and ``file`` is set."""
        found = [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]
        return found if found or not self.file else [CompletionItem(incomplete, type="file")]


class Whole(click.IntRange):
    """An integer within limits; what it must be is said in the words of all other errors."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The integer. Fails with what it must be and what it is."""
        try:
            return super().convert(_number(value), param, ctx)
        except (click.BadParameter, ValueError):
            limits = f"at least {self.min}" if self.max is None else f"from {self.min} to {self.max}"
            self.fail(f"it must be an integer {limits}, not {str(value)[:40]!r}", param, ctx)


class Counts(Whole):
    """An integer for all, or one for each name: ``N`` or ``NAME=N,...``; the names are checked elsewhere."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The integer, or integers by name. Fails with what it must be and what it is."""
        if "=" not in str(value):
            return super().convert(value, param, ctx)
        found: dict[str, int] = {}
        for part in str(value).split(","):
            name, _, number = part.partition("=")
            if not name.strip() or name.strip() in found:
                self.fail(
                    f"it must be N or NAME=N,... with every name once, not {str(value)[:60]!r}", param, ctx
                )
            found[name.strip()] = super().convert(number.strip(), param, ctx)
        return found


class Real(click.ParamType):  # type: ignore[type-arg]
    """A number, in ``unit`` if it has one; whether it is large enough is checked elsewhere."""

    name = "number"

    def __init__(self, unit: str = "") -> None:
        self.unit = f" of {unit}" if unit else ""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Fails with what it must be and what it is."""
        try:
            found = float(_number(value))
        except ValueError:
            self.fail(f"it must be a number{self.unit}, not {str(value)[:40]!r}", param, ctx)
        if vanishes(str(value)):
            self.fail(f"it must be 0 or large enough for 64 bits, not {str(value)[:40]!r}", param, ctx)
        return found


def _number(value: Any) -> Any:
    """The text of a number. ``ValueError`` for underscores, which Python takes and files do not."""
    if "_" in str(value):
        raise ValueError
    return value


class File(click.ParamType):  # type: ignore[type-arg]
    """A file, to read or to write."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name, which may not be empty: that would be the current folder."""
        if value == "":
            self.fail(f"it must name a {self.name}, not be empty", param, ctx)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Files, or folders."""
        return [CompletionItem(incomplete, type="dir" if self.name == "folder" else "file")]


class Folder(File):
    """A folder, to read or to write."""

    name = "folder"


FILE, FOLDER = File(), Folder()


def technologies() -> Iterable[str]:
    """Technologies of the package."""
    from costmodel.technology.packaged import names

    return names()


def models() -> Iterable[str]:
    """Models of the package."""
    from blueprint.workloads.model import names

    return names()


def architectures() -> Iterable[str]:
    """Types of models that can be read."""
    from blueprint.workloads.huggingface import architectures

    return architectures()


class Point(click.ParamType):  # type: ignore[type-arg]
    """A point of the study that stands before it on the command line."""

    name = "point"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """``knee`` and the points of the front."""
        found = ["knee"]
        table = Path(str(ctx.params.get("study"))) / "front.csv"
        if table.is_file():
            with table.open(encoding="utf-8", newline="") as file:
                found += [row["id"] for row in csv.DictReader(file) if row.get("id")]
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]


class Parameter(click.ParamType):  # type: ignore[type-arg]
    """``KEY=VALUE`` for a parameter of the design that stands before it on the command line."""

    name = "parameter"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """The parameters of the design's family; nothing where there is no such design."""
        from blueprint import registry
        from blueprint.errors import ParamError, SpecError
        from blueprint.files import document

        try:
            # Click has not read the words before an option whose value is still missing.
            words = [ctx.params.get("spec"), ctx.params.get("file"), *ctx.args, ""]
            family = document.read(next(word for word in words if word is not None)).take("family", str)
            names = registry.get(family).limits()
        except (ParamError, SpecError):
            return []
        return [CompletionItem(f"{name}=") for name in names if name.startswith(incomplete)]
