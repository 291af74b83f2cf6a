"""Click extensions: commands that are loaded when called, and options shared by all of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ternforge.faults import sentence
from ternforge.session import Session
from ternforge.streams import OUTPUT


def _set_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.ensure_object(Session).json |= value


def _set_quiet(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.ensure_object(Session).quiet |= value


def _set_verbosity(context: click.Context, _: click.Parameter, value: int) -> None:
    context.ensure_object(Session).verbosity += value


def _shared_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--json"], is_flag=True, expose_value=False, callback=_set_json, help="Answer as JSON."
        ),
        click.Option(
            ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_set_quiet, help="Errors only."
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_set_verbosity,
            help="More detail; -vv: all.",
        ),
    ]


class Verb(click.Command):
    """A command with the shared options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_shared_options())

    def invoke(self, context: click.Context) -> Any:
        """Run the command. Click ends silently at any broken pipe; this does so only at a broken standard output."""
        try:
            return super().invoke(context)
        except BrokenPipeError as problem:
            if problem.filename == OUTPUT:
                raise
            raise click.ClickException(str(sentence(problem))) from problem

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Parse as Click does, and explain how to write a file whose name begins like an option."""
        files = [word for word in args if word.startswith("-") and Path(word).exists()]
        try:
            return super().parse_args(context, args)
        except click.NoSuchOption as problem:
            if files:
                what = f"File {files[0]} must be written ./{files[0]}, not as an option"
                raise click.UsageError(what, context) from None
            raise problem


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported when called.

    ``verbs`` maps a command's name to (module, one line of help); the module holds the command as ``<name>_``.
    """

    def __init__(self, *args: Any, verbs: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.verbs = verbs
        self.params.extend(_shared_options())

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(context, args or ["--help"])

    def list_commands(self, _: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in self.verbs:
            return None
        command: click.Command = getattr(importlib.import_module(self.verbs[name][0]), f"{name}_")
        return command

    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        if (
            args
            and args[0] not in self.verbs
            and not args[0].startswith("-")
            and not context.resilient_parsing
        ):
            from blueprint.files.nearest import suggestion

            valid = ", ".join(self.verbs)
            hint = suggestion(args[0], self.verbs)
            raise click.UsageError(f"Command must be one of {valid}, not {args[0][:60]!r}{hint}", context)
        return super().resolve_command(context, args)

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in self.verbs.items()])
