"""What the ablation of attention's approximations rounds."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.attention_ablation import ALL, ROUNDINGS, Rounded, Rounding, half, integers
from checkpoints.reference import Reference
from compiler import calibration
from tests.systems import small

TOKENS = [3, 17, 5, 39, 0, 8]


def test_nothing_that_is_rounded_changes_nothing() -> None:
    trained = small.checkpoint()
    steps = calibration.measure(trained, [TOKENS])
    plain = Reference(trained).logits(TOKENS)
    assert np.array_equal(Rounded(trained, steps, Rounding()).logits(TOKENS), plain)
    each = [Rounded(trained, steps, Rounding((name,))).logits(TOKENS) for name in ALL]
    assert all(0 < np.abs(one - plain).max() < 0.1 * np.abs(plain).max() for one in each)


@pytest.mark.parametrize(("levels", "last"), [(7, 7.0), (None, 9.0)])
def test_integers_have_the_step_of_their_key_head_and_saturate(levels: int | None, last: float) -> None:
    heads = np.array([[[0.3], [0.2], [-1.4], [4.5]]], np.float32)
    found = integers(heads, np.array([0.2, 0.5]), levels)
    assert np.allclose(found[0, :, 0], [0.4, 0.2, -1.5, 0.5 * last])


def test_halves_are_the_nearest() -> None:
    assert half(np.array([1 + 3 / 4096], np.float32))[0] == 1 + 1 / 1024


def test_every_rounding_has_words_of_its_own() -> None:
    assert len({one.text for one in ROUNDINGS}) == len(ROUNDINGS)
    assert (
        Rounding(ALL, margin=1.5, vectors=True).text
        == "vectors of FP16; all of attention of 8 bits; steps times 1.5"
    )
