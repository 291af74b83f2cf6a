"""Every block of softmax attention gives what its step gives, bit for bit, in every number format."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from blueprint.arithmetic.softmax import steps
from blueprint.arithmetic.softmax.arithmetic import Arithmetic, Scales
from blueprint.arithmetic.softmax.blocks import BLOCKS
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
    SumValues,
    SumWeights,
)
from generator.block import Block
from tests.generator.vectors import drive
from tests.softmax_cases import (
    COUNT,
    DESIGNS,
    exponents,
    float_words,
    masked,
    queries,
    registers,
    sampled,
    scores,
    value_sums,
    values,
    weight_sums,
    weights,
)

Integers = npt.NDArray[np.int64]

LAST = {name: a for name, a in DESIGNS.items() if not a.divides_first}
FIRST = {name: a for name, a in DESIGNS.items() if a.divides_first}
RUNNING = {name: a for name, a in DESIGNS.items() if a.rescales}


def every(
    designs: dict[str, Arithmetic], block: Callable[[Arithmetic], Block], fast: str = ""
) -> Callable[[Any], Any]:
    """Once for every different block of :func:`sampled` designs; slow but for one design."""
    blocks = {block(a).module_name: name for name, a in sampled(designs, fast).items()}
    marks = {name: () if name == fast else pytest.mark.slow for name in blocks.values()}
    cases = [pytest.param(designs[name], id=name, marks=marks[name]) for name in blocks.values()]
    return pytest.mark.parametrize("a", cases)


def agree(block: Block, inputs: dict[str, Any], wanted: Integers, output: str = "result") -> None:
    found = drive(block, inputs)[output]
    width = len(block.pins[output][1])
    wanted = masked(wanted, width)
    places = np.flatnonzero(found != wanted)[:1]
    first = {name: np.broadcast_to(word, wanted.shape)[places].tolist() for name, word in inputs.items()}
    assert (first, found[places].tolist()) == ({name: [] for name in inputs}, []), wanted[places]


def packed(words: Integers, width: int) -> Integers:
    """Elements of the last axis as one word, the first lowest."""
    lanes = np.arange(words.shape[-1])
    return np.asarray((masked(words, width) << (lanes * width)).sum(axis=-1), dtype=np.int64)


@every(RUNNING, ScoreBeat)
def test_products_of_a_beat_are_added(a: Arithmetic) -> None:
    random = np.random.default_rng(1)
    q, k = (draw(a, random, (COUNT, a.lanes)) for draw in (queries, values))
    beat = dataclasses.replace(a, dim=a.lanes)
    agree(
        ScoreBeat(a), {"q": packed(q, a.in_width), "k": packed(k, a.element_width)}, steps.score(beat, q, k)
    )


@every(RUNNING, AddScore)
def test_a_score_is_the_sum_of_its_beats(a: Arithmetic) -> None:
    random = np.random.default_rng(2)
    beats = a.dim // a.lanes
    q, k = (draw(a, random, (COUNT // beats, a.dim)) for draw in (queries, values))
    beat = dataclasses.replace(a, dim=a.lanes)
    parts = steps.score(beat, q.reshape(-1, a.lanes), k.reshape(-1, a.lanes))
    begin = np.arange(len(parts)) % beats == 0
    found = drive(AddScore(a), {"begin": begin, "enable": 1, "beat": parts})["total"][beats::beats]
    wanted = masked(steps.score(a, q, k), a.score_word)
    assert np.array_equal(found, wanted[: len(found)])


@every(RUNNING, ScaleScore, "int8-memory_free")
def test_scores_become_exponents(a: Arithmetic) -> None:
    random = np.random.default_rng(3)
    score, block = scores(a, random), ScaleScore(a)
    for scales in registers(a, random):
        given = {"score": score, "multiplier": scales.multiplier}
        given |= {} if a.sums_are_floats else {"shift": scales.shift}
        agree(block, given, steps.scale(a, scales, score))
        agree(block, given, steps.scale_saturates(a, scales, score), "saturated")


@every(RUNNING, RunningMax)
def test_the_maximum_runs(a: Arithmetic) -> None:
    random = np.random.default_rng(4)
    t = exponents(a, random)
    begin, enable = random.random(COUNT) < 0.05, random.random(COUNT) < 0.8
    begin[0] = enable[0] = True
    found = drive(RunningMax(a), {"t": t, "begin": begin, "enable": enable})
    ceiling, held = steps.ceiling(a, t), 0
    reference, shift = np.zeros(COUNT, np.int64), np.zeros(COUNT, np.int64)
    for row in range(COUNT):
        reference[row] = ceiling[row] if begin[row] else max(held, ceiling[row])
        shift[row] = 0 if begin[row] else min(reference[row] - held, (1 << a.shift_width) - 1)
        held = reference[row] if enable[row] else held
    assert np.array_equal(found["peak"], masked(reference, a.reference_width))
    assert np.array_equal(found["shift"], shift)


@every(DESIGNS, Exp2, "int8-memory_free")
def test_exponents_become_weights(a: Arithmetic) -> None:
    random = np.random.default_rng(5)
    t = exponents(a, random)
    near = steps.ceiling(a, t) + random.choice(
        [0, 0, 1, 2, 5, a.weight_fraction, a.weight_fraction + 1], COUNT
    )
    highest = (1 << (a.reference_width - 1)) - 1
    reference = np.minimum(
        np.where(random.random(COUNT) < 0.9, near, random.integers(0, highest, COUNT)), highest
    )
    if a.graph == "naive":
        reference -= random.choice([0, 0, 1, 300], COUNT)
    reference = np.maximum(reference, -highest if a.graph == "naive" else steps.ceiling(a, t))
    agree(Exp2(a), {"t": t, "peak": reference}, steps.exp2(a, t, reference))


@every(RUNNING, Product, "int8-memory_free")
def test_values_are_weighted(a: Arithmetic) -> None:
    random = np.random.default_rng(6)
    p, v = weights(a, random), values(a, random, (COUNT,))
    agree(Product(a), {"p": p, "v": v}, steps.product(a, p, v))


def test_blocks_of_int4_keys_and_values_are_narrower_and_exact() -> None:
    narrow, random = DESIGNS["int4-memory_free"], np.random.default_rng(14)
    wide = dataclasses.replace(narrow, kv_width=8).check()
    for kind, port in ((ScoreBeat, "k"), (Product, "v")):
        one, other = kind(narrow), kind(wide)
        assert 2 * len(getattr(one, port)) == len(getattr(other, port))
        assert len(one.result) == len(other.result) - 4
        assert one.module_name != other.module_name
    for stages in (1, 2):
        for place in ("score_beat", "product"):
            assert BLOCKS[place].held_bits(narrow, stages) < BLOCKS[place].held_bits(wide, stages)
    q, k = queries(narrow, random, (COUNT, 5)), values(narrow, random, (COUNT, 5))
    q[0], k[0] = -128, -8
    p, v = weights(narrow, random), values(narrow, random, (COUNT,))
    p[0], v[0] = 1 << narrow.weight_fraction, -8
    score, term = (q * k).sum(axis=-1), p * v
    for words, block in ((score, ScoreBeat(narrow)), (term, Product(narrow))):
        limit = 1 << (len(block.result) - 1)
        assert -limit <= words.min() and words.max() < limit
    agree(ScoreBeat(narrow), {"q": packed(q, 8), "k": packed(k, 4)}, score)
    agree(Product(narrow), {"p": p, "v": v}, term)


@every(DESIGNS, SumWeights)
def test_weights_are_added_up(a: Arithmetic) -> None:
    run_sum(a, SumWeights(a), 1 if a.keys_max == 1 else a.keys_max)


@every(DESIGNS, SumValues, "int8-memory_free")
def test_weighted_values_are_added_up(a: Arithmetic) -> None:
    run_sum(a, SumValues(a), 1 if a.divides_first else a.keys_max)


def run_sum(a: Arithmetic, block: Any, room: int) -> None:
    """``room`` terms per row, and amounts that are mostly small."""
    weighs = isinstance(block, SumWeights)
    random = np.random.default_rng(7)
    count = 20_000
    p = weights(a, random)[:count]
    term = p if weighs else steps.product(a, p, values(a, random, (count,)))
    begin = np.arange(count) % room == 0
    shift = np.minimum(random.geometric(0.5, count) - 1, 200) * a.rescales
    shift = np.where(random.random(count) < 0.01, (1 << a.shift_width) - 1, shift) * a.rescales
    given = {"begin": begin, "enable": 1, block.operand: term} | ({"shift": shift} if a.rescales else {})
    found = drive(block, given)["total"]
    add = steps.add_weight if weighs else steps.add_value
    total, wanted = np.zeros(1, np.int64), np.zeros(count, np.int64)
    for row in range(count):
        old = np.zeros(1, np.int64) if begin[row] else total
        total = wanted[row : row + 1] = add(a, old, shift[row : row + 1], term[row : row + 1])
    assert np.array_equal(found[1:], masked(wanted[:-1], len(block.total)))


@every(DESIGNS, Reciprocal, "int8-memory_free")
def test_sums_are_inverted(a: Arithmetic) -> None:
    random = np.random.default_rng(8)
    total, block = weight_sums(a, random), Reciprocal(a)
    for scales in registers(a, random)[: 2 if a.has_gain else 1]:
        given = {"total": total} | ({"output_multiplier": scales.output_multiplier} if a.has_gain else {})
        agree(block, given, steps.reciprocal(a, scales, total))


@every(FIRST, Normalize)
def test_weights_are_divided(a: Arithmetic) -> None:
    random = np.random.default_rng(9)
    p = weights(a, random)
    if a.sums_are_floats:
        total = np.maximum(
            p & (a.sum_format.sign_mask - 1), weight_sums(a, random) & (a.sum_format.sign_mask - 1)
        )
    else:
        number = p & ((1 << a.p_width) - 1)
        total = np.where(random.random(COUNT) < 0.1, number, np.maximum(number, weight_sums(a, random)))
    r = steps.reciprocal(a, Scales.of(a, 1.0), total)
    agree(Normalize(a), {"p": p, "r": r}, steps.normalize(a, p, r))


@every(DESIGNS, Finish, "int8-memory_free")
def test_outputs_are_rounded(a: Arithmetic) -> None:
    random = np.random.default_rng(10)
    total = weight_sums(a, random)
    output, block = value_sums(a, random, total), Finish(a)
    for scales in registers(a, random)[: 1 if a.is_float else 4]:
        r = steps.reciprocal(a, scales, total)
        given: dict[str, Any] = {"o": output} | ({} if a.divides_first else {"r": r})
        if not a.is_float:
            given["output_shift"] = scales.output_shift
            given |= {} if a.has_gain else {"output_multiplier": scales.output_multiplier}
        agree(block, given, steps.finish(a, scales, output, r))
        if not a.is_float:
            agree(block, given, steps.result_saturates(a, scales, output, r), "saturated")


def test_a_wrong_block_is_found_out() -> None:
    a = next(iter(RUNNING.values()))
    random = np.random.default_rng(6)
    p, v = weights(a, random), values(a, random, (COUNT,))
    with pytest.raises(AssertionError):
        agree(Product(a), {"p": p, "v": v}, steps.product(a, p, v) ^ (np.arange(COUNT) == COUNT - 1))


def test_float_words_meet_every_kind() -> None:
    words = float_words(
        next(a for a in DESIGNS.values() if a.inputs == "fp16"), np.random.default_rng(1), (COUNT,)
    )
    field = (words >> 10) & 31
    assert {0, 1, 15, 30, 31} <= set(field.tolist())


def test_a_sample_has_every_format_and_every_graph() -> None:
    for designs in (DESIGNS, LAST, FIRST, RUNNING):
        chosen = sampled(designs)
        assert chosen.items() <= designs.items()
        for part in (lambda name: name.rsplit("-", 1)[0], lambda name: name.rsplit("-", 1)[1]):
            assert set(map(part, chosen)) == set(map(part, designs))
    assert "int8-naive" in sampled(DESIGNS, "int8-naive")
