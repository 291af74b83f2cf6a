"""Powers of two by piecewise polynomials."""

from __future__ import annotations

import numpy as np
import pytest

from blueprint.arithmetic.softmax import steps
from blueprint.arithmetic.softmax.exponential import Polynomial, polynomial
from tests.softmax_cases import DESIGNS

#: Of all defaults, and extremes.
PAIRS = sorted(
    {(int(a.fraction), int(a.mantissa)) for a in DESIGNS.values()} | {(12, 15), (4, 4), (4, 23), (20, 4)}
)


@pytest.mark.parametrize(("fraction", "mantissa"), PAIRS)
def test_every_power_is_within_a_unit_and_none_falls(fraction: int, mantissa: int) -> None:
    f = np.arange(1 << fraction)
    found = polynomial(fraction, mantissa)(f)
    assert np.abs(found - np.exp2(f / 2**fraction + mantissa)).max() < 1
    assert (np.diff(found) >= 0).all()
    assert found[0] == 1 << mantissa and found[-1] < 2 << mantissa


@pytest.mark.slow
def test_the_finest_power_too() -> None:
    test_every_power_is_within_a_unit_and_none_falls(24, 23)


def test_a_shifted_coefficient_is_found_out() -> None:
    good = polynomial(12, 15)
    rows = [list(column) for column in good.coefficients]
    rows[1][3] += 64
    bad = Polynomial(12, 15, good.segment_bits, tuple(map(tuple, rows)))
    f = np.arange(1 << 12)
    assert np.abs(bad(f) - np.exp2(f / 2**12 + 15)).max() > 1


@pytest.mark.parametrize("name", ["int8-scaled", "int8_narrow-scaled", "fp16_fixed-scaled"])
def test_weights_are_rounded_to_nearest(name: str) -> None:
    a = DESIGNS[name]
    t = -np.arange(40 << a.fraction, step=max(1 << a.fraction >> 9, 1))
    words = steps.join(t, np.zeros_like(t), a.t_width, a.t_nan_bit)
    found = steps.exp2(a, words, np.zeros_like(t))
    exact = np.exp2(t / 2.0**a.fraction + a.weight_fraction)
    assert (np.abs(found - exact) <= 0.5 + exact * 2.0**-a.mantissa).all()
    assert found[0] == 1 << a.weight_fraction and found[-1] == 0


@pytest.mark.parametrize("name", ["fp16_same-scaled", "bf16_same-scaled", "fp16_fp32-scaled"])
def test_float_weights_are_as_close(name: str) -> None:
    from blueprint.arithmetic import floating

    a = DESIGNS[name]
    t = -np.arange(200 << a.fraction, step=max(1 << a.fraction >> 6, 1))
    found = floating.to_float64(a.sum_format, steps.exp2(a, t & ((1 << a.t_width) - 1), np.zeros_like(t)))
    exact = np.exp2(t / 2.0**a.fraction)
    normal = exact >= 2.0 ** (1 - a.sum_format.bias)
    assert (np.abs(found / exact - 1)[normal] < 2.0**-a.sum_format.fraction_bits).all()
    assert (found[~normal] == 0).all()
