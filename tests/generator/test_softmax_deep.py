"""Scaling and finishing in short steps: the same numbers at every depth, with the flip-flops that are predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from blueprint.arithmetic.softmax import steps
from blueprint.arithmetic.softmax.arithmetic import Arithmetic
from blueprint.arithmetic.softmax.deep import CUTS_LIMIT, DEEP, Piece
from generator.arithmetic.softmax import DeepFinish, DeepScale
from generator.block import Block
from tests.generator import linter
from tests.generator.test_softmax_registers import flip_flops
from tests.generator.vectors import drive
from tests.softmax_cases import (
    COUNT,
    DESIGNS,
    every_design,
    masked,
    registers,
    sampled,
    scores,
    value_sums,
    weight_sums,
)

Integers = npt.NDArray[np.int64]
BLOCKS = (DeepScale, DeepFinish)
FORMATS = sorted({name.rsplit("-", 1)[0] for name in DESIGNS})


def every(first: str) -> Any:
    """A design of every format, all designs in `make test-all`; those but the first as slow tests."""
    names = [first, *(name for name in sampled(DESIGNS) if name != first)]
    marked = [name if name == first else pytest.param(name, marks=pytest.mark.slow) for name in names]
    return pytest.mark.parametrize("name", marked)


def skewed(a: Arithmetic, block: Block, cuts: int, given: dict[str, Any]) -> dict[str, Any]:
    """Operands with every piece of a shared one as late as the step that reads it."""
    kind = DEEP[block.place].of(a, cuts)
    found = dict(given)
    for operand in {piece.operand for piece in kind.shared} & set(given):
        word = np.broadcast_to(masked(given[operand], 63), COUNT)
        late = [
            part(word, piece, kind.late(piece, cuts)) for piece in kind.shared if piece.operand == operand
        ]
        found[operand] = np.bitwise_or.reduce(late)
    return found


def part(word: Integers, piece: Piece, late: int) -> Integers:
    kept = (word >> int(piece.low)) & ((1 << int(piece.high - piece.low)) - 1)
    return np.asarray(np.roll(kept, late) << int(piece.low), dtype=np.int64)


def agree(a: Arithmetic, block: Block, cuts: int, given: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = drive(block, {**skewed(a, block, cuts, given), "enable": 1})
    for output, words in wanted.items():
        expected = masked(words, len(block.pins[output][1]))
        assert np.array_equal(found[output][cuts:], expected[: COUNT - cuts]), (cuts, output)


def check_scale(a: Arithmetic, cuts: int) -> None:
    random = np.random.default_rng(cuts)
    score, block = scores(a, random), DeepScale(a, cuts)
    for scales in registers(a, random):
        given = {"score": score, "multiplier": scales.multiplier}
        given |= {} if a.sums_are_floats else {"shift": scales.shift}
        wanted = {
            "result": steps.scale(a, scales, score),
            "saturated": steps.scale_saturates(a, scales, score),
        }
        agree(a, block, cuts, given, wanted)


def check_finish(a: Arithmetic, cuts: int) -> None:
    random = np.random.default_rng(100 + cuts)
    total = weight_sums(a, random)
    word, block = value_sums(a, random, total), DeepFinish(a, cuts)
    for scales in registers(a, random)[: 1 if a.is_float else 4]:
        r = steps.reciprocal(a, scales, total)
        given: dict[str, Any] = {"o": word} | ({} if a.divides_first else {"r": r})
        wanted = {"result": steps.finish(a, scales, word, r)}
        if not a.is_float:
            given["output_shift"] = scales.output_shift
            given |= {} if a.has_gain else {"output_multiplier": scales.output_multiplier}
            wanted["saturated"] = steps.result_saturates(a, scales, word, r)
        agree(a, block, cuts, given, wanted)


@pytest.mark.parametrize("check", [check_scale, check_finish], ids=["scale", "finish"])
@every("int8-memory_free")
def test_every_depth_gives_the_same_numbers(name: str, check: Any) -> None:
    for cuts in (1, 5, 16):
        check(DESIGNS[name], cuts)


@pytest.mark.parametrize("name", ["int8-scaled", "int4-reordered"])
def test_other_products_are_no_different(name: str) -> None:
    check_finish(DESIGNS[name], 7)
    check_scale(DESIGNS[name], 12)


@pytest.mark.parametrize(
    "name",
    [
        "fp16_fixed-scaled",
        "fp16_fixed-memory_free",
        "fp16_fp32-memory_free",
        "bf16_fp32-scaled",
        "fp16_same-reordered",
    ],
)
def test_fine_steps_of_floats_are_no_different(name: str) -> None:
    check_finish(DESIGNS[name], 11)
    check_scale(DESIGNS[name], 9)


def compare(names: list[str], depths: tuple[int, ...], folder: Path) -> None:
    wanted: dict[str, int] = {}
    blocks: dict[str, Block] = {}
    for a in (DESIGNS[name] for name in names):
        for kind in BLOCKS:
            for cuts in depths:
                block = kind(a, cuts)
                blocks[block.module_name] = block
                wanted[block.module_name] = int(DEEP[block.place].held_bits(a, cuts))
    assert flip_flops(list(blocks.values()), folder) == wanted


def test_predicted_flip_flops_are_those_of_yosys(tmp_path: Path) -> None:
    compare(["int8-memory_free", "int8-scaled"], (3, 16), tmp_path)
    compare(["fp16_fixed-scaled", "fp16_fixed-memory_free", "fp16_fp32-memory_free"], (8, 16), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("family", FORMATS)
def test_predicted_flip_flops_are_those_of_yosys_in_every_format(family: str, tmp_path: Path) -> None:
    compare([name for name in DESIGNS if name.startswith(f"{family}-")], tuple(range(1, 17, 3)), tmp_path)


@pytest.mark.parametrize("name", ["int8-memory_free", "fp16_fixed-scaled"])
def test_the_linter_finds_nothing(name: str, tmp_path: Path) -> None:
    for kind in BLOCKS:
        assert linter.findings(kind(DESIGNS[name], 6), tmp_path) == []


def test_many_designs_are_counted_at_once() -> None:
    many, cuts = every_design(), np.arange(len(DESIGNS)) % (CUTS_LIMIT + 1)
    for place, block in DEEP.items():
        one = [block.held_bits(a, int(depth)) for a, depth in zip(DESIGNS.values(), cuts, strict=True)]
        assert block.held_bits(many, cuts).tolist() == one, place
        for operand in {piece.operand for kind in block.kinds(many) for piece in kind.shared}:
            shared = [
                block.shared_bits(a, int(depth), operand)
                for a, depth in zip(DESIGNS.values(), cuts, strict=True)
            ]
            assert block.shared_bits(many, cuts, operand).tolist() == shared, operand


def test_more_registers_than_steps_stand_behind_the_last() -> None:
    finish, a = DEEP["finish"], DESIGNS["fp16_fixed-memory_free"]
    assert finish.of(a, 3).cuts(3) == [1, 2, 3]
    assert finish.of(a, 16).cuts(16) == [*range(2, 12), *[12] * 6]


def test_a_shared_operand_that_is_not_delayed_is_found() -> None:
    a = DESIGNS["int8-memory_free"]
    random = np.random.default_rng(3)
    total = weight_sums(a, random)
    word, scales = value_sums(a, random, total), registers(a, random)[0]
    r = steps.reciprocal(a, scales, total)
    given = {"o": word, "r": r, "output_shift": scales.output_shift, "enable": 1}
    found = drive(DeepFinish(a, 16), given)["result"]
    assert not np.array_equal(found[16:], masked(steps.finish(a, scales, word, r), 8)[:-16])
