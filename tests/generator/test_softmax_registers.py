"""Registers of the blocks of softmax attention: how many flip-flops they take, and that they only delay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic.softmax import steps
from blueprint.arithmetic.softmax.arithmetic import Arithmetic, Scales
from blueprint.arithmetic.softmax.blocks import BLOCKS, serial_bits
from blueprint.errors import ParamError
from generator.arithmetic.softmax import (
    AddScore,
    Exp2,
    Finish,
    Normalize,
    Product,
    Reciprocal,
    RunningMax,
    ScaleScore,
    ScoreBeat,
    SerialReciprocal,
    SumValues,
    SumWeights,
)
from generator.block import Block
from generator.emission import emit
from tests.generator import linter
from tests.generator.vectors import drive
from tests.softmax_cases import COUNT, DESIGNS, every_design, exponents, masked, weight_sums
from tests.volume import first
from toolchain import yosys

CHAINS = (ScoreBeat, ScaleScore, Exp2, Product, Reciprocal, Finish, Normalize)
SINGLE = {
    RunningMax: lambda a: a.reference_width,
    AddScore: lambda a: a.score_word,
    SumWeights: lambda a: a.l_width,
    SumValues: lambda a: a.o_word,
    SerialReciprocal: serial_bits,
}


def flip_flops(blocks: list[Block], folder: Path) -> dict[str, int]:
    """What Yosys finds in every module and those inside of it, by name."""
    text = {name: body for block in blocks for name, body in emit(block).modules.items()}
    lines = []
    for name, body in text.items():
        (folder / f"{name}.v").write_text(body)
        lines += [f"read_verilog -sv {name}.v"]
    kept = "opt -fast -nodffe -nosdff"  # a bit that never changes or is never used counts where it is held
    lines += [
        "proc",
        kept,
        "simplemap t:*dff*",
        kept,
        "opt_clean",
        "tee -o stat.json stat -json",
    ]
    yosys.run("\n".join(lines), cwd=folder, timeout_s=500)
    modules = json.loads((folder / "stat.json").read_text())["modules"]
    cells = {name.lstrip("\\"): found["num_cells_by_type"] for name, found in modules.items()}

    def count(name: str) -> int:
        inside = {kind.lstrip("\\"): number for kind, number in cells[name].items()}
        return sum(
            number * (count(kind) if kind in cells else "DFF" in kind) for kind, number in inside.items()
        )

    return {name: count(name) for name in cells}


def compare(designs: dict[str, Arithmetic], stages: tuple[int, ...], folder: Path) -> None:
    wanted: dict[str, int] = {}
    blocks: dict[str, Block] = {}
    for a in designs.values():
        for kind in CHAINS:
            for count in stages:
                if kind is not Normalize or a.divides_first:
                    block = kind(a, count)
                    blocks[block.module_name] = block
                    wanted[block.module_name] = BLOCKS[block.place].held_bits(a, count)
        for single, bits in SINGLE.items():
            block = single(a)
            blocks[block.module_name] = block
            wanted[block.module_name] = bits(a)
    found = flip_flops(list(blocks.values()), folder)
    # Parts of a block are combinational.
    assert {name: count for name, count in found.items() if count or name in wanted} == wanted


def test_predicted_flip_flops_are_those_of_yosys(tmp_path: Path) -> None:
    compare({"one": DESIGNS["int8-memory_free"]}, (2,), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "family",
    first(
        4, ["int8_narrow", "fp16_fp32", "bf16_same", "int4", "fp16_fixed", "bf16_fixed", "int8", "fp16_same"]
    ),
)
def test_predicted_flip_flops_are_those_of_yosys_in_every_format(family: str, tmp_path: Path) -> None:
    stages = (1, 4) if family == "fp16_fp32" else (1, 2, 5)
    compare({name: a for name, a in DESIGNS.items() if name.startswith(f"{family}-")}, stages, tmp_path)


def all_blocks(a: Arithmetic) -> list[Block]:
    """Every block of one design, with registers where it may have some."""
    chains = [kind(a, 2) for kind in CHAINS if kind is not Normalize or a.divides_first]
    return [*chains, *(single(a) for single in SINGLE)]


@pytest.mark.parametrize(
    "name",
    [
        "int8-memory_free",
        pytest.param("int8-scaled", marks=pytest.mark.slow),
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("int8_narrow-naive", "fp16_fixed-memory_free")),
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("bf16_fixed-scaled", "fp16_same-naive")),
        pytest.param("bf16_fp32-memory_free", marks=pytest.mark.slow),
    ],
)
def test_the_linter_finds_nothing(name: str, tmp_path: Path) -> None:
    for block in all_blocks(DESIGNS[name]):
        assert linter.findings(block, tmp_path) == []


def test_many_designs_are_counted_at_once() -> None:
    many = every_design()
    for place, block in BLOCKS.items():
        for stages in (0, 1, 3):
            one = [block.held_bits(a, stages) for a in DESIGNS.values()]
            found = np.broadcast_to(block.held_bits(many, stages), len(DESIGNS))
            assert found.tolist() == one, place
    assert np.broadcast_to(serial_bits(many), len(DESIGNS)).tolist() == [
        serial_bits(a) for a in DESIGNS.values()
    ]


@pytest.mark.parametrize("stages", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4, 5))])
def test_registers_delay_by_as_many_enabled_cycles(stages: int) -> None:
    a, random = DESIGNS["int8-memory_free"], np.random.default_rng(11)
    t = exponents(a, random)
    reference = steps.ceiling(a, t)
    enable = random.random(COUNT) < 0.7
    found = drive(Exp2(a, stages), {"t": t, "peak": reference, "enable": enable})["result"]
    moved, wanted = np.flatnonzero(enable), steps.exp2(a, t, reference)
    before = np.searchsorted(moved, np.arange(COUNT))
    started = before >= stages
    assert np.array_equal(found[started], wanted[moved[before[started] - stages]])


@pytest.mark.parametrize("name", ["int8-memory_free"])
def test_a_serial_reciprocal_gives_the_same(name: str) -> None:
    a = DESIGNS[name]
    serial(a, np.random.default_rng(12))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    first(2, ["int8_narrow-scaled", "bf16_fp32-naive", "fp16_fixed-reordered", "fp16_same-memory_free"]),
)
def test_a_serial_reciprocal_gives_the_same_in_every_format(name: str) -> None:
    serial(DESIGNS[name], np.random.default_rng(13))


def serial(a: Arithmetic, random: np.random.Generator) -> None:
    period = a.divisor_fraction + 1
    total = weight_sums(a, random)[:5000]
    scales = Scales(multiplier=1, output_multiplier=40_000)
    rows = np.repeat(total, period)
    start = np.arange(len(rows)) % period == 0
    given: dict[str, Any] = {
        "rst": np.arange(len(rows)) < 0,
        "start": start,
        "total": np.where(start, rows, 0),
    }
    given |= {"output_multiplier": scales.output_multiplier} if a.has_gain else {}
    found = drive(SerialReciprocal(a), given)
    last = np.arange(period, len(rows), period)
    assert found["done"][last].all()
    assert not found["done"][last[:-1] + 1].any()
    wanted = masked(steps.reciprocal(a, scales, total), a.r_width)
    assert np.array_equal(found["result"][last], wanted[: len(last)])


@pytest.mark.parametrize(
    ("stages", "kind", "message"),
    [
        (-1, ParamError, "stages must be at least 0, not -1"),
        (True, TypeError, "stages must be an integer, not True"),
        (1.5, TypeError, "stages must be an integer, not 1.5"),
    ],
)
def test_stages_are_checked(stages: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        Exp2(DESIGNS["int8-scaled"], stages)
    assert str(caught.value) == message
