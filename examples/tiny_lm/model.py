"""A decoder with the block of BitNet b1.58 2B4T (Ma et al., 2025, section 2), small enough to train on one processor.

Products take ternary weights (absmean, straight-through gradients) and INT8 activations (absmax per token). The norms,
the rotary positions and the embedding, which is the head too, stay in floating point.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; the widths are multiples of 256, so that every row packs into GGUF's ternary blocks."""

    layers: int = 4
    hidden: int = 256
    ffn: int = 768
    heads: int = 8
    key_value_heads: int = 4
    vocabulary: int = 1024
    context: int = 256
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads


def ternary(weight: Tensor) -> Tensor:
    """Weights at -1, 0, 1 times their mean magnitude (absmean)."""
    scale = weight.abs().mean().clamp(min=1e-5)
    return (weight / scale).round().clamp(-1, 1) * scale


def int8(values: Tensor) -> Tensor:
    """Values on the 255 levels of each token's largest magnitude (absmax), round half to even."""
    scale = 127.0 / values.abs().amax(dim=-1, keepdim=True).clamp(min=1e-5)
    return (values * scale).round().clamp(-128, 127) / scale


class BitLinear(nn.Module):
    """A product without bias, shape (..., inputs) to (..., outputs); in floating point where ``full`` is set."""

    def __init__(self, inputs: int, outputs: int, full: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.full = full
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, values: Tensor) -> Tensor:
        weight = self.weight
        if not self.full:
            values = values + (int8(values) - values).detach()
            weight = weight + (ternary(weight) - weight).detach()
        return functional.linear(values, weight)


class Norm(nn.Module):
    """RMSNorm with a gain per element."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, values: Tensor) -> Tensor:
        wide = values.float()
        return wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps) * self.weight


def rotary(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines, (context, head_dim), of half-split rotary positions."""
    frequency = shape.rope_theta ** (-torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)
    angle = torch.outer(torch.arange(shape.context).float(), frequency)
    return torch.cat([angle, angle], -1).cos(), torch.cat([angle, angle], -1).sin()


def rotate(values: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Values (..., tokens, head_dim) at their positions."""
    low, high = values.chunk(2, -1)
    return values * cosine + torch.cat([-high, low], -1) * sine


class Attention(nn.Module):
    """Grouped causal attention with a norm in front of the output product."""

    def __init__(self, shape: Shape, full: bool) -> None:
        super().__init__()
        self.shape = shape
        narrow = shape.key_value_heads * shape.head_dim
        self.q_proj = BitLinear(shape.hidden, shape.hidden, full)
        self.k_proj = BitLinear(shape.hidden, narrow, full)
        self.v_proj = BitLinear(shape.hidden, narrow, full)
        self.o_proj = BitLinear(shape.hidden, shape.hidden, full)
        self.attn_sub_norm = Norm(shape.hidden, shape.norm_eps)

    def forward(self, values: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        batch, tokens, _ = values.shape
        dim, groups = self.shape.head_dim, self.shape.heads // self.shape.key_value_heads
        q, k, v = (
            product(values).view(batch, tokens, -1, dim).transpose(1, 2)
            for product in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, cosine, sine), rotate(k, cosine, sine).repeat_interleave(groups, 1)
        mixed = functional.scaled_dot_product_attention(
            q, k.to(q.dtype), v.repeat_interleave(groups, 1).to(q.dtype), is_causal=True
        )
        return self.o_proj(self.attn_sub_norm(mixed.transpose(1, 2).reshape(batch, tokens, -1)))


class FeedForward(nn.Module):
    """Squared ReLU gate with a norm in front of the last product."""

    def __init__(self, shape: Shape, full: bool) -> None:
        super().__init__()
        self.gate_proj = BitLinear(shape.hidden, shape.ffn, full)
        self.up_proj = BitLinear(shape.hidden, shape.ffn, full)
        self.down_proj = BitLinear(shape.ffn, shape.hidden, full)
        self.ffn_sub_norm = Norm(shape.ffn, shape.norm_eps)

    def forward(self, values: Tensor) -> Tensor:
        gated = functional.relu(self.gate_proj(values)).square() * self.up_proj(values)
        return self.down_proj(self.ffn_sub_norm(gated))


class Layer(nn.Module):
    """Attention and feed-forward, each behind a norm and added to what came in."""

    def __init__(self, shape: Shape, full: bool) -> None:
        super().__init__()
        self.input_layernorm = Norm(shape.hidden, shape.norm_eps)
        self.self_attn = Attention(shape, full)
        self.post_attention_layernorm = Norm(shape.hidden, shape.norm_eps)
        self.mlp = FeedForward(shape, full)

    def forward(self, values: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        values = values + self.self_attn(self.input_layernorm(values), cosine, sine)
        return values + self.mlp(self.post_attention_layernorm(values))


class Decoder(nn.Module):
    """Logits (batch, tokens, vocabulary) of token numbers (batch, tokens). ``full`` keeps floating-point weights."""

    def __init__(self, shape: Shape, full: bool = False) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape, full) for _ in range(shape.layers))
        self.norm = Norm(shape.hidden, shape.norm_eps)
        nn.init.normal_(self.embed_tokens.weight, std=0.02)
        cosine, sine = rotary(shape)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        tokens = numbers.shape[1]
        values = self.embed_tokens(numbers)
        for layer in self.layers:
            values = layer(values, self.cosine[:tokens], self.sine[:tokens])
        return functional.linear(self.norm(values), self.embed_tokens.weight)
