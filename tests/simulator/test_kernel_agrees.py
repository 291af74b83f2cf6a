"""The kernel against the reference clock, and against itself without fast-forward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from blueprint.timing import TimingGraph
from simulator.engine.kernel import Deadlock, Timeline, run
from tests.simulator.graphs import random_graph, random_patterns, tiled_gemm
from tests.simulator.reference_clock import Outcome, clock

Pattern = npt.NDArray[np.bool_]


def difference(
    graph: TimingGraph, patterns: Mapping[str, Pattern], *, fast_forward: bool = True
) -> str | None:
    """Where the kernel and the reference clock part, in words; ``None`` where they agree in everything."""
    expected = clock(graph, patterns)
    names = [node.name for node in graph.nodes]
    try:
        timeline = run(graph, patterns, record=names, fast_forward=fast_forward)
    except Deadlock as deadlock:
        last = max((times[-1] for times in expected.fired.values() if times), default=-1)
        return None if expected.deadlock and deadlock.cycle == last else f"kernel: {deadlock}"
    return "kernel finished" if expected.deadlock else _first_difference(graph, expected, timeline)


def _first_difference(graph: TimingGraph, expected: Outcome, timeline: Timeline) -> str | None:
    for name, cycles in expected.fired.items():
        if timeline.fired[name].tolist() != cycles:
            return f"{name} fired at {timeline.fired[name].tolist()}, not {cycles}"
    if dict(timeline.stalls) != expected.stalls:
        return f"stalls {timeline.stalls}, not {expected.stalls}"
    sinks = [node.name for node in graph.nodes if node.stream and node.direction == "out"]
    end = max(expected.fired[name][-1] for name in sinks or expected.fired)
    if timeline.cycles != end - expected.start + 1:
        return f"{timeline.cycles} cycles, not {end - expected.start + 1}"
    return None


@pytest.mark.parametrize("block", range(8))
def test_kernel_agrees_with_the_reference_clock(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        graph = random_graph(seed)
        patterns = random_patterns(graph, seed)
        for fast_forward in (True, False):
            found = difference(graph, patterns, fast_forward=fast_forward)
            assert found is None, f"seed {seed}, fast_forward {fast_forward}: {found}"


@pytest.mark.parametrize("block", range(8))
def test_kernel_agrees_on_ragged_loops_and_firings_that_take_long(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        graph = random_graph(seed, uneven=True)
        patterns = random_patterns(graph, seed)
        for fast_forward in (True, False):
            found = difference(graph, patterns, fast_forward=fast_forward)
            assert found is None, f"seed {seed}, fast_forward {fast_forward}: {found}"


@pytest.mark.parametrize("uneven", [False, True])
def test_kernel_agrees_on_accesses_in_all_iterations_but_one(uneven: bool) -> None:
    for seed in range(200):
        graph = random_graph(seed, uneven=uneven, but_one=True)
        patterns = random_patterns(graph, seed)
        for fast_forward in (True, False):
            found = difference(graph, patterns, fast_forward=fast_forward)
            assert found is None, f"seed {seed}, fast_forward {fast_forward}: {found}"


@pytest.mark.parametrize("seed", [1437, 2796, 7460])
def test_slot_freed_by_a_node_looked_at_later_is_refilled_in_the_same_cycle(seed: int) -> None:
    """Feedback with response 0: no order of looking at the nodes sees every slot before it is wanted."""
    graph = random_graph(seed, longest=6)
    assert difference(graph, random_patterns(graph, seed)) is None


@pytest.mark.parametrize("tokens", [1, 3])
def test_kernel_agrees_on_a_gemm(tokens: int) -> None:
    graph = tiled_gemm(tokens, 3, 5)
    assert difference(graph, random_patterns(graph, tokens)) is None


def mutants(graph: TimingGraph) -> list[TimingGraph]:
    """``graph`` with one number changed."""
    changed = []
    for i, channel in enumerate(graph.channels):
        others = (
            replace(channel, capacity=channel.capacity + 1),
            replace(channel, latency=channel.latency + 1),
            replace(channel, response=1 - channel.response),
        )
        changed += [
            replace(graph, channels=(*graph.channels[:i], c, *graph.channels[i + 1 :])) for c in others
        ]
    for i, node in enumerate(graph.nodes):
        slower = replace(node, interval=node.interval + 1)
        changed.append(replace(graph, nodes=(*graph.nodes[:i], slower, *graph.nodes[i + 1 :])))
    return changed


def test_comparison_notices_a_twin_with_one_number_changed() -> None:
    """The other way round: were capacity, latency, response or interval ignored, the comparison would tell."""
    graph = tiled_gemm(3, 4, 5, buffers=1)
    expected = clock(graph, {})
    names = [node.name for node in graph.nodes]
    noticed = [
        _first_difference(graph, expected, run(twin, record=names)) is not None for twin in mutants(graph)
    ]
    # Results come every fifth cycle, so more room for them, slower slots and a slower sink truly change nothing.
    assert (len(noticed), sum(noticed)) == (17, 14)
