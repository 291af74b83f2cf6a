"""Model shapes from a Hugging Face folder; only its ``config.json`` is read, never the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from blueprint.document import Section, read
from blueprint.errors import ParamError, SpecError
from blueprint.model import Model
from blueprint.names import NAME_RULE, is_name, plain

#: Keys that say the layers are not the plain decoder block that :func:`blueprint.model.layers` lists.
_UNSUPPORTED = ("num_experts", "num_local_experts", "n_routed_experts", "text_config", "vision_config")


@dataclass(frozen=True)
class Imported:
    """A model, whether its config claims ternary weights, and the keys of the config that were not needed."""

    model: Model
    ternary: bool
    ignored: tuple[str, ...]


def read_config(folder: str | Path, name: str | None = None) -> Imported:
    """The model that ``folder/config.json`` describes (``folder`` may also be that file).

    Raises ``SpecError``: no such file, a key missing or of the wrong kind, shapes that contradict each other, or a
    model that is no plain decoder; ``ParamError`` for a bad ``name``.
    """
    path = Path(folder)
    if not path.exists():
        raise SpecError(f"{path}:1:1: folder must exist, and there is none")
    path = path / "config.json" if path.is_dir() else path
    section = read(path)
    name = name or plain(path.resolve().parent.name)
    if not is_name(name):
        raise ParamError(f"Model name must be {NAME_RULE}, not {name!r}; give one with --name")
    _check_kind(section)
    model = _model(section, name)
    ternary = _is_ternary(section)
    used = {
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
    }
    used |= {"head_dim", "vocab_size", "max_position_embeddings", "hidden_act", "tie_word_embeddings"}
    used |= {"quantization_config", "is_encoder_decoder"}
    return Imported(model, ternary, tuple(sorted(set(section.keys()) - used)))


def _check_kind(section: Section) -> None:
    for key in _UNSUPPORTED:
        if key in section:
            raise section.error(key, f"model must be a plain decoder, and {key} says it is not")
    if section.take("is_encoder_decoder", bool, default=False):
        raise section.error("is_encoder_decoder", "model must be a plain decoder, not an encoder-decoder")


def _model(section: Section, name: str) -> Model:
    def size(key: str, default: int | None = None) -> int:
        if default is not None and section.raw().get(key) is None:
            return default
        value: int = section.take(key, int, minimum=1, maximum=1 << 24)
        return value

    hidden, heads = size("hidden_size"), size("num_attention_heads")
    if "head_dim" not in section and hidden % heads:
        what = (
            f"hidden_size must be a multiple of the {heads} heads where head_dim is not given, not {hidden}"
        )
        raise section.error("hidden_size", what)
    kv_heads = size("num_key_value_heads", heads)
    if heads % kv_heads:
        what = f"num_key_value_heads must divide the {heads} heads, not be {kv_heads}"
        raise section.error("num_key_value_heads", what)
    return Model(
        name=name,
        title=name,
        source=section.source,
        hidden=hidden,
        ffn=size("intermediate_size"),
        layers=size("num_hidden_layers"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=size("head_dim", hidden // heads),
        vocab=size("vocab_size"),
        context=size("max_position_embeddings"),
        activation=section.take("hidden_act", str, default="silu"),
        tied_embeddings=section.take("tie_word_embeddings", bool, default=False),
    )


def _is_ternary(section: Section) -> bool:
    config = section.take("quantization_config", dict, default={})
    return config.get("quant_method") in ("bitnet", "bitnet_ternary")
