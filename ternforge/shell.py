"""Click as this tool uses it: commands loaded when called, and the same options on every one, before or after it."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from ternforge import choices
from ternforge.session import Session


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

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """As Click does, with a word for a file whose name begins like an option's."""
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


def overrides(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """The callback of ``--set``: ``key=value`` pairs as a dictionary."""
    found = {}
    for value in values:
        key, sign, text = value.partition("=")
        if not key or not sign:
            raise click.UsageError(f"--set must be key=value, not {value[:60]!r}")
        found[key.strip().removeprefix("parameters.")] = text.strip()
    return found


Decorator = Callable[[Any], Any]

set_option: Decorator = click.option(
    "--set",
    "overrides",
    type=choices.Parameter(),
    multiple=True,
    metavar="KEY=VALUE",
    callback=overrides,
    help="Replace a parameter of the design; may be repeated.",
)
tech_option: Decorator = click.option(
    "--tech",
    type=choices.Named(choices.technologies, file=True),
    help="Technology; without it the design's own, or asap7.",
)
workload_option: Decorator = click.option(
    "--workload", type=choices.FILE, metavar="FILE", help="Workload file."
)
gemm_option: Decorator = click.option(
    "--gemm", metavar="MxKxN", help="One matrix product instead of a workload file, as in 1x2560x6912."
)
force_option: Decorator = click.option(
    "--force", is_flag=True, help="Replace files in the way that are not ours, or were changed since."
)
seed_option: Decorator = click.option(
    "--seed",
    type=choices.Whole(0, 2**31 - 1),
    default=1,
    show_default=True,
    help="Seed of everything random.",
)


def line(*words: str | Path) -> str:
    """A command line to type: words quoted, and files kept apart from options by ``./``."""
    texts = [
        f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word) for word in words
    ]
    return " ".join(map(shlex.quote, texts))


def workload_from(workload: str | None, gemm: str | None) -> str | None:
    """What ``--workload`` and ``--gemm`` name, of which there may be one."""
    if workload is not None and gemm is not None:
        raise click.UsageError("Workload must be given by --workload or --gemm, not both")
    if gemm is not None:
        from blueprint.workloads.tasks import parse_gemm

        parse_gemm(gemm)
    return gemm or workload
