"""Steps of the integers that keys, values, queries and results of attention are kept as: measured on a text.

The attention unit takes one scale a head for all positions, so a step cannot follow the token: it is the largest
magnitude of what the reference decoder computes on a calibration text, over the 127 levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blueprint.arithmetic.quantization import LEAST_ABSMAX, LEVELS
from checkpoints.checkpoint import Checkpoint
from checkpoints.reference import Cache, Reference
from checkpoints.ternary import Floats

#: Tokens of the text that a model makes for itself where none is given, in windows of its context.
TOKENS = 256
#: Factor on the largest magnitudes: above 1 it would leave room for texts with larger values.
MARGIN = 1.0


@dataclass(frozen=True)
class Steps:
    """Steps of a layer: of ``query``, ``key`` and ``value`` one for each key head, of ``mixed`` one for all heads."""

    query: tuple[float, ...]
    key: tuple[float, ...]
    value: tuple[float, ...]
    mixed: float

    def cached(self, levels: float) -> Steps:
        """The same steps where the integers of keys and values have ``levels`` levels in place of 127."""
        key, value = (tuple(step * (LEVELS / levels) for step in steps) for steps in (self.key, self.value))
        return replace(self, key=key, value=value)


def measure(checkpoint: Checkpoint, windows: Sequence[Sequence[int]]) -> tuple[Steps, ...]:
    """The steps of every layer on windows of tokens, each of which begins anew."""
    peaks: dict[tuple[int, str], NDArray[np.float64]] = {}

    def watch(layer: int, what: str, values: Floats) -> None:
        found = np.abs(values).max(axis=(0, 2)).astype(np.float64)
        peaks[layer, what] = np.maximum(peaks.get((layer, what), 0.0), found)

    reference = Reference(checkpoint, watch)
    for window in windows:
        reference.logits(window)
    model = checkpoint.decoder.model

    def of(layer: int, what: str) -> tuple[float, ...]:
        heads = peaks[layer, what].reshape(model.kv_heads, -1).max(axis=1)
        return tuple(float(max(peak, LEAST_ABSMAX) * MARGIN / LEVELS) for peak in heads)

    return tuple(
        Steps(of(layer, "q"), of(layer, "k"), of(layer, "v"), max(of(layer, "mixed")))
        for layer in range(model.layers)
    )


def windows(tokens: Sequence[int], context: int) -> list[list[int]]:
    """Windows of the context without overlap."""
    return [list(tokens[start : start + context]) for start in range(0, len(tokens), context)]


def own_text(
    checkpoint: Checkpoint,
    count: int = TOKENS,
    seed: int = 0,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> list[list[int]]:
    """Windows of tokens that the model draws by its own probabilities, from a fixed seed."""
    reference, random = Reference(checkpoint), np.random.default_rng(seed)
    model = checkpoint.decoder.model
    found: list[list[int]] = []
    while sum(map(len, found)) < count:
        cache, window = Cache(), [int(random.integers(model.vocab))]
        for _ in range(min(model.context, count) - 1):
            logits = reference.logits(window[-1:], cache)[-1].astype(np.float64)
            chances = np.exp(logits - logits.max())
            window.append(int(random.choice(model.vocab, p=chances / chances.sum())))
            told(sum(map(len, found)) + len(window), count)
        found.append(window)
    return found
