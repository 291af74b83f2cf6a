"""KV traffic saved by leading-one pruning against the error of the output, on scores like those of language models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.attention_cases import softmax_attention
from blueprint.arithmetic.pruning import Pruning, Traffic, encode, surrogate
from blueprint.arithmetic.softmax.arithmetic import Arithmetic, Scales
from blueprint.arithmetic.softmax.attention import attend

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

DIM, KEYS, ROWS, SEED = 128, 2048, 16, 1
CANDIDATES = (32, 64, 128, 256, 512)


def _gaussian(random: np.random.Generator) -> tuple[Floats, Floats]:
    """Queries and keys of heavy-tailed channels, as after training: a few channels are large in all keys."""
    channel = np.exp(random.normal(size=DIM) * 0.5)
    return random.normal(size=(ROWS, DIM)) * channel, random.normal(size=(KEYS, DIM)) * channel


def _sink(random: np.random.Generator) -> tuple[Floats, Floats]:
    """Attention sinks: the first four keys point where every query looks, recent keys resemble the query."""
    q, k = _gaussian(random)
    common = random.normal(size=DIM)
    q = q + common
    k[:4] += 1.5 * common * np.abs(q).mean() / np.abs(common).mean()
    k[-64:] += 0.3 * q.mean(axis=0)
    return q, k


def _peaked(random: np.random.Generator) -> tuple[Floats, Floats]:
    """Retrieval: each query has eight keys that resemble it."""
    q, k = _gaussian(random)
    for row in range(ROWS):
        k[random.choice(KEYS, 8, replace=False)] += 0.7 * q[row]
    return q, k


DISTRIBUTIONS: dict[str, tuple[Callable[[np.random.Generator], tuple[Floats, Floats]], float]] = {
    # name: (queries and keys, standard deviation of the scores in nats)
    "Gaussian, heavy-tailed channels": (_gaussian, 1.5),
    "Gaussian, sharp": (_gaussian, 4.0),
    "attention sinks and recent keys": (_sink, 2.5),
    "retrieval": (_peaked, 2.5),
}


def case(name: str) -> tuple[Integers, Integers, Integers, float]:
    """Int8 queries, keys and values, and the scale from scores to exponents of two."""
    random = np.random.default_rng(SEED)
    build, spread = DISTRIBUTIONS[name]
    q, k = build(random)
    q8, k8 = (np.clip(np.rint(x * 127 / np.abs(x).max(axis=1, keepdims=True)), -128, 127) for x in (q, k))
    v8 = np.clip(np.rint(random.standard_t(5, (KEYS, DIM)) * 25), -128, 127)
    scale = spread * np.log2(np.e) / float((q8 @ k8.T).std())
    return q8.astype(np.int64), k8.astype(np.int64), v8.astype(np.int64), scale


@dataclass(frozen=True)
class Measured:
    """Results for one number of candidates: shares from 0 to 1, errors of the output in LSB."""

    found: float  # of the keys with the best exact scores
    kept: float  # of the softmax weight
    ideal: float  # what those best keys would keep
    mean_error: float
    largest_error: float


def measure(name: str, candidates: int, bucket_bits: int = 2) -> Measured:
    """Pruned int8 attention against float64 attention on all keys."""
    q, k, v, scale = case(name)
    p = Pruning(dim=DIM, keys_max=KEYS, bucket_bits=bucket_bits).check()
    taken = p.select(surrogate(encode(q), encode(k)), candidates)
    order = np.stack([np.flatnonzero(row) for row in taken])
    a = Arithmetic(inputs="int8", acc_format="integer", graph="memory_free", dim=DIM, keys_max=KEYS)
    found = attend(a, Scales.of(a, scale), q, k, v, order)
    wanted = softmax_attention(q, k, v, scale)
    t = q.astype(np.float64) @ k.T.astype(np.float64) * scale
    weight = np.exp2(t - t.max(axis=1, keepdims=True))
    share = weight / weight.sum(axis=1, keepdims=True)
    best = np.argsort(-t, axis=1)[:, :candidates]
    error = np.abs(found - wanted)
    return Measured(
        found=float(np.take_along_axis(taken, best, axis=1).mean()),
        kept=float((share * taken).sum(axis=1).mean()),
        ideal=float(np.take_along_axis(share, best, axis=1).sum(axis=1).mean()),
        mean_error=float(error.mean()),
        largest_error=float(error.max()),
    )


COLUMNS = (
    f"candidates of {KEYS}",
    "KV traffic saved, codes fetched",
    "codes on chip",
    "best keys found",
    "softmax weight kept",
    "ideal",
    "mean error, LSB",
    "largest",
)


def tables() -> dict[str, str]:
    """The tables of the page."""
    lines = [f"| scores | {' | '.join(COLUMNS)} |", "| --- |" + " ---: |" * len(COLUMNS)]
    for name in DISTRIBUTIONS:
        for candidates in CANDIDATES:
            traffic, got = Traffic.of(DIM, KEYS, candidates), measure(name, candidates)
            saved = f"{candidates} | {traffic.saved:.2f}x | {traffic.saved_on_chip:.1f}x"
            shares = f"{got.found:.1%} | {got.kept:.1%} | {got.ideal:.1%}"
            lines.append(f"| {name} | {saved} | {shares} | {got.mean_error:.2f} | {got.largest_error:.1f} |")
    return {"pruning": "\n".join(lines), "buckets": _resolution()}


def _resolution() -> str:
    lines = [f"| candidates | {' | '.join(f'{bits} bits' for bits in range(5))} |", "| --- |" + " ---: |" * 5]
    for candidates in (64, 256):
        kept = [measure(next(iter(DISTRIBUTIONS)), candidates, bits).kept for bits in range(5)]
        lines.append(f"| {candidates} | {' | '.join(f'{share:.1%}' for share in kept)} |")
    return "\n".join(lines)
