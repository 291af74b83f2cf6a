"""Names of tensors by their role, in Hugging Face folders and in GGUF files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

#: A layer (``None`` outside layers) and a role in it.
Place = tuple[int | None, str]

#: Roles of a layer's matrices, of its vectors, and of what is outside layers.
GATE = "gate"
LINEAR = ("q", "k", "v", "o", GATE, "up", "down")
NORMS = ("attention_norm", "ffn_norm")
SUB_NORMS = ("attention_sub_norm", "ffn_sub_norm")
HEAD_NORMS = ("q_norm", "k_norm")
GLOBAL = ("embedding", "final_norm", "head")


@dataclass(frozen=True)
class Scheme:
    """Names of tensors in one kind of file.

    ``inner`` has, for every role of a layer, what its tensors may be called there; ``outer`` the same outside layers.
    A matrix's scale is called as ``scale`` says of the name of its weight. ``ignored`` matches what is not needed.
    """

    layer: str
    inner: dict[str, tuple[str, ...]]
    outer: dict[str, tuple[str, ...]]
    scale: tuple[str, str]
    ignored: str

    def name(self, place: Place) -> str:
        """The usual name of the tensor at a place."""
        layer, role = place
        return self.outer[role][0] if layer is None else self.layer.format(layer) + self.inner[role][0]

    def scale_name(self, weight: str) -> str:
        """The name of the scale beside the weights of that name."""
        return weight.removesuffix(self.scale[0]) + self.scale[1]

    def sort(self, names: Iterable[str]) -> Sorted:
        """The names by place. A scale stands at the place of its weight."""
        found = Sorted()
        begin, end = map(re.escape, self.layer.split("{}"))
        pattern = re.compile(rf"{begin}(0|[1-9][0-9]{{0,5}}){end}(.*)", re.DOTALL)
        for name in names:
            match = pattern.fullmatch(name)
            layer, rest = (int(match[1]), match[2]) if match else (None, name)
            role, scale = self._role(rest, self.inner if match else self.outer)
            if role is not None:
                (found.scales if scale else found.weights).setdefault((layer, role), name)
            elif not re.fullmatch(self.ignored, name):
                found.others.append(name)
        return found

    def _role(self, rest: str, known: dict[str, tuple[str, ...]]) -> tuple[str | None, bool]:
        for role, names in known.items():
            if rest in names:
                return role, False
            if role in LINEAR and rest in map(self.scale_name, names):
                return role, True
        return None, False


@dataclass(frozen=True)
class Sorted:
    """Names of tensors by place, and those that have none."""

    weights: dict[Place, str] = field(default_factory=dict)
    scales: dict[Place, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


HUGGING_FACE = Scheme(
    "model.layers.{}.",
    {
        "q": ("self_attn.q_proj.weight",),
        "k": ("self_attn.k_proj.weight",),
        "v": ("self_attn.v_proj.weight",),
        "o": ("self_attn.o_proj.weight",),
        "gate": ("mlp.gate_proj.weight",),
        "up": ("mlp.up_proj.weight",),
        "down": ("mlp.down_proj.weight",),
        "attention_norm": ("input_layernorm.weight",),
        "ffn_norm": ("post_attention_layernorm.weight",),
        "attention_sub_norm": ("self_attn.attn_sub_norm.weight", "self_attn.inner_attn_ln.weight"),
        "ffn_sub_norm": ("mlp.ffn_sub_norm.weight", "mlp.ffn_layernorm.weight"),
        "q_norm": ("self_attn.q_norm.weight",),
        "k_norm": ("self_attn.k_norm.weight",),
    },
    {
        "embedding": ("model.embed_tokens.weight",),
        "final_norm": ("model.norm.weight",),
        "head": ("lm_head.weight",),
    },
    (".weight", ".weight_scale"),
    r".*rotary_emb\.inv_freq",
)
GGUF = Scheme(
    "blk.{}.",
    {
        "q": ("attn_q.weight",),
        "k": ("attn_k.weight",),
        "v": ("attn_v.weight",),
        "o": ("attn_output.weight",),
        "gate": ("ffn_gate.weight",),
        "up": ("ffn_up.weight",),
        "down": ("ffn_down.weight",),
        "attention_norm": ("attn_norm.weight",),
        "ffn_norm": ("ffn_norm.weight",),
        "attention_sub_norm": ("attn_sub_norm.weight",),
        "ffn_sub_norm": ("ffn_sub_norm.weight",),
        "q_norm": ("attn_q_norm.weight",),
        "k_norm": ("attn_k_norm.weight",),
    },
    {
        "embedding": ("token_embd.weight",),
        "final_norm": ("output_norm.weight",),
        "head": ("output.weight",),
    },
    (".weight", ".scale"),
    r"rope_freqs\.weight",
)
