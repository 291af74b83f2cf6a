"""The RTL of the float blocks against the model: specials crossed, random operands, every pattern of unary blocks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic import coarse_floating, floating
from blueprint.arithmetic.floating import BF16, FORMATS, FP8_E4M3, FP16, FloatFormat, Patterns
from blueprint.errors import ParamError
from generator.arithmetic.floating import (
    FloatAdd,
    FloatConvert,
    FloatMax,
    FloatMultiply,
    FloatNegate,
    FloatToInt,
    IntToFloat,
)
from generator.arithmetic.floating.coarse import CoarseAdd
from generator.block import Block
from generator.emission import emit
from tests.float_operands import BORDER, pairs
from tests.generator import linter
from tests.generator.vectors import Bench, drive
from tests.volume import first

INTEGERS = (4, 8, 16, 32)
CUSTOM = (FloatFormat.custom(6, 9), FloatFormat.custom(3, 2), FloatFormat.custom(2, 1))
ALL = (*FORMATS.values(), *CUSTOM)
TARGETS = (*FORMATS.values(), CUSTOM[0], FloatFormat.custom(4, 2))
PAIRS: dict[str, Callable[[FloatFormat, Patterns, Patterns], Patterns]] = {
    "sum": floating.add,
    "difference": floating.subtract,
    "either": lambda fmt, a, b: np.where(b & 1, floating.subtract(fmt, a, b), floating.add(fmt, a, b)),
    "product": floating.multiply,
    "maximum": floating.maximum,
    "sum_flush": lambda fmt, a, b: floating.add(fmt, a, b, True),
    "product_flush": lambda fmt, a, b: floating.multiply(fmt, a, b, True),
}


def some_slow(*fast: str) -> list[Any]:
    """Formats, those not named marked as slow: every one is a compilation of its own."""
    slow = first(3, [fmt for fmt in ALL if fmt.name not in fast])
    quick = [pytest.param(fmt, id=fmt.name) for fmt in ALL if fmt.name in fast]
    return [*quick, *(pytest.param(fmt, marks=pytest.mark.slow, id=fmt.name) for fmt in slow)]


def binary(fmt: FloatFormat) -> dict[str, Block]:
    """Every block of two operands."""
    return {
        "sum": FloatAdd(fmt),
        "difference": FloatAdd(fmt, operation="subtract"),
        "either": FloatAdd(fmt, operation="either"),
        "product": FloatMultiply(fmt),
        "maximum": FloatMax(fmt),
        "sum_flush": FloatAdd(fmt, flush=True),
        "product_flush": FloatMultiply(fmt, flush=True),
    }


def unary(fmt: FloatFormat) -> dict[str, Block]:
    """Every block of one operand."""
    found: dict[str, Block] = {"negative": FloatNegate(fmt)}
    for target in TARGETS:
        found[f"to_{target.name}"] = FloatConvert(fmt, target)
        found[f"to_{target.name}_flush"] = FloatConvert(fmt, target, flush=True)
    for width in INTEGERS:
        found[f"to_int{width}"] = FloatToInt(fmt, width)
        found[f"from_int{width}"] = IntToFloat(fmt, width)
    return found | {"to_int8_flush": FloatToInt(fmt, 8, flush=True)}


def differing(found: Patterns, wanted: Patterns, *operands: Patterns) -> list[tuple[str, ...]]:
    places = np.flatnonzero(found != wanted)[:5]
    return [tuple(hex(int(array[i])) for array in (*operands, found, wanted)) for i in places]


@pytest.mark.parametrize("fmt", some_slow("fp16", "e3m2"))
def test_pairs_equal_the_model(fmt: FloatFormat) -> None:
    a, b = pairs(fmt)
    found = drive(Bench(binary(fmt)), {"a": a, "b": b, "subtract": b & 1})
    for name, model in PAIRS.items():
        assert (name, differing(found[name], model(fmt, a, b), a, b)) == (name, [])


@pytest.mark.parametrize("fmt", some_slow("fp8_e4m3"))
def test_every_pattern_and_integer_converts_as_the_model(fmt: FloatFormat) -> None:
    # Each block takes the lowest bits it needs: all patterns of 16 bits, then 32-bit integers of all magnitudes.
    rng = np.random.default_rng(4)
    integers = rng.integers(0, 1 << 32, 1 << 14) >> rng.integers(0, 32, 1 << 14)
    word = np.concatenate([np.arange(1 << 16), integers])
    found, a = drive(Bench(unary(fmt)), {"a": word}), word & ((1 << fmt.width) - 1)
    wanted = {
        "negative": floating.negate(fmt, a),
        "to_int8_flush": floating.to_integer(fmt, a, 8, True) & 0xFF,
    }
    for target in TARGETS:
        wanted[f"to_{target.name}"] = floating.convert(fmt, target, a)
        wanted[f"to_{target.name}_flush"] = floating.convert(fmt, target, a, True)
    for width in INTEGERS:
        wanted[f"to_int{width}"] = floating.to_integer(fmt, a, width) & ((1 << width) - 1)
        wanted[f"from_int{width}"] = floating.from_integer(fmt, word, width)
    for name, values in wanted.items():
        assert (name, differing(found[name], values, word)) == (name, [])
    assert list(wanted) and set(wanted) == set(found)


def test_border_of_subnormal_and_normal() -> None:
    cases = list(BORDER.values())
    a, b = ([case[place] for case in cases] for place in (1, 2))
    found = drive(Bench(binary(FP16)), {"a": a, "b": b, "subtract": 0})
    outputs = {"add": "sum", "subtract": "difference", "multiply": "product"}
    got = {name: hex(found[outputs[case[0]]][row]) for row, (name, case) in enumerate(BORDER.items())}
    assert got == {name: hex(case[3]) for name, case in BORDER.items()}


def test_a_broken_adder_is_noticed() -> None:
    """Without the sticky bit's part in rounding the RTL differs from the model."""
    a, b = pairs(FP16)
    text = "".join(emit(FloatAdd(FP16)).modules.values())
    line = next(line for line in text.splitlines() if re.match(r"\s*assign sticky = ", line))
    found = drive(FloatAdd(FP16), {"a": a, "b": b}, (line, "assign sticky = 1'h0;"))["result"]
    assert np.count_nonzero(found != floating.add(FP16, a, b)) > 100


