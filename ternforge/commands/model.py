"""``ternforge model`` on the command line."""

from __future__ import annotations

import click

from blueprint.words import LARGEST, PHASES
from ternforge import choices
from ternforge.options import force_option, out_option, seed_option, top_k_option
from ternforge.session import Session, table
from ternforge.shell import LazyGroup, Verb
from ternforge.words import ENCODINGS

_VERBS = {
    "list": "The models that come with the package.",
    "show": "One model's shapes and products.",
    "import": "Shapes and tensors of a checkpoint.",
    "export": "A checkpoint as GGUF or as a packed folder.",
    "generate": "Text that a checkpoint continues, in NumPy.",
}


@click.group("model", cls=LazyGroup, verbs={name: (__name__, text) for name, text in _VERBS.items()})
def model_() -> None:
    """Language models by their shapes; only ternary linear layers count, never embedding or LM head."""


@click.command("list", cls=Verb)
@click.pass_obj
def list_(session: Session) -> None:
    """Names of the packaged models."""
    from ternforge.verbs import model as verb

    answer = verb.models()
    header = ("name", "hidden", "ffn", "layers", "heads", "kv", "ternary weights", "KV bytes/token")
    keys = ("name", "hidden", "ffn", "layers", "heads", "kv_heads", "ternary_weights", "kv_bytes_per_token")
    session.answer(answer, table([[model[key] for key in keys] for model in answer["models"]], header))


@click.command("show", cls=Verb)
@click.argument("name", type=choices.Named(choices.models, file=True, shown="NAME"))
@click.option(
    "--phase",
    type=choices.Named(lambda: PHASES),
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
    from ternforge.verbs import model as verb

    answer = verb.model(name, phase, tokens)
    rows = [[gemm.name, gemm.m, gemm.k, gemm.n, gemm.count, gemm.macs] for gemm in answer["gemms"]]
    head = f"{answer['title']}: {answer['ternary_weights']:,} ternary weights; source: {answer['source']}"
    head = "\n".join([head, *(f"note: {note}" for note in answer["notes"])])
    session.answer(answer, [head, *table(rows, ("layer", "m", "k", "n", "count", "MACs"))])


@click.command("import", cls=Verb)
@click.argument("folder", metavar="PATH", type=choices.FILE)
@click.option("--name", metavar="NAME", help="Name of the model; without it the folder's.")
@out_option(choices.FILE, "FILE.yaml", "Model file to write.")
@click.option(
    "--like",
    type=choices.Named(choices.architectures, shown="TYPE"),
    help="Read it as this type of model, as in `llama`.",
)
@click.option("--shapes", "shapes_only", is_flag=True, help="Read config.json alone, no weights.")
@force_option
@click.pass_obj
def import_(
    session: Session,
    folder: str,
    name: str | None,
    out: str | None,
    like: str | None,
    shapes_only: bool,
    force: bool,
) -> None:
    """Say what the tensors of PATH are (Hugging Face folder, safetensors, GGUF), and write its shapes."""
    from ternforge.verbs import model as verb

    answer = verb.model_import(
        folder, out, name, like=like, shapes_only=shapes_only, force=force, note=session.note
    )
    for note in (*answer["notes"], *answer["weights"]["notes"]):
        session.note(f"note: {note}")
    if answer["ignored"]:
        session.note(f"note: not needed and ignored: {', '.join(answer['ignored'])}")
    begin = f"wrote {out}: {answer['name']}" if out else answer["name"]
    session.answer(answer, [f"{begin}, {answer['ternary_weights']:,} ternary weights", *verb.tables(answer)])


@click.command("export", cls=Verb)
@click.argument("path", metavar="PATH", type=choices.FILE)
@click.option(
    "--encoding",
    type=choices.Named(lambda: ENCODINGS),
    default="tq2_0",
    show_default=True,
    help="How weights are written.",
)
@out_option(choices.FILE, "FILE.gguf|DIR", "GGUF file, or folder for `packed`.", required=True)
@force_option
@click.pass_obj
def export_(session: Session, path: str, encoding: str, out: str, force: bool) -> None:
    """Write the ternary checkpoint PATH as a GGUF file or as a packed Hugging Face folder."""
    from ternforge.verbs import model as verb

    answer = verb.model_export(path, out, encoding, force=force, note=session.note)
    rounding = (
        f"; scales rounded by at most {answer['scale_rounding']:.1e}" if answer["scale_rounding"] else ""
    )
    session.answer(answer, [f"wrote {out}: {answer['name']} as {encoding}{rounding}"])


@click.command("generate", cls=Verb)
@click.argument("path", metavar="PATH", type=choices.FILE)
@click.option("--prompt", metavar="TEXT", required=True, help="Text to continue.")
@click.option(
    "--tokens", type=choices.Whole(1, LARGEST), default=16, show_default=True, help="Tokens to make at most."
)
@click.option(
    "--temperature",
    type=choices.Real(),
    metavar="T",
    default=0.0,
    help="Draw tokens with this temperature, by --seed.",
)
@seed_option
@top_k_option
@click.pass_obj
def generate_(
    session: Session,
    path: str,
    prompt: str,
    tokens: int,
    temperature: float,
    seed: int | None,
    top_k: int | None,
) -> None:
    """Continue TEXT with the ternary checkpoint PATH: the reference that hardware is compared with, in NumPy."""
    from ternforge.verbs import model as verb

    answer = verb.model_generate(
        path, prompt, tokens, temperature=temperature, seed=seed, top_k=top_k, note=session.note
    )
    session.answer(answer, [f"{prompt}{answer['text']}"])
