"""A folder that we write, loaded by model type ``bitnet`` of transformers: the same matrices, the same logits.

Needs ``pip install transformers torch accelerate``, which CI does not have.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from checkpoints import reading
from checkpoints.reference import Reference
from tests.checkpoints import files, tiny

MISSING = any(importlib.util.find_spec(name) is None for name in ("transformers", "torch", "accelerate"))
needed = pytest.mark.skipif(MISSING, reason="needs transformers and torch, which CI does not install")
TOKENS = [5, 17, 200, 33, 1, 99, 254, 3]


@needed
@pytest.mark.slow
@pytest.mark.parametrize("linear_class", ["autobitlinear", "bitlinear"])
def test_transformers_computes_the_same(tmp_path: Path, linear_class: str) -> None:
    """Logits of eight tokens, random weights: within 2e-5 of the largest, in FP32 with sums in another order."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = files.made(tmp_path)
    path = files.folder(tmp_path / "m", made, linear_class)
    theirs = AutoModelForCausalLM.from_pretrained(path).eval()
    found = reading.read(path).checkpoint
    assert found is not None and found.vocabulary is not None
    layer = theirs.model.layers[1].mlp.down_proj
    weights = layer.weight.detach().numpy()
    if linear_class == "autobitlinear":  # which unpacks when it loads
        assert np.array_equal(weights, found.matrix(1, "down").codes)
    else:
        assert weights.shape == (64, 512) and layer.weight.dtype == torch.uint8
    with torch.no_grad():
        logits = theirs(torch.tensor([TOKENS])).logits[0].numpy()
    ours = Reference(found).logits(TOKENS)
    assert np.abs(logits - ours).max() < 2e-5 * np.abs(logits).max()
    assert np.array_equal(logits.argmax(axis=1), ours.argmax(axis=1))
    words = AutoTokenizer.from_pretrained(path)
    assert words.encode(tiny.TEXT, add_special_tokens=False) == found.vocabulary.encode(tiny.TEXT)


def test_the_reference_sees_a_scale_read_the_other_way(tmp_path: Path) -> None:
    """The failing twin: logits of the same file under the other convention differ by far more than rounding."""
    made = files.made(tmp_path)
    path = files.folder(tmp_path / "m", made, "bitlinear")
    right = Reference(files.found(path)).logits(TOKENS)
    assert np.array_equal(right, Reference(files.found(path)).logits(TOKENS))
    files.configure(path, quantization_config=files.BITNET | {"linear_class": "autobitlinear"})
    wrong = Reference(files.found(path)).logits(TOKENS)
    assert np.abs(right - wrong).max() > 0.1 * np.abs(right).max()
    assert np.abs(right - Reference(made).logits(TOKENS)).max() < 2e-5 * np.abs(right).max()
