"""Blocks of short steps: the numbers of the plain ones at every depth, with the flip-flops that are predicted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic.softmax import steps
from blueprint.arithmetic.softmax.arithmetic import Arithmetic
from blueprint.arithmetic.softmax.blocks import STAGES_LIMIT
from blueprint.arithmetic.softmax.short import SHORT, Parts
from generator.arithmetic.softmax import (
    Exp2,
    Normalize,
    Product,
    Reciprocal,
    ScoreBeat,
    ShortExp2,
    ShortNormalize,
    ShortProduct,
    ShortReciprocal,
    ShortScoreBeat,
)
from generator.block import Block
from generator.emission import emit
from tests.generator import linter
from tests.generator.test_softmax import packed
from tests.generator.test_softmax_deep import FORMATS, every
from tests.generator.test_softmax_registers import flip_flops
from tests.generator.vectors import drive
from tests.softmax_cases import (
    COUNT,
    DESIGNS,
    every_design,
    exponents,
    queries,
    registers,
    values,
    weight_sums,
    weights,
)
from tests.volume import first

PAIRS: dict[str, tuple[Any, Any]] = {
    "score_beat": (ScoreBeat, ShortScoreBeat),
    "exp2": (Exp2, ShortExp2),
    "reciprocal": (Reciprocal, ShortReciprocal),
    "product": (Product, ShortProduct),
    "normalize": (Normalize, ShortNormalize),
}


def operands(a: Arithmetic, place: str, random: np.random.Generator) -> dict[str, Any]:
    """Random operands of a block, as they occur."""
    scales, total = registers(a, random)[0], weight_sums(a, random)
    if place == "exp2":
        t = exponents(a, random)
        peak = steps.ceiling(a, t) + random.choice([0, 0, 1, 2, 5, a.weight_fraction], COUNT)
        return {"t": t, "peak": np.minimum(peak, (1 << (a.reference_width - 1)) - 1)}
    if place == "reciprocal":
        return {"total": total} | ({"output_multiplier": scales.output_multiplier} if a.has_gain else {})
    if place == "normalize":
        return {"p": weights(a, random), "r": steps.reciprocal(a, scales, total)}
    if place == "product":
        return {"p": weights(a, random), "v": values(a, random, (COUNT,))}
    q, k = (draw(a, random, (COUNT, a.lanes)) for draw in (queries, values))
    return {"q": packed(q, a.in_width), "k": packed(k, a.element_width)}


def places(a: Arithmetic) -> list[str]:
    """The blocks that a design has."""
    return [place for place in PAIRS if place != "normalize" or a.divides_first]


def check(a: Arithmetic, place: str, stages: int) -> None:
    plain, short = PAIRS[place]
    given = operands(a, place, np.random.default_rng(stages))
    wanted = drive(plain(a), given)["result"]
    found = drive(short(a, stages), given | ({"enable": 1} if stages else {}))["result"]
    wrong = np.flatnonzero(found[stages:] != wanted[: COUNT - stages])[:1]
    differ = {name: np.broadcast_to(word, COUNT)[wrong].tolist() for name, word in given.items()}
    assert differ == {name: [] for name in given}, (place, found[wrong + stages], wanted[wrong])


@every("int8-memory_free")
def test_every_depth_gives_the_same_numbers(name: str) -> None:
    cases = [(place, stages) for place in places(DESIGNS[name]) for stages in (0, 5, 24)]
    begin = 7 * list(DESIGNS).index(name) % len(cases)  # so that designs take different ones
    for place, stages in first(1, cases[begin:] + cases[:begin]):
        check(DESIGNS[name], place, stages)


@pytest.mark.parametrize(
    ("name", "place"),
    [("int8-scaled", "normalize"), ("int4-reordered", "product"), ("fp16_fixed-scaled", "product"),
     ("fp16_fixed-scaled", "score_beat"), ("fp16_fixed-reordered", "reciprocal"), ("fp16_fp32-naive", "score_beat"),
     ("bf16_fp32-naive", "score_beat"), ("fp16_same-naive", "score_beat"), ("fp16_fp32-scaled", "product"),
     ("bf16_same-scaled", "product"), ("bf16_fp32-scaled", "normalize"), ("int4-scaled", "normalize")],
)  # fmt: skip
def test_other_formats_are_no_different(name: str, place: str) -> None:
    check(DESIGNS[name], place, 7)


def compare(names: list[str], depths: tuple[int, ...], folder: Path) -> None:
    wanted: dict[str, int] = {}
    blocks: dict[str, Block] = {}
    for a in (DESIGNS[name] for name in names):
        for place in places(a):
            for stages in depths:
                block = PAIRS[place][1](a, stages)
                blocks[block.module_name] = block
                wanted[block.module_name] = int(SHORT[place].held_bits(a, stages))
    found = flip_flops(list(blocks.values()), folder)
    assert {name: found[name] for name in wanted} == wanted


def test_predicted_flip_flops_are_those_of_yosys(tmp_path: Path) -> None:
    compare(["int8-memory_free", "int8-scaled", "fp16_fp32-naive", "bf16_same-scaled"], (3, 24), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("family", FORMATS)
def test_predicted_flip_flops_are_those_of_yosys_in_every_format(family: str, tmp_path: Path) -> None:
    depths = first(1, (7, 2, 11, 24))
    compare([name for name in DESIGNS if name.startswith(f"{family}-")], tuple(depths), tmp_path)


@pytest.mark.parametrize("name", ["int8-memory_free", "fp16_fixed-scaled"])
def test_the_linter_finds_nothing(name: str, tmp_path: Path) -> None:
    for place in places(DESIGNS[name]):
        assert linter.findings(PAIRS[place][1](DESIGNS[name], 6), tmp_path) == []


def test_many_designs_are_counted_at_once() -> None:
    many, stages = every_design(), np.arange(len(DESIGNS)) % (STAGES_LIMIT + 1)
    for place, block in SHORT.items():
        one = [block.held_bits(a, int(depth)) for a, depth in zip(DESIGNS.values(), stages, strict=True)]
        assert block.held_bits(many, stages).tolist() == one, place


def test_a_product_keeps_no_bit_that_nothing_needs() -> None:
    assert Parts(18, 16, 4, 15).behind == (4 * 22 - 4, 26 + 26 - 8, 34 - 15)
    assert Parts(19, 8, 2, top=1).behind == (23 + 22, 26)


def test_a_part_at_a_wrong_place_is_found() -> None:
    a = DESIGNS["int8-memory_free"]
    given = operands(a, "product", np.random.default_rng(0))
    block = ShortProduct(a, 0)
    wanted = drive(Product(a), given)["result"]
    body = emit(block).modules[block.module_name]
    cut = re.search(r"v\[7:6\]", body)
    assert cut is not None
    assert not np.array_equal(drive(block, given, edit=("v[7:6]", "v[6:5]"))["result"], wanted)
