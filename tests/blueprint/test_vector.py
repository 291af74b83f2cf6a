"""Vector units: quotients and roots, errors against float64, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from blueprint.arithmetic import roots
from blueprint.arithmetic.floating import BF16, FP16, FP32, FloatFormat, convert
from blueprint.errors import ParamError
from blueprint.families.vector import VectorSpec
from blueprint.workloads.tasks import Rowwise

INSIDE = (FloatFormat.custom(8, 10), BF16, FP32)
Real = npt.NDArray[np.float64]


def patterns(values: Any, fmt: FloatFormat = FP32) -> npt.NDArray[np.int64]:
    """Patterns nearest to some numbers."""
    return convert(FP32, fmt, np.asarray(values, np.float32).view(np.uint32).astype(np.int64))


def numbers(fmt: FloatFormat, found: npt.NDArray[np.int64]) -> Real:
    """Numbers that patterns stand for."""
    return convert(fmt, FP32, found).astype(np.uint32).view(np.float32).astype(np.float64)


def units_off(found: Real, exact: Real, fmt: FloatFormat) -> float:
    """The largest error in units of the last place of the exact result."""
    unit = 2.0 ** (np.floor(np.log2(exact)) - fmt.fraction_bits)
    return float((np.abs(found - exact) / unit).max())


@pytest.mark.parametrize("fmt", INSIDE, ids=lambda fmt: fmt.name)
def test_inverse_roots_are_rounded_to_nearest(fmt: FloatFormat) -> None:
    random = np.random.default_rng(0)
    under = np.exp(random.normal(0, 10, 4000)).astype(np.float32)
    over = random.integers(1, 1 << 20, 4000).astype(np.float32)
    found = numbers(fmt, roots.inverse_root(fmt, FP32, patterns(over), patterns(under)))
    exact = np.sqrt(over.astype(np.float64) / under)
    assert 0.49 < units_off(found, exact, fmt) <= 0.5


@pytest.mark.parametrize("fmt", INSIDE, ids=lambda fmt: fmt.name)
def test_quotients_are_rounded_to_nearest(fmt: FloatFormat) -> None:
    under = patterns(np.exp(np.random.default_rng(1).normal(0, 8, 4000)), fmt)
    found = numbers(fmt, roots.quotient(fmt, int(patterns(127.0, fmt)), under))
    assert 0.4 < units_off(found, 127 / numbers(fmt, under), fmt) <= 0.5


def test_the_root_of_a_square_is_exact() -> None:
    squares = np.arange(1, 200, dtype=np.float32) ** 2
    found = roots.inverse_root(FP32, FP32, patterns(squares), np.broadcast_to(patterns(1.0), 199))
    assert np.array_equal(numbers(FP32, found), np.arange(1, 200))


def test_a_root_of_other_exponents_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Exponents must be of 8 bits, not 5$"):
        roots.inverse_root(FP16, FP32, patterns([1.0]), patterns([1.0]))


def spec_of(fmt: str = "fp16", **changed: Any) -> VectorSpec:
    return VectorSpec(**{"lanes": 16, "length_max": 6912, "format": fmt, **changed})


def run(spec: VectorSpec, length: int, operation: str, **given: Real) -> dict[str, Any]:
    """Results of rows of numbers, as numbers; operands are those that the format holds."""
    task = Rowwise(len(given["x"]), length, operation)
    operands = spec.typical_operands(task, 3)
    for name, values in given.items():
        operands[name] = values.astype(np.int64) if task.does("dequantize") and name == "x" else None
        if operands[name] is None:
            operands[name] = patterns(values, FP32 if name.endswith("scale") else spec.outside)
    found = spec.reference(operands)
    scale = numbers(FP32, found["scale"])
    return {"out": numbers(spec.outside, found["out"]), "quantized": found["quantized"], "scale": scale}


def rounded(values: Any, fmt: FloatFormat) -> Real:
    return numbers(fmt, patterns(values, fmt))


def rows_of(length: int, fmt: FloatFormat) -> Real:
    """A residual stream: most elements near 1, a few a hundred times as large."""
    random = np.random.default_rng(length)
    x = random.normal(0, 1, (4, length))
    x[:, random.integers(0, length, 3)] *= 100
    return rounded(x, fmt)


#: Largest error of an element of a norm in units of 2**-fraction, relative to it; docs/families/vector.md.
NORM = {"fp16": 1.6, "bf16": 1.8, "fp32": 8.0}


@pytest.mark.parametrize("length", [256, 2560, 6912])
@pytest.mark.parametrize("fmt", ["fp16", "bf16", "fp32"])
def test_a_norm_is_near_float64(fmt: str, length: int) -> None:
    spec = spec_of(fmt)
    x, gain = rows_of(length, spec.outside), rounded(np.linspace(0.5, 2, length), spec.outside)
    found = run(spec, length, "norm", x=x, gain=gain)["out"]
    exact = x * gain / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-5)
    seen = np.abs(exact) > 1e-3
    error = (np.abs(found - exact) / np.abs(exact))[seen].max()
    assert error < NORM[fmt] * 2.0**-spec.outside.fraction_bits


@pytest.mark.parametrize("length", [256, 2560, 6912])
@pytest.mark.parametrize(("fmt", "least"), [("fp16", 0.96), ("bf16", 0.7), ("fp32", 0.9999)])
def test_quantized_rows_are_those_of_float64_or_one_off(fmt: str, length: int, least: float) -> None:
    spec = spec_of(fmt)
    x, gain = rows_of(length, spec.outside), np.ones(length)
    found = run(spec, length, "norm+quantize", x=x, gain=gain)
    normed = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-5)
    largest = np.abs(normed).max(axis=1, keepdims=True)
    exact = np.rint(normed * 127 / largest)
    assert np.abs(found["quantized"] - exact).max() <= 1
    assert (found["quantized"] == exact).mean() >= least
    assert np.allclose(found["scale"], largest[:, 0] / 127, rtol=4 * 2.0**-spec.outside.fraction_bits)


def test_dequantize_gate_and_add_are_what_they_say() -> None:
    spec, random = spec_of("fp32"), np.random.default_rng(0)
    sums, operand = random.integers(-(2**20), 2**20, (3, 40)).astype(float), random.normal(0, 1, (3, 40))
    operand = rounded(operand, FP32)
    scales = {"weight_scale": rounded([0.5, 1.5, 2.0], FP32), "row_scale": rounded([1e-3, 1e-4, 1e-5], FP32)}
    whole = sums * (scales["weight_scale"] * scales["row_scale"])[:, None]
    for operation, exact in {
        "dequantize": whole,
        "dequantize+gate": np.maximum(whole, 0) ** 2 * operand,
        "dequantize+add": whole + operand,
    }.items():
        found = run(spec, 40, operation, x=sums, operand=operand, **scales)["out"]
        assert np.allclose(found, exact, rtol=1e-6, atol=1e-4), operation


def test_a_row_of_zeros_has_the_least_scale() -> None:
    found = run(spec_of("fp32"), 20, "quantize", x=np.zeros((1, 20)))
    assert not found["quantized"].any()
    assert np.allclose(found["scale"], 1e-5 / 127)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lanes": 16, "length_max": 16}, "length_max must be more than the 16 lanes, not 16"),
        ({"lanes": 1, "length_max": 8, "format": "fp8"}, "must be one of fp16, bf16, fp32, not 'fp8'"),
        ({"lanes": 65, "length_max": 80}, "Parameter 'lanes' must be an integer from 1 to 64, not 65"),
        (
            {"lanes": 2, "length_max": 8, "adder_stages": 5},
            "^Parameter 'adder_stages' must be an integer from 0 to 4, not 5$",
        ),
        (
            {"lanes": 2, "length_max": 8, "adder_stages": 1, "product_stages": 4},
            "^Parameter 'product_stages' must be an integer from 0 to 3, not 4$",
        ),
        (
            {"lanes": 2, "length_max": 8, "product_stages": 1},
            "^product_stages must be 0 where adders have no registers, not 1$",
        ),
    ],
)
def test_designs_that_cannot_be_built_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError, match=message):
        VectorSpec(**parameters)


def test_runs_that_a_design_has_no_hardware_for_are_refused() -> None:
    spec = spec_of(gates=False)
    with pytest.raises(ParamError, match=r"^gates must be true for operation gate\+norm$"):
        spec.check_workload(Rowwise(1, 20, "gate+norm"))
    with pytest.raises(ParamError, match="Rowwise length must be at most length_max 6912, not 6913"):
        spec.check_workload(Rowwise(1, 6913, "norm"))
    assert spec.refuses({"rows": 1, "length": 20, "operation": 17}) == (
        "Register operation must be from 1 to 16, not 17"
    )


@pytest.mark.parametrize("operation", ["norm+add", "norms", "", "norm+norm"])
def test_operations_that_are_none_are_refused(operation: str) -> None:
    with pytest.raises(
        ParamError,
        match=f"^Rowwise operation must be copy or some of .*, not '{operation}'$".replace("+", r"\+"),
    ):
        Rowwise(1, 1, operation)


def test_operation_registers_count_what_a_design_has() -> None:
    assert spec_of().operation_value("copy") == 1
    assert spec_of().operation_value("dequantize+norm+quantize") == 1 + 1 + 8 + 16
    assert spec_of(gates=False, adds=False).operation_value("dequantize+norm+quantize") == 8


def turned(spec: VectorSpec, length: int, **given: Any) -> tuple[Real, Real, Real]:
    """Rows, angles of their pairs, and what a run makes of both."""
    random = np.random.default_rng(length)
    x = rounded(random.normal(0, 2, (3, length)), spec.outside)
    angles = random.uniform(0, 2 * np.pi, (3, length // 2))
    pairs = rounded(np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(3, length), spec.outside)
    return x, pairs, run(spec, length, "rotate", x=x, operand=pairs)["out"]


@pytest.mark.parametrize("fmt", ["fp16", "bf16", "fp32"])
def test_pairs_of_neighbors_are_rotated(fmt: str) -> None:
    spec = spec_of(fmt, rotates=True)
    x, pairs, found = turned(spec, 128)
    number = (x[:, 0::2] + 1j * x[:, 1::2]) * (pairs[:, 0::2] + 1j * pairs[:, 1::2])
    exact = np.stack([number.real, number.imag], axis=2).reshape(x.shape)
    unit = 2.0**-spec.outside.fraction_bits
    assert np.abs(found - exact).max() <= 1.5 * unit * np.abs(number).max()


def test_a_rotation_rounds_two_products_and_their_sum() -> None:
    spec = spec_of("bf16", rotates=True)
    x, pairs, found = turned(spec, 16)
    products = rounded(x * pairs, BF16)
    assert np.array_equal(found[:, 0::2], rounded(products[:, 0::2] - products[:, 1::2], BF16))


def scored(spec: VectorSpec, x: Real, gain: Real) -> dict[str, Any]:
    """Dot products of some rows with the gains."""
    task = Rowwise(*x.shape, "dot")
    operands = spec.typical_operands(task, 3)
    operands |= {"x": patterns(x, spec.outside), "gain": patterns(gain, spec.outside)}
    return spec.reference(operands)


@pytest.mark.parametrize(("fmt", "bound"), [("fp16", 1e-3), ("bf16", 8e-3), ("fp32", 1e-6)])
def test_dot_products_are_near_float64_and_the_largest_is_found(fmt: str, bound: float) -> None:
    spec, random = spec_of(fmt, dots=True), np.random.default_rng(0)
    x, gain = (rounded(random.normal(0, 1, shape), spec.outside) for shape in ((40, 2560), 2560))
    found = scored(spec, x, gain)
    sums = numbers(FP32, found["dot"])
    assert np.abs(sums - x @ gain).max() < bound * np.sqrt(2560)
    assert found["index"] == np.argmax(x @ gain) == np.argmax(sums)


def test_a_dot_product_adds_neighbors_and_then_beats() -> None:
    spec, random = VectorSpec(lanes=3, length_max=8, format="fp32", dots=True), np.random.default_rng(1)
    x, gain = rounded(random.normal(0, 1, (1, 8)), FP32), rounded(random.normal(0, 1, 8), FP32)
    product = (x[0] * gain).astype(np.float32)
    total = np.float32(0)
    for first, second, third in ((0, 1, 2), (3, 4, 5)):
        total += (product[first] + product[second]) + product[third]
    total += product[6] + product[7]
    assert numbers(FP32, scored(spec, x, gain)["dot"]) == [total]


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_a_row_whose_adders_have_registers_has_several_sums_added_in_turn(stages: int) -> None:
    spec = VectorSpec(lanes=2, length_max=40, format="fp32", dots=True, adder_stages=stages)
    random = np.random.default_rng(stages)
    for length in (2, 5, 40):  # fewer beats than sums, and more
        x = rounded(random.normal(0, 1, (20, length)), FP32)  # so many rows that another order shows in some
        gain = rounded(random.normal(0, 1, length), FP32)
        product = np.pad(x * gain, ((0, 0), (0, length % 2))).astype(np.float32)
        parts = np.zeros((stages + 1, 20), np.float32)
        for beat, pair in enumerate(np.moveaxis(product.reshape(20, -1, 2), 1, 0)):
            parts[beat % (stages + 1)] += pair[:, 0] + pair[:, 1]
        total = parts[0].copy()
        for part in parts[1:]:
            total += part
        assert np.array_equal(numbers(FP32, scored(spec, x, gain)["dot"]), total)


def test_registers_in_adders_cost_their_cycles_once_and_a_longer_factor() -> None:
    row, many = Rowwise(1, 6912, "norm"), Rowwise(9, 2, "norm")
    flat, deep = spec_of(), spec_of(adder_stages=4)
    # The sum with an operand, four levels of the tree and the adder of beats; five sums and epsilon, five cycles each.
    assert deep.cycles(row) - flat.cycles(row) == 4 + 4 * 4 + 4 + 25 - 2
    assert deep.factor_cycles - flat.factor_cycles == 23
    assert deep.cycles(many) > flat.cycles(many) + 4 * 23


def test_registers_in_products_cost_their_cycles_once_and_no_result() -> None:
    row = Rowwise(1, 6912, "norm")
    flat, deep = (spec_of(adder_stages=1, product_stages=stages) for stages in (0, 3))
    # To the sums: conversion, scale, both products of a gate, square; to the output two, and in the factor two.
    assert deep.front_stages - flat.front_stages == 5 * 3
    assert deep.factor_cycles - flat.factor_cycles == deep.out_stages - flat.out_stages == 2 * 3
    assert deep.cycles(row) - flat.cycles(row) == 9 * 3
    x = rounded(np.random.default_rng(0).normal(0, 1, (2, 40)), FP16)
    alike = [run(spec, 40, "norm+quantize", x=x, gain=np.ones(40)) for spec in (flat, deep)]
    assert all(np.array_equal(alike[0][name], alike[1][name]) for name in ("out", "quantized", "scale"))


@pytest.mark.parametrize(
    ("rows", "index"),
    [
        ([1.0, 3.0, 3.0], 1),  # the first of equals
        ([-3.0, -1.0, -2.0], 1),
        ([-1.0, 0.0, -0.0], 1),
        ([np.inf, np.nan, np.nan], 1),  # NaN is larger than infinity, the first one is taken
        ([-np.inf, -1.0], 1),
    ],
)
def test_the_largest_dot_product_is_the_first_in_the_stated_order(rows: list[float], index: int) -> None:
    spec = VectorSpec(lanes=1, length_max=2, format="fp32", dots=True)
    assert scored(spec, np.array(rows)[:, None], np.ones(1))["index"] == index


@pytest.mark.parametrize("fmt", ["fp16", "bf16", "fp32"])
def test_a_silu_gate_is_near_float64(fmt: str) -> None:
    spec = spec_of(fmt, activation="silu")
    x = rounded(np.random.default_rng(0).normal(0, 4, (8, 4096)), spec.outside)
    found = run(spec, 4096, "gate", x=x, operand=np.ones_like(x))["out"]
    exact = x / (1 + np.exp(-x))
    seen = np.abs(exact) > 1e-3
    limit = max(1.05 * 2.0**-spec.outside.fraction_bits, 6.5e-6)
    assert (np.abs(found - exact) / np.abs(exact))[seen].max() < limit


def test_units_run_the_work_that_their_parts_allow() -> None:
    assert spec_of().works == ("elements",)
    assert spec_of(rotates=True).works == ("elements", "positions")
    assert spec_of(dots=True).works == ("elements", "head", "sampling")
    assert (spec_of(gates=False).gate_function, spec_of(activation="silu").gate_function) == ("", "silu")


def test_parts_that_a_design_lacks_change_nothing_of_it() -> None:
    former = {"rotates": False, "dots": False, "activation": "relu2", "adder_stages": 0, "product_stages": 0}
    assert spec_of(**former).design_hash == spec_of().design_hash == "ba0158d247b2a59d"
    assert len({spec_of(**{name: value}).design_hash for name, value in CHANGED.items()}) == 4


#: Every part that designs did not have at first.
CHANGED: dict[str, Any] = {"rotates": True, "dots": True, "activation": "silu", "adder_stages": 1}


@pytest.mark.parametrize(
    ("operation", "length", "message"),
    [
        ("norm+dot", 4, "Rowwise operation must not have norm or quantize beside dot, as in norm+dot"),
        ("rotate+quantize+dot", 4, "Rowwise operation must not have norm or quantize beside dot, as in "),
        ("rotate", 7, "Rowwise length must be even to rotate pairs, not 7"),
    ],
)
def test_rows_that_cannot_be_rotated_or_added_are_refused(operation: str, length: int, message: str) -> None:
    with pytest.raises(ParamError, match=f"^{message}".replace("+", r"\+")):
        Rowwise(1, length, operation)


def test_rotations_and_dot_products_need_their_parts() -> None:
    with pytest.raises(ParamError, match="^rotates must be true for operation rotate$"):
        spec_of().check_workload(Rowwise(1, 20, "rotate"))
    with pytest.raises(ParamError, match="^dots must be true for operation dot$"):
        spec_of().check_workload(Rowwise(1, 20, "dot"))
    with pytest.raises(
        ParamError, match="^lanes must be even where rotates is true, as pairs share a beat, not 3$"
    ):
        VectorSpec(lanes=3, length_max=8, rotates=True)
    with pytest.raises(
        ParamError,
        match="^Parameter 'activation' must be one of relu2, silu, not 'gelu'; did you mean 'relu2'\\?$",
    ):
        spec_of(activation="gelu")


def test_the_register_of_a_design_with_dot_products_ends_where_norms_begin() -> None:
    spec = spec_of(rotates=True, dots=True)
    most = spec.operation_value("dequantize+gate+add+rotate+dot")
    assert most == spec.operation_max == 1 + 0b1001111
    assert spec.refuses({"rows": 1, "length": 20, "operation": most}) is None
    assert spec.refuses({"rows": 1, "length": 20, "operation": most + 1}) == (
        "Register operation must be from 1 to 80, not 81"
    )
    assert spec_of().operation_max == 32
