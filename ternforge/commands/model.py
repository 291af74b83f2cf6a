"""``ternforge model``."""

from __future__ import annotations

import click

from ternforge import choices
from ternforge.session import Session, table
from ternforge.shell import LazyGroup, Verb, force_option

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
    """The models that come with the package."""
    from ternforge import api

    answer = api.models()
    header = ("name", "hidden", "ffn", "layers", "heads", "kv", "ternary weights", "KV bytes/token")
    keys = ("name", "hidden", "ffn", "layers", "heads", "kv_heads", "ternary_weights", "kv_bytes_per_token")
    session.answer(answer, table([[model[key] for key in keys] for model in answer["models"]], header))


@click.command("show", cls=Verb)
@click.argument("name", type=choices.Named(choices.models, file=True, shown="NAME"))
@click.option(
    "--phase", type=choices.Named(choices.phases), default="decode", show_default=True, help="What it does."
)
@click.option(
    "--tokens", type=choices.Whole(1, 1 << 20), default=1, show_default=True, help="Tokens side by side."
)
@click.pass_obj
def show_(session: Session, name: str, phase: str, tokens: int) -> None:
    """The shapes of the model NAME (or of a model file) and the products of one forward pass."""
    from ternforge import api

    answer = api.model(name, phase, tokens)
    rows = [[gemm.name, gemm.m, gemm.k, gemm.n, gemm.count, gemm.macs] for gemm in answer["gemms"]]
    head = f"{answer['title']}: {answer['ternary_weights']:,} ternary weights; source: {answer['source']}"
    head = "\n".join([head, *(f"note: {note}" for note in answer["notes"])])
    session.answer(answer, [head, *table(rows, ("layer", "m", "k", "n", "count", "MACs"))])


@click.command("import", cls=Verb)
@click.argument("folder", type=choices.FILE)
@click.option("--name", metavar="NAME", help="Name of the model; without it the folder's.")
@click.option(
    "-o", "--out", required=True, type=choices.FILE, metavar="FILE.yaml", help="Model file to write."
)
@click.option(
    "--like",
    type=choices.Named(choices.architectures, shown="TYPE"),
    help="Read it as this type of model, as in `llama`.",
)
@force_option
@click.pass_obj
def import_(session: Session, folder: str, name: str | None, out: str, like: str | None, force: bool) -> None:
    """Write the shapes in FOLDER/config.json (Hugging Face) as a model file; weights are not read."""
    from ternforge import api

    answer = api.model_import(folder, out, name, like=like, force=force)
    for note in answer["notes"]:
        session.note(f"note: {note}")
    if answer["ignored"]:
        session.note(f"note: not needed and ignored: {', '.join(answer['ignored'])}")
    session.answer(answer, [f"wrote {out}: {answer['name']}, {answer['ternary_weights']:,} ternary weights"])
