"""The RTL of streaming attention confirms what the simulator says of its FIFOs: deadlocks, depths, cycles, memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic.softmax.arithmetic import GRAPHS
from blueprint.families.streaming_attention import StreamingAttentionSpec, dataflow
from blueprint.workloads.tasks import Attention
from generator.export import write_hardware
from simulator.engine import kernel
from simulator.rtl import rtl

LONG = {"naive": 1, "scaled": 2, "reordered": 1, "memory_free": 0}


def build(out: Path, **changes: Any) -> tuple[StreamingAttentionSpec, rtl.Model]:
    spec = StreamingAttentionSpec(**{"dim": 2, "keys_max": 64, **changes})
    write_hardware(spec, out)
    return spec, rtl.load(out, optimize="-O0")


def job(spec: StreamingAttentionSpec, work: Attention, seed: int = 0, watchdog: int = 10_000) -> rtl.Job:
    graph = spec.timing(work)
    outputs = {node.stream: node.firings for node in graph.nodes if node.stream and node.direction == "out"}
    beats = spec.stimulus(spec.operands(work, seed))
    return rtl.Job(beats, outputs, {}, spec.register_values(work), True, watchdog)


def agrees(spec: StreamingAttentionSpec, model: rtl.Model, work: Attention) -> int:
    """Cycles of a run whose values and cycles are those of the reference and the simulator."""
    (run,) = model.run_all([job(spec, work)])
    golden = spec.reference(spec.operands(work, 0))
    found = spec.collect(dict(run.data), work)
    assert all(np.array_equal(golden[name], found[name]) for name in golden)
    assert run.cycles == kernel.run(spec.timing(work)).cycles == run.registers["cycles"]
    return run.cycles


@pytest.mark.slow
@pytest.mark.parametrize("graph", ["naive", "scaled"])
def test_hardware_refuses_exactly_where_the_simulator_deadlocks(graph: str, tmp_path: Path) -> None:
    spec, model = build(tmp_path, graph=graph, long_depth=9)
    for keys in (8, 9):
        agrees(spec, model, Attention(3, keys, 1, 1, 2))
    stuck = Attention(3, 10, 1, 1, 2)
    with pytest.raises(kernel.Deadlock) as deadlock:
        kernel.run(spec.timing(stuck), record=("score",))
    assert any(name.startswith("long") for name in deadlock.value.full)
    assert spec.refuses(spec.register_values(stuck)) == "Registers must keep to keys <= 9, not be keys 10"
    [run] = model.run_all([dataclasses.replace(job(spec, stuck), cut=300)])
    assert run.registers["status"] == 1 << spec.registers()[1].fields["size_error"][0]
    assert all(len(beats) == 0 for beats in run.accepted.values())


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.slow
def test_the_smallest_depth_at_full_speed_is_that_of_the_simulator(graph: str, tmp_path: Path) -> None:
    keys = 20
    work = Attention(keys, keys, 1, 1, 2)
    whole = StreamingAttentionSpec(dim=2, keys_max=keys, graph=graph)
    there = dataflow.present(whole)
    long = max(
        (int(d) for n, d in dataflow.depths(whole).items() if n.startswith("long") and there[n]), default=0
    )
    depths: dict[str, dict[str, int]] = {"whole": {}}
    if LONG[graph]:
        depths["shallow"] = {"long_depth": long - 1 if LONG[graph] == 1 else keys + 1}
    else:
        depths["shallow"] = {"short_depth": 1}
    for name, changes in depths.items():
        spec, model = build(tmp_path / name, graph=graph, keys_max=keys, **changes)
        cycles = agrees(spec, model, work)
        assert (cycles == whole.cycles(work)) == (name == "whole")


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.slow
def test_256_keys(graph: str, tmp_path: Path) -> None:
    spec, model = build(tmp_path, graph=graph, keys_max=256)
    work = Attention(32, 256, 1, 1, 2)
    assert agrees(spec, model, work) == spec.cycles(work)
    held = sum(words for words, _ in memories(spec) if words >= 256)
    assert held == {"naive": 1, "scaled": 2, "reordered": 1, "memory_free": 0}[graph] * 256 + rest(spec)


def memories(spec: StreamingAttentionSpec) -> list[tuple[int, int]]:
    """(words, bits) of the memories."""
    found = [(unit.count, unit.dims) for unit in spec.units() if unit.kind == "sram" and unit.count]
    return [(int(dims["words"]), int(dims["width"])) for _, dims in found]


def rest(spec: StreamingAttentionSpec) -> int:
    """Words of the long FIFOs beyond a row: what is on its way meanwhile."""
    return sum(
        int(d) - 256
        for n, d in dataflow.depths(spec).items()
        if n.startswith("long") and int(dataflow.present(spec)[n])
    )


@pytest.mark.parametrize("mask", ["causal", "window", "lambda"])
@pytest.mark.slow
def test_decode_and_prefill_of_grouped_heads(mask: str, tmp_path: Path) -> None:
    spec, model = build(tmp_path, mask=mask, parallel=3, head_group=2, dim=8, kv_width=4)
    window: dict[str, Any] = {"window": 5} if mask != "causal" else {}
    sinks: dict[str, Any] = {"sinks": 2} if mask == "lambda" else {}
    for queries, keys in ((1, 17), (17, 17), (4, 30), (1, 1)):
        agrees(spec, model, Attention(queries, keys, 6, 2, 8, mask, **window, **sinks))


@pytest.mark.slow
def test_head_of_64_with_two_lanes(tmp_path: Path) -> None:
    spec, model = build(tmp_path, dim=64, parallel=2, mask="causal")
    agrees(spec, model, Attention(6, 9, 1, 1, 64, "causal"))


@pytest.mark.slow
def test_pruned_decode_names_and_scores_the_best_keys(tmp_path: Path) -> None:
    spec, model = build(tmp_path, dim=8, queries_max=1, candidates=5)
    for keys in (3, 5, 41):
        assert agrees(spec, model, Attention(1, keys, 3, 1, 8)) == spec.cycles(Attention(1, keys, 3, 1, 8))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("graph", "depths"),
    [
        ("naive", {"long_depth": 13, "short_depth": 2, "row_depth": 1}),
        ("scaled", {"long_depth": 14, "short_depth": 3, "row_depth": 2}),
        ("reordered", {"long_depth": 12, "short_depth": 1, "row_depth": 1}),
        ("memory_free", {"short_depth": 2, "row_depth": 1}),
    ],
)
def test_shallow_fifos_cost_what_the_simulator_says_also_under_stalls(
    graph: str, depths: dict[str, int], tmp_path: Path
) -> None:
    spec, model = build(
        tmp_path, graph=graph, keys_max=12, mask="causal", parallel=2, reciprocal_stages=3, **depths
    )
    work = Attention(9, 12, 2, 2, 2, "causal")
    random = np.random.default_rng(0)
    jobs = [job(spec, work)]
    for _ in range(3):
        masks = {stream.name: random.random(37) < 0.6 for stream in spec.streams()}
        jobs.append(dataclasses.replace(jobs[0], patterns=masks))
    graph_of = spec.timing(work)
    ports = {node.name: node.stream for node in graph_of.nodes if node.stream}
    for one, run in zip(jobs, model.run_all(jobs), strict=True):
        line = kernel.run(graph_of, one.patterns, record=ports)
        assert run.cycles == line.cycles
        assert all(np.array_equal(line.fired[node], run.accepted[stream]) for node, stream in ports.items())
