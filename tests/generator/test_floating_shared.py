"""Blocks that only a family's datapath uses: sum and difference in one, floats as fixed-point integers and back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import BF16, FORMATS, FP8_E4M3, FP8_E5M2, FP16, FP32, FloatFormat
from blueprint.families.ternary_lut import formats
from generator.arithmetic.floating import FixedToFloat, FloatAdd, FloatPair, FloatToFixed
from generator.emission import emit
from tests.float_operands import pairs
from tests.generator.vectors import drive
from toolchain import yosys


def slow(*values: Any) -> list[Any]:
    """Parameters of tests that are not in the fast suite."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


ONE_FAST = [FP16, *slow(*(fmt for fmt in FORMATS.values() if fmt is not FP16))]


@pytest.mark.parametrize("fmt", ONE_FAST, ids=lambda fmt: fmt.name)
def test_one_block_gives_sum_and_difference(fmt: FloatFormat) -> None:
    a, b = pairs(fmt)
    found = drive(FloatPair(fmt), {"a": a, "b": b})["result"]
    assert np.array_equal(found & (2**fmt.width - 1), floating.add(fmt, a, b))
    assert np.array_equal(found >> fmt.width, floating.subtract(fmt, a, b))


def test_a_broken_sum_of_a_pair_is_noticed() -> None:
    a, b = pairs(FP8_E5M2)
    text = "".join(emit(FloatPair(FP8_E5M2)).modules.values())
    line = next(line for line in text.splitlines() if re.match(r"\s*assign plus_sticky = ", line))
    found = drive(FloatPair(FP8_E5M2), {"a": a, "b": b}, (line, "assign plus_sticky = 1'h0;"))["result"]
    assert np.count_nonzero(found & 0xFF != floating.add(FP8_E5M2, a, b)) > 100


@pytest.mark.parametrize("fmt", [FP16, FP8_E4M3, FP8_E5M2], ids=lambda fmt: fmt.name)
def test_every_number_becomes_its_multiple_of_the_smallest(fmt: FloatFormat) -> None:
    a = np.arange(1 << fmt.width)
    found = drive(FloatToFixed(fmt), {"a": a})
    broken = floating.is_nan(fmt, a) | floating.is_infinite(fmt, a)
    assert np.array_equal(found["broken"] == 1, broken)
    width = formats.fixed_width(fmt)
    signed = found["result"] - ((found["result"] >> (width - 1)) << width)
    assert np.array_equal(signed[~broken], floating.to_fixed(fmt, a)[~broken])
    numbers = floating.to_float64(fmt, a[~broken])
    assert np.array_equal(signed[~broken] * floating.to_float64(fmt, np.array(1)), numbers)


@pytest.mark.parametrize("target", [BF16, *slow(FP16, FP8_E4M3, FP32)], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize(("source", "width"), [(FP16, 54), (FP16, 45), (FP8_E4M3, 20), (FP8_E5M2, 39)])
def test_sums_are_rounded_as_the_model(source: FloatFormat, target: FloatFormat, width: int) -> None:
    random = np.random.default_rng(width)
    value = random.integers(-(1 << (width - 1)), 1 << (width - 1), 40_000) >> random.integers(
        0, width, 40_000
    )
    ties = (random.integers(1, 1 << 12, 10_000) << 1 | 1) << random.integers(0, width - 16, 10_000)
    value = np.concatenate([value, ties, -ties, np.arange(-64, 64), [1 << (width - 2), -(1 << (width - 1))]])
    found = drive(FixedToFloat(source, target, width), {"a": value, "broken": 0})["result"]
    assert np.array_equal(found, floating.from_fixed(source, target, value))
    exact = value.astype(np.float64) * float(floating.to_float64(source, np.array(1)))
    assert np.array_equal(found, floating.from_float64(target, exact))


def test_a_broken_sum_is_the_canonical_nan() -> None:
    found = drive(FixedToFloat(FP16, BF16, 45), {"a": [0, 5, -7], "broken": 1})["result"]
    assert found.tolist() == [BF16.canonical_nan] * 3


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("fmt", ONE_FAST, ids=lambda fmt: fmt.name)
def test_registers_of_pipelined_adders_are_counted(fmt: FloatFormat, pair: bool, tmp_path: Path) -> None:
    """What the inventory says of every depth is what Yosys finds in the Verilog."""
    lines, wanted = [], {}
    for stages in range(1, formats.STAGES_LIMIT + 1):
        block = FloatPair(fmt, stages=stages) if pair else FloatAdd(fmt, stages=stages)
        (tmp_path / f"{stages}.v").write_text("".join(emit(block).modules.values()))
        lines.append(f"read_verilog {stages}.v")
        wanted[block.module_name] = formats.held_bits(fmt.name, stages, pair)
    assert counted(lines, tmp_path) == wanted
    assert counted(lines, tmp_path, "-nodffe -nosdff") == wanted


def counted(lines: list[str], folder: Path, options: str = "") -> dict[str, int]:
    """Flip-flops by module of Verilog that is read by these lines."""
    lines = [*lines, "proc", f"opt -fast {options}", "simplemap t:*dff*", f"opt -fast {options}", "opt_clean"]
    yosys.run("\n".join([*lines, "tee -o stat.json stat -json"]), cwd=folder, timeout_s=120)
    modules = json.loads((folder / "stat.json").read_text())["modules"]
    return {
        name.removeprefix("\\"): sum(n for kind, n in module["num_cells_by_type"].items() if "DFF" in kind)
        for name, module in modules.items()
    }


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("fmt", [FP32, FP16], ids=lambda fmt: fmt.name)
def test_no_register_of_an_adder_holds_what_never_changes(
    fmt: FloatFormat, unsigned: bool, tmp_path: Path
) -> None:
    """Synthesis that infers no enables finds no register more: it cannot know that a held constant never changes."""
    lines = []
    for stages in range(1, 5):
        block = FloatAdd(fmt, flush=True, stages=stages, unsigned=unsigned)
        (tmp_path / f"{stages}.v").write_text("".join(emit(block).modules.values()))
        lines.append(f"read_verilog {stages}.v")
    found = counted(lines, tmp_path)
    assert len(found) == 4 and counted(lines, tmp_path, "-nodffe -nosdff") == found
