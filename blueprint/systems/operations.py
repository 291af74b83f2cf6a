"""The operations of a model on a system: what a pass over its layers consists of, in the order of the data.

One record, :class:`Operation`, is the base of estimate, compiler, simulator and golden decoder: each becomes one or more
instructions. Vectors between operations stay in the buffer of activations; weights, tables and the key and value cache
are in external memory.

The block of a layer is that of BitNet b1.58 (Ma et al., arXiv 2504.12285, section 2): norm, quantization, q/k/v, rotary
positions, cache, attention, sub-norm, quantization, o, residual; norm, quantization, gate and up, activation, sub-norm,
quantization, down, residual. Models without sub-norms or gates lack those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from blueprint.family import CACHE, WEIGHTS
from blueprint.numbers import ceil_div
from blueprint.systems.description import System
from blueprint.workloads.model import Model
from blueprint.workloads.tasks import Attention, Gemm, Task

#: How often the elements of a vector pass through the unit that computes an operation: for one value of a reduction
#: (a sum of squares, the largest magnitude), then with it. A dequantization belongs to the operation behind it.
PASSES = {
    "embedding": 1,
    "norm": 2,
    "quantize": 2,
    "rotary": 1,
    "cache": 2,
    "residual": 1,
    "gate": 1,
    "rescore": 1,
    "sample": 1,
}
#: Bits of a scale, of a norm's weight and of an exact logit.
SCALE_WIDTH = 16


@dataclass(frozen=True)
class Operation:
    """One operation: ``rows`` vectors of ``inputs`` elements become as many of ``outputs``, in ``place``.

    ``kind`` is what is computed (a key of :data:`PASSES`, ``product``, ``attention`` or ``head``), ``work`` the work
    of the system that it is part of, ``layer`` counts from 0 and is -1 outside of the layers. ``task`` is what a unit of
    a family runs, ``runs`` times in a row; ``None`` where the host or a stream of elements does it. Sizes in bytes of what external
    memory gives and takes: ``weights`` (tables and scales too), ``cache_read``, ``cache_written``. What is ``gathered``
    has addresses that earlier operations compute, so that nothing of it can be fetched ahead.
    """

    name: str
    kind: str
    work: str
    place: str
    rows: int
    inputs: int
    outputs: int
    layer: int = -1
    task: Task | None = None
    runs: int = 1
    weights: int = 0
    cache_read: int = 0
    cache_written: int = 0
    gathered: bool = False

    @property
    def elements(self) -> int:
        """Elements that pass through, where the operation is a stream of them; 0 for products and attention."""
        return PASSES.get(self.kind, 0) * self.rows * self.inputs

    @property
    def fetched(self) -> int:
        """Bytes read from external memory."""
        return self.weights + self.cache_read

    @property
    def traffic(self) -> int:
        """Bytes that external memory gives and takes."""
        return self.fetched + self.cache_written

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a product or an attention."""
        return 0 if self.task is None else self.task.macs * self.runs


def decode(system: System, model: Model, context: int) -> tuple[Operation, ...]:
    """The operations of one token behind ``context`` cached ones, the choice of the next token included."""
    return tuple(_forward(_Step(system, model, 1, context, "product"), last=True))


def prefill(system: System, model: Model, prompt: int) -> tuple[Operation, ...]:
    """The operations of a prompt in blocks, and of the choice of the first token behind it."""
    starts = range(0, prompt, system.block)
    steps = [_Step(system, model, min(system.block, prompt - at), at, "prefill") for at in starts]
    return tuple(op for step in steps for op in _forward(step, last=step is steps[-1]))


def packed_bytes(system: System, work: str, k: int, n: int) -> int:
    """Bytes of a matrix of ``k`` by ``n`` as the unit of a work takes it, a pass over it; 8 bits a weight for a host."""
    spec = system.spec(work)
    if spec is None:
        return k * n
    task, runs = pieces(system, work, Gemm(1, k, n))
    return int(spec.dram_bits(task)[WEIGHTS]) // 8 * runs


def pieces(system: System, work: str, task: Gemm) -> tuple[Gemm, int]:
    """The task of one run and how many there are, where a product has more outputs than a run of its unit.

    All runs are counted as the first: the last may have fewer outputs.
    """
    spec = system.spec(work)
    limit = task.n if spec is None else getattr(spec, spec.bounds().get("n", ""), task.n)
    runs = ceil_div(task.n, limit)
    return replace(task, n=ceil_div(task.n, runs)), runs


