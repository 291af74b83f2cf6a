"""Logits of a checkpoint in plain NumPy: the block of BitNet b1.58 2B4T, one token after the other side by side.

Activations of every product are INT8 by the absmax of their token, products are exact integers.
"""

from __future__ import annotations

import numpy as np

from checkpoints.checkpoint import Checkpoint
from checkpoints.decoder import Decoder
from checkpoints.ternary import Floats, Ternary


def logits(checkpoint: Checkpoint, tokens: list[int]) -> Floats:
    """Logits (tokens x vocabulary)."""
    decoder = checkpoint.decoder
    embedding = checkpoint.dense[None, "embedding"].read()
    state = embedding[tokens]
    for layer in range(decoder.model.layers):
        state = state + _attention(checkpoint, layer, state)
        state = state + _feed_forward(checkpoint, layer, state)
    last = norm(state, checkpoint.dense[None, "final_norm"].read(), decoder.epsilon)
    head = embedding if decoder.model.tied_embeddings else checkpoint.dense[None, "head"].read()
    return (last @ head.T).astype(np.float32)


def norm(x: Floats, weight: Floats, epsilon: float) -> Floats:
    """RMSNorm of rows."""
    mean = (x.astype(np.float32) ** 2).mean(axis=-1, keepdims=True, dtype=np.float32)
    return (weight * (x / np.sqrt(mean + np.float32(epsilon)))).astype(np.float32)


def product(x: Floats, matrix: Ternary) -> Floats:
    """A linear layer: INT8 activations by absmax, integer products, scales."""
    scale = np.float32(127) / np.maximum(np.abs(x).max(axis=-1, keepdims=True), np.float32(1e-5))
    quantized = np.clip(np.rint(x * scale), -128, 127).astype(np.int64)
    sums = (quantized @ matrix.codes.astype(np.int64).T).astype(np.float32)
    if matrix.divides:
        return (sums / (matrix.scale[0, 0] * scale)).astype(np.float32)
    return (sums / scale * matrix.scale[0, 0]).astype(np.float32)


def rotated(x: Floats, decoder: Decoder) -> Floats:
    """Rotary positions on heads (tokens x heads x dim): element i turns with element i + dim / 2."""
    half = decoder.model.head_dim // 2
    rates = np.float32(1) / decoder.rope_theta ** (np.arange(half, dtype=np.float32) / half)
    angles = np.arange(len(x), dtype=np.float32)[:, None] * rates.astype(np.float32)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    low, high = x[..., :half], x[..., half:]
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)


def _attention(checkpoint: Checkpoint, layer: int, state: Floats) -> Floats:
    decoder, model = checkpoint.decoder, checkpoint.decoder.model
    x = norm(state, checkpoint.dense[layer, "attention_norm"].read(), decoder.epsilon)
    heads = {
        role: product(x, checkpoint.matrix(layer, role)).reshape(len(x), -1, model.head_dim) for role in "qkv"
    }
    q, k = rotated(heads["q"], decoder), rotated(heads["k"], decoder)
    times = model.heads // model.kv_heads
    k, v = np.repeat(k, times, axis=1), np.repeat(heads["v"], times, axis=1)
    scores = np.einsum("qhd,khd->hqk", q, k) / np.float32(np.sqrt(model.head_dim))
    scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    mixed = np.einsum("hqk,khd->qhd", weights, v).reshape(len(x), -1).astype(np.float32)
    mixed = norm(mixed, checkpoint.dense[layer, "attention_sub_norm"].read(), decoder.epsilon)
    return product(mixed, checkpoint.matrix(layer, "o"))


def _feed_forward(checkpoint: Checkpoint, layer: int, state: Floats) -> Floats:
    x = norm(state, checkpoint.dense[layer, "ffn_norm"].read(), checkpoint.decoder.epsilon)
    gate, up = (product(x, checkpoint.matrix(layer, role)) for role in ("gate", "up"))
    mixed = norm(
        np.maximum(gate, 0) ** 2 * up,
        checkpoint.dense[layer, "ffn_sub_norm"].read(),
        checkpoint.decoder.epsilon,
    )
    return product(mixed, checkpoint.matrix(layer, "down"))