@pytest.mark.parametrize("fmt", [FP16, BF16], ids=lambda fmt: fmt.name)
def test_coarse_additions_equal_the_model(fmt: FloatFormat) -> None:
    """Sums of patterns, and sums of such sums: what an accumulator sees."""
    steps = [step for step in (2, 4, 8) if step <= fmt.fraction_bits]
    a, b = (coarse_floating.widen(fmt, word) for word in pairs(fmt))
    bench = Bench({f"coarse{step}": CoarseAdd(fmt, step) for step in steps})
    first = drive(bench, {"a": a, "b": b})
    for step in steps:
        once = coarse_floating.add(fmt, a, b, step)
        assert differing(first[f"coarse{step}"], once, a, b) == []
    left, right = once, np.roll(once, 1) ^ np.where(np.arange(len(once)) % 2, 1 << fmt.width, 0)
    second = drive(bench, {"a": left, "b": right})[f"coarse{steps[-1]}"]
    assert differing(second, coarse_floating.add(fmt, left, right, steps[-1]), left, right) == []


@pytest.mark.parametrize(
    "fmt", [pytest.param(FP16, marks=pytest.mark.slow), FP8_E4M3], ids=lambda fmt: fmt.name
)
def test_the_linter_finds_nothing(fmt: FloatFormat, tmp_path: Path) -> None:
    assert linter.findings(Bench(binary(fmt) | unary(fmt)), tmp_path) == []


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: FloatAdd(FP16, operation="plus"), "operation must be one of add, subtract, either, not 'plus'"),
        (
            lambda: FloatAdd(FP16, operation="either", unsigned=True),
            "operation must be add for operands without signs, not 'either'",
        ),
        (lambda: FloatAdd(FP16, short=11), "short must be from 0 to 10, not 11"),
        (lambda: FloatMultiply(FP16, stages=-1), "stages must be at least 0, not -1"),
        (lambda: FloatToInt(FP16, 49), "Integer width must be from 2 to 48, not 49"),
        (lambda: CoarseAdd(FP16, 3), "coarse must be 2, 4 or 8 and at most the 10 fraction bits, not 3"),
        (lambda: CoarseAdd(FP8_E4M3, 2), "A format of coarse normalization must have infinities; fp8_e4m3 has none"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        build()


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: FloatMax(FP16, stages=1.5), "stages must be an integer, not 1.5"),  # type: ignore[arg-type]
        (lambda: CoarseAdd(FP16, "2"), "coarse must be an integer, not '2'"),  # type: ignore[arg-type]
    ],
)
def test_what_is_of_the_wrong_kind_is_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        build()
