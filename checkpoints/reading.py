"""Reads a checkpoint from a Hugging Face folder, a safetensors file with its ``config.json``, or a GGUF file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from blueprint.errors import SpecError
from blueprint.files import kinds
from blueprint.files.nearest import nearest, suggestion
from blueprint.workloads import huggingface
from blueprint.workloads.model import Model
from checkpoints import decoder as decoders
from checkpoints import gguf_file, names, safetensors_file, vocabulary
from checkpoints.checkpoint import Checkpoint, Dense, Matrix, of_stored
from checkpoints.decoder import Described
from checkpoints.faults import fault, of_tensor
from checkpoints.linear import Linear
from checkpoints.names import GATE, HEAD_NORMS, LINEAR, NORMS, SUB_NORMS, Place, Scheme, Sorted
from checkpoints.stored import Stored
from checkpoints.vocabulary import Vocabulary

#: Said of a model whose class has a gate and whose file has none.
NO_GATE = "no layer has a gate, though models of this class have one: the feed-forward is read without"
_OTHER_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.msgpack", "*.h5", "*.onnx")


@dataclass(frozen=True)
class Read:
    """Contents of a path: the shapes of a model, and its weights if they can be read.

    ``ternary`` is what the file claims; ``ignored`` are keys of a configuration that were not needed, ``notes`` what a
    reader should know of the weights.
    """

    model: Model
    ternary: bool
    ignored: tuple[str, ...]
    checkpoint: Checkpoint | None
    notes: tuple[str, ...] = ()


def read(path: str | Path, name: str | None = None, like: str | None = None) -> Read:
    """Read a folder or file; only the headers of weights are read. Raises ``SpecError`` and ``ParamError``."""
    place = Path(path)
    if place.suffix == ".gguf" or (place.is_file() and kinds.of_path(place).startswith("a GGUF")):
        return _gguf(place, name)
    if place.suffix == ".safetensors" and place.exists():
        safetensors_file.check_whole(place)
        return _folder(place.parent, name, like, place)
    if not place.is_dir():
        return shapes(place, name, like)
    return _folder(place, name, like)


def shapes(path: str | Path, name: str | None = None, like: str | None = None) -> Read:
    """The shapes in a configuration alone. Raises ``SpecError`` and ``ParamError``."""
    found = huggingface.read_config(path, name, like)
    return Read(found.model, found.ternary, found.ignored, None)


def _folder(folder: Path, name: str | None, like: str | None, file: Path | None = None) -> Read:
    only = shapes(folder, name, like)
    stored = safetensors_file.read_file(file) if file else safetensors_file.read_folder(folder)
    if stored is None:
        return dataclasses.replace(only, notes=(_no_weights(folder),))
    described = decoders.of_folder(folder, name, like)
    try:
        plan = _plan(file or folder, described, stored, names.HUGGING_FACE)
    except SpecError as problem:
        if described.claims:
            raise
        # A model of full precision may have layers that no ternary decoder has.
        return dataclasses.replace(only, notes=(f"weights are not read: {problem}",))
    words = vocabulary.of_folder(folder)
    notes = _check_vocabulary(words, described.decoder.model) if words else ("there is no tokenizer.json",)
    found = _checkpoint(plan, described, stored, words)
    return Read(found.decoder.model, described.claims, described.ignored, found, notes)


def _no_weights(folder: Path) -> str:
    others = sorted(path.name for pattern in _OTHER_WEIGHTS for path in folder.glob(pattern))
    if others:
        return f"weights are not read: they must be in {safetensors_file.SINGLE}, not in {others[0]}"
    return f"weights are not read: there is neither {safetensors_file.SINGLE} nor {safetensors_file.INDEX}"


def _gguf(path: Path, name: str | None) -> Read:
    if not path.exists():
        hint = (
            suggestion(path.name, [file.name for file in path.parent.glob("*.gguf")])
            if path.parent.is_dir()
            else ""
        )
        raise fault(path, f"file must exist, and there is none{hint}")
    metadata, stored = gguf_file.read_file(path)
    embedding = stored.get(names.GGUF.name((None, "embedding")))
    rows = embedding.shape[0] if embedding else None
    tied = names.GGUF.name((None, "head")) not in stored
    described = decoders.of_metadata(path, metadata, rows, tied, name)
    plan = _plan(path, described, stored, names.GGUF)
    words = vocabulary.of_metadata(path, metadata)
    if isinstance(words, Vocabulary):
        found, notes = words, _check_vocabulary(words, described.decoder.model)
    else:
        found, notes = None, (words or "there is no vocabulary in the file",)
    checkpoint = _checkpoint(plan, described, stored, found)
    return Read(checkpoint.decoder.model, described.claims, (), checkpoint, notes)


def _check_vocabulary(words: Vocabulary, model: Model) -> tuple[str, ...]:
    """Raise ``SpecError`` for tokens without an embedding; note embeddings without a token."""
    if words.size > model.vocab:
        what = f"its {words.size} tokens must have one embedding each, and there are {model.vocab}"
        raise fault(words.source, f"vocabulary must be that of the model: {what}")
    spare = model.vocab - words.size
    return (f"{spare} of {model.vocab} embeddings are of no token",) if spare else ()


@dataclass(frozen=True)
class _Plan:
    """Names of tensors by place, the shape that each place must have, and the model with the parts that are there."""

    source: Path
    found: Sorted
    expected: Mapping[Place, tuple[int, ...]]
    model: Model


def _plan(source: Path, described: Described, stored: Mapping[str, Stored], scheme: Scheme) -> _Plan:
    """Assign each tensor to its place. Raises ``SpecError`` for one that is missing and for one without a place."""
    found = scheme.sort(stored)
    roles = {role for _, role in found.weights}
    model = _with_parts(described.decoder.model, roles)
    expected = _expected(model, roles, len(stored))
    _check_places(source, scheme, found, expected)
    return _Plan(source, found, expected, model)


def _with_parts(model: Model, roles: set[str]) -> Model:
    """The model with the sub-norms and the gate that tensors of these roles make: a class may have more."""
    model = dataclasses.replace(model, sub_norms=not roles.isdisjoint(SUB_NORMS))
    if not model.gated or GATE in roles:
        return model
    return dataclasses.replace(model, gated=False, notes=(*model.notes, NO_GATE))


def _checkpoint(
    plan: _Plan, described: Described, stored: Mapping[str, Stored], words: Vocabulary | None
) -> Checkpoint:
    """The checkpoint of a file's tensors, whose shapes are checked."""
    matrices, dense = {}, {}
    for place, shape in plan.expected.items():
        weight = stored[plan.found.weights[place]]
        if place[1] in LINEAR:
            scale = plan.found.scales.get(place)
            beside = stored[scale] if scale else None
            matrices[place] = _matrix(Linear(weight, beside, _pair(shape), described.convention))
        else:
            dense[place] = _dense(weight, shape)
    decoder = dataclasses.replace(described.decoder, model=plan.model)
    return Checkpoint(decoder, matrices, dense, words, plan.source)


