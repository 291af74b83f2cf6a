"""The language model that comes with the project: what is in its files, how well it predicts a book it never saw."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from checkpoints import gguf_writing, reading
from checkpoints.checkpoint import Checkpoint
from checkpoints.reference import Reference

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "tiny_lm"
WEIGHTS = FOLDER / "tiny_kjv"
#: Loss of the first 257 tokens of Ruth, in nat per token, as `docs/tiny_lm.md` was made.
RECORDED = 2.682991

MISSING = any(importlib.util.find_spec(name) is None for name in ("transformers", "torch", "accelerate"))


@pytest.fixture(scope="module")
def shipped() -> Checkpoint:
    found = reading.read(WEIGHTS).checkpoint
    assert found is not None
    return found


@pytest.fixture(scope="module")
def window(shipped: Checkpoint) -> list[int]:
    text = (FOLDER / "ruth.txt").read_text().splitlines()[0]
    assert shipped.vocabulary is not None and shipped.decoder.bos is not None
    return [shipped.decoder.bos, *shipped.vocabulary.encode(text)][: shipped.decoder.model.context + 1]


def _loss(checkpoint: Checkpoint, window: list[int]) -> float:
    return Reference(checkpoint).loss(window) / (len(window) - 1)


def test_the_files_are_small_and_what_the_page_says(shipped: Checkpoint) -> None:
    model = shipped.decoder.model
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 1_500_000
    assert (model.hidden, model.ffn, model.layers, model.heads, model.kv_heads) == (256, 768, 4, 8, 4)
    assert (model.vocab, model.context, model.head_dim) == (1024, 256, 32)
    assert model.sub_norms and model.activation == "relu2" and model.tied_embeddings
    assert json.loads((WEIGHTS / "training.json").read_text())["shape"]["hidden"] == model.hidden


def test_the_loss_is_the_recorded_one(shipped: Checkpoint, window: list[int]) -> None:
    assert len(window) == 257
    assert _loss(shipped, window) == pytest.approx(RECORDED, abs=2e-3)


def test_one_matrix_of_zeros_is_noticed(shipped: Checkpoint, window: list[int]) -> None:
    place = (2, "down")
    matrix = shipped.matrix(*place)
    nothing = dataclasses.replace(matrix, codes=np.zeros_like(matrix.codes))
    changed = dataclasses.replace(shipped.matrices[place], read=lambda: nothing)
    damaged = dataclasses.replace(shipped, matrices={**shipped.matrices, place: changed})
    assert _loss(damaged, window) > RECORDED + 0.05


def test_another_base_of_rotary_positions_is_noticed(shipped: Checkpoint, window: list[int]) -> None:
    other = dataclasses.replace(shipped.decoder, rope_theta=500_000.0)
    assert _loss(dataclasses.replace(shipped, decoder=other), window) > RECORDED + 0.02


def test_weights_are_ternary_in_the_share_of_the_page(shipped: Checkpoint) -> None:
    shares = [each.statistics.zero_share for each in shipped.survey() if each.statistics]
    assert len(shares) == 28 and 0.25 < min(shares) <= max(shares) < 0.45


def test_the_same_model_as_gguf(shipped: Checkpoint, window: list[int], tmp_path: Path) -> None:
    """FP16 scales change the loss by less than a thousandth; the codes are the same."""
    gguf_writing.write(shipped, tmp_path / "tiny.gguf", "tq2_0")
    again = reading.read(tmp_path / "tiny.gguf").checkpoint
    assert again is not None
    for place in shipped.layers():
        assert np.array_equal(again.matrix(*place).codes, shipped.matrix(*place).codes)
    assert _loss(again, window) == pytest.approx(_loss(shipped, window), abs=1e-3)


@pytest.mark.skipif(MISSING, reason="needs transformers and torch, which CI does not install")
@pytest.mark.slow
def test_transformers_computes_the_same_logits(shipped: Checkpoint, window: list[int]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(WEIGHTS).eval()  # in FP16
    with torch.no_grad():
        logits = theirs(torch.tensor([window[:64]])).logits[0].float().numpy()
    ours = Reference(shipped).logits(window[:64])
    assert np.array_equal(logits.argmax(axis=1), ours.argmax(axis=1))
    assert np.abs(logits - ours).max() < 2e-2 * np.abs(logits).max()


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A script of the example, with stand-ins for PyTorch and for the scripts that need it."""
    for other in ("torch", "torch.nn", "torch.nn.functional", "corpus", "model", "train", "tokenizers"):
        monkeypatch.setitem(sys.modules, other, MagicMock())
    torch = sys.modules["torch"]
    torch.nn.Module = object  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location(f"of_the_example_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_ngrams_have_the_probabilities_of_kneser_and_ney(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of the highest order, numbers of different tokens in front below, each less 0.75, the rest from below."""
    ngram = script("evaluate", monkeypatch).NGram
    text, kinds, order = [0, 1, 2, 0, 1, 3, 0, 1, 2, 2, 1, 2], 5, 3

    def seen(gram: tuple[int, ...]) -> int:
        places = range(len(text) - len(gram) + 1)
        found = [place for place in places if tuple(text[place : place + len(gram)]) == gram]
        return len(found) if len(gram) == order else len({text[p - 1] for p in found if p})

    def naive(before: tuple[int, ...], token: int) -> float:
        lower = naive(before[1:], token) if before else 1 / kinds
        counts = [seen((*before, each)) for each in range(kinds)]
        if not sum(counts):
            return lower
        left = 0.75 * sum(count > 0 for count in counts) * lower
        return float((max(counts[token] - 0.75, 0) + left) / sum(counts))

    model = ngram(text, order, kinds)
    for before in ((), (0,), (4,), (0, 1), (1, 2), (4, 1), (2, 4)):
        found = [model.probability(before, token) for token in range(kinds)]
        assert found == pytest.approx([naive(before, token) for token in range(kinds)])
        assert sum(found) == pytest.approx(1)
    held = [0, 1, 2, 4, 1, 0, 1]
    windows = [held[0:4], held[3:7]]
    losses = [
        -math.log(naive(tuple(window[max(0, place - 2) : place]), window[place]))
        for window in windows
        for place in range(1, len(window))
    ]
    assert model.loss(held, 3) == pytest.approx(sum(losses))


def test_the_rate_of_learning_rises_and_falls_to_a_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    rate = script("train", monkeypatch)._rate
    assert [rate(step, 1100) for step in (0, 49, 99, 100, 600, 1100)] == pytest.approx(
        [3e-5, 1.5e-3, 3e-3, 3e-3, 1.65e-3, 3e-4]
    )
    assert rate(350, 1100) == pytest.approx(3e-3 * (0.1 + 0.45 * (1 + math.sqrt(0.5))))
    assert rate(100, 100) == pytest.approx(3e-3)


class Words(np.ndarray):  # type: ignore[type-arg]
    """An array with the few methods of a tensor that rounding takes."""

    def abs(self) -> Any:
        return np.abs(self)

    def amax(self, dim: int, keepdim: bool) -> Any:
        return self.max(axis=dim, keepdims=keepdim)

    def clamp(self, min: float, max: float = math.inf) -> Any:
        return np.clip(self, min, max)


def test_a_model_that_learns_rounds_as_the_hardware_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights to -1, 0 or 1 times their mean magnitude, values to 255 levels of the largest one of each token."""
    model = script("model", monkeypatch)
    values = np.array([[0.5, -1.27, 0.004, 1.0], [2.54, 0.01, -0.03, 0.0], [0.0, 0.0, 0.0, 0.0]])
    levels = np.array([[50, -127, 0, 100], [127, 0, -2, 0], [0, 0, 0, 0]])
    scales = np.array([[0.01], [0.02], [1e-5 / 127]])
    assert np.allclose(model.int8(values.view(Words)), levels * scales, rtol=1e-12, atol=0)
    weights = np.array([[0.1, -0.9, 0.4, -0.6], [0.0, 2.0, 0.26, 0.14]])
    mean = np.abs(weights).mean()
    codes = [[0, -1, 1, -1], [0, 1, 0, 0]]
    assert mean == pytest.approx(0.55) and np.allclose(
        model.ternary(weights.view(Words)), np.array(codes) * mean
    )
