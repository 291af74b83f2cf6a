"""Which of attention's approximations changes how many of the reference decoder's next tokens.

``python -m benchmarks.attention_ablation [--checkpoint DIR] [--text FILE] [--windows N] [--length N]``: the reference
decoder with queries, keys, values and results of attention rounded one by one, to integers of static steps or to FP16,
beside the same decoder in FP32. Steps are measured as `ternforge compile` measures them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.golden_decoder import losses
from blueprint.arithmetic.quantization import LEVELS
from checkpoints import reading
from checkpoints.checkpoint import Checkpoint
from checkpoints.reference import ACTIVATIONS, Cache, Reference, attention, rotated
from checkpoints.ternary import Floats
from compiler import calibration
from compiler.calibration import Steps

#: Vectors that attention takes and gives.
ALL = ("query", "key", "value", "mixed")
_ROOT = Path(__file__).resolve().parents[1] / "examples"


@dataclass(frozen=True)
class Rounding:
    """What is rounded: ``integers`` to so many ``bits``, others to FP16 with ``halves``, vectors around it to FP16
    with ``vectors``: those of products, rotations, gates and norms; the residual stream is added up in FP32.

    Integers saturate at ``margin`` times the largest magnitude that was measured, or with ``saturates`` off nowhere.
    """

    integers: tuple[str, ...] = ()
    bits: int = 8
    saturates: bool = True
    margin: float = 1.0
    halves: bool = False
    vectors: bool = False

    @property
    def text(self) -> str:
        """In words."""
        some = "all of attention" if self.integers == ALL else ", ".join(self.integers)
        found = ["vectors of FP16"] * self.vectors + ["attention of FP16"] * self.halves
        found += [f"{some} of {self.bits} bits"] * bool(self.integers) + ["no saturation"] * (
            not self.saturates
        )
        return "; ".join([*found, f"steps times {self.margin:g}"] if self.margin != 1 else found)


ROUNDINGS = (
    Rounding(halves=True),
    Rounding(vectors=True),
    *(Rounding((name,), vectors=True) for name in ALL),
    *(Rounding((name,)) for name in ALL),
    Rounding(ALL, vectors=True),
    *(Rounding(ALL, margin=margin, vectors=True) for margin in (1.25, 1.5)),
    *(Rounding(ALL, bits=bits, vectors=True) for bits in (10, 14)),
    *(Rounding(ALL, bits=bits, saturates=False, vectors=True) for bits in (8, 10, 14)),
)


class Rounded(Reference):
    """The reference decoder with roundings."""

    def __init__(self, checkpoint: Checkpoint, steps: Sequence[Steps], rounding: Rounding) -> None:
        super().__init__(checkpoint)
        self._steps, self._rounding = steps, rounding

    def _vector(self, x: Floats) -> Floats:
        return half(x) if self._rounding.vectors else x

    def _norm(self, layer: int | None, role: str, x: Floats) -> Floats:
        return self._vector(super()._norm(layer, role, self._vector(x)))

    def _of_attention(self, layer: int, name: str, heads: Floats) -> Floats:
        rounding = self._rounding
        if name not in rounding.integers:
            return half(heads) if rounding.halves else heads
        steps = np.atleast_1d(getattr(self._steps[layer], name))
        levels = (1 << rounding.bits - 1) - 1
        return integers(
            heads, steps * rounding.margin * LEVELS / levels, levels if rounding.saturates else None
        )

    def _attention(self, layer: int, state: Floats, positions: NDArray[np.int64], cache: Cache) -> Floats:
        decoder, dim = self.decoder, self.decoder.model.head_dim
        x = self._norm(layer, "attention_norm", state)
        q, k, v = (self._vector(self._matrices[layer, role](x)).reshape(len(x), -1, dim) for role in "qkv")
        q, k = (self._vector(rotated(heads, decoder, positions)) for heads in (q, k))
        q, k, v = (self._of_attention(layer, *one) for one in zip(ALL[:3], (q, k, v), strict=True))
        mixed = attention(q, *cache.extend(layer, k, v), positions)
        mixed = self._of_attention(layer, "mixed", mixed.reshape(q.shape)).reshape(mixed.shape)
        if decoder.model.sub_norms:
            mixed = self._norm(layer, "attention_sub_norm", mixed)
        return self._vector(self._matrices[layer, "o"](mixed))

    def _feed_forward(self, layer: int, state: Floats) -> Floats:
        model = self.decoder.model
        x = self._norm(layer, "ffn_norm", state)
        gate, up = (self._vector(self._matrices[layer, role](x)) for role in ("gate", "up"))
        mixed = self._vector(self._vector(ACTIVATIONS[model.activation](gate)) * up)
        if model.sub_norms:
            mixed = self._norm(layer, "ffn_sub_norm", mixed)
        return self._vector(self._matrices[layer, "down"](mixed))


def half(x: Floats) -> Floats:
    """The nearest numbers of FP16."""
    return x.astype(np.float16).astype(np.float32)


def integers(heads: Floats, steps: NDArray[np.float64], levels: int | None) -> Floats:
    """Heads (tokens x heads x dim) as multiples of a step for each group of them, of at most so many."""
    each = np.repeat(steps, heads.shape[1] // len(steps))[None, :, None]
    counts = np.rint(heads / each)
    found: Floats = ((counts if levels is None else np.clip(counts, -levels, levels)) * each).astype(
        np.float32
    )
    return found


def measured(
    checkpoint: Checkpoint,
    windows: NDArray[np.int64],
    targets: NDArray[np.int64],
    roundings: Sequence[Rounding],
) -> Iterator[tuple[Rounding, float, float]]:
    """Loss in nat and share of equal next tokens of each rounding."""
    steps = calibration.measure(checkpoint, calibration.own_text(checkpoint))
    plain = Reference(checkpoint)
    wanted = np.stack([plain.logits(window.tolist()) for window in windows]).argmax(axis=-1)
    for rounding in roundings:
        decoder = Rounded(checkpoint, steps, rounding)
        logits = np.stack([decoder.logits(window.tolist()) for window in windows])
        yield rounding, losses(logits, targets), float((logits.argmax(axis=-1) == wanted).mean())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=_ROOT / "tiny_lm" / "tiny_kjv")
    parser.add_argument("--text", type=Path, default=_ROOT / "tiny_lm" / "ruth.txt")
    parser.add_argument("--windows", type=int, default=68)
    parser.add_argument("--length", type=int, default=64)
    options = parser.parse_args()
    checkpoint = reading.read(options.checkpoint).checkpoint
    assert checkpoint is not None and checkpoint.vocabulary is not None
    count, length = options.windows, options.length
    tokens = checkpoint.vocabulary.encode(options.text.read_text(encoding="utf-8"))
    whole = np.array(tokens[: count * length + 1], np.int64)
    windows, targets = whole[:-1].reshape(count, length), whole[1:].reshape(count, length)
    print(f"{count * length} tokens, {count} windows of {length} of {options.text.name}")
    for rounding, loss, equal in measured(checkpoint, windows, targets, ROUNDINGS):
        print(f"{equal:.2%} equal, loss {loss:.4f}: {rounding.text}", flush=True)


if __name__ == "__main__":
    main()
