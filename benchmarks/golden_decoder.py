"""Loss and next tokens of the golden decoder of a system beside the reference decoder in floats.

``python -m benchmarks.golden_decoder [--system FILE] [--checkpoint DIR] [--text FILE] [--windows N] [--length N]``: the
compiled program runs on windows of a text that the model has not learned from, all windows side by side, every position
with its head; both decoders see the same tokens.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blueprint.record import Integers
from blueprint.systems import control
from blueprint.systems.reader import read_system
from checkpoints import reading
from checkpoints.checkpoint import Checkpoint
from checkpoints.reference import Reference
from checkpoints.ternary import Floats
from compiler import calibration
from compiler.compile import Compiled, compile_model, has_steps
from compiler.contents import Contents
from compiler.prompts import DECODE
from simulator.systems.golden import Golden, Memory

#: Relative noise that the reference decoder is disturbed by, to see what any other arithmetic does to it.
NOISE = (1e-6, 1e-5, 1e-4, 1e-3)
_ROOT = Path(__file__).resolve().parents[1] / "examples"


def scores(compiled: Compiled, windows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores (windows x positions x vocabulary) of the golden decoder."""
    count, length = windows.shape
    vocab = compiled.checkpoint.decoder.model.vocab
    memory = Memory(compiled.layout.base, compiled.layout.image(), count)
    found = np.zeros((count, length, vocab))
    position = 0

    def watch(unit: str, run: int, field: str, values: Integers) -> None:
        if field == "vector.out.dot" and values.shape[1] == vocab:
            found[:, position] = values.astype(np.uint32).view(np.float32)

    golden, program = Golden(compiled.hardware, memory, watch), compiled.program(DECODE).instructions
    tokens = compiled.layout["tokens"].base
    began = time.monotonic()
    for position in range(length):
        memory.write(tokens + 4 * position, windows[:, position : position + 1].astype("<u4").view(np.uint8))
        golden.run(program, position)
        left = (time.monotonic() - began) / (position + 1) * (length - position - 1)
        print(f"\r{position + 1}/{length} positions, {left:.0f} s left ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def disturbed(checkpoint: Checkpoint, windows: NDArray[np.int64], noise: float) -> NDArray[np.float64]:
    """Scores of the reference decoder with relative noise of this deviation in what attention gives."""
    random = np.random.default_rng(0)

    def watch(layer: int, what: str, values: Floats) -> None:
        if what == "mixed":
            values *= (1 + noise * random.standard_normal(values.shape)).astype(np.float32)

    reference = Reference(checkpoint, watch)
    return np.stack([reference.logits(window.tolist()) for window in windows]).astype(np.float64)


def in_integers(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint whose embedding is what integers of 8 bits and a scale a row stand for (``embedding_width: 8``)."""
    codes, scales = Contents(checkpoint, ()).rows("embedding")
    place = (None, "embedding")
    table = (codes * scales[:, None]).astype(np.float32)
    stored = replace(checkpoint.dense[place], rows=lambda first, last: table[first:last])
    return replace(checkpoint, dense={**checkpoint.dense, place: stored})


def losses(logits: NDArray[np.floating], targets: NDArray[np.int64]) -> float:
    """Mean cross entropy in nat."""
    wide = logits.astype(np.float64)
    peak = wide.max(axis=-1, keepdims=True)
    total = np.log(np.exp(wide - peak).sum(axis=-1)) + peak[..., 0]
    chosen = np.take_along_axis(wide, targets[..., None], axis=-1)[..., 0]
    return float((total - chosen).mean())


def compiled_system(system: Path, checkpoint: Checkpoint, text: Path | None) -> Compiled:
    """A checkpoint on a system, calibrated on a text or on the model's own."""
    hardware = control.hardware(read_system(system))
    model, words = checkpoint.decoder.model, checkpoint.vocabulary
    if not has_steps(hardware):
        return compile_model(hardware, checkpoint, ())
    if text is None:
        windows = calibration.own_text(checkpoint)
    else:
        assert words is not None
        windows = calibration.windows(words.encode(text.read_text(encoding="utf-8")), model.context)
    return compile_model(hardware, checkpoint, calibration.measure(checkpoint, windows))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", type=Path, default=_ROOT / "tiny_decoder" / "system.yaml")
    parser.add_argument("--checkpoint", type=Path, default=_ROOT / "tiny_lm" / "tiny_kjv")
    parser.add_argument("--text", type=Path, default=_ROOT / "tiny_lm" / "ruth.txt")
    parser.add_argument("--calibrate", type=Path, help="text to measure steps on; the model's own without it")
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    options = parser.parse_args()
    checkpoint = reading.read(options.checkpoint).checkpoint
    assert checkpoint is not None and checkpoint.vocabulary is not None
    tokens = checkpoint.vocabulary.encode(options.text.read_text(encoding="utf-8"))
    count, length = options.windows, options.length
    whole = np.array(tokens[: count * length + 1], np.int64)
    windows, targets = whole[:-1].reshape(count, length), whole[1:].reshape(count, length)
    compiled = compiled_system(options.system, checkpoint, options.calibrate)
    golden = scores(compiled, windows)
    reference = Reference(checkpoint)
    floats = np.stack([reference.logits(window.tolist()) for window in windows])
    same = float((golden.argmax(axis=-1) == floats.argmax(axis=-1)).mean())
    near = np.sort(floats, axis=-1)[..., -1] - np.sort(floats, axis=-1)[..., -2]
    differ = golden.argmax(axis=-1) != floats.argmax(axis=-1)
    print(f"{count * length} tokens, {count} windows of {length} of {options.text.name}")
    print(f"loss [nat]: golden {losses(golden, targets):.4f}, reference {losses(floats, targets):.4f}")
    print(f"next tokens equal: {same:.2%}")
    integers = Reference(in_integers(checkpoint))
    others = np.stack([integers.logits(window.tolist()) for window in windows])
    equal = float((others.argmax(axis=-1) == floats.argmax(axis=-1)).mean())
    print(f"reference with an embedding of 8 bits: loss {losses(others, targets):.4f}, {equal:.2%} equal")
    for noise in NOISE:
        equal = float(
            (disturbed(checkpoint, windows, noise).argmax(axis=-1) == floats.argmax(axis=-1)).mean()
        )
        print(
            f"next tokens of the reference with noise of {noise:g} in what attention gives: {equal:.2%} equal"
        )
    apart = np.median(near[differ]) if differ.any() else 0
    print(f"median distance of the two largest logits {np.median(near):.3f}, where they differ {apart:.3f}")


if __name__ == "__main__":
    main()
