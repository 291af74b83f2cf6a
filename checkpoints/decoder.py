"""Operations of a decoder besides its products: norms, rotary positions, activation, vocabulary.

Read from ``config.json`` or from the metadata of a GGUF file. Constants that a file does not state are the defaults of
its class, and the model's notes name them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from blueprint.files.document import Section, read_json
from blueprint.files.names import NAME_RULE, is_name, plain
from blueprint.files.tree import show
from blueprint.workloads import huggingface
from blueprint.workloads.model import LARGEST_SIZE, Model
from checkpoints.faults import fault, shown
from checkpoints.linear import Convention

#: How rotary positions pair the elements of a head: element i with i + dim / 2, or with its neighbor.
HALF, PAIRS = "half", "pairs"
#: Architectures of GGUF files: pairing of rotary positions and activation, as llama.cpp and bitnet.cpp run them.
GGUF_ARCHITECTURES = {
    "bitnet": (HALF, "silu"),
    "bitnet-25": (HALF, "relu2"),
    "bitnet-b1.58": (HALF, "relu2"),
    "llama": (PAIRS, "silu"),
    "qwen3": (HALF, "silu"),
}
#: Defaults of classes of transformers: (epsilon of norms, base of rotary positions).
_DEFAULTS = {"bitnet": (1e-5, 500_000.0)}
_DEFAULT = (1e-6, 10_000.0)
_TERNARY_TYPES = ("bitnet",)


@dataclass(frozen=True)
class Decoder:
    """A decoder-only model: its shapes, and the constants of what is not a product.

    ``epsilon`` is added to the mean square of a norm; ``rope_theta`` is the base of rotary positions and ``rotary``
    their pairing. ``bos`` and ``eos`` are tokens that begin and end a text, where they are known. ``windows`` has of
    each layer how many of the last positions a query sees, its own among them, 0 for all; it is empty where all do.
    """

    model: Model
    epsilon: float
    rope_theta: float
    rotary: str = HALF
    bos: int | None = None
    eos: int | None = None
    windows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Described:
    """A decoder with what its file says of the storage; ``claims`` if it says that weights are ternary."""

    decoder: Decoder
    claims: bool
    convention: Convention
    ignored: tuple[str, ...] = ()


def of_folder(folder: Path, name: str | None = None, like: str | None = None) -> Described:
    """The decoder that ``config.json`` describes; sub-norms follow from the tensors. Raises ``SpecError``."""
    imported = huggingface.read_config(folder, name, like)
    section = read_json(folder / "config.json")
    kind = section.take("model_type", str, default="")
    defaults = _DEFAULTS.get(kind, _DEFAULT)
    assumed: list[str] = []
    epsilon = _number(section, "rms_norm_eps", defaults[0], assumed)
    theta = _number(_rope(section), "rope_theta", defaults[1], assumed)
    notes = _scaled(section) + (
        [f"not in the config and taken from the defaults of its class: {', '.join(assumed)}"]
        if assumed
        else []
    )
    model = dataclasses.replace(imported.model, notes=(*imported.model.notes, *notes))
    decoder = Decoder(
        model, epsilon, theta, bos=_token(section, "bos_token_id"), eos=_token(section, "eos_token_id"),
        windows=imported.windows,
    )  # fmt: skip
    convention = convention_of(section, kind)
    claims = imported.ternary or convention.masters
    ignored = tuple(key for key in imported.ignored if key not in section.known())
    return Described(decoder, claims, convention, ignored)


def convention_of(section: Section, kind: str) -> Convention:
    """Read ``quantization_config`` for weights and scales, as model type ``bitnet`` of transformers does.

    Raises ``SpecError``.
    """
    config = section.take("quantization_config", (dict, type(None)), default=None)
    if config is None or config.get("quant_method") != "bitnet":
        bits = section.take("weight_bits", (int, type(None)), default=0)
        if kind in _TERNARY_TYPES:
            return Convention(f"model_type {kind}", masters=True)
        return Convention("weight_bits 1", masters=True) if bits == 1 else Convention("")
    inner = section.section("quantization_config")
    linear = inner.take("linear_class", str, default="bitlinear", choices=("bitlinear", "autobitlinear"))
    mode = inner.take("quantization_mode", str, default="offline", choices=("offline", "online"))
    if inner.take("use_rms_norm", (bool, type(None)), default=False):
        raise inner.error(
            "use_rms_norm", "use_rms_norm must be false: norms in front of every product are not read"
        )
    masters = linear == "autobitlinear" and mode == "online"
    stated = f"linear_class {linear}, quantization_mode {mode}"
    return Convention(stated, linear == "bitlinear", masters, not masters)


def _scaled(section: Section) -> list[str]:
    """A note on scaled rotary positions, which a :class:`Decoder` cannot describe."""
    for key in ("rope_scaling", "rope_parameters"):
        given = section.take(key, (dict, type(None)), default=None) or {}
        kind = given.get("rope_type", given.get("type", "default"))
        if kind != "default":
            return [f"rotary positions are scaled ({key} {show(kind)}), which is not in what is read"]
    return []


def _rope(section: Section) -> Section:
    given = section.take("rope_parameters", (dict, type(None)), default=None)
    return section.section("rope_parameters") if given and "rope_theta" in given else section


def _number(section: Section, key: str, default: float, assumed: list[str]) -> float:
    """A number above 0, or the default of the class, which is then added to ``assumed``."""
    value = section.take(key, (float, type(None)), default=None)
    if value is None:
        assumed.append(f"{key} {default:g}")
        return default
    if not math.isfinite(value) or value <= 0:
        raise section.error(key, f"{key} must be finite and above 0, not {value}")
    return float(value)


def _token(section: Section, key: str) -> int | None:
    found = section.take(key, (int, list, type(None)), default=None)
    first = found[0] if isinstance(found, list) and found else found
    return first if isinstance(first, int) and not isinstance(first, bool) else None


def of_metadata(
    path: Path, metadata: Mapping[str, Any], vocab: int | None, tied: bool, name: str | None
) -> Described:
    """The decoder that a GGUF file describes; ``vocab`` is its number of embeddings. Raises ``SpecError``."""
    read = _Metadata(path, metadata)
    kind = read.text("general.architecture")
    if kind not in GGUF_ARCHITECTURES:
        raise fault(
            path, f"general.architecture must be one of {', '.join(GGUF_ARCHITECTURES)}, not {shown(kind)}"
        )
    rotary, activation = GGUF_ARCHITECTURES[kind]
    heads, hidden = read.size(f"{kind}.attention.head_count"), read.size(f"{kind}.embedding_length")
    kv_heads = read.size(f"{kind}.attention.head_count_kv", heads)
    if heads % kv_heads:
        raise fault(path, f"{kind}.attention.head_count_kv must divide the {heads} heads, not be {kv_heads}")
    title = plain(name or str(metadata.get("general.name") or path.stem))
    if not is_name(title):
        raise ParamError(f"Model name must be {NAME_RULE}, not {title!r}; give one with --name")
    model = Model(
        name=title,
        title=title,
        source=str(path),
        hidden=hidden,
        ffn=read.size(f"{kind}.feed_forward_length"),
        layers=read.size(f"{kind}.block_count"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=read.size(f"{kind}.attention.key_length", hidden // heads or 1),
        vocab=vocab or read.size(f"{kind}.vocab_size"),
        context=read.size(f"{kind}.context_length"),
        activation=activation,
        tied_embeddings=tied,
        notes=(*_notes(kind, activation, rotary), *read.differences(kind, hidden // heads, tied)),
    )
    epsilon = read.above_zero(f"{kind}.attention.layer_norm_rms_epsilon")
    theta = read.above_zero(f"{kind}.rope.freq_base", _DEFAULT[1])
    tokens = (read.token("bos"), read.token("eos"))
    decoder = Decoder(model, epsilon, theta, rotary, bos=tokens[0], eos=tokens[1])
    claims = kind.startswith("bitnet")
    return Described(decoder, claims, Convention(f"the architecture {kind}", ternary=claims))


def _notes(kind: str, activation: str, rotary: str) -> tuple[str, ...]:
    """Properties that the architecture of a GGUF file decides and the file does not state."""
    pairs = ", rows of q and k paired with their neighbors by rotary positions" if rotary == PAIRS else ""
    return (f"not in the file and as llama.cpp runs the architecture {kind}: activation {activation}{pairs}",)


class _Metadata:
    """Metadata of a GGUF file, taken by name and kind."""

    def __init__(self, path: Path, metadata: Mapping[str, Any]) -> None:
        self.path, self.metadata = path, metadata

    def take(self, key: str, kind: type | tuple[type, ...], what: str, default: Any = None) -> Any:
        value = self.metadata.get(key, default)
        if value is None:
            raise fault(self.path, f"{key} must be given, and is missing")
        if isinstance(value, bool) or not isinstance(value, kind):
            found = f"{len(value)} values" if isinstance(value, (list, np.ndarray)) else show(value)
            raise fault(self.path, f"{key} must be {what}, not {found}")
        return value

    def text(self, key: str) -> str:
        return str(self.take(key, str, "text"))

    def size(self, key: str, default: int | None = None) -> int:
        found = int(self.take(key, int, "an integer", default))
        if not 1 <= found <= LARGEST_SIZE:
            raise fault(self.path, f"{key} must be from 1 to {LARGEST_SIZE}, not {found}")
        return found

    def above_zero(self, key: str, default: float | None = None) -> float:
        found = float(self.take(key, (int, float), "a number", default))
        if not math.isfinite(found) or found <= 0:
            raise fault(self.path, f"{key} must be finite and above 0, not {found}")
        return found

    def differences(self, kind: str, head_dim: int, tied: bool) -> list[str]:
        """Notes on what the file says and a :class:`Decoder` cannot describe."""
        notes = []
        scaling = self.metadata.get(f"{kind}.rope.scaling.type", "none")
        if scaling != "none" and self.metadata.get(f"{kind}.rope.scaling.factor", 1.0) != 1.0:
            notes.append(f"rotary positions are scaled ({shown(str(scaling))}), which is not in what is read")
        turned = self.metadata.get(f"{kind}.rope.dimension_count", head_dim)
        if turned != self.metadata.get(f"{kind}.attention.key_length", head_dim):
            notes.append(
                f"rotary positions turn {turned} elements of a head only, which is not in what is read"
            )
        if kind.startswith("bitnet") and not tied:
            notes.append("llama.cpp takes the embedding for the head of this architecture, not output.weight")
        return notes

    def token(self, name: str) -> int | None:
        found = self.metadata.get(f"tokenizer.ggml.{name}_token_id")
        return found if isinstance(found, int) and not isinstance(found, bool) else None
