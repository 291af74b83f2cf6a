"""The operations of a model on a system: what a pass over its layers consists of, in the order of the data.

One record, :class:`Operation`, is the base of estimate, compiler, simulator and golden decoder: each becomes
one or more instructions. Vectors between operations stay in the buffer of activations; weights, tables and the key and
value cache are in external memory.

The block of a layer is that of BitNet b1.58 (Ma et al., arXiv 2504.12285, section 2): norm, quantization, q/k/v, rotary
positions, cache, attention, sub-norm, quantization, o, residual; norm, quantization, gate and up, activation, sub-norm,
quantization, down, residual. Models without sub-norms or gates lack those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from blueprint.family import CACHE, WEIGHTS
from blueprint.numbers import ceil_div
from blueprint.systems.description import DMA, EXACT, System, digits
from blueprint.workloads.model import Model
from blueprint.workloads.tasks import Attention, Gemm, Rowwise, Task

#: Those that need a value of the whole row (a sum of squares, the largest magnitude), so that it passes once more.
REDUCTIONS = ("norm", "quantize")
#: Passes of other streams of elements: rotary positions with the cache's quantization, exact scores, choice.
PASSES = {"positions": 2, "rescore": 1, "sample": 1}
#: Bits of a scale, of a norm's weight and of an exact logit.
SCALE_WIDTH = 16


@dataclass(frozen=True)
class Operation:
    """One operation: ``rows`` vectors of ``inputs`` elements become as many of ``outputs``, in ``place``.

    ``kind`` is what is computed: ``product``, ``attention``, ``head``, ``embedding``, ``elements``, or a key of
    :data:`PASSES`; ``chain`` names what ``elements`` does, as `Rowwise` does it. ``work`` is the
    work of the system that it is part of, ``layer`` counts from 0 and is -1 outside of the layers. ``task`` is what a
    unit of a family runs, ``runs`` times in a row; ``None`` where the host or DMA does it.

    Sizes in bytes of what external memory gives and takes: ``weights`` (tables and scales too), ``cache_read``,
    ``cache_written``. What is ``gathered`` has addresses that earlier operations compute, so that nothing of it can be
    fetched ahead.
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
    chain: str = ""
    weights: int = 0
    cache_read: int = 0
    cache_written: int = 0
    gathered: bool = False

    @property
    def elements(self) -> int:
        """Elements that pass through, where the operation is a stream of them; 0 for products, attention and copies."""
        again = sum(name in REDUCTIONS for name in self.chain.split("+"))
        passes = 1 + again if self.chain else PASSES.get(self.kind, 0)
        return passes * self.rows * self.inputs

    @property
    def fetched(self) -> int:
        """Bytes read from external memory."""
        return self.weights + self.cache_read

    @property
    def times(self) -> int:
        """Number of times that it is done."""
        return 1

    @property
    def traffic(self) -> int:
        """Bytes that external memory gives and takes."""
        return self.fetched + self.cache_written

    @property
    def steps(self) -> int:
        """Steps of the unit, counted as its peak is: multiply-accumulates, or elements."""
        return 0 if self.task is None else self.task.macs * self.runs

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a product or an attention."""
        return 0 if isinstance(self.task, Rowwise) else self.steps


def decode(system: System, model: Model, context: int) -> tuple[Operation, ...]:
    """The operations of one token behind ``context`` cached ones, the choice of the next token included."""
    return tuple(_forward(_Step(system, model, 1, context, "product"), last=True))


def prefill(system: System, model: Model, prompt: int) -> tuple[Operation, ...]:
    """The operations of a prompt in blocks, and of the choice of the first token behind it."""
    starts = range(0, prompt, system.block)
    steps = [_Step(system, model, min(system.block, prompt - at), at, "prefill") for at in starts]
    return tuple(op for step in steps for op in _forward(step, last=step is steps[-1]))


def head_columns(system: System, model: Model) -> int:
    """Outputs of the product of a head."""
    spec = system.spec("head")
    return model.vocab * (digits(spec) if spec is not None and system.scored else 1)


def packed_bytes(system: System, work: str, k: int, n: int) -> int:
    """Bytes of a matrix of ``k`` by ``n`` as the unit of a work takes it; 8 bits a weight for a host."""
    spec = system.spec(work)
    if spec is None:
        return k * n
    task, runs = pieces(system, work, Gemm(1, k, n))
    return spec.dram_bits(task)[WEIGHTS] // 8 * runs


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

    def stream(
        self, name: str, kind: str, work: str, inputs: int, outputs: int, layer: int = -1
    ) -> Operation:
        """An operation on rows that is neither a product nor attention."""
        return Operation(name, kind, work, self.system.places[work], self.tokens, inputs, outputs, layer)

    def elements(self, name: str, chain: str, width: int, layer: int = -1) -> Operation:
        """Elementwise work on rows, with the gains of a norm where there is one."""
        gains = width * SCALE_WIDTH // 8 if "norm" in chain else 0
        unit = self.system.spec("elements") is not None
        task = Rowwise(self.tokens, width, chain, name) if unit else None
        found = self.stream(name, "elements", "elements", width, width, layer)
        return replace(found, chain=chain, weights=gains, task=task)

    def product(self, name: str, k: int, n: int, layer: int) -> Operation:
        """A ternary product, with one scale."""
        spec, place = self.system.spec(self.work), self.system.places[self.work]
        assert spec is not None  # a host runs no ternary products
        task, runs = pieces(self.system, self.work, Gemm(self.tokens, k, n, name))
        weights = runs * spec.dram_bits(task)[WEIGHTS] // 8 + SCALE_WIDTH // 8
        return Operation(
            name, "product", self.work, place, self.tokens, k, n, layer, task, runs, weights=weights
        )

    def attention(self, layer: int) -> Operation:
        """Attention over the cache; what this step wrote into it is read from there too."""
        model, keys = self.model, self.system.kept(self.context + self.tokens)
        spec, place = self.system.spec("attention"), self.system.places["attention"]
        assert spec is not None  # a host runs no attention
        task = Attention(self.tokens, keys, model.heads, model.kv_heads, model.head_dim, "causal")
        read = sum(int(bits) for purpose, bits in spec.dram_bits(task).items() if purpose in CACHE) // 8
        width = model.heads * model.head_dim
        return Operation(
            "attention",
            "attention",
            "attention",
            place,
            self.tokens,
            width,
            width,
            layer,
            task,
            weights=2 * model.kv_heads * SCALE_WIDTH // 8,
            cache_read=read,
        )


def cache_bytes(system: System, model: Model, tokens: int) -> int:
    """Bytes of the keys and values of ``tokens`` tokens in one layer; a head has one scale for all of them."""
    spec = system.spec("attention")
    assert spec is not None
    return ceil_div(2 * model.kv_heads * model.head_dim * spec.cache_width, 8) * tokens


def _forward(step: _Step, *, last: bool) -> Iterator[Operation]:
    """A pass over all layers; with ``last`` the choice of the next token behind it."""
    model, head = step.model, step.system.head
    row = head.row_bytes(model.hidden)
    embedding = Operation("embedding", "embedding", "", DMA, step.tokens, model.hidden, model.hidden)
    yield replace(embedding, weights=step.tokens * row, gathered=True)
    for layer in range(model.layers):
        yield from _attention_block(step, layer)
        yield from _feed_forward(step, layer)
    if last:
        yield from _next_token(replace(step, tokens=1))


def _attention_block(step: _Step, layer: int) -> Iterator[Operation]:
    model = step.model
    query, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    yield step.elements("input norm", "norm+quantize", model.hidden, layer)
    for name, width in (("q", query), ("k", keys), ("v", keys)):
        yield step.product(name, model.hidden, width, layer)
    yield from _positions(step, layer)
    yield step.attention(layer)
    yield step.elements("attention norm", "norm+quantize" if model.sub_norms else "quantize", query, layer)
    yield step.product("o", query, model.hidden, layer)
    yield step.elements("attention residual", "dequantize+add", model.hidden, layer)


def _positions(step: _Step, layer: int) -> Iterator[Operation]:
    """Rotary positions, and keys and values into the cache: of a unit, queries, keys and values by themselves.

    A row of a unit is a head, rotated by cosines and sines that external memory has for every position.
    """
    model, written = step.model, cache_bytes(step.system, step.model, step.tokens)
    dim, width = model.head_dim, (model.heads + 2 * model.kv_heads) * model.head_dim
    if step.system.spec("positions") is None:
        both = step.stream("positions", "positions", "positions", width, width, layer)
        yield replace(both, cache_written=written)
        return
    parts = (("q", model.heads, "+rotate"), ("k", model.kv_heads, "+rotate"), ("v", model.kv_heads, ""))
    for name, heads, rotate in parts:
        rows, chain = step.tokens * heads, f"dequantize{rotate}"
        found = step.stream(f"{name} positions", "positions", "positions", dim, dim, layer)
        yield replace(
            found,
            rows=rows,
            chain=chain,
            task=Rowwise(rows, dim, chain, found.name),
            weights=rows * dim * SCALE_WIDTH // 8 * bool(rotate),
            cache_written=written // 2 * (name != "q"),
        )


def _feed_forward(step: _Step, layer: int) -> Iterator[Operation]:
    model = step.model
    yield step.elements("post norm", "norm+quantize", model.hidden, layer)
    yield step.product("up", model.hidden, model.ffn, layer)
    if model.gated:
        yield step.elements("up scale", "dequantize", model.ffn, layer)
        yield step.product("gate", model.hidden, model.ffn, layer)
    normed = "norm+quantize" if model.sub_norms else "quantize"
    yield step.elements("activation", f"dequantize+gate+{normed}", model.ffn, layer)
    yield step.product("down", model.ffn, model.hidden, layer)
    yield step.elements("ffn residual", "dequantize+add", model.hidden, layer)


def _next_token(step: _Step) -> Iterator[Operation]:
    """Final norm, scores of the whole vocabulary, exact scores of the best, and the choice."""
    system, model = step.system, step.model
    exact = system.spec("head") is not None and system.head.stage == EXACT
    yield step.elements("final norm", "norm" if exact else "norm+quantize", model.hidden)
    yield exact_head(system, model) if exact else head_product(system, model)
    count = min(system.head.candidates, model.vocab)
    if count:
        row = system.head.row_bytes(model.hidden)
        scored = step.stream("rescore", "rescore", "sampling", model.hidden, 1)
        yield replace(scored, rows=count, weights=count * row, gathered=True)
    if system.scored:
        yield choice(system, model)
    if system.spec("sampling") is None:
        yield step.stream("sample", "sample", "sampling", count or model.vocab, 1)


def exact_head(system: System, model: Model) -> Operation:
    """Dot products of all rows of the embedding with the last vector, and which is the largest."""
    weights = model.vocab * system.head.row_bytes(model.hidden)
    chain = "dequantize+dot" if system.head.integers else "dot"
    task = Rowwise(model.vocab, model.hidden, chain, "head")
    place = system.places["head"]
    return Operation(
        "head", "head", "head", place, model.vocab, model.hidden, 1, -1, task, 1, chain, weights=weights
    )


def choice(system: System, model: Model) -> Operation:
    """The largest score among those that a unit of products gave; a row of the unit that chooses is one score."""
    spec, place = system.spec("sampling"), system.places["sampling"]
    assert spec is not None  # a host chooses otherwise
    length = int(prod(spec.stream("x").beat["x"].shape))
    chain = "dequantize+dot"
    task = Rowwise(model.vocab, length, chain, "choice")
    return Operation("choice", "choice", "sampling", place, model.vocab, length, 1, -1, task, 1, chain)


def head_product(system: System, model: Model) -> Operation:
    """The first stage of the LM head: one run or several of a unit, or a pass of the host over its weights."""
    columns = head_columns(system, model)
    place, weights = system.places["head"], packed_bytes(system, "head", model.hidden, columns)
    task: Task | None = None
    runs = 1
    if system.spec("head") is not None:
        task, runs = pieces(system, "head", Gemm(1, model.hidden, columns, "head"))
    return Operation(
        "head", "head", "head", place, 1, model.hidden, model.vocab, -1, task, runs, weights=weights
    )
