"""The layout of external memory: consecutive regions, each of which begins at a whole burst."""

from __future__ import annotations

from dataclasses import dataclass

from blueprint.numbers import ceil_div
from blueprint.systems.description import EXACT, System
from blueprint.systems.operations import SCALE_WIDTH, cache_bytes, head_columns, packed_bytes
from blueprint.systems.weight_order import same_order
from blueprint.workloads.model import Model

#: Bytes that a burst of AXI4 must not cross (IHI 0022, section A3.4.1): regions begin at a multiple.
PAGE = 4096
#: Bytes of an element of a vector that is put aside.
SCRATCH_BYTES = 4
#: What the weights of the layers are: for tokens, for both where another unit runs prompts, and for prompts alone.
WEIGHTS_TEXT = "ternary weights in the order of their beats"
BOTH_TEXT = f"{WEIGHTS_TEXT}, of the unit of prompts too"
PROMPTS_TEXT = "the same weights in the order of the unit of prompts"


@dataclass(frozen=True)
class Region:
    """A part of external memory; ``base`` and ``size`` in bytes."""

    name: str
    base: int
    size: int
    text: str

    @property
    def end(self) -> int:
        """The first byte behind the region."""
        return self.base + self.size


def regions(system: System, model: Model) -> tuple[Region, ...]:
    """The regions of a model: ternary weights, norms and scales, embedding, LM head, cache, scratch."""
    found: list[Region] = []
    for name, size, text in _sizes(system, model):
        base = found[-1].end if found else 0
        found.append(Region(name, base, ceil_div(size, PAGE) * PAGE, text))
    return tuple(region for region in found if region.size)


def shared(system: System, model: Model) -> bool:
    """True if the unit of prompts takes the weights of the layers from where those for tokens lie."""
    one, other = system.spec("product"), system.spec("prefill")
    assert one is not None and other is not None  # a host runs no ternary products
    return same_order(one, other, (k for k, _ in shapes(model)))


def shapes(model: Model) -> tuple[tuple[int, int], ...]:
    """Reduction length and outputs of the ternary products of one layer, in their order."""
    query, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    ffn = [(model.hidden, model.ffn)] * (1 + model.gated)
    attention = [(model.hidden, query), (model.hidden, keys), (model.hidden, keys), (query, model.hidden)]
    return (*attention, *ffn, (model.ffn, model.hidden))


def _sizes(system: System, model: Model) -> tuple[tuple[str, int, str], ...]:
    layer = sum(system.memory.padded(packed_bytes(system, "product", k, n)) for k, n in shapes(model))
    gains = 2 * model.hidden + (model.heads * model.head_dim + model.ffn) * model.sub_norms
    scales = len(shapes(model)) + 2 * model.kv_heads
    row = system.head.row_bytes(model.hidden)
    exact, stage = 0 if model.tied_embeddings else model.vocab * row, system.head.stage
    first = 0 if stage == EXACT else packed_bytes(system, "head", model.hidden, head_columns(system, model))
    angles = 0 if system.spec("positions") is None else model.context * model.head_dim * SCALE_WIDTH // 8
    alone, both = system.places["prefill"] == system.places["product"], shared(system, model)
    copies = [("weights", model.layers * layer, BOTH_TEXT if both and not alone else WEIGHTS_TEXT)]
    if not both:
        other = sum(system.memory.padded(packed_bytes(system, "prefill", k, n)) for k, n in shapes(model))
        copies.append(("prefill", model.layers * other, PROMPTS_TEXT))
    return (
        *copies,
        (
            "norms",
            (model.layers * (gains + scales) + model.hidden) * SCALE_WIDTH // 8,
            "weights of norms, scales",
        ),
        ("embedding", model.vocab * row, "rows of the embedding"),
        ("head", first, f"LM head, {stage} stage"),
        (
            "exact head",
            exact if system.head.candidates or stage == EXACT else 0,
            "exact weights of the LM head",
        ),
        ("angles", angles, "cosine and sine of every position"),
        ("cache", model.layers * cache_bytes(system, model, system.kept(model.context)), "keys and values"),
        ("scratch", system.block * activations(model) * SCRATCH_BYTES, "vectors that are put aside"),
    )


def activations(model: Model) -> int:
    """The most elements of vectors that are alive at one time: gate and up with the residual beside them."""
    query, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    return model.hidden + max(query + 2 * keys, model.ffn * (1 + model.gated))


def used(system: System, model: Model) -> int:
    """Bytes of all regions."""
    return regions(system, model)[-1].end
