"""Language models by their shapes, and the matrix products and attention of a forward pass.

Of the products, only the ternary linear layers are counted. Embedding and LM head of these models are not ternary
(bf16 or INT8) and do not run on a ternary accelerator: they are left out unless asked for, see
:attr:`Model.lm_head_parameters`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.files import kinds, schemas
from blueprint.files.document import Section, read
from blueprint.files.names import NAME_RULE, is_name, plain
from blueprint.files.nearest import suggestion
from blueprint.files.tree import dump, show
from blueprint.words import PHASES as PHASES
from blueprint.workloads.tasks import Attention, Gemm

_FOLDER = Path(__file__).with_name("models")
#: Largest size of any dimension: 2**24 is a hundred times the largest vocabulary there is.
LARGEST_SIZE = 1 << 24


@dataclass(frozen=True)
class Model:
    """The shapes of a decoder-only language model with grouped-query attention.

    The feed-forward has a gate beside its first projection where it is ``gated``. With ``sub_norms`` a norm stands in
    front of the output and of the down projection. ``notes`` say what a reader of the numbers should know.
    """

    name: str
    title: str
    source: str
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context: int
    activation: str = (
        "silu"  # nonlinear function of the feed-forward; in a design of matrix products a number format
    )
    tied_embeddings: bool = False
    aliases: tuple[str, ...] = ()
    gated: bool = True
    notes: tuple[str, ...] = ()
    sub_norms: bool = False

    @property
    def ternary_weights(self) -> int:
        """Weights of all ternary linear layers."""
        return sum(gemm.k * gemm.n * gemm.count for gemm in layers(self, "decode"))

    @property
    def lm_head_parameters(self) -> int:
        """Weights of the LM head, ``hidden * vocab``; not ternary, and in no other number here."""
        return self.hidden * self.vocab

    def kv_bytes_per_token(self, width: int = 8) -> int:
        """Bytes that one token adds to the key and value cache at ``width`` bits per element."""
        return 2 * self.layers * self.kv_heads * self.head_dim * width // 8


def layers(model: Model, phase: str, tokens: int = 1, *, lm_head: bool = False) -> tuple[Gemm, ...]:
    """The matrix products of one forward pass, equal shapes of different blocks merged through ``count``.

    ``tokens`` are processed side by side: sequences of a batch in ``decode`` (one new token each), the prompt in
    ``prefill``. With ``lm_head`` the vocabulary projection follows (of the last token only in ``prefill``); it is
    excluded otherwise because its weights are not ternary.
    """
    _check_phase(phase)
    query, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    shapes = {
        "q": (model.hidden, query),
        "k": (model.hidden, keys),
        "v": (model.hidden, keys),
        "o": (query, model.hidden),
        "gate": (model.hidden, model.ffn),
        "up": (model.hidden, model.ffn),
        "down": (model.ffn, model.hidden),
    }
    if not model.gated:
        del shapes["gate"]
    gemms = tuple(Gemm(tokens, k, n, name, model.layers) for name, (k, n) in shapes.items())
    head = Gemm(tokens if phase == "decode" else 1, model.hidden, model.vocab, "lm_head")
    return (*gemms, head) if lm_head else gemms


def attention(model: Model, phase: str, tokens: int = 1, context: int = 0) -> tuple[Attention, ...]:
    """The attention of one forward pass, one task that is repeated in every layer.

    A prompt of ``tokens`` is one causal attention after ``context`` positions. In ``decode`` every token belongs to a
    sequence of its own: a single query that sees its own ``context`` and itself.
    """
    _check_phase(phase)
    rows, times = (tokens, 1) if phase == "prefill" else (1, tokens)
    heads = (model.heads, model.kv_heads, model.head_dim)
    return (Attention(rows, context + rows, *heads, "causal", count=model.layers * times),)


def _check_phase(phase: str) -> None:
    if phase not in PHASES:
        hint = suggestion(phase, PHASES)
        raise ParamError(f"Phase must be one of {', '.join(PHASES)}, not {phase!r}{hint}")


@cache
def names() -> tuple[str, ...]:
    """Names of the packaged models."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def load(name: str | Path) -> Model:
    """A model by name, or from a model file (``.yaml``).

    Raises ``ParamError`` for an unknown name, with the nearest one, and ``SpecError`` for a bad file.
    """
    text = str(name)
    if text.endswith((".yaml", ".yml")):
        return model_from(read(name))
    known = _index()
    if plain(text) not in known and Path(text).exists():
        raise ParamError(f"Model must be a name or a .yaml file, not {kinds.of_path(Path(text))}: {text}")
    if plain(text) not in known:
        hint = suggestion(text[:100], [*names(), *known])
        raise ParamError(f"Model must be one of {', '.join(names())} or a .yaml file, not {show(text)}{hint}")
    return known[plain(text)]


@cache
def _index() -> dict[str, Model]:
    found = {}
    for name in names():
        model = model_from(read(_FOLDER / f"{name}.yaml"))
        found.update({plain(alias): model for alias in (model.name, model.title, *model.aliases)})
    return found


def model_from(section: Section) -> Model:
    """The model in a document of schema ``ternforge/model/v1``. Raises ``SpecError``."""
    section.check_schema(schemas.MODEL)
    name = section.take("name", str)
    if not is_name(name):
        raise section.error("name", f"name must be {NAME_RULE}, not {show(name)}")
    sizes = ("hidden", "ffn", "layers", "heads", "kv_heads", "head_dim", "vocab", "context")
    values: dict[str, Any] = {key: section.take(key, int, minimum=1, maximum=LARGEST_SIZE) for key in sizes}
    values["title"] = section.take("title", str, default=name)
    values["source"] = section.take("source", str)
    values["activation"] = section.take("activation", str, default="silu")
    values["tied_embeddings"] = section.take("tied_embeddings", bool, default=False)
    values["gated"] = section.take("gated", bool, default=True)
    values["sub_norms"] = section.take("sub_norms", bool, default=False)
    for key in ("aliases", "notes"):
        values[key] = _texts(section, key)
    section.finish()
    if values["heads"] % values["kv_heads"]:
        what = f"kv_heads must divide the {values['heads']} heads, not be {values['kv_heads']}"
        raise section.error("kv_heads", what)
    return Model(name=name, **values)


def _texts(section: Section, key: str) -> tuple[str, ...]:
    found = section.take(key, list, default=[])
    for index, item in enumerate(found):
        if not isinstance(item, str):
            raise section.error((key, index), f"{key} must hold texts, not {show(item)}")
    return tuple(found)


def model_text(model: Model) -> str:
    """The YAML text of a model, which :func:`load` reads back as the same."""
    return dump(model_content(model))


def model_content(model: Model) -> dict[str, Any]:
    """Contents of a model file as plain values."""
    facts = dataclasses.asdict(model).items()
    return {"schema": schemas.MODEL, **{key: list(v) if isinstance(v, tuple) else v for key, v in facts}}
