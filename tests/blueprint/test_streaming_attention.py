"""Streaming attention: the published closed forms, FIFO depths, masks, and what is refused."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic.softmax.arithmetic import GRAPHS
from blueprint.errors import ParamError
from blueprint.families.streaming_attention import StreamingAttentionSpec, dataflow, masks, order
from blueprint.registry import get
from blueprint.timing import TimingGraph
from blueprint.workloads.tasks import Attention, Gemm
from simulator.engine import kernel
from simulator.sizing import smallest_capacity, with_capacity

LARGE = 1 << 20
LONG = {
    "naive": ("long_weights",),
    "scaled": ("long_scores", "long_weights"),
    "reordered": ("long_scores",),
    "memory_free": (),
}


def square(n: int, dim: int = 4) -> Attention:
    return Attention(n, n, 1, 1, dim)


def spec(**changes: Any) -> StreamingAttentionSpec:
    return StreamingAttentionSpec(**{"dim": 4, "keys_max": 64, **changes})


def uniform(name: str, n: int, latency: int, **capacities: int) -> TimingGraph:
    """A graph whose nodes all take ``latency`` cycles, as in the paper; FIFOs that are not named never fill."""
    found = spec(graph=name, keys_max=max(n, 2)).timing(square(n))
    ports = ("queries", "scales", "gains")
    channels = tuple(
        dataclasses.replace(
            c,
            latency=1 if c.name in ports else latency,
            capacity=2 if c.name in ports[:2] else capacities.get(c.name, LARGE),
        )
        for c in found.channels
    )
    return dataclasses.replace(found, channels=channels)


def last_row(name: str, n: int, latency: int, **capacities: int) -> int:
    """Cycles to the last row as the paper counts them: from the first score on, to a final division's start."""
    ends = "divide" if name in ("reordered", "memory_free") else "drain"
    line = kernel.run(uniform(name, n, latency, **capacities), record=(ends, "score"))
    return int(line.fired[ends][-1] - line.fired["score"][0]) + 1


