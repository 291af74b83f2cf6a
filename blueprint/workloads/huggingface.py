"""Model shapes from a Hugging Face folder; only its ``config.json`` is read, never the network.

``architectures.yaml`` beside this module says, for every type of model, how its keys are called, what a missing one
means and whether its feed-forward has a gate. A type that is not there is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from blueprint.errors import ParamError, SpecError
from blueprint.files import kinds
from blueprint.files.document import Section, read_json
from blueprint.files.names import NAME_RULE, is_name, plain
from blueprint.files.nearest import suggestion
from blueprint.files.tree import show
from blueprint.workloads.model import LARGEST_SIZE, Model

#: Keys that make the feed-forward a mixture of experts if their value is above one.
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
#: Keys whose presence means that the blocks are not the plain ones of :func:`blueprint.workloads.model.layers`.
_UNSUPPORTED = ("kv_lora_rank", "cross_attention_layers", "attn_layer_indices", "layers_block_type")
_FLAGS = {"is_encoder_decoder": "an encoder-decoder", "add_cross_attention": "a decoder with cross-attention"}
#: Keys under which models with several kinds of input describe their language model.
_INNER = ("text_config", "llm_config", "language_config")
#: Kinds of layers with the plain projections; they differ only in the keys that a query sees.
_FULL, _SLIDING, _CHUNKED = ("full_attention", "global"), ("sliding_attention", "local"), "chunked_attention"
_KINDS = (*_FULL, _SLIDING[0], _CHUNKED, *_SLIDING[1:])
_TERNARY = ("bitnet", "bitnet_ternary")


@dataclass(frozen=True)
class Imported:
    """A model, whether its config claims ternary weights, and the keys of the config that were not needed.

    What a reader should know of the numbers is in the model's ``notes``.
    """

    model: Model
    ternary: bool
    ignored: tuple[str, ...]
    windows: tuple[
        int, ...
    ] = ()  # of each layer the last positions that it sees, 0 for all; empty where all do


@dataclass(frozen=True)
class Architecture:
    """Keys and defaults of the configuration of a type of model."""

    name: str
    gated: bool
    sub_norms: bool
    names: Mapping[str, tuple[str, ...]]  # possible keys of each size, in the order in which they are tried
    defaults: Mapping[str, Any]
    ffn_over_hidden: int | None
    multi_query: bool


def architectures() -> tuple[str, ...]:
    """Supported types of models."""
    return tuple(sorted(_table()["architectures"]))


@cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("architectures.yaml").read_text("utf-8"))
    return found


def architecture(name: str, key: str = "model_type") -> Architecture:
    """The architecture ``name``. Raises ``ParamError`` if it is unknown or no plain decoder."""
    table = _table()
    if name in table["refused"]:
        raise ParamError(f"model must be a plain decoder, not {name}: {table['refused'][name]}")
    if name not in table["architectures"]:
        hint = suggestion(name, table["architectures"])
        remedy = "" if hint or key == "--like" else "; --like TYPE reads it as one of these"
        raise ParamError(f"{key} must be one of {', '.join(architectures())}, not {show(name)}{hint}{remedy}")
    entry = table["architectures"][name]
    names = {key: _names(entry.get("names", {}).get(key), usual) for key, usual in table["keys"].items()}
    return Architecture(
        name,
        entry["gated"],
        entry.get("sub_norms", False),
        names,
        entry["defaults"],
        entry.get("ffn_over_hidden"),
        entry.get("multi_query", False),
    )


def _names(own: str | list[str] | None, usual: str) -> tuple[str, ...]:
    listed = own if isinstance(own, list) else [own] if own else []
    return tuple(dict.fromkeys([*listed, usual]))


def read_config(folder: str | Path, name: str | None = None, like: str | None = None) -> Imported:
    """The model that ``folder/config.json`` describes (``folder`` may also be that file).

    ``like`` reads it as another type of model than it names. Raises ``SpecError``: no such file, another kind of
    file, a key missing or of the wrong kind, shapes that contradict each other, a type that is unknown or no plain
    decoder; ``ParamError`` for a bad ``name`` or ``like``.
    """
    path = _config_file(Path(folder))
    outer = read_json(path)
    name = name or plain(path.resolve().parent.name)
    if not is_name(name):
        raise ParamError(f"Model name must be {NAME_RULE}, not {name!r}; give one with --name")
    _check_file(outer)
    section = _language(outer)
    kind = architecture(like, "--like") if like is not None else _kind(outer, section)
    _check_plain(section)
    reader = _Reader(section, kind)
    quantized = _quantized(outer)
    notes = [*reader.notes(), *_left_out(outer, section)]
    model = reader.model(name, outer.source, notes)
    ignored = sorted(set(section.keys()) - section.known() - {"architectures"})
    return Imported(model, quantized in _TERNARY, tuple(ignored), reader.windows())


def _config_file(path: Path) -> Path:
    if not path.exists():
        raise SpecError(f"{path}:1:1: folder must exist, and there is none")
    if not path.is_dir() or (path / "config.json").exists():
        return path / "config.json" if path.is_dir() else path
    kind = kinds.of_folder(path)
    if kind != "a directory":
        raise SpecError(
            f"{path}:1:1: folder must hold the config.json of a Hugging Face model, not be {kind}"
        )
    files = sorted(item.name for item in path.iterdir() if item.is_file() and item.name[0] != ".")
    held = f"{', '.join(files[:3])}{' and others' if len(files) > 3 else ''}" if files else "nothing"
    raise SpecError(f"{path}:1:1: folder must hold the config.json of a Hugging Face model, and holds {held}")


def _check_file(section: Section) -> None:
    """Refuse a JSON file that is another one of such a folder, or ours."""
    content = section.raw()
    other = kinds.of_mapping(content)
    if other and "model_type" not in content and "architectures" not in content:
        raise section.error(None, f"file must be the config.json of a Hugging Face model, not {other}")


def _language(outer: Section) -> Section:
    """The part of a configuration that describes the language model."""
    for key in _INNER:
        if outer.raw().get(key) is not None:
            return outer.section(key)
    return outer


def _kind(outer: Section, section: Section) -> Architecture:
    kind = section.take("model_type", str, default=None)
    if section is not outer:
        parent = outer.take("model_type", str, default=None)
        kind = kind or _table()["parents"].get(parent)
        section = section if "model_type" in section else outer
    kind = _table()["parents"].get(kind, kind)
    if kind is None:
        named = section.raw().get("architectures")
        what = f" (architectures names {show(named[0])})" if isinstance(named, list) and named else ""
        remedy = "; --like TYPE, as in --like llama, says how to read it"
        raise section.error(None, f"model_type must be given, and is missing{what}{remedy}")
    try:
        return architecture(kind)
    except ParamError as problem:
        raise section.error("model_type", str(problem)) from None


def _check_plain(section: Section) -> None:
    content = section.raw()
    for key in _EXPERTS:
        if section.take(key, (int, type(None)), default=None) not in (None, 0, 1):
            what = f"model must be a plain decoder, not a mixture of {content[key]} experts"
            raise section.error(key, what)
    for key in _UNSUPPORTED:
        if content.get(key):
            raise section.error(key, f"model must be a plain decoder, and {key} says it is not")
    for key, what in _FLAGS.items():
        if section.take(key, (bool, type(None)), default=None):
            raise section.error(key, f"model must be a plain decoder, not {what}")


def _quantized(outer: Section) -> str | None:
    """Quantization of the weights as stated by the configuration."""
    config = outer.take("quantization_config", (dict, type(None)), default=None) or {}
    method = config.get("quant_method")
    return method if isinstance(method, str) else None


def _left_out(outer: Section, section: Section) -> list[str]:
    notes = []
    if section is not outer:
        others = [key for key in outer.raw() if key.endswith("_config") and key not in (section.path[-1],)]
        rest = ", ".join(key for key in others if key != "quantization_config")
        notes.append(f"only {section.path[-1]} is read" + (f"; {rest} left out" if rest else ""))
    method = _quantized(outer)
    if method not in _TERNARY:
        how = f": its weights are quantized by {method}" if method else ""
        notes.append(f"the config does not say that the weights are ternary{how}")
    width = section.raw().get("word_embed_proj_dim")
    if isinstance(width, int) and width != section.raw().get("hidden_size", width):
        notes.append(f"the projections between embeddings of {width} and the hidden size are left out")
    return notes


class _Reader:
    """The sizes of one configuration, read as one architecture."""

    def __init__(self, section: Section, kind: Architecture) -> None:
        self.section, self.kind = section, kind
        self.assumed: list[str] = []
        self.hidden, self.heads = self.size("hidden"), self.size("heads")
        self.layers = self.size("layers")
        self.context = self.size("context")
        self.head_dim = self.size("head_dim", self.divided)
        self.kv_heads = self.key_heads()
        self.ffn = self.feed_forward()

    def model(self, name: str, source: str, notes: list[str]) -> Model:
        return Model(
            name=name,
            title=name,
            source=source,
            hidden=self.hidden,
            ffn=self.ffn,
            layers=self.layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=self.head_dim,
            vocab=self.size("vocab"),
            context=self.context,
            activation=self.word("activation", str, "silu"),
            tied_embeddings=self.word("tied_embeddings", bool, False),
            gated=self.kind.gated,
            sub_norms=self.kind.sub_norms,
            notes=(*notes, *self.assumptions()),
        )

    def key(self, what: str) -> str | None:
        """The key that holds a size; ``None`` where it is missing or null. Raises ``SpecError`` where two disagree."""
        names, content = self.kind.names[what], self.section.raw()
        present = [name for name in names if name in self.section and content[name] is not None]
        if len({str(content[name]) for name in present}) > 1 and what != "activation":
            first, second = present[:2]
            given = f"{second} must be {show(content[first])} as {first}, not {show(content[second])}"
            raise self.section.error(second, given)
        return present[0] if present else None

    def size(self, what: str, derived: Any = None) -> int:
        """A size: as given, else the default of its class, else as ``derived`` from others."""
        key = self.key(what)
        names = self.kind.names[what]
        if key is not None:
            return int(self.section.take(key, int, minimum=1, maximum=LARGEST_SIZE))
        absent = not any(name in self.section for name in names)
        if absent and what in self.kind.defaults:
            self.assumed.append(f"{names[0]} {self.kind.defaults[what]}")
            return int(self.kind.defaults[what])
        if derived is not None:
            return int(derived())
        return int(self.section.take(next((n for n in names if n in self.section), names[0]), int))

    def word(self, what: str, kind: type, otherwise: Any) -> Any:
        key = self.key(what)
        default = self.kind.defaults.get(what, otherwise)
        return default if key is None else self.section.take(key, kind)

    def divided(self) -> int:
        """The size of a head, derived because the configuration does not give it."""
        if self.hidden % self.heads:
            key = self.key("hidden")
            where = f"where {self.kind.names['head_dim'][0]} is not given"
            what = f"{self.kind.names['hidden'][0]} must be a multiple of the {self.heads} heads {where}"
            raise self.section.error(key, f"{what}, not {self.hidden}")
        return self.hidden // self.heads

    def key_heads(self) -> int:
        shared = self.section.take("attn_config", (dict, type(None)), default=None) or {}
        if shared.get("attn_type", "multihead_attention") != "multihead_attention" or shared.get(
            "kv_n_heads"
        ):
            what = "attn_config must be multihead attention, as transformers builds it, without kv_n_heads"
            raise self.section.error("attn_config", f"{what}, not {shared}")
        if self.kind.multi_query and not self.flag("new_decoder_architecture", False):
            self.key("kv_heads")  # mark the key as read; it has no effect here
            return 1 if self.flag("multi_query", True) else self.heads
        found = self.size("kv_heads", lambda: self.heads)
        if self.heads % found:
            key = self.key("kv_heads")
            name = self.kind.names["kv_heads"][0]
            how = (
                f"not be {found}" if key else f"and its default {found} of {self.kind.name} does not: give it"
            )
            raise self.section.error(key, f"{key or name} must divide the {self.heads} heads, {how}")
        return found

    def flag(self, key: str, default: bool) -> bool:
        found = self.section.take(key, (bool, type(None)), default=default)
        return default if found is None else bool(found)

    def feed_forward(self) -> int:
        times = self.kind.ffn_over_hidden
        if times is None:
            return self.size("ffn")
        ratio = self.section.take("expansion_ratio", int, default=times, minimum=1, maximum=64)
        return self.size("ffn", lambda: ratio * self.hidden)

    def assumptions(self) -> list[str]:
        if not self.assumed:
            return []
        return [
            f"not in the config and taken from the defaults of {self.kind.name}: {', '.join(self.assumed)}"
        ]

    def notes(self) -> list[str]:
        """Notes on layers with a limited context."""
        partial = sum(kind not in _FULL for kind in self.layer_kinds())
        window = self.window()
        if not partial or not window or window >= self.context:
            return []
        which = f"{partial} of {self.layers} layers see"
        return [f"{which} the last {window} positions only and are counted as if they saw all {self.context}"]

    def windows(self) -> tuple[int, ...]:
        """The last positions that each layer sees, 0 for all; empty where every layer sees the whole context."""
        window = self.window()
        found = tuple(window * (kind in _SLIDING) for kind in self.layer_kinds())
        return found if any(found) and window < self.context else ()

    def window(self) -> int:
        """Window length of a layer in positions; 0 without a window."""
        if self.flag("use_sliding_window", self.kind.defaults.get("use_window", True)) is False:
            return 0
        key = self.key("window")
        absent = not any(name in self.section for name in self.kind.names["window"])
        if key is None:
            return int(self.kind.defaults.get("window", 0)) if absent else 0
        return int(self.section.take(key, int, minimum=1, maximum=LARGEST_SIZE))

    def layer_kinds(self) -> list[str]:
        """The kind of every layer, by the rule of its class where the configuration does not list them."""
        key = "attention_layers" if "attention_layers" in self.section else "layer_types"
        types = self.section.take(key, (list, type(None)), default=None)
        if types is None:
            return self.unlisted()
        if len(types) != self.layers:
            what = f"{key} must name the {self.layers} layers, not {len(types)}"
            raise self.section.error(key, what)
        for index, kind in enumerate(types):
            if kind not in _KINDS:
                what = f"layer must be one of {', '.join(_KINDS)}, not {show(kind)}"
                raise self.section.error((key, index), what)
        return list(types)

    def unlisted(self) -> list[str]:
        """The kind of every layer where the configuration does not list them: the first are full, or every n-th."""
        full, sliding = _FULL[0], _SLIDING[0]
        if "full_first" in self.kind.defaults:
            first = self.count("full_first")
            return [full if layer < first else sliding for layer in range(self.layers)]
        if "full_every" in self.kind.defaults:
            every = self.count("full_every")
            return [sliding if (layer + 1) % every else full for layer in range(self.layers)]
        return [sliding] * self.layers

    def count(self, what: str) -> int:
        """A number of layers; 0 is allowed where the first layers are counted."""
        key = self.key(what)
        if key is None:
            return int(self.kind.defaults[what])
        least = int(what == "full_every")
        return int(self.section.take(key, int, minimum=least, maximum=LARGEST_SIZE))
