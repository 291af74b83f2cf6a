"""Logits and text of a checkpoint in plain NumPy: the block of BitNet b1.58 2B4T (Ma et al., 2025, section 2).

Activations of every ternary product are INT8 by the absmax of their token and the products are exact integers, as in
model type ``bitnet`` of transformers. Norms, rotary positions, attention and head are computed in FP32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from blueprint.arithmetic import gumbel
from blueprint.arithmetic.quantization import LEAST_ABSMAX, LEVELS
from blueprint.errors import ParamError
from blueprint.workloads.tasks import check_temperature
from checkpoints.checkpoint import Checkpoint
from checkpoints.decoder import HALF, Decoder
from checkpoints.ternary import Floats, Ternary

#: A function that is called with each step of attention: layer, name, values.
Watch = Callable[[int, str, Floats], None]
#: Integers up to here are exact in FP32, whatever the order of a sum.
_EXACT = 1 << 24


@dataclass
class Cache:
    """Keys and values (tokens x heads x dim) of each layer, for the positions computed so far."""

    keys: dict[int, Floats] = field(default_factory=dict)
    values: dict[int, Floats] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Number of positions."""
        return len(next(iter(self.keys.values()), ()))

    def extend(self, layer: int, keys: Floats, values: Floats) -> tuple[Floats, Floats]:
        """Append the next positions of a layer; return all of its keys and values."""
        for held, new in ((self.keys, keys), (self.values, values)):
            held[layer] = np.concatenate([held[layer], new]) if layer in held else new
        return self.keys[layer], self.values[layer]


class Reference:
    """A decoder with its weights in memory; ``watch`` is called with layer, name and values of each step of attention.

    These are, each (tokens x heads x dim): ``q`` and ``k`` rotated, ``v``, and ``mixed``, what attention gives.
    Raises ``ParamError`` for a matrix that is not ternary and for an activation that is not one of `ACTIVATIONS`.
    """

    def __init__(self, checkpoint: Checkpoint, watch: Watch | None = None) -> None:
        activation = checkpoint.decoder.model.activation
        if activation not in ACTIVATIONS:
            raise ParamError(
                f"{checkpoint.source}: activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}"
            )
        self.checkpoint, self._watch = checkpoint, watch
        self.decoder = checkpoint.decoder
        self._matrices = {place: _Product(checkpoint.matrix(*place)) for place in checkpoint.layers()}
        self._dense = {place: dense.read() for place, dense in checkpoint.dense.items()}

    def logits(self, tokens: Sequence[int], cache: Cache | None = None) -> Floats:
        """Logits (tokens x vocabulary) of tokens that follow those in the cache, which they are added to.

        Raises ``ParamError`` for a token outside the vocabulary and for more tokens than the model's context.
        """
        cache = Cache() if cache is None else cache
        self._check(tokens, cache.length)
        embedding = self._dense[None, "embedding"]
        positions = np.arange(cache.length, cache.length + len(tokens))
        state = embedding[list(tokens)]
        for layer in range(self.decoder.model.layers):
            state = state + self._attention(layer, state, positions, cache)
            state = state + self._feed_forward(layer, state)
        head = embedding if self.decoder.model.tied_embeddings else self._dense[None, "head"]
        found: Floats = self._norm(None, "final_norm", state) @ head.T
        return found

    def continuation(
        self, prompt: Sequence[int], count: int, temperature: float = 0.0, seed: int = 0, top_k: int = 0
    ) -> Iterator[int]:
        """Yield ``count`` tokens after a prompt of at least one token, each the one with the largest logit.

        The first of equal logits is taken. With a ``temperature`` tokens are drawn with the softmax of
        ``logits / temperature``, by the noise of hardware of the same ``seed``; with ``top_k`` among so many with the
        largest logits, the first of equals. Raises as `logits`.
        """
        if not prompt:
            raise ParamError("Prompt must have at least one token, not none")
        check_temperature("Temperature", temperature)
        cache, given, position = Cache(), list(prompt), len(prompt) - 1
        for _ in range(count):
            logits = self.logits(given, cache)[-1]
            if temperature:
                words = gumbel.random_words(gumbel.key(seed, position), np.arange(len(logits)))
                others = np.argsort(-logits, kind="stable")[top_k or len(logits) :]
                logits = logits * np.float32(1 / temperature) + gumbel.values(gumbel.noise(words))
                logits[others] = -np.inf
            given = [int(logits.argmax())]
            position += 1
            yield given[0]

    def loss(self, tokens: Sequence[int]) -> float:
        """Sum over all tokens but the first of the cross entropy of each, in nat, after those before it.

        The tokens are one window: `ParamError` where they do not fit the context. 0.0 for fewer than two tokens.
        """
        if len(tokens) < 2:
            return 0.0
        logits = self.logits(tokens[:-1]).astype(np.float64)
        peak = logits.max(axis=-1, keepdims=True)
        total = np.log(np.exp(logits - peak).sum(axis=-1)) + peak[:, 0]
        return float((total - logits[np.arange(len(logits)), list(tokens[1:])]).sum())

    def _check(self, tokens: Sequence[int], before: int) -> None:
        model = self.decoder.model
        for token in tokens:
            if not 0 <= token < model.vocab:
                raise ParamError(f"Token must be from 0 to {model.vocab - 1}, not {token}")
        if before + len(tokens) > model.context:
            total = before + len(tokens)
            raise ParamError(
                f"Tokens must fit the context of {model.context} of {model.name}, not be {total}"
            )

    def _norm(self, layer: int | None, role: str, x: Floats) -> Floats:
        return norm(x, self._dense[layer, role], self.decoder.epsilon)

    def _attention(self, layer: int, state: Floats, positions: NDArray[np.int64], cache: Cache) -> Floats:
        decoder, model = self.decoder, self.decoder.model
        x = self._norm(layer, "attention_norm", state)
        q, k, v = (self._matrices[layer, role](x).reshape(len(x), -1, model.head_dim) for role in "qkv")
        q, k = (self._head_norm(layer, role, heads) for role, heads in (("q_norm", q), ("k_norm", k)))
        q, k = (rotated(heads, decoder, positions) for heads in (q, k))
        keys, values = cache.extend(layer, k, v)
        window = decoder.windows[layer] if decoder.windows else 0
        mixed = attention(q, keys, values, positions, window)
        if self._watch is not None:
            for name, heads in (("q", q), ("k", k), ("v", v), ("mixed", mixed.reshape(q.shape))):
                self._watch(layer, name, heads)
        if model.sub_norms:
            mixed = self._norm(layer, "attention_sub_norm", mixed)
        return self._matrices[layer, "o"](mixed)

    def _head_norm(self, layer: int, role: str, heads: Floats) -> Floats:
        return self._norm(layer, role, heads) if (layer, role) in self._dense else heads

    def _feed_forward(self, layer: int, state: Floats) -> Floats:
        x = self._norm(layer, "ffn_norm", state)
        up, function = self._matrices[layer, "up"](x), ACTIVATIONS[self.decoder.model.activation]
        mixed = function(self._matrices[layer, "gate"](x)) * up if self.decoder.model.gated else function(up)
        if self.decoder.model.sub_norms:
            mixed = self._norm(layer, "ffn_sub_norm", mixed)
        return self._matrices[layer, "down"](mixed)


