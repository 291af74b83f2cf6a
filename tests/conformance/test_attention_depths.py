"""Attention whose floats have fine steps and whose partial sums take turns: random designs, corners, and refusals.

Values, cycles, flip-flops, stalls and beats. The random designs of the family have these registers too
(``tests/conformance/test_agreement.py``), most of them few.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic import floating
from blueprint.arithmetic.softmax import turns
from blueprint.errors import ParamError
from blueprint.families.streaming_attention import StreamingAttentionSpec, dataflow
from blueprint.workloads.tasks import Attention
from generator.arithmetic.softmax import TurnSum
from simulator.engine import kernel
from tests.conformance.corners import differences
from tests.softmax_cases import DESIGNS as ARITHMETICS
from tests.volume import some

#: Random designs with the registers, and how many of them the suite proves.
POOL, PROVED = 30, some(3, of=30)
GRAPHS = ("memory_free", "scaled", "reordered", "naive")
FORMATS = (
    ("fp16", "fp32"),
    ("bf16", "same"),
    ("fp16", "fixed"),
    ("fp16", "same"),
    ("bf16", "fp32"),
    ("int8", "integer"),
)
FIXED = {"format": "fp16", "acc_format": "fixed"}
CORE: dict[str, Any] = {"dim": 2, "keys_max": 12, "queries_max": 4, "heads_max": 2}


def drawn(number: int) -> StreamingAttentionSpec:
    """A random design with other numbers, and as many registers as its new steps have a use for, or fewer."""
    random = np.random.default_rng([13, number])
    inputs, sums = FORMATS[number % len(FORMATS)]
    while True:
        found = StreamingAttentionSpec.sample(random)
        if not found.candidates and found.lanes * found.dim <= 8:
            break
    floats = sums in ("fp32", "same")
    given: dict[str, Any] = {
        "format": inputs, "acc_format": sums, "graph": GRAPHS[number // len(FORMATS) % len(GRAPHS)],
        "kv_width": found.kv_width if inputs == "int8" else 8, "short_steps": bool(random.integers(4)),
        "dot_stages": int(random.integers(3, 25)), "product_stages": int(random.integers(2, 9)),
        "divide_stages": int(random.integers(5, 10)), "scale_cuts": int(random.integers(5, 17)),
        "finish_cuts": int(random.integers(3, 17)), "sum_stages": int(random.integers(6)) * floats,
    }  # fmt: skip
    return StreamingAttentionSpec.from_mapping({**found.parameters, **given})


@pytest.mark.slow
@pytest.mark.parametrize("number", range(PROVED))
def test_random_designs_agree(number: int, tmp_path: Path) -> None:
    assert differences(drawn(number), tmp_path / "core") == []


@pytest.mark.parametrize("stages", [1])
def test_partial_sums_agree(stages: int, tmp_path: Path) -> None:
    core = {
        **CORE,
        "format": "bf16",
        "acc_format": "same",
        "parallel": 2,
        "mask": "causal",
        "sum_stages": stages,
    }
    assert differences(StreamingAttentionSpec.from_mapping(core), tmp_path / "core") == []


@pytest.mark.slow
def test_a_tree_with_more_registers_than_other_blocks_have_agrees(tmp_path: Path) -> None:
    core = {**CORE, "dim": 8, "format": "fp16", "acc_format": "fp32", "short_steps": True, "dot_stages": 48}
    assert differences(StreamingAttentionSpec.from_mapping(core), tmp_path / "core") == []


# Time ----------------------------------------------------------------------------------------------------------------


def test_cycles_in_closed_form_are_those_of_the_timing_graph() -> None:
    masks = ("none", "causal", "window", "lambda")
    for number in range(some(60, of=600)):
        random = np.random.default_rng([14, number])
        mask = masks[number % 4]
        spec = StreamingAttentionSpec(
            graph=GRAPHS[number // 4 % 4], dim=2, format="fp16", acc_format="fp32", mask=mask, keys_max=24,
            queries_max=24, heads_max=4, parallel=int(random.integers(1, 4)), sum_stages=int(random.integers(1, 6)),
            product_stages=int(random.integers(3)), short_steps=bool(random.integers(2)),
            reciprocal_stages=int(random.integers(9)),
        )  # fmt: skip
        task = spec.sample_workload(random)
        assert kernel.run(spec.timing(task), {}).cycles == spec.cycles(task), (number, task)


def test_a_row_waits_until_the_partial_sums_of_the_one_before_are_added() -> None:
    base = StreamingAttentionSpec(dim=2, keys_max=8, format="fp16", acc_format="fp32")
    task = Attention(5, 8, 1, 1, 2)
    cycles = [int(dataclasses.replace(base, sum_stages=stages).cycles(task)) for stages in range(6)]
    assert [found - cycles[0] for found in cycles] == [5 * more for more in (0, 3, 7, 11, 16, 21)]
    assert [turns.ending(stages).keeps for stages in range(4)] == [(), (1,), (1, 3), (1, 3, 6)]


def test_a_sum_of_a_row_that_takes_longer_needs_fewer_slots() -> None:
    base = StreamingAttentionSpec(dim=2, keys_max=8, format="fp16", acc_format="fp32")
    depths = [dataflow.depths(dataclasses.replace(base, sum_stages=n))["totals"] for n in range(5)]
    assert depths == sorted(depths, reverse=True) and depths[0] > depths[-1]


# Sums ----------------------------------------------------------------------------------------------------------------


def test_partial_sums_are_added_with_the_oldest_in_front() -> None:
    fmt = floating.FP32
    parts = floating.from_float64(fmt, np.array([[4.0, 4.0], [1.0, 1.0], [2.0**-24, 2.0**-24]]))
    # Of three keys the first partial sum is the oldest, of four keys the second: 1 + 2**-24 is rounded first.
    found = turns.joined(fmt, parts, np.array([3, 4]))
    one, tiny = floating.from_float64(fmt, np.array([1.0, 2.0**-24]))
    four = floating.from_float64(fmt, np.array(4.0))
    assert found.tolist() == [
        int(floating.add(fmt, tiny, floating.add(fmt, four, one))),
        int(floating.add(fmt, four, floating.add(fmt, one, tiny))),
    ]


@pytest.mark.parametrize("place", ["sum_weights", "sum_values"])
@pytest.mark.parametrize("stages", [1, 5])
def test_flip_flops_of_a_sum_are_those_that_are_counted(place: str, stages: int, tmp_path: Path) -> None:
    from tests.generator.test_softmax_registers import flip_flops

    a = dataclasses.replace(ARITHMETICS["fp16_fp32-memory_free"], sum_stages=stages)
    block = TurnSum(a, place)
    found = flip_flops([block], tmp_path)[block.module_name]
    assert found == turns.held_bits(a, stages, int(place == "sum_values"))


# Refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sum_stages": 1}, "sum_stages must be 0 for sums that are not floats, not 1"),
        ({**FIXED, "sum_stages": 2}, "sum_stages must be 0 for sums that are not floats, not 2"),
        ({"dot_stages": 49}, "Parameter 'dot_stages' must be an integer from 0 to 48, not 49"),
        ({"exp_stages": 25}, "Parameter 'exp_stages' must be an integer from 0 to 24, not 25"),
        ({"sum_stages": 6}, "Parameter 'sum_stages' must be an integer from 0 to 5, not 6"),
    ],
)  # fmt: skip
def test_registers_that_no_design_has_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        StreamingAttentionSpec.from_mapping({**CORE, **given})
