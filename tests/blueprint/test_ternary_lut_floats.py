"""Float activations of the ternary-LUT family: what is refused, what the golden model gives, what pipelining costs."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic import floating
from blueprint.errors import ParamError
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.workloads.tasks import Gemm

SUMS: dict[str, Any] = {
    "mu": 3, "lut_count": 3, "fetch_count": 2, "act_width": 16, "k_max": 64, "n_max": 64,
    "activation": "fp16", "reduction": "adder_tree",
}  # fmt: skip
EXACT: dict[str, Any] = SUMS | {"exact": True, "reduction": "carry_save"}


def spec(**changes: Any) -> TernaryLutSpec:
    return TernaryLutSpec(**SUMS | changes)


def exact(**changes: Any) -> TernaryLutSpec:
    return TernaryLutSpec(**EXACT | changes)


@pytest.mark.parametrize(
    ("base", "changes", "parameter", "message"),
    [
        (SUMS, {"act_width": 8}, "act_width", "Activation width must be 16 for fp16, not 8"),
        (SUMS, {"activation": "fp8_e4m3"}, "act_width", "Activation width must be 8 for fp8_e4m3, not 16"),
        (
            SUMS,
            {"reduction": "carry_save"},
            "reduction",
            "Parameter reduction must be adder_tree for float sums, not 'carry_save'",
        ),
        (
            SUMS,
            {"build_style": "direct"},
            "build_style",
            "Parameter build_style must be shared or pipelined for float sums, not 'direct'",
        ),
        (SUMS, {"acc_width": 40}, "acc_width", "Parameter acc_width must be 0 for float sums, not 40"),
        (
            SUMS,
            {"result_format": "fp32"},
            "result_format",
            "Parameter result_format is for exact sums of float activations only, not 'fp32' here",
        ),
        (
            EXACT,
            {"adder_stages": 2},
            "adder_stages",
            "Parameter adder_stages is for float sums only, not 2 here",
        ),
        (
            EXACT,
            {"activation": "bf16"},
            "exact",
            "Exact sums of 64 bf16 activations need 269 bits; at most 54 are built",
        ),
        (
            EXACT,
            {"k_max": 1 << 20},
            "exact",
            "Exact sums of 1048576 fp16 activations need 62 bits; at most 54 are built",
        ),
        (
            EXACT,
            {"activation": "int"},
            "exact",
            "Parameter exact is for float activations only, not true here",
        ),
        (
            SUMS,
            {"activation": "fp61"},
            "activation",
            "Parameter 'activation' must be one of int, fp16, bf16, fp8_e4m3, fp8_e5m2, not 'fp61'; "
            "did you mean 'fp16'?",
        ),
        (
            SUMS,
            {"adder_stages": 9},
            "adder_stages",
            "Parameter 'adder_stages' must be an integer from 0 to 8, not 9",
        ),
    ],
)
def test_what_does_not_fit_the_number_format_is_refused(
    base: dict[str, Any], changes: dict[str, Any], parameter: str, message: str
) -> None:
    with pytest.raises(ParamError) as caught:
        TernaryLutSpec(**base | changes)
    assert str(caught.value) == message
    assert caught.value.parameter == parameter  # type: ignore[attr-defined]


def half(values: Any) -> np.ndarray[Any, Any]:
    return np.asarray(values, np.float16).view(np.uint16).astype(np.int64)


def in_order(
    chosen: TernaryLutSpec, act: np.ndarray[Any, Any], wgt: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The product in NumPy's float16, one addition after the other, in the order that the description states."""
    m, k = act.shape
    out = np.zeros((m, wgt.shape[1]), np.float16)
    for row, column in np.ndindex(out.shape):
        total = np.float16(0)
        for tile in range(0, k, chosen.tile_k):
            groups = []
            for start in range(tile, tile + chosen.tile_k, chosen.mu):
                taken = [i for i in range(start, min(start + chosen.mu, k)) if wgt[i, column]]
                turn = np.float16(wgt[taken[0], column]) if taken else np.float16(1)
                part = None
                for i in taken:
                    term = act[row, i] * np.float16(wgt[i, column]) * turn
                    part = term if part is None else np.float16(part + term)
                groups.append(np.float16(0) if part is None else part * turn)
            while len(groups) > 1:
                odd = groups[len(groups) & ~1 :]
                groups = [np.float16(a + b) for a, b in zip(groups[::2], groups[1::2], strict=False)] + odd
            total = np.float16(total + groups[0]) if chosen.accumulates else groups[0]
        out[row, column] = total
    return out


