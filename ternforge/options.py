"""Options and arguments that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from blueprint.words import SEED_MOST, TOP_MOST
from ternforge import choices
from ternforge.words import MEMORIES, SEED

Decorator = Callable[[Any], Any]


def pairs(name: str, form: str) -> Callable[..., dict[str, str]]:
    """A callback that makes a dictionary of an option's values ``KEY=VALUE``; each key may be given once.

    ``name`` is what errors call the option, ``form`` what a value must look like.
    """

    def parse(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
        found: dict[str, str] = {}
        for value in values:
            key, sign, text = value.partition("=")
            key = key.strip().removeprefix("parameters.")
            if not key or not sign:
                raise click.UsageError(f"{name} must be {form}, not {value[:60]!r}")
            if key in found:
                raise click.UsageError(f"{name} {key} must be given once, not {found[key]!r} and {text!r}")
            found[key] = text.strip()
        return found

    return parse


set_option: Decorator = click.option(
    "--set",
    "overrides",
    type=choices.Parameter(),
    multiple=True,
    metavar="KEY=VALUE",
    callback=pairs("--set", "key=value"),
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
    type=choices.Whole(0, SEED_MOST),
    metavar="N",
    help=f"Seed of everything random.  [default: {SEED}]",
)


top_k_option: Decorator = click.option(
    "--top-k",
    type=choices.Whole(1, TOP_MOST),
    metavar="K",
    help="Draw among the K most likely tokens alone, beside --temperature.  [default: among all]",
)


def decoded_options(command: Any) -> Any:
    """Options of a verb that runs a checkpoint on a system: the fields of `ternforge.decoding.Asked`."""
    for option in reversed(_DECODED):
        command = option(command)
    return command


_DECODED: tuple[Decorator, ...] = (
    click.option(
        "--checkpoint", type=choices.FILE, metavar="DIR|FILE", help="Of a system: the model that it runs."
    ),
    click.option("--prompt", metavar="WORDS", help="Of a system: what to continue."),
    click.option(
        "--beside",
        metavar="WORDS",
        multiple=True,
        help="Of a system: another prompt, continued in the same passes; may be given again.",
    ),
    click.option(
        "--tokens",
        type=choices.Whole(1, 1 << 20),
        metavar="N",
        help="Of a system: tokens to make.  [default: 16]",
    ),
    click.option(
        "--memory",
        type=choices.Named(lambda: MEMORIES),
        help="Of a system: behavior of its memory.  [default: system, as it is described]",
    ),
    click.option(
        "--temperature",
        type=choices.Real(),
        metavar="T",
        help="Of a system: draw tokens with this temperature, by --seed.  [default: 0, the most likely ones]",
    ),
    top_k_option,
    click.option("--calibrate", type=choices.FILE, metavar="FILE.txt", help="Of a system: see compile."),
    click.option("--image", type=choices.FOLDER, metavar="DIR", help="Of a system: what compile wrote."),
)
batch_option: Decorator = click.option(
    "--batch",
    type=choices.Whole(1),
    metavar="B",
    help="Of a system: sequences whose tokens share a pass over the weights.  [default: 1]",
)
study_argument: Decorator = click.argument("study", type=choices.FOLDER)


def shape_options(model: str, context: str) -> Decorator:
    """``--model`` and ``--context`` of a verb that takes a model's shapes on a system, with their help."""

    def add(command: Any) -> Any:
        command = click.option("--context", type=choices.Whole(0), metavar="N", help=context)(command)
        return click.option("--model", metavar="MODEL", help=model)(command)

    return add


def out_option(kind: Any, metavar: str, text: str, *, required: bool = False) -> Decorator:
    """``-o``, where a verb writes: a file or a folder."""
    return click.option("-o", "--out", required=required, type=kind, metavar=metavar, help=text)


def workload_from(workload: str | None, gemm: str | None) -> str | None:
    """The workload that ``--workload`` or ``--gemm`` names; only one may be given."""
    if workload is not None and gemm is not None:
        raise click.UsageError("Workload must be given by --workload or --gemm, not both")
    if gemm is not None:
        from blueprint.workloads.tasks import (
            parse_gemm,  # with NumPy, which verbs without work do not need
        )

        parse_gemm(gemm)
    return gemm or workload
