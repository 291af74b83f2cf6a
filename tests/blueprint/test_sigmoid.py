"""The logistic function in integers: its error over every number of the small formats, and its limits."""

from __future__ import annotations

import numpy as np
import pytest

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import BF16, FP16, FP32, FloatFormat
from blueprint.arithmetic.sigmoid import Sigmoid, silu

E8M10 = FloatFormat.custom(8, 10)


def all_numbers(fmt: FloatFormat) -> np.ndarray:
    """Patterns of all numbers from 1e-30 to 80 in magnitude, a million random ones of a wide format."""
    random = np.random.default_rng(0)
    found = np.arange(1 << fmt.width) if fmt.width < 20 else random.integers(0, 1 << fmt.width, 1 << 20)
    size = np.abs(floating.to_float64(fmt, found))
    return found[(size > 1e-30) & (size < 80)]


#: Largest relative error of x / (1 + exp(-x)), docs/families/vector.md.
LIMITS = {E8M10: 1.003 * 2.0**-10, BF16: 0.908 * 2.0**-7, FP32: 6.0e-6}


@pytest.mark.parametrize(("fmt", "limit"), LIMITS.items(), ids=[fmt.name for fmt in LIMITS])
def test_the_error_of_silu_is_what_the_page_says(fmt: FloatFormat, limit: float) -> None:
    patterns = all_numbers(fmt)
    x = floating.to_float64(fmt, patterns)
    exact = x / (1 + np.exp(-x))
    error = np.abs(floating.to_float64(fmt, silu(fmt, patterns)) - exact) / np.abs(exact)
    assert 0.95 * limit < error.max() <= limit


@pytest.mark.parametrize("fmt", LIMITS, ids=lambda fmt: fmt.name)
def test_a_sigmoid_never_falls_and_is_half_at_zero(fmt: FloatFormat) -> None:
    patterns = all_numbers(fmt)
    x = floating.to_float64(fmt, patterns)
    found = floating.to_float64(fmt, Sigmoid(fmt)(patterns[np.argsort(x)]))
    units = np.diff(found) / 2.0 ** (np.floor(np.log2(found[1:])) - min(fmt.fraction_bits, 18))
    assert units.min() >= -1.0  # at a seam of two segments the last bit may fall
    assert floating.to_float64(fmt, Sigmoid(fmt)(np.array([0])))[0] == 0.5


def test_beyond_the_limit_a_sigmoid_is_one_or_zero() -> None:
    far = floating.from_float64(E8M10, np.array([128.0, 1e9, np.inf, -128.0, -1e9, -np.inf]))
    assert floating.to_float64(E8M10, Sigmoid(E8M10)(far)).tolist() == [1, 1, 1, 0, 0, 0]
    found = floating.to_float64(E8M10, silu(E8M10, far))
    assert found[:2].tolist() == [128.0, floating.to_float64(E8M10, far)[1]]
    assert found[2] == np.inf and np.array_equal(found[3:5], [0, 0]) and np.isnan(found[5])


def test_a_format_of_other_exponents_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Exponents must be of 8 bits, not 5$"):
        Sigmoid(FP16)
