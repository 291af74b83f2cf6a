"""The float model against NumPy, ml_dtypes and Berkeley SoftFloat."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from blueprint.arithmetic import floating, random_floats
from blueprint.arithmetic.floating import BF16, FORMATS, FP8_E4M3, FP8_E5M2, FP16, FP32, FloatFormat, Patterns
from blueprint.errors import ParamError
from tests.float_operands import BORDER, pairs, specials

DTYPES = {
    "fp16": np.float16, "bf16": ml_dtypes.bfloat16,
    "fp8_e4m3": ml_dtypes.float8_e4m3fn, "fp8_e5m2": ml_dtypes.float8_e5m2,
}  # fmt: skip
OPERATIONS: dict[str, tuple[Callable[..., Patterns], Callable[..., Any]]] = {
    "add": (floating.add, np.add),
    "subtract": (floating.subtract, np.subtract),
    "multiply": (floating.multiply, np.multiply),
    "maximum": (floating.maximum, np.maximum),
}
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def numbers(fmt: FloatFormat, a: npt.ArrayLike) -> Any:
    word = np.uint16 if fmt.width == 16 else np.uint8
    return np.asarray(a).astype(word).view(DTYPES[fmt.name])


def patterns(fmt: FloatFormat, value: Any) -> Patterns:
    word = np.uint16 if fmt.width == 16 else np.uint8
    return floating.canonical(fmt, np.asarray(value, DTYPES[fmt.name]).view(word).astype(np.int64))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", FORMATS)
def test_operations_equal_numpy_and_ml_dtypes(name: str, operation: str) -> None:
    fmt, (ours, theirs) = FORMATS[name], OPERATIONS[operation]
    a, b = pairs(fmt)
    wanted = patterns(fmt, theirs(numbers(fmt, a), numbers(fmt, b)))
    if operation == "maximum":  # NumPy leaves open which zero is the larger one; IEEE 754-2019 does not
        zeros = (a | b) & ~fmt.sign_mask == 0
        wanted = np.where(zeros, a & b, wanted)
    found = ours(fmt, a, b)
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("operation", ["add", "sub", "mul"])
@pytest.mark.parametrize("fmt", [FP16, BF16], ids=lambda fmt: fmt.name)
def test_operations_equal_softfloat(fmt: FloatFormat, operation: str) -> None:
    softfloat = pytest.importorskip("softfloatpy", reason="SoftFloat has no wheel for this platform")
    ours = {"add": floating.add, "sub": floating.subtract, "mul": floating.multiply}[operation]
    a, b = pairs(fmt)
    if fmt is FP16:
        kind, compute = softfloat.Float16, getattr(softfloat, f"f16_{operation}")
    else:  # exact products, and sums whose second rounding changes nothing: 24 >= 2 * 8 + 2
        kind, exact = softfloat.BFloat16, getattr(softfloat, f"f32_{operation}")

        def compute(x: Any, y: Any) -> Any:
            return softfloat.f32_to_bf16(exact(softfloat.bf16_to_f32(x), softfloat.bf16_to_f32(y)))

    known = {word: kind.from_bytes(word.to_bytes(2, "big")) for word in set(a.tolist()) | set(b.tolist())}
    results = [compute(known[x], known[y]).to_bytes() for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    wanted = np.frombuffer(b"".join(results), ">u2").astype(np.int64)
    assert np.array_equal(ours(fmt, a, b), floating.canonical(fmt, wanted))


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_conversion_of_every_pattern_equals_ml_dtypes(source: str, target: str) -> None:
    a = np.arange(1 << FORMATS[source].width)
    wanted = patterns(FORMATS[target], numbers(FORMATS[source], a).astype(DTYPES[target]))
    assert np.array_equal(floating.convert(FORMATS[source], FORMATS[target], a), wanted)


@pytest.mark.parametrize("name", FORMATS)
def test_float64_holds_every_pattern(name: str) -> None:
    fmt = FORMATS[name]
    a = np.arange(1 << fmt.width)
    values = floating.to_float64(fmt, a)
    assert np.array_equal(values, numbers(fmt, a).astype(np.float64), equal_nan=True)
    assert np.array_equal(np.signbit(values[values == 0]), [False, True])
    assert np.array_equal(floating.from_float64(fmt, values), floating.canonical(fmt, a))


@pytest.mark.parametrize("name", FORMATS)
def test_from_float64_rounds_as_ml_dtypes(name: str) -> None:
    fmt, rng = FORMATS[name], np.random.default_rng(2)
    low, high = np.log2(floating.to_float64(fmt, np.array([1, fmt.max_finite])))
    values = np.ldexp(rng.uniform(-1, 1, 100_000), rng.integers(int(low) - 3, int(high) + 4, 100_000))
    ties = (lambda v: (v[1:] + v[:-1]) / 2)(floating.to_float64(fmt, np.arange(fmt.max_finite + 1)))
    values = np.concatenate(
        [values, ties, np.nextafter(ties, 0), np.nextafter(ties, 1e9), [1e300, -1e300, 5e-324]]
    )
    # Through float32 some libraries round twice, so the oracle is the nearest of all the format's numbers.
    found = floating.to_float64(fmt, floating.from_float64(fmt, values))
    every = floating.to_float64(fmt, np.arange(fmt.max_finite + 1))
    inside = np.abs(values) <= every[-1]
    place = np.clip(np.searchsorted(every, np.abs(values[inside])), 1, len(every) - 1)
    error = np.minimum(every[place] - np.abs(values[inside]), np.abs(values[inside]) - every[place - 1])
    assert np.array_equal(np.abs(found[inside] - values[inside]), error)
    even = floating.from_float64(fmt, ties)
    assert np.all(even % 2 == 0)


@pytest.mark.parametrize("width", [4, 8, 16, 32])
@pytest.mark.parametrize("name", FORMATS)
def test_integers_convert_both_ways(name: str, width: int) -> None:
    fmt, rng = FORMATS[name], np.random.default_rng(3)
    limit = 1 << (width - 1)
    value = (
        np.arange(-limit, limit)
        if width <= 16
        else rng.integers(-limit, limit, 100_000) >> rng.integers(0, 31, 100_000)
    )
    assert np.array_equal(floating.from_integer(fmt, value, width), floating.from_float64(fmt, value))
    a = np.arange(1 << fmt.width)
    number = floating.to_float64(fmt, a)
    wanted = np.where(np.isnan(number), 0, np.clip(np.round(number), -limit, limit - 1))
    assert np.array_equal(floating.to_integer(fmt, a, width), wanted)


@pytest.mark.parametrize("name", FORMATS)
def test_negate_flips_every_sign_but_that_of_nan(name: str) -> None:
    fmt = FORMATS[name]
    a = np.arange(1 << fmt.width)
    assert np.array_equal(floating.negate(fmt, a), patterns(fmt, -numbers(fmt, a)))


@pytest.mark.parametrize("case", BORDER)
def test_border_of_subnormal_and_normal(case: str) -> None:
    operation, a, b, wanted = BORDER[case]
    found = OPERATIONS[operation][0](FP16, np.array([a]), np.array([b]))
    assert hex(found[0]) == hex(wanted)
    assert hex(patterns(FP16, OPERATIONS[operation][1](numbers(FP16, [a]), numbers(FP16, [b])))[0]) == hex(
        wanted
    )


@pytest.mark.parametrize(
    "fmt",
    [FloatFormat.custom(6, 9), FloatFormat.custom(3, 2), FloatFormat.custom(8, 23)],
    ids=lambda f: f.name,
)
def test_custom_formats_equal_exact_arithmetic(fmt: FloatFormat) -> None:
    """Sums and products of at most 24-bit significands round harmlessly in float64: 53 >= 2 * 24 + 2."""
    a, b = pairs(fmt)
    x, y = floating.to_float64(fmt, a), floating.to_float64(fmt, b)
    assert np.array_equal(floating.add(fmt, a, b), floating.from_float64(fmt, x + y))
    assert np.array_equal(floating.multiply(fmt, a, b), floating.from_float64(fmt, x * y))


@pytest.mark.parametrize("name", FORMATS)
def test_flush_reads_and_gives_no_subnormal(name: str) -> None:
    fmt = FORMATS[name]
    a, b = pairs(fmt)
    smallest = float(floating.to_float64(fmt, np.array(fmt.min_normal)))

    def flushed(value: Any) -> Any:
        return np.where(np.abs(value) < smallest, np.copysign(0.0, value), value)

    x, y = (flushed(floating.to_float64(fmt, word)) for word in (a, b))
    for ours, exact in ((floating.add, x + y), (floating.multiply, x * y)):
        assert np.array_equal(ours(fmt, a, b, True), floating.from_float64(fmt, flushed(exact)))


@pytest.mark.parametrize("fmt", [BF16, FP32, FloatFormat.custom(8, 10)], ids=["bf16", "fp32", "inside"])
@pytest.mark.parametrize("spread", [3, 60, 254])
def test_the_processor_s_numbers_are_those_of_the_steps(fmt: FloatFormat, spread: int) -> None:
    random = np.random.default_rng(spread)
    steps = {floating.add: floating.stepwise_add, floating.multiply: floating.stepwise_multiply}
    for _ in range(40):
        exponents = random.integers(127 - spread // 2, 128 + spread // 2, (2, 500))
        a, b = random.integers(0, 1 << fmt.fraction_bits, (2, 500)) | exponents << fmt.fraction_bits
        a, b = (one | random.integers(0, 2, 500) << fmt.width - 1 for one in (a, b))
        b[:50], a[50:60] = a[:50] ^ fmt.sign_mask, 0
        for native, stepwise in steps.items():
            for first, second in ((a, b), *zip(np.split(a, 50), np.split(b, 50), strict=True)):
                wanted = stepwise(fmt, first, second, True)
                assert np.array_equal(native(fmt, first, second, True), wanted)


@pytest.mark.parametrize("spread", [6, 60, 254])
def test_a_running_sum_is_one_addition_after_the_other(spread: int) -> None:
    random = np.random.default_rng(spread)
    for _ in range(30):
        exponents = random.integers(127 - spread // 2, 128 + spread // 2, (7, 40))
        values = random.integers(0, 1 << 23, (7, 40)) | exponents << 23 | random.integers(0, 2, (7, 40)) << 31
        values[0, 1] = values[0, 0] ^ FP32.sign_mask
        total = np.zeros(7, np.int64)
        for column in values.T:
            total = floating.stepwise_add(FP32, total, column, True)
        assert np.array_equal(floating.running_sum(values), total)
        assert [int(floating.running_sum(row)) for row in values] == list(total)


def test_a_wrong_rounding_is_noticed() -> None:
    """A twin that rounds ties away from zero differs on the specials already."""
    a, b = pairs(FP16)
    exact = floating.to_float64(FP16, a) + floating.to_float64(FP16, b)
    twin = floating.from_float64(FP16, exact * (1 + 2.0**-40))
    assert np.count_nonzero(twin != floating.add(FP16, a, b)) > 100


def test_there_are_180_specials_of_each_kind() -> None:
    for fmt in (FP16, BF16, FP8_E4M3, FP8_E5M2):
        found = specials(fmt)
        assert len(set(found.tolist())) == 180
        assert floating.is_nan(fmt, found).sum() >= 2
        assert floating.is_infinite(fmt, found).sum() == (2 if fmt.infinities else 0)


def test_properties_are_the_formats_own() -> None:
    assert [fmt.width for fmt in FORMATS.values()] == [16, 16, 8, 8]
    assert [fmt.bias for fmt in FORMATS.values()] == [15, 127, 7, 15]
    assert [hex(fmt.canonical_nan) for fmt in FORMATS.values()] == ["0x7e00", "0x7fc0", "0x7f", "0x7e"]
    largest = [float(floating.to_float64(fmt, np.array(fmt.max_finite))) for fmt in FORMATS.values()]
    assert largest == [65504.0, float(ml_dtypes.finfo(ml_dtypes.bfloat16).max), 448.0, 57344.0]
    assert FloatFormat.custom(4, 3, infinities=False).name == "e4m3fn"


@pytest.mark.parametrize(
    "build, message",
    [
        (
            lambda: floating.get("fp8_e4m"),
            "Float format must be one of fp16, bf16, fp8_e4m3, fp8_e5m2, fp32, not 'fp8_e4m'; did you mean 'fp8_e4m3'?",
        ),
        (lambda: FloatFormat.custom(1, 5), "exponent_bits must be from 2 to 10, not 1"),
        (lambda: FloatFormat.custom(5, 24), "fraction_bits must be from 1 to 23, not 24"),
        (lambda: FloatFormat.custom(10, 22), "A float must be at most 32 bits wide, not 33"),
        (lambda: floating.to_integer(FP16, np.array([0]), 1), "Integer width must be from 2 to 48, not 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        build()


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: FloatFormat.custom(5.0, 10), "exponent_bits must be an integer, not 5.0"),  # type: ignore[arg-type]
        (
            lambda: floating.from_integer(FP16, np.array([0]), True),
            "Integer width must be an integer, not True",
        ),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        build()


def test_a_number_of_a_format_is_looked_up_for_one_name_and_for_many() -> None:
    names = np.array(["int", *floating.NAMED])
    many = floating.look_up(names, lambda fmt: fmt.width, -1)
    assert many.tolist() == [-1, 16, 16, 8, 8, 32]
    assert [floating.look_up(str(name), lambda fmt: fmt.width, -1) for name in names] == many.tolist()
    assert floating.unit_dims("bf16", 2) == {"exponent": 8, "fraction": 7, "stages": 2}
    assert floating.unit_dims("int") == {"exponent": 0, "fraction": 0, "stages": 0}


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_random_operands_are_near_each_other_but_for_those_that_are_not(fmt: FloatFormat) -> None:
    cases = [
        random_floats.patterns(fmt, np.random.default_rng(seed), np.full((20, 50), fmt.bias), rare=0.1)
        for seed in range(40)
    ]
    assert all(case.shape == (20, 50) and case.min() >= 0 and case.max() < 1 << fmt.width for case in cases)
    no_numbers = [floating.is_nan(fmt, case) | floating.is_infinite(fmt, case) for case in cases]
    assert 4 <= sum(bool(found.any()) for found in no_numbers) <= 16
    exponents = (np.array(cases) & ~fmt.sign_mask) >> fmt.fraction_bits
    assert 0.8 < (exponents == fmt.bias).mean() < 0.97
    assert 0.45 < (np.array(cases) & fmt.sign_mask > 0).mean() < 0.55


def test_exponents_of_random_operands_are_kept_to_those_of_finite_numbers() -> None:
    far = random_floats.patterns(FP16, np.random.default_rng(1), np.full((9, 9), 99), rare=0.0)
    exponents = (far & ~FP16.sign_mask) >> FP16.fraction_bits
    assert exponents.max() == 30 and not floating.is_nan(FP16, far).any()
