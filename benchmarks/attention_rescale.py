"""What a running maximum that is not rounded to a whole exponent would give: sums rescaled by a factor, not by a shift."""

from __future__ import annotations

import numpy as np

from benchmarks.attention_cases import Case, softmax_attention
from blueprint.softmax import steps
from blueprint.softmax.arithmetic import Arithmetic, Scales
from blueprint.softmax.exponential import polynomial


def exact_maximum(a: Arithmetic, case: Case, factor_bits: int) -> float:
    """Largest error in int8 output units; factors of ``factor_bits`` fraction bits, sums rounded to nearest."""
    scales = Scales.of(a, case.scale)
    t = steps.scale(a, scales, (case.q * case.k).sum(axis=1))
    highest = np.maximum.accumulate(t)
    factors = _exp2(a, np.diff(highest, prepend=highest[0]), factor_bits)
    weights = _exp2(a, highest - t, int(a.weight_fraction))
    total, output = np.int64(0), np.zeros(case.v.shape[1], dtype=np.int64)
    for factor, weight, value in zip(factors, weights, case.v, strict=True):
        total = steps.rounded(total * factor, factor_bits) + weight
        output = steps.rounded(output * factor, factor_bits) + weight * value
    wanted = softmax_attention(*(x.astype(np.float64) for x in (case.q, case.k, case.v)), case.scale)[0]
    return float(np.abs(np.clip(np.rint(output / total), -128, 127) - wanted).max())


def _exp2(a: Arithmetic, down: steps.Integers, bits: int) -> steps.Integers:
    """``2**-down`` with ``bits`` fraction bits, rounded to nearest."""
    x = -down
    mantissa = polynomial(int(a.fraction), int(a.mantissa))(x & ((1 << a.fraction) - 1))
    frame = steps.moved(mantissa, bits - int(a.mantissa) + 1)
    return ((frame >> np.minimum(-(x >> a.fraction), 62)) + 1) >> 1
