"""Approximate normalization: its words are exact, its error stays inside what is stated, and reaches it."""

from __future__ import annotations

import numpy as np
import pytest

from blueprint.arithmetic import coarse_floating, floating
from blueprint.arithmetic.floating import BF16, FP16, FloatFormat
from tests.float_operands import pairs

FORMATS = [FP16, BF16]


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_words_hold_every_pattern(fmt: FloatFormat) -> None:
    a = np.arange(1 << fmt.width)
    back = coarse_floating.narrow(fmt, coarse_floating.widen(fmt, a))
    assert np.array_equal(back, floating.canonical(fmt, a))


def accumulated(fmt: FloatFormat, coarse: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Two words that are sums themselves, and their sum; a third of the pairs nearly cancels."""
    (a, b), (c, d) = ([coarse_floating.widen(fmt, word) for word in pairs(fmt, seed)] for seed in (1, 2))
    left, right = coarse_floating.add(fmt, a, b, coarse), coarse_floating.add(fmt, c, d, coarse)
    number = np.arange(len(left))
    small = floating.to_float64(fmt, coarse_floating.narrow(fmt, left)) * 2.0 ** -(number % 11)
    nudge = coarse_floating.widen(fmt, floating.from_float64(fmt, small))
    close = coarse_floating.add(fmt, left ^ (1 << fmt.width), nudge, coarse)
    right = np.where(number % 3 == 0, close, right)
    return left, right, coarse_floating.add(fmt, left, right, coarse)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("coarse", [2, 4])
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_error_stays_in_the_stated_bound_and_reaches_it(fmt: FloatFormat, coarse: int) -> None:
    words = accumulated(fmt, coarse)
    x, y, total = (floating.to_float64(fmt, coarse_floating.narrow(fmt, word)) for word in words)
    usable = np.isfinite(x) & np.isfinite(y) & np.isfinite(total)
    largest = np.maximum(np.maximum(np.abs(x), np.abs(y)), np.abs(x + y))
    smallest = float(floating.to_float64(fmt, np.array(1)))
    bound = np.maximum(2.0 ** (coarse - 2 - fmt.fraction_bits) * largest, 2.0 ** (coarse - 2) * smallest)
    # bfloat16 spans more than float64's significand, but not by more than this.
    worst = np.max((np.abs(total - (x + y)) / bound)[usable])
    assert 0.95 < worst <= 1.0 + 2.0**-30


@pytest.mark.parametrize("coarse", [2, 4])
def test_leading_zeros_stay_below_the_step(coarse: int) -> None:
    *_, total = accumulated(FP16, coarse)
    field, significand = total >> 11 & 31, total & 0x7FF
    inside = (field > coarse) & (field < 31)
    assert np.all(significand[inside] >= 1 << (11 - coarse))
    assert np.any(significand[inside] < 1 << 10)
    assert np.array_equal(field == 0, significand == 0)


def test_specials_are_those_of_exact_addition() -> None:
    a, b = pairs(FP16)
    wide = [coarse_floating.widen(FP16, word) for word in (a, b)]
    found = coarse_floating.narrow(FP16, coarse_floating.add(FP16, *wide, 4))
    exact = floating.add(FP16, a, b)
    special = floating.is_nan(FP16, exact) | floating.is_infinite(FP16, a) | floating.is_infinite(FP16, b)
    assert special.sum() > 1000
    assert np.array_equal(found[special], exact[special])
    zero = exact & 0x7FFF == 0
    assert np.array_equal(found[zero], exact[zero])
