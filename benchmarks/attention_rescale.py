"""A running maximum that is not rounded to a whole exponent: sums are rescaled by a factor and not by a shift."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from benchmarks.attention_cases import Case, softmax_attention
from benchmarks.float_blocks import measure
from blueprint.arithmetic.softmax import steps
from blueprint.arithmetic.softmax.arithmetic import Arithmetic, Scales
from blueprint.arithmetic.softmax.exponential import polynomial
from generator.arithmetic.softmax import Product, SumValues
from generator.block import Block, register


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
    wanted = softmax_attention(case.q, case.k, case.v, case.scale)[0]
    return float(np.abs(np.clip(np.rint(output / total), -128, 127) - wanted).max())


def _exp2(a: Arithmetic, down: steps.Integers, bits: int) -> steps.Integers:
    """``2**-down`` with ``bits`` fraction bits, rounded to nearest."""
    x = -down
    mantissa = polynomial(int(a.fraction), int(a.mantissa))(x & ((1 << a.fraction) - 1))
    frame = steps.moved(mantissa, bits - int(a.mantissa) + 1)
    return np.asarray(((frame >> np.minimum(-(x >> a.fraction), 62)) + 1) >> 1, dtype=np.int64)


class FactorSum(Block):
    """A running sum that is multiplied by a factor below 1, rounded, before each term is added."""

    place = "sum_values"
    latency = "1 cycle"

    def __init__(self, a: Arithmetic, factor_bits: int) -> None:
        self.bits = factor_bits
        ports = {"begin": In(1), "enable": In(1), "factor": In(factor_bits), "term": In(a.term_word)}
        super().__init__(
            f"factor_sum_w{a.o_word}_{factor_bits}", ports | {"total": Out(a.o_word)}, clocked=True
        )

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        width = len(self.total)
        old = self.total & (~self.begin).replicate(width)
        product = old.as_signed() * self.factor
        rounded = product[self.bits :].as_signed() + product[self.bits - 1] + self.term.as_signed()
        m.d.comb += self.total.eq(register(m, width, "held", self.enable, rounded[:width]))
        return m


def areas(keys: int, dim: int, technology: str) -> dict[str, tuple[float, float]]:
    """(um2, ps) of one lane's running sum, and of its multiplier for comparison."""
    designs = {
        graph: Arithmetic(inputs="int8", acc_format="integer", graph=graph, dim=dim, keys_max=keys)
        for graph in ("reordered", "memory_free")
    }
    blocks: dict[str, Block] = {
        "sum, not rescaled (reordered)": SumValues(designs["reordered"]),
        "sum, rescaled by a shift (memory_free)": SumValues(designs["memory_free"]),
        "sum, rescaled by a 15-bit factor": FactorSum(designs["memory_free"], 15),
        "product of a weight and a value": Product(designs["memory_free"], 1),
    }
    return {label: measure(block, technology) for label, block in blocks.items()}
