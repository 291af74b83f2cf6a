"""The language model that comes with the project: what is in its files, how well it predicts a book it never saw."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

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
