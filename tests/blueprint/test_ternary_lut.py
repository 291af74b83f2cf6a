"""The parameters of the ternary-LUT family: what is refused, what is derived."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.workloads.tasks import Gemm

GOOD: dict[str, Any] = {
    "mu": 2, "lut_count": 8, "fetch_count": 16, "act_width": 8, "k_max": 6912, "n_max": 6912,
}  # fmt: skip


def spec(**changes: Any) -> TernaryLutSpec:
    return TernaryLutSpec(**GOOD | changes)


REFUSED = [
    ("mu", 0, "Parameter 'mu' must be an integer from 1 to 6, not 0"),
    ("mu", 7, "Parameter 'mu' must be an integer from 1 to 6, not 7"),
    ("lut_count", -3, "Parameter 'lut_count' must be an integer from 1 to 256, not -3"),
    ("fetch_count", 2000, "Parameter 'fetch_count' must be an integer from 1 to 1024, not 2000"),
    ("act_width", 1, "Parameter 'act_width' must be an integer from 2 to 16, not 1"),
    ("k_max", 0, "Parameter 'k_max' must be an integer from 1 to 1048576, not 0"),
    (
        "table_style",
        "halve",
        "Parameter 'table_style' must be one of half, full, not 'halve'; did you mean 'half'?",
    ),
    ("reduction", "x", "Parameter 'reduction' must be one of carry_save, adder_tree, not 'x'"),
    ("acc_width", 8, "Accumulator width 8 cannot hold 6912 products of 8-bit activations; use at least 21"),
]


@pytest.mark.parametrize(("name", "value", "message"), REFUSED)
def test_a_value_out_of_bounds_is_refused_in_words(name: str, value: Any, message: str) -> None:
    with pytest.raises(ParamError) as caught:
        spec(**{name: value})
    assert str(caught.value) == message
    assert caught.value.parameter == name  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mu", "2", "Parameter 'mu' must be an integer from 1 to 6, not '2'"),
        ("mu", True, "Parameter 'mu' must be an integer from 1 to 6, not True"),
        ("mu", 2.0, "Parameter 'mu' must be an integer from 1 to 6, not 2.0"),
        ("build_register", 1, "Parameter 'build_register' must be true or false, not 1"),
        ("table_style", 3, "Parameter 'table_style' must be one of half, full, not 3"),
    ],
)
def test_a_value_of_the_wrong_kind_is_a_type_error(name: str, value: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        spec(**{name: value})
    assert str(caught.value) == message


def test_too_many_fetches_are_refused() -> None:
    with pytest.raises(ParamError, match=r"^Fetches per cycle .* must be at most 65536, not 262144$"):
        spec(lut_count=256, fetch_count=1024)


def test_an_accumulator_just_wide_enough_is_taken_and_one_narrower_is_not() -> None:
    assert spec(acc_width=21).result_width == 21
    with pytest.raises(ParamError, match="use at least 21"):
        spec(acc_width=20)


def test_an_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(ParamError, match=r"not 'lut_cnt'; did you mean 'lut_count'\?$"):
        TernaryLutSpec.from_mapping(GOOD | {"lut_cnt": 3})


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(ParamError, match=r"^Parameter 'mu' must be given: an integer from 1 to 6$"):
        TernaryLutSpec.from_mapping({k: v for k, v in GOOD.items() if k != "mu"})


def test_an_unknown_family_names_the_nearest() -> None:
    with pytest.raises(ParamError, match=r"not 'ternary_lot'; did you mean 'ternary_lut'\?$"):
        registry.get("ternary_lot")


def test_infeasible_designs_of_an_array_have_the_same_reasons() -> None:
    many = TernaryLutSpec.columns(GOOD | {"acc_width": np.array([0, 8, 21]), "mu": np.array([2, 2, 9])})
    feasible, code, reasons = many.feasible()
    assert feasible.tolist() == [True, False, False]
    assert reasons[code[1]] == "the accumulator is too narrow"
    assert reasons[code[2]] == "mu must be an integer from 1 to 6"


def test_no_sum_of_the_longest_reduction_overflows() -> None:
    for act_width, k_max in ((2, 3), (8, 64), (8, 6912), (16, 100)):
        chosen = spec(act_width=act_width, k_max=k_max)
        most = k_max << (act_width - 1)
        assert most < 1 << (int(chosen.result_width) - 1)
        assert most >= 1 << (int(chosen.result_width) - 2)


def test_reference_is_the_matrix_product_of_numpy() -> None:
    random = np.random.default_rng(5)
    act = random.integers(-128, 128, (5, 300))
    wgt = random.integers(-1, 2, (300, 40))
    assert np.array_equal(spec().reference({"act": act, "wgt": wgt})["out"], act @ wgt)


def test_cycles_of_a_layer_are_one_a_beat() -> None:
    assert spec().cycles(Gemm(m=1, k=2560, n=6912)) == 160 * 432 + 3


def test_ragged_edges_cost_their_last_step_and_no_more() -> None:
    base = spec(token_lanes=4)
    assert base.cycles(Gemm(m=4, k=16, n=16)) == base.cycles(Gemm(m=1, k=1, n=1))
    assert base.cycles(Gemm(m=5, k=16, n=16)) == base.cycles(Gemm(m=4, k=16, n=16)) + 1
    assert base.cycles(Gemm(m=4, k=17, n=16)) == base.cycles(Gemm(m=4, k=16, n=16)) + 1
    assert base.cycles(Gemm(m=4, k=16, n=17)) == base.cycles(Gemm(m=4, k=16, n=16)) + 1


@pytest.mark.parametrize(
    ("gemm", "message"),
    [
        (Gemm(m=1, k=7000, n=1), "Gemm k must be at most k_max 6912, not 7000"),
        (Gemm(m=1, k=1, n=7000), "Gemm n must be at most n_max 6912, not 7000"),
        (Gemm(m=70000, k=1, n=1), "Gemm m must be at most m_max 65535, not 70000"),
    ],
)
def test_a_product_larger_than_the_design_is_refused(gemm: Gemm, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        spec().timing(gemm)
    assert str(caught.value) == message


def test_dram_traffic_of_a_layer_is_its_packed_weights() -> None:
    packed = spec(mu=5, lut_count=3, key_encoding="five_trits").dram_bits(Gemm(m=1, k=2550, n=6912))
    assert packed["weights"] == pytest.approx(1.6 * 2550 * 6912)
    assert spec().dram_bits(Gemm(m=1, k=2560, n=6912))["weights"] == 2 * 2560 * 6912


def test_hash_changes_with_any_parameter_and_with_nothing_else() -> None:
    assert spec().design_hash == spec().design_hash
    assert len({spec().design_hash, spec(mu=3).design_hash, spec(build_register=True).design_hash}) == 3