PUBLISHED = {
    "naive": lambda n, late: n * n + n + 4 * late - 1,
    "scaled": lambda n, late: n * n + 2 * n + 6 * late - 2,
    "reordered": lambda n, late: n * n + n + 4 * late - 1,
    "memory_free": lambda n, late: n * n + 3 * late,
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("latency", [1, 2, 3, 5, 7])
def test_unbounded_fifos_take_the_published_cycles(name: str, latency: int) -> None:
    for n in (1, 5, 9, 16, 33, 50):
        assert last_row(name, n, latency) == PUBLISHED[name](n, latency)


@pytest.mark.parametrize(("name", "fifo"), [(g, fifo) for g, fifos in LONG.items() for fifo in fifos])
@pytest.mark.parametrize("latency", [1, 2, 3, 4, 7])
def test_a_long_fifo_needs_n_words_to_live_and_n_plus_2l_less_1_for_full_speed(
    name: str, fifo: str, latency: int
) -> None:
    for n in (5, 9, 16, 33):
        found = smallest_capacity(uniform(name, n, latency), fifo)
        assert (found.deadlock_free, found.full_speed) == (n, n + 2 * latency - 1)


@pytest.mark.parametrize("latency", [1, 2, 3, 4, 7])
def test_memory_free_needs_latency_and_one_word_whatever_the_length(latency: int) -> None:
    for n in (9, 33, 50):
        short = dict.fromkeys(("scores", "weights", "shares", "sums", "totals", "rows"), latency + 1)
        assert last_row("memory_free", n, latency, **short) == PUBLISHED["memory_free"](n, latency)
        for fifo in ("scores", "weights", "shares"):
            found = smallest_capacity(uniform("memory_free", n, latency), fifo)
            assert (found.deadlock_free, found.full_speed) == (1, latency + 1)


@pytest.mark.parametrize("name", ["naive", "scaled", "reordered"])
def test_short_fifos_everywhere_deadlock_all_but_memory_free(name: str) -> None:
    short = dict.fromkeys(dataflow.FIFOS, 2)
    with pytest.raises(kernel.Deadlock) as stuck:
        kernel.run(uniform(name, 9, 1, **short))
    assert set(stuck.value.full) & set(LONG[name])
    assert last_row("memory_free", 9, 1, **short) == PUBLISHED["memory_free"](9, 1)


def test_a_deadlock_names_who_waits_for_what() -> None:
    found = spec(graph="naive", long_depth=8)
    with pytest.raises(kernel.Deadlock) as stuck:
        kernel.run(found.timing(square(9)))
    assert stuck.value.full == ("queries", "long_weights")
    assert stuck.value.empty == ("weights", "sums", "shares", "rows")
    assert "'score' waits for a slot of 'long_weights'" in str(stuck.value)
    assert "'divide' waits for a token of 'sums'" in str(stuck.value)
    assert kernel.run(found.timing(square(8))).cycles > found.cycles(square(8))


TOO_LONG = (
    "long_depth must be at least {} for this workload, or 0 for full speed, not {}: the hardware refuses {} "
)


@pytest.mark.parametrize(
    ("changes", "work", "message"),
    [
        (
            {"long_depth": 8},
            square(9),
            TOO_LONG.format(9, 8, "keys 9") + "with size_error, since keys <= 8 must hold",
        ),
        (
            {"long_depth": 8, "mask": "window", "parallel": 2},
            dataclasses.replace(square(20), mask="window", window=9),
            TOO_LONG.format(10, 8, "keys 20, window 9")
            + "with size_error, since keys <= 8 or window <= 7 must hold",
        ),
        (
            {"long_depth": 8, "mask": "lambda", "parallel": 2},
            dataclasses.replace(square(11), mask="lambda", window=9, sinks=4),
            TOO_LONG.format(11, 8, "keys 11, window 9, sinks 4")
            + "with size_error, since keys <= 8 or window + sinks <= 7 must hold",
        ),
        (
            {"long_depth": 3, "candidates": 5, "queries_max": 1},
            Attention(1, 40, 1, 1, 4),
            TOO_LONG.format(5, 3, "candidates 5") + "with size_error, since candidates <= 3 must hold",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_refused_with_the_depth_that_it_needs(
    changes: dict[str, Any], work: Attention, message: str
) -> None:
    found = spec(graph="naive", **changes)
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$") as refused:
        found.check_workload(work)
    assert getattr(refused.value, "parameter", None) == "long_depth"
    with pytest.raises(kernel.Deadlock):  # as the hardware would, if it did not refuse
        kernel.run(found.timing(work))
    least = int(message.split(" at least ")[1].split()[0])
    fits = dataclasses.replace(found, long_depth=least)
    fits.check_workload(work)
    kernel.run(fits.timing(work))


@pytest.mark.parametrize("mask", ["none", "causal", "window", "lambda"])
def test_tasks_that_a_design_draws_fit_its_fifos(mask: str) -> None:
    for depth in (1, 3, 20):
        found = spec(graph="scaled", mask=mask, parallel=2, long_depth=depth, queries_max=9)
        random = np.random.default_rng(depth)
        for work in [found.typical_workload(), *(found.sample_workload(random) for _ in range(20))]:
            found.check_workload(work)


@pytest.mark.parametrize("name", GRAPHS)
def test_default_depths_are_the_smallest_at_full_speed(name: str) -> None:
    for keys in (17, 40):
        found = spec(graph=name, keys_max=keys, dot_stages=2, exp_stages=3, reciprocal_stages=2)
        graph = found.timing(square(keys))
        deep = dataflow.depths(found)
        assert kernel.run(graph).cycles == found.cycles(square(keys))
        for fifo in LONG[name]:
            assert smallest_capacity(graph, fifo).deadlock_free == keys
            assert smallest_capacity(graph, fifo).full_speed == deep[fifo]
            with pytest.raises(kernel.Deadlock):
                kernel.run(with_capacity(graph, fifo, keys - 1))


@pytest.mark.parametrize("name", GRAPHS)
def test_the_explorer_leaves_out_fifos_whose_cycles_only_the_simulator_knows(name: str) -> None:
    for changes, deep in (
        ({}, True),
        ({"row_depth": 1}, False),
        ({"row_depth": 60}, True),
        ({"short_depth": 2}, False),
    ):
        rules = list(spec(graph=name, **changes).capacity((square(8),)))
        assert all(rule.holds for rule in rules) == deep
        assert deep or [rule.message() for rule in rules if not rule.holds] == [
            "FIFOs must be deep enough for full speed, 0 for that depth; the simulator knows the cycles of others"
        ]
    shallow = spec(graph=name, long_depth=9)
    assert bool(dataflow.full_speed(shallow)) == (name == "memory_free")


@pytest.mark.parametrize("name", GRAPHS)
def test_rows_of_a_single_key_keep_full_speed(name: str) -> None:
    found = spec(graph=name)
    assert kernel.run(found.timing(Attention(200, 1, 1, 1, 4))).cycles == found.cycles(
        Attention(200, 1, 1, 1, 4)
    )


@pytest.mark.parametrize("name", GRAPHS)
def test_32768_keys_take_seconds(name: str) -> None:
    found = spec(graph=name, keys_max=1 << 15)
    assert kernel.run(found.timing(square(1 << 15))).cycles == found.cycles(square(1 << 15))


def test_closed_form_equals_simulator_for_random_designs() -> None:
    random = np.random.default_rng(5)
    for number in range(150):
        found = StreamingAttentionSpec.sample(np.random.default_rng([7, number]))
        for _ in range(2):
            work = found.sample_workload(random)
            assert kernel.run(found.timing(work)).cycles == found.cycles(work), (found, work)


# Masks ----------------------------------------------------------------------------------------------------------------

MASKED = [
    Attention(9, 9, 1, 1, 4, "causal"),
    Attention(5, 12, 1, 1, 4, "causal"),
    Attention(9, 9, 1, 1, 4, "window", 3),
    Attention(4, 11, 1, 1, 4, "window", 20),
    Attention(11, 13, 1, 1, 4, "lambda", 2, 3),
    Attention(7, 7, 1, 1, 4, "lambda", 1, 9),
]


@pytest.mark.parametrize("work", MASKED, ids=lambda work: work.label)
@pytest.mark.parametrize("parallel", [1, 2, 3, 5])
def test_no_key_is_issued_that_no_lane_sees(work: Attention, parallel: int) -> None:
    found = spec(mask=work.mask, parallel=parallel)
    mask = found.operands(work, 0)["mask"]
    visible = masks.seen(mask, work.queries, work.keys)
    rows = order.queries_of_rows(found, bool(mask[0]), work.queries)
    keys = order.keys_of_rows(found, mask, work.queries, work.keys)
    lengths = order.row_lengths(found, work)
    assert [len(row) for row in keys] == lengths and sum(lengths) == order.pass_length(found, work)
    for row, taken in zip(rows, keys, strict=True):
        seen = visible[row[row >= 0]]
        assert set(np.flatnonzero(seen.any(axis=0))) <= set(taken)
        # A lane waits for the keys of the others, at most one for each.
        assert len(taken) <= seen.sum(axis=1).max() + 2 * (parallel - 1)
    if parallel == 1:
        assert sum(lengths) == work.pairs


def test_rows_come_with_the_last_queries_first() -> None:
    rows = order.queries_of_rows(spec(mask="causal", parallel=2), True, 5)
    assert [row.tolist() for row in rows] == [[3, 4], [1, 2], [-1, 0]]


def test_reference_is_softmax() -> None:
    found = spec(dim=16, keys_max=64, mask="causal")
    work = Attention(12, 40, 2, 1, 16, "causal")
    given = found.operands(work, 3)
    out = found.reference(given)["out"]
    multiplier, shift, _, gain, down = given["scale"][0]
    score = (
        np.einsum("hqd,kd->hqk", given["query"], given["key"][0])
        * multiplier
        / 2.0 ** (shift + found.softmax.fraction)
    )
    score[:, ~masks.seen(given["mask"], 12, 40)] = -np.inf
    weight = np.exp2(score - score.max(axis=2, keepdims=True))
    exact = (weight / weight.sum(axis=2, keepdims=True)) @ given["value"][0] * gain / 2.0**down
    assert np.abs(np.clip(exact, -128, 127) - out).max() <= 1.0


# Pruned decode --------------------------------------------------------------------------------------------------------


def test_pruned_decode_fetches_the_candidates_only() -> None:
    found = spec(dim=64, keys_max=512, queries_max=1, candidates=16)
    work = Attention(1, 500, 4, 2, 64)
    bits, dense = found.dram_bits(work), spec(dim=64, keys_max=512).dram_bits(work)
    assert bits["keys"] == bits["values"] == 4 * 16 * 64 * 8
    assert bits["codes"] == 4 * 500 * 64 * 4
    assert dense["keys"] == 4 * 500 * 64 * 8
    assert found.reference(found.operands(work, 0))["pick"].shape == (4, 16)


def test_a_screening_that_keeps_everything_changes_nothing() -> None:
    work = Attention(1, 20, 2, 2, 4)
    pruned, whole = spec(queries_max=1, candidates=20, keys_max=20), spec(queries_max=1, keys_max=20)
    given = whole.operands(work, 1)
    assert np.array_equal(pruned.reference(given)["out"], whole.reference(given)["out"])


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kv_width": 5}, "kv_width must be 8, or 4 for int8, not 5 for int8"),
        (
            {"format": "fp16", "acc_format": "fp32", "kv_width": 4},
            "kv_width must be 8, or 4 for int8, not 4 for fp16",
        ),
        ({"format": "fp16"}, "Accumulator must be fixed, fp32 or same for fp16, not 'integer'"),
        ({"acc_format": "fp32"}, "Accumulator must be integer for int8, not 'fp32'"),
        ({"keys_max": 1}, "Parameter 'keys_max' must be an integer from 2 to 65536, not 1"),
        (
            {"parallel": 64, "dim": 256},
            "Products per cycle (parallel x head_group x dim) must be at most 8192, not 16384",
        ),
        (
            {"parallel": 5, "keys_max": 4, "mask": "causal"},
            "parallel must be at most keys_max 4 where there is a mask, not 5",
        ),
        (
            {"candidates": 8},
            "Candidates are for decode: queries_max, parallel and head_group must be 1, mask none and format int8, "
            "not 65536, 1, 1, none and int8",
        ),
        (
            {"candidates": 65, "queries_max": 1},
            "candidates must be 0 or from 2 to keys_max 64, not 65",
        ),
        ({"graph": "memoryfree"}, "did you mean 'memory_free'?"),
    ],
)
def test_designs_that_cannot_be_built_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError, match=re.escape(message)):
        spec(**changes)


@pytest.mark.parametrize(
    ("changes", "work", "message"),
    [
        ({}, Attention(4, 65, 1, 1, 4), "Attention keys must be at most keys_max 64, not 65"),
        ({"queries_max": 3}, square(4), "Attention queries must be at most queries_max 3, not 4"),
        (
            {"heads_max": 2},
            Attention(1, 4, 3, 1, 4),
            "Attention heads must be at most heads_max 2, not 3",
        ),
        ({}, square(4, dim=8), "Attention dim must be 4, the design's dim, not 8"),
        ({}, MASKED[0], "Attention mask must be none for a design of mask none, not causal"),
        (
            {"mask": "window"},
            square(4),
            "Attention mask must be window or causal, or none with one query for a design of mask window, not none",
        ),
        (
            {"mask": "lambda"},
            Attention(4, 4, 1, 1, 4, "lambda", 2, 0),
            "Attention sinks must be at least 1 for mask lambda, not 0; without sinks it is window",
        ),
    ],
)
def test_workloads_that_cannot_be_run_are_refused(
    changes: dict[str, Any], work: Attention, message: str
) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        spec(**changes).timing(work)


def test_products_are_refused() -> None:
    with pytest.raises(ParamError, match="Family streaming_attention runs attention, not gemm of 1x2x3"):
        spec().timing(Gemm(1, 2, 3))  # type: ignore[arg-type]


def test_the_family_is_found_by_its_file() -> None:
    assert get("streaming_attention") is StreamingAttentionSpec
