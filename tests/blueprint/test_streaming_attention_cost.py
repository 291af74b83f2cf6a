"""Streaming attention: what is sampled for calibration, what it runs there, and what its cost follows from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic import floating
from blueprint.arithmetic.softmax.arithmetic import GRAPHS
from blueprint.families.streaming_attention import StreamingAttentionSpec, dataflow
from blueprint.workloads.tasks import Attention
from costmodel.calibration import sampling
from simulator.engine import kernel


@pytest.mark.parametrize(
    ("settings", "deviation"),
    [({}, (32, 32)), ({"kv_width": 4}, (32, 2)), ({"format": "fp16", "acc_format": "fixed"}, (1, 1))],
)
def test_typical_operands_are_normal_numbers_in_range(
    settings: dict[str, Any], deviation: tuple[int, int]
) -> None:
    spec = StreamingAttentionSpec(dim=16, keys_max=256, **settings)
    found = spec.typical_operands(Attention(8, 256, 2, 1, 16), 3)
    assert {name: array.shape for name, array in found.items()} == {
        name: array.shape for name, array in spec.operands(Attention(8, 256, 2, 1, 16), 3).items()
    }
    for name, wanted in zip(("query", "key"), deviation, strict=True):
        numbers = found[name]
        if spec.format != "int8":
            numbers = floating.to_float64(floating.get(spec.format), numbers)
        assert np.std(numbers) == pytest.approx(wanted, rel=0.15)
    if spec.format == "int8":
        high = 1 << (spec.kv_width - 1)
        assert found["key"].min() >= -high and found["key"].max() < high
    out = spec.reference(found)["out"]
    assert len(np.unique(out)) > 20


def test_samples_have_depths_that_neither_deadlock_nor_waste() -> None:
    table: dict[str, Any] = {"graph": "scaled", "dim": 4, "parallel": 1, "head_group": 1, "keys_max": 100}
    table |= {"queries_max": 9, "mask": "none", "format": "int8", "acc_format": "integer", "candidates": 0}
    found = StreamingAttentionSpec.consistent(
        table | {"long_depth": 7, "short_depth": 1 << 20, "row_depth": 1 << 20}
    )
    assert found["long_depth"] == 0
    full = dataflow.full_depths(StreamingAttentionSpec.columns(found))
    assert found["short_depth"] == max(full[name] for name in ("scores", "weights", "shares"))
    assert found["row_depth"] == max(full["sums"], full["totals"])
    assert StreamingAttentionSpec.consistent(table | {"short_depth": 2, "row_depth": 1})["short_depth"] == 2


def test_sampled_designs_are_small_and_run_their_typical_task() -> None:
    drawn = sampling.designs(StreamingAttentionSpec, 24, 5)
    assert {spec.arithmetic for spec in drawn} == {"integer", "exact", "float"}
    assert {spec.graph for spec in drawn} == set(GRAPHS)
    for spec in drawn:
        assert sampling.gates(spec) <= StreamingAttentionSpec.facets.samples.calibration.gates
        task = spec.typical_workload()
        assert 20 < kernel.run(spec.timing(task)).cycles < 1500


def test_what_happens_once_in_a_row_is_seen_twice_in_a_typical_run() -> None:
    decode = StreamingAttentionSpec(dim=4, keys_max=64, queries_max=1, candidates=8)
    assert decode.typical_workload().kv_heads == 2
    assert replace(decode, heads_max=1).typical_workload().kv_heads == 1


@pytest.mark.parametrize(
    ("stages", "parts"),
    [
        (0, {"score_beat-0-2"}),
        (1, {"score_beat-0-1", "score_beat-1-2"}),
        (8, {"score_beat-0-1", "score_beat-1-2"}),
    ],
)
def test_paths_end_at_the_registers_of_a_block(stages: int, parts: set[str]) -> None:
    spec = StreamingAttentionSpec(dim=8, keys_max=64, dot_stages=stages)
    passed = {path.name for path in spec.paths() if any(unit.count for unit in path.steps)}
    assert {name for name in passed if name.startswith("score_beat")} == parts


def test_pruned_keys_and_the_end_of_a_row_are_rare_events() -> None:
    every = StreamingAttentionSpec(dim=4, keys_max=64, queries_max=1)
    few = replace(every, candidates=16)

    def activity(spec: StreamingAttentionSpec, place: str) -> set[float]:
        return {unit.activity for unit in spec.units() if unit.place == place and unit.count}

    assert activity(every, "product") == {1.0} and activity(few, "product") == {0.25}
    assert activity(every, "finish") == {1 / 64} and activity(few, "finish") == {0.25 / 16}


# One kind of number ---------------------------------------------------------------------------------------------------

#: Predicates of the softmax arithmetic and of a design: 1 where they hold, else 0.
FLAGS = {
    "softmax": (
        *("is_fp16", "is_bf16", "is_float", "sums_are_fp32", "sums_stall", "sums_are_floats", "exact"),
        *("values_saturate", "has_offset", "rescales", "waits_for_maximum", "divides_first", "divides_last"),
        *("r_is_float", "has_gain"),
    ),
    "design": (
        *("prunes", "masked", "windowed", "has_sinks", "corners", "regroups", "repeats", "has_gains"),
        *("turn_bits", "final_bits"),
    ),
}


#: Properties that only float inputs or sums have.
OF_FLOATS = ("input_format", "sum_format", "full_weight")


def numbers(of: Any) -> Iterator[tuple[str, Any]]:
    """Every derived number by name; texts and what consists of several numbers are left out."""
    for name in dir(type(of)):
        if isinstance(getattr(type(of), name), property | cached_property) and name not in OF_FLOATS:
            value = getattr(of, name)
            if isinstance(value, int | float | np.generic | np.ndarray):
                yield name, value


#: Numbers of a design that are no integers: a truth value, and a parameter of norms.
OTHERS = ("data_dependent", "norm_epsilon")


def test_derived_numbers_of_one_design_are_plain_integers() -> None:
    seen: dict[str, set[type]] = {}
    for number in range(80):
        found = StreamingAttentionSpec.sample(np.random.default_rng([17, number]))
        for part in (found, found.softmax):
            for name, value in numbers(part):
                seen.setdefault(name, set()).add(type(value))
    assert {name: kinds for name, kinds in seen.items() if kinds != {int} and name not in OTHERS} == {}
    assert {*FLAGS["softmax"], *FLAGS["design"]} <= set(seen)


def test_predicates_are_0_or_1_for_one_design_and_for_many() -> None:
    drawn = [StreamingAttentionSpec.sample(np.random.default_rng([18, number])) for number in range(80)]
    names = drawn[0].parameters
    many = StreamingAttentionSpec.columns(
        {name: np.array([spec.parameters[name] for spec in drawn]) for name in names}
    )
    for name in (*FLAGS["softmax"], *FLAGS["design"]):
        one = [getattr(spec if name in FLAGS["design"] else spec.softmax, name) for spec in drawn]
        column = getattr(many if name in FLAGS["design"] else many.softmax, name)
        assert set(one) == {0, 1} and (column.dtype, column.tolist()) == (np.int64, one), name