def _pair(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[0], shape[1]


def _expected(model: Model, roles: set[str], tensors: int) -> dict[Place, tuple[int, ...]]:
    """The shape of every tensor that the decoder must have, by place; norms of heads where there is one of them.

    No more layers are listed than there are ``tensors``, and one: that is enough to find one that is missing.
    """
    query, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    inner: dict[str, tuple[int, ...]] = {
        "q": (query, model.hidden),
        "k": (keys, model.hidden),
        "v": (keys, model.hidden),
        "o": (model.hidden, query),
        GATE: (model.ffn, model.hidden),
        "up": (model.ffn, model.hidden),
        "down": (model.hidden, model.ffn),
        **dict.fromkeys(NORMS, (model.hidden,)),
    }
    if not model.gated:
        del inner[GATE]
    if model.sub_norms:
        inner |= {"attention_sub_norm": (query,), "ffn_sub_norm": (model.ffn,)}
    if not roles.isdisjoint(HEAD_NORMS):
        inner |= dict.fromkeys(HEAD_NORMS, (model.head_dim,))
    expected: dict[Place, tuple[int, ...]] = {(None, "embedding"): (model.vocab, model.hidden)}
    for layer in range(min(model.layers, tensors + 1)):
        expected.update({(layer, role): shape for role, shape in inner.items()})
    expected[None, "final_norm"] = (model.hidden,)
    if not model.tied_embeddings:
        expected[None, "head"] = (model.vocab, model.hidden)
    return expected


def _check_places(
    source: Path, scheme: Scheme, found: Sorted, expected: Mapping[Place, tuple[int, ...]]
) -> None:
    tied = (None, "head")  # a head that is not expected is a copy of the embedding
    places = {
        **found.weights,
        **{place: name for place, name in found.scales.items() if place not in expected},
    }
    spare = [
        *found.others,
        *(name for place, name in places.items() if place not in expected and place != tied),
    ]
    for place in expected:
        if place not in found.weights:
            name = scheme.name(place)
            hint = suggestion(name, spare) or _near(name, found.weights.values())
            raise of_tensor(source, name, f"must be there, and is missing{hint}")
    if spare:
        must = "must be one that a decoder of these sizes has, and is not"
        raise of_tensor(source, spare[0], f"{must}{_near(spare[0], map(scheme.name, expected))}")


def _near(name: str, names: Iterable[str]) -> str:
    found = nearest(name, names)
    return f"; the nearest is {found!r}" if found else ""


def _matrix(linear: Linear) -> Matrix:
    linear.check()
    return Matrix(linear.weight.name, linear.shape, linear.weight.kind, linear.read)


def _dense(stored: Stored, shape: tuple[int, ...]) -> Dense:
    if stored.shape != shape:
        raise stored.error(f"must have the shape {list(shape)}, not {list(stored.shape)}")
    return of_stored(stored)
