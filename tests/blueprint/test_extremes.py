"""Matrix products never saturate in silence: integers are exact at every extreme, an overflow of floats shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic import floating
from blueprint.registry import families
from blueprint.spec import Spec
from blueprint.workloads.tasks import Gemm

PRODUCTS = [name for name, family in families().items() if family.task is Gemm]
DESIGNS = 40


def designs(family: str, floats: bool) -> list[Any]:
    drawn = (families()[family].sample(np.random.default_rng([7, number])) for number in range(400))
    return [spec for spec in drawn if (spec.activation == "int") is not floats][:DESIGNS]


def largest(spec: Spec) -> Gemm:
    """As long a reduction as the design takes."""
    return Gemm(1, int(spec.k_max), 2)  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", PRODUCTS)
def test_integers_at_their_extremes_are_exact_and_fit(family: str) -> None:
    for spec in designs(family, floats=False):
        task = largest(spec)
        operands = spec.operands(task, 1)
        low = -(1 << (spec.act_width - 1))
        rare = operands["wgt"] != 0
        bits = 2 if np.abs(operands["wgt"]).max() <= 1 else spec.weight_width
        for act in (low, -low - 1):
            for most in {-1, 1} if bits == 2 else {-(1 << (bits - 1)), (1 << (bits - 1)) - 1}:
                given = {"act": np.full((1, task.k), act), "wgt": np.where(rare, most, 0)}
                wanted = act * most * rare.sum(axis=0)
                found = spec.reference(given)["out"][0]
                assert found.tolist() == wanted.tolist()
                assert np.abs(wanted + (wanted < 0)).max() < 1 << (int(spec.result_width) - 1)


@pytest.mark.parametrize("family", PRODUCTS)
def test_floats_that_overflow_do_not_come_back(family: str) -> None:
    seen = 0
    for spec in designs(family, floats=True):
        task = largest(spec)
        if task.k < 17:
            continue
        operands = spec.operands(task, 1)
        fmt = floating.get(spec.activation)
        act = np.full((1, task.k), fmt.max_finite)
        one = 1 if np.abs(operands["wgt"]).max() <= 1 else int(floating.from_float64(fmt, 1.0))
        # Far enough from each other for weights of any sparsity.
        wgt = np.where(np.isin(np.arange(task.k), (0, 16))[:, None], one, np.zeros((1, 2), np.int64))
        result = getattr(spec, "sum_format", None) or spec.output_format
        found = spec.reference({"act": act, "wgt": wgt})["out"]
        exact = 2 * float(floating.to_float64(fmt, np.array(fmt.max_finite)))
        if exact > float(
            floating.to_float64(floating.get(result), np.array(floating.get(result).max_finite))
        ):
            seen += 1
            assert not np.isfinite(floating.to_float64(floating.get(result), found)).any()
    assert seen >= 10


@pytest.mark.parametrize("family", PRODUCTS)
def test_products_have_no_bit_for_what_cannot_happen(family: str) -> None:
    spec = families()[family].sample(np.random.default_rng(1))
    fields = next(register.fields for register in spec.registers() if register.name == "status")
    assert "saturated" not in fields and spec.flags({}) == {} and spec.status({}) == 2