@pytest.mark.parametrize(("mu", "lut_count"), [(1, 1), (2, 3), (3, 3), (4, 2)])
def test_float_sums_are_numpy_s_in_the_stated_order(mu: int, lut_count: int) -> None:
    random = np.random.default_rng([mu, lut_count])
    chosen = spec(mu=mu, lut_count=lut_count)
    act = (random.normal(size=(3, 41)) * 2.0 ** random.integers(-8, 8, (3, 41))).astype(np.float16)
    wgt = random.integers(-1, 2, (41, 7))
    found = chosen.reference({"act": half(act), "wgt": wgt})["out"]
    expected = in_order(chosen, act, wgt)
    assert np.array_equal(found, half(expected))
    assert not np.array_equal(found, half((act.astype(np.float64) @ wgt).astype(np.float16)))


def test_a_nan_reaches_only_the_results_whose_weights_take_it() -> None:
    act = half([[1.0, np.nan, 2.0]])
    wgt = np.array([[1, 1], [0, -1], [1, 1]])
    out = spec().reference({"act": act, "wgt": wgt})["out"]
    assert out.tolist() == [[int(half(3.0)), floating.FP16.canonical_nan]]


@pytest.mark.parametrize("fmt", ["fp16", "fp8_e4m3", "fp8_e5m2"])
@pytest.mark.parametrize("result", ["same", "fp16", "bf16", "fp32"])
def test_exact_sums_are_rounded_once(fmt: str, result: str) -> None:
    source = floating.get(fmt)
    chosen = exact(activation=fmt, act_width=source.width, result_format=result)
    target = floating.get(chosen.output_format)
    random = np.random.default_rng(7)
    act = random.integers(0, source.max_finite + 1, (4, 60)) | random.integers(0, 2, (4, 60)) << (
        source.width - 1
    )
    wgt = random.integers(-1, 2, (60, 9))
    found = chosen.reference({"act": act, "wgt": wgt})["out"]
    values = [[Fraction(float(value)) for value in row] for row in floating.to_float64(source, act)]
    for row, column in np.ndindex(found.shape):
        total = sum((v * int(w) for v, w in zip(values[row], wgt[:, column], strict=True)), Fraction(0))
        # Sums of these formats have fewer than 54 bits, so that float64 holds them.
        assert Fraction(float(total)) == total
        assert found[row, column] == floating.from_float64(target, float(total))


def test_exact_sums_forget_no_small_number() -> None:
    act = half([[60000.0, 2.0**-24, -60000.0]])
    weights = {"act": act, "wgt": np.ones((3, 1), np.int64)}
    assert exact().reference(weights)["out"][0, 0] == half(2.0**-24)
    assert spec().reference(weights)["out"][0, 0] == half(0.0)


def test_a_broken_activation_spoils_its_token_and_no_other() -> None:
    act = half([[1.0, np.inf], [1.0, 2.0]])
    out = exact().reference({"act": act, "wgt": np.array([[1], [0]])})["out"]
    assert out[:, 0].tolist() == [floating.FP16.canonical_nan, int(half(1.0))]


def test_a_pipelined_accumulator_waits_for_its_own_column_and_only_then() -> None:
    deep = spec(adder_stages=2)
    assert deep.sweep_stages == 2 * 2 + 2
    few, many = Gemm(m=1, k=36, n=4), Gemm(m=1, k=36, n=14)
    assert deep.cycles(many) == 4 * 7 + deep.build_stages + deep.sweep_stages + 2
    assert deep.cycles(few) == 3 * 7 + 2 + deep.build_stages + deep.sweep_stages + 2


def test_words_of_an_exact_core_hold_every_activation() -> None:
    widths = {"fp16": 41, "fp8_e4m3": 19, "fp8_e5m2": 33}
    for name, width in widths.items():
        fmt = floating.get(name)
        assert exact(activation=name, act_width=fmt.width).word_width == width
        most = floating.to_fixed(fmt, np.array([fmt.max_finite, fmt.max_finite | fmt.sign_mask]))
        assert most.max() < 1 << (width - 1) <= 2 * most.max()
        assert most.min() == -most.max()