class _Product:
    """A linear layer: INT8 activations by absmax, integer products, scales."""

    def __init__(self, matrix: Ternary) -> None:
        inputs, groups = matrix.shape[1], matrix.scale.shape[1]
        kind = np.float32 if 128 * inputs < _EXACT else np.float64
        self._divides, self._scale = matrix.divides, matrix.scale
        self._codes = [part.T.astype(kind) for part in np.split(matrix.codes, groups, axis=1)]

    def __call__(self, x: Floats) -> Floats:
        """Outputs (tokens x outputs) of activations (tokens x inputs)."""
        scale = np.float32(LEVELS) / np.maximum(
            np.abs(x).max(axis=-1, keepdims=True), np.float32(LEAST_ABSMAX)
        )
        quantized = np.clip(np.rint(x * scale), -128, 127)
        parts = np.split(quantized, len(self._codes), axis=1)
        found: Floats = np.zeros(1, np.float32)
        for group, (part, codes) in enumerate(zip(parts, self._codes, strict=True)):
            found = found + self._scaled(part.astype(codes.dtype) @ codes, group, scale)
        return found

    def _scaled(self, sums: NDArray[np.floating], group: int, scale: Floats) -> Floats:
        of_group, sums = self._scale[:, group], sums.astype(np.float32)
        found: Floats = sums / (of_group * scale) if self._divides else sums / scale * of_group
        return found


def norm(x: Floats, weight: Floats, epsilon: float) -> Floats:
    """RMSNorm of rows."""
    mean = (x.astype(np.float32) ** 2).mean(axis=-1, keepdims=True, dtype=np.float32)
    found: Floats = (weight * (x / np.sqrt(mean + np.float32(epsilon)))).astype(np.float32)
    return found


def rotated(x: Floats, decoder: Decoder, positions: NDArray[np.int64]) -> Floats:
    """Rotary positions on heads (tokens x heads x dim)."""
    half = decoder.model.head_dim // 2
    rates = np.float32(1) / decoder.rope_theta ** (np.arange(half, dtype=np.float32) / half)
    angles = positions.astype(np.float32)[:, None] * rates.astype(np.float32)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    if decoder.rotary == HALF:
        low, high = x[..., :half], x[..., half:]
        return np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)
    even, odd = x[..., ::2], x[..., 1::2]
    turned: Floats = np.stack([even * cos - odd * sin, odd * cos + even * sin], axis=-1)
    return turned.reshape(x.shape)


def attention(
    q: Floats, keys: Floats, values: Floats, positions: NDArray[np.int64], window: int = 0
) -> Floats:
    """Causal attention with grouped heads: (queries x heads x dim) to (queries x heads * dim).

    With a ``window`` a query sees its own position and those before it, so many in all.
    """
    times = q.shape[1] // keys.shape[1]
    keys, values = np.repeat(keys, times, axis=1), np.repeat(values, times, axis=1)
    scores = np.einsum("qhd,khd->hqk", q, keys) / np.float32(np.sqrt(q.shape[-1]))
    back = positions[:, None] - np.arange(len(keys))
    scores = np.where((back >= 0) & (back < (window or len(keys))), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    found: Floats = np.einsum("hqk,khd->qhd", weights, values).astype(np.float32)
    return found.reshape(len(q), -1)


def _relu2(x: Floats) -> Floats:
    found: Floats = np.maximum(x, 0) ** 2
    return found


def _silu(x: Floats) -> Floats:
    found: Floats = x / (1 + np.exp(-x))
    return found


#: Gates of the feed-forward network by the names in configurations.
ACTIVATIONS = {"relu2": _relu2, "silu": _silu}
