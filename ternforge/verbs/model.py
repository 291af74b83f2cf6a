"""``ternforge model``: language models that come with the package, and those that are imported."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from blueprint.files import schemas
from blueprint.workloads import huggingface
from blueprint.workloads import model as shapes
from blueprint.workloads.tasks import LARGEST
from ternforge import choices
from ternforge.folder import YAML, output_file
from ternforge.options import force_option, out_option
from ternforge.session import Answer, Session, table
from ternforge.shell import LazyGroup, Verb


def models() -> Answer:
    """The language models that come with the package."""
    return {"models": [_summary(shapes.load(name)) for name in shapes.names()]}


def model(name: str | Path, phase: str = "decode", tokens: int = 1) -> Answer:
    """One model's shapes, and the products of one forward pass."""
    chosen = shapes.load(name)
    gemms = shapes.layers(chosen, phase, tokens)
    return {
        **_summary(chosen),
        "phase": phase,
        "tokens": tokens,
        "gemms": gemms,
        "macs": sum(g.macs for g in gemms),
    }


def model_import(
    folder: str | Path,
    out: str | Path,
    name: str | None = None,
    *,
    like: str | None = None,
    force: bool = False,
) -> Answer:
    """Write the shapes in a Hugging Face folder's ``config.json`` as a model file.

    ``like`` is the type of model to read it as, where the config names one that is not known.
    """
    found = huggingface.read_config(folder, name, like)
    with output_file(out, YAML, "model import", schema=schemas.MODEL, force=force) as draft:
        draft.write_text(shapes.model_text(found.model), encoding="utf-8")
    return {
        **_summary(found.model),
        "file": Path(out),
        "ternary": found.ternary,
        "ignored": found.ignored,
    }


def _summary(chosen: shapes.Model) -> Answer:
    """A model's shapes with the numbers that follow from them."""
    derived = {
        "ternary_weights": chosen.ternary_weights,
        "lm_head_parameters": chosen.lm_head_parameters,
        "kv_bytes_per_token": chosen.kv_bytes_per_token(),
    }
    return {**dataclasses.asdict(chosen), **derived}


_VERBS = {
    "list": "The models that come with the package.",
    "show": "One model's shapes and products.",
    "import": "Shapes from a Hugging Face folder.",
}


@click.group("model", cls=LazyGroup, verbs={name: (__name__, text) for name, text in _VERBS.items()})
def model_() -> None:
    """Language models by their shapes; only ternary linear layers count, never embedding or LM head."""


@click.command("list", cls=Verb)
@click.pass_obj
def list_(session: Session) -> None:
    """Names of the packaged models."""
    answer = models()
    header = ("name", "hidden", "ffn", "layers", "heads", "kv", "ternary weights", "KV bytes/token")
    keys = ("name", "hidden", "ffn", "layers", "heads", "kv_heads", "ternary_weights", "kv_bytes_per_token")
    session.answer(answer, table([[model[key] for key in keys] for model in answer["models"]], header))


@click.command("show", cls=Verb)
@click.argument("name", type=choices.Named(shapes.names, file=True, shown="NAME"))
@click.option(
    "--phase",
    type=choices.Named(lambda: shapes.PHASES),
    default="decode",
    show_default=True,
    help="What it does.",
)
@click.option(
    "--tokens", type=choices.Whole(1, LARGEST), default=1, show_default=True, help="Tokens side by side."
)
@click.pass_obj
def show_(session: Session, name: str, phase: str, tokens: int) -> None:
    """The shapes of the model NAME (or of a model file) and the products of one forward pass."""
    answer = model(name, phase, tokens)
    rows = [[gemm.name, gemm.m, gemm.k, gemm.n, gemm.count, gemm.macs] for gemm in answer["gemms"]]
    head = f"{answer['title']}: {answer['ternary_weights']:,} ternary weights; source: {answer['source']}"
    head = "\n".join([head, *(f"note: {note}" for note in answer["notes"])])
    session.answer(answer, [head, *table(rows, ("layer", "m", "k", "n", "count", "MACs"))])


@click.command("import", cls=Verb)
@click.argument("folder", type=choices.FILE)
@click.option("--name", metavar="NAME", help="Name of the model; without it the folder's.")
@out_option(choices.FILE, "FILE.yaml", "Model file to write.", required=True)
@click.option(
    "--like",
    type=choices.Named(huggingface.architectures, shown="TYPE"),
    help="Read it as this type of model, as in `llama`.",
)
@force_option
@click.pass_obj
def import_(session: Session, folder: str, name: str | None, out: str, like: str | None, force: bool) -> None:
    """Write the shapes in FOLDER/config.json (Hugging Face) as a model file; weights are not read."""
    answer = model_import(folder, out, name, like=like, force=force)
    for note in answer["notes"]:
        session.note(f"note: {note}")
    if answer["ignored"]:
        session.note(f"note: not needed and ignored: {', '.join(answer['ignored'])}")
    session.answer(answer, [f"wrote {out}: {answer['name']}, {answer['ternary_weights']:,} ternary weights"])