@dataclass(frozen=True)
class _Step:
    """Tokens that go through the layers side by side, behind ``context`` others."""

    system: System
    model: Model
    tokens: int
    context: int
    work: str

    def elements(self, name: str, width: int, outputs: int | None = None, layer: int = -1, **more: int) -> Operation:
        """An operation on vectors; its kind is the last word of its name."""
        kind, place = name.rsplit(" ", 1)[-1], self.system.places["elements"]
        out = width if outputs is None else outputs
        return Operation(name, kind, "elements", place, self.tokens, width, out, layer, **more)

    def norm(self, name: str, width: int, layer: int = -1) -> Iterator[Operation]:
        """A norm with its weights, and the quantization of what it gives."""
        yield self.elements(f"{name} norm", width, layer=layer, weights=width * SCALE_WIDTH // 8)
        yield self.elements(f"{name} quantize", width, layer=layer)

    def product(self, name: str, k: int, n: int, layer: int) -> Operation:
        """A ternary product, with one scale."""
        spec, place = self.system.spec(self.work), self.system.places[self.work]
        assert spec is not None  # a host runs no ternary products
        task, runs = pieces(self.system, self.work, Gemm(self.tokens, k, n, name))
        weights = runs * int(spec.dram_bits(task)[WEIGHTS]) // 8 + SCALE_WIDTH // 8
        return Operation(
            name, "product", self.work, place, self.tokens, k, n, layer, task, runs, weights=weights
        )

    def attention(self, layer: int) -> Operation:
        """Attention over the cache; what this step wrote into it is read from there too."""
        model, keys = self.model, self.context + self.tokens
        spec, place = self.system.spec("attention"), self.system.places["attention"]
        assert spec is not None  # a host runs no attention
        task = Attention(self.tokens, keys, model.heads, model.kv_heads, model.head_dim, "causal")
        read = sum(int(bits) for purpose, bits in spec.dram_bits(task).items() if purpose in CACHE) // 8
        width = model.heads * model.head_dim
        return Operation(
            "attention", "attention", "attention", place, self.tokens, width, width, layer, task, cache_read=read
        )


def cache_bytes(system: System, model: Model, tokens: int) -> int:
    """Bytes of the keys and values of ``tokens`` tokens in one layer, with a scale for each head."""
    spec = system.spec("attention")
    assert spec is not None
    head = model.head_dim * int(spec.cache_width) + SCALE_WIDTH
    return ceil_div(2 * model.kv_heads * head, 8) * tokens


def _forward(step: _Step, *, last: bool) -> Iterator[Operation]:
    """A pass over all layers; with ``last`` the choice of the next token behind it."""
    model, head = step.model, step.system.head
    row = model.hidden * head.embedding_width // 8
    yield step.elements("embedding", model.hidden, weights=step.tokens * row, gathered=True)
    for layer in range(model.layers):
        yield from _attention_block(step, layer)
        yield from _feed_forward(step, layer)
    if last:
        yield from _next_token(replace(step, tokens=1))


def _attention_block(step: _Step, layer: int) -> Iterator[Operation]:
    model = step.model
    query, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    yield from step.norm("input", model.hidden, layer)
    for name, width in (("q", query), ("k", keys), ("v", keys)):
        yield step.product(name, model.hidden, width, layer)
    yield step.elements("rotary", query + keys, layer=layer)
    written = cache_bytes(step.system, model, step.tokens)
    yield step.elements("cache", 2 * keys, layer=layer, cache_written=written)
    yield step.attention(layer)
    yield from _inner(step, "attention", query, layer)
    yield step.product("o", query, model.hidden, layer)
    yield step.elements("attention residual", model.hidden, layer=layer)


def _feed_forward(step: _Step, layer: int) -> Iterator[Operation]:
    model = step.model
    yield from step.norm("post", model.hidden, layer)
    for name in ("gate", "up") if model.gated else ("up",):
        yield step.product(name, model.hidden, model.ffn, layer)
    yield step.elements("ffn gate", model.ffn * (1 + model.gated), model.ffn, layer)
    yield from _inner(step, "ffn", model.ffn, layer)
    yield step.product("down", model.ffn, model.hidden, layer)
    yield step.elements("ffn residual", model.hidden, layer=layer)


def _inner(step: _Step, name: str, width: int, layer: int) -> Iterator[Operation]:
    """What stands in front of a projection back to the hidden size: a sub-norm where there is one, quantization."""
    if step.model.sub_norms:
        yield from step.norm(f"{name} sub", width, layer)
    else:
        yield step.elements(f"{name} quantize", width, layer=layer)


def _next_token(step: _Step) -> Iterator[Operation]:
    """Final norm, scores of the whole vocabulary, exact scores of the best, and the choice."""
    system, model = step.system, step.model
    yield from step.norm("final", model.hidden)
    yield head_product(system, model)
    count = min(system.head.candidates, model.vocab)
    if count:
        row = model.hidden * system.head.embedding_width // 8
        scored = step.elements("rescore", model.hidden, 1, weights=count * row, gathered=True)
        yield replace(scored, rows=count)
    yield step.elements("sample", count or model.vocab, 1)


def head_product(system: System, model: Model) -> Operation:
    """The first stage of the LM head: one run or several of a unit, or a pass of the host over its weights."""
    place, weights = system.places["head"], packed_bytes(system, "head", model.hidden, model.vocab)
    task: Task | None = None
    runs = 1
    if system.spec("head") is not None:
        task, runs = pieces(system, "head", Gemm(1, model.hidden, model.vocab, "head"))
    return Operation("head", "head", "head", place, 1, model.hidden, model.vocab, -1, task, runs, weights=weights)
