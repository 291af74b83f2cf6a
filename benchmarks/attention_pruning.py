"""KV traffic saved by leading-one pruning against the error of the output, on score distributions of language models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks.attention_cases import softmax_attention
from blueprint.pruning import Pruning, Traffic, encode, surrogate
from blueprint.softmax.arithmetic import Arithmetic, Scales
from blueprint.softmax.attention import attend

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


def measure(name: str, candidates: int, bucket_bits: int = 2) -> tuple[float, float, float, float]:
    """(share of the softmax weight on the candidates, mean absolute error and largest error in output LSB, share of the
    true best keys found)."""
    q, k, v, scale = case(name)
    p = Pruning(dim=DIM, keys_max=KEYS, bucket_bits=bucket_bits).check()
    taken = p.select(surrogate(encode(q), encode(k)), candidates)
    order = np.stack([np.flatnonzero(row) for row in taken])
    a = Arithmetic(inputs="int8", accumulator="integer", graph="memory_free", dim=DIM, keys_max=KEYS)
    found = attend(a, Scales.of(a, scale), q, k, v, order)
    exact = [x.astype(np.float64) for x in (q, k, v)]
    wanted = softmax_attention(*exact, scale)
    t = exact[0] @ exact[1].T * scale
    weight = np.exp2(t - t.max(axis=1, keepdims=True))
    kept = float(((weight * taken).sum(axis=1) / weight.sum(axis=1)).mean())
    best = np.argsort(-t, axis=1)[:, :candidates]
    recall = float(np.take_along_axis(taken, best, axis=1).mean())
    error = np.abs(found - wanted)
    return kept, float(error.mean()), float(error.max()), recall


def tables() -> dict[str, str]:
    """The table of the page."""
    lines = [
        "| scores | candidates of 2048 | KV traffic saved, codes fetched | codes on chip | best keys found | "
        "softmax weight kept | mean error, LSB | largest |",
        "| --- |" + " ---: |" * 7,
    ]
    for name in DISTRIBUTIONS:
        for candidates in CANDIDATES:
            traffic = Traffic.of(DIM, KEYS, candidates)
            kept, mean, most, recall = measure(name, candidates)
            lines.append(
                f"| {name} | {candidates} | {traffic.saved:.2f}x | {traffic.saved_on_chip:.1f}x | {recall:.1%} | "
                f"{kept:.1%} | {mean:.2f} | {most:.1f} |"
            )
    resolution = [
        "| candidates | " + " | ".join(f"{bits} bits" for bits in range(5)) + " |",
        "| --- |" + " ---: |" * 5,
    ]
    for candidates in (64, 256):
        found = [measure("Gaussian, heavy-tailed channels", candidates, bits)[0] for bits in range(5)]
        resolution.append(f"| {candidates} | " + " | ".join(f"{kept:.1%}" for kept in found) + " |")
    return {"pruning": "\n".join(lines), "buckets": "\n".join(resolution)}
