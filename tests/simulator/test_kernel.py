"""Cycles that can be counted by hand, stalls that add up, deadlocks that are named, and skips that change nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from blueprint.timing import Access, Channel, Loop, Node, TimingGraph
from simulator import stall_patterns
from simulator.engine.kernel import Deadlock, Timeline, Wait, run
from tests.simulator.graphs import naive_attention, random_graph, random_patterns, tiled_gemm

Pattern = npt.NDArray[np.bool_]
CLOSED: Pattern = np.array([False])


def pipe(beats: int, capacity: int, latency: int, response: int = 0, interval: int = 1) -> TimingGraph:
    """A source, a FIFO, a sink."""
    loops = (Loop("beat", beats),)
    source = Node("source", loops, (), (Access("fifo", "beat"),), interval=interval, stream="in")
    sink = Node("sink", loops, (Access("fifo", "beat"),), stream="out", direction="out", stall="output")
    return TimingGraph((source, sink), (Channel("fifo", capacity, latency, response),), "sink")


@pytest.mark.parametrize(
    ("capacity", "latency", "response", "interval", "cycles"),
    [
        pytest.param(1, 1, 0, 1, 11, id="register_stage"),
        pytest.param(1, 1, 1, 1, 20, id="slot_seen_empty_a_cycle_later"),
        pytest.param(2, 1, 1, 1, 11, id="two_slots_hide_the_response"),
        pytest.param(4, 4, 0, 1, 14, id="elastic_pipeline"),
        pytest.param(2, 4, 0, 1, 22, id="a_pair_every_four_cycles"),
        pytest.param(9, 1, 0, 3, 29, id="slow_source"),
    ],
)
def test_cycles_of_a_pipe(capacity: int, latency: int, response: int, interval: int, cycles: int) -> None:
    assert run(pipe(10, capacity, latency, response, interval)).cycles == cycles


def test_source_holds_its_beat_and_a_sink_does_not_remember() -> None:
    """Open cycles 0 and 5: a beat offered then waits for a slot; a sink is ready in those cycles only."""
    rare: Pattern = np.array([True, False, False, False, False])
    slow_source = run(pipe(3, 1, 1), {"in": rare}, record=["source", "sink"])
    assert slow_source.fired["source"].tolist() == [0, 5, 10]
    slow_sink = run(pipe(3, 1, 1), {"out": rare}, record=["source", "sink"])
    assert slow_sink.fired["source"].tolist() == [0, 5, 10]
    assert slow_sink.fired["sink"].tolist() == [5, 10, 15]


def test_stalls_of_a_gemm_are_counted_by_reason() -> None:
    graph = tiled_gemm(tokens=2, columns=3, tiles=5)
    timeline = run(graph)
    # 20 beats of weights per column are swept 10 times: 21 cycles until the first column is there, one of them without
    # activations either, then 10 cycles between two columns, which the second buffer leaves of 20.
    assert timeline.stalls == {"output": 0, "dependency": 0, "input": 1, "memory": 20 + 10 + 10}
    assert timeline.cycles == 1 + 3 * 20 + 10 + 3


def test_stalls_and_firings_fill_the_time_of_the_issue_node() -> None:
    checked = 0
    for seed in range(300):
        graph = random_graph(seed)
        try:
            timeline = run(graph, random_patterns(graph, seed))
        except Deadlock:
            continue
        checked += 1
        span = timeline.last_issue - timeline.start + 1
        assert timeline.issued + sum(timeline.stalls.values()) == span, f"seed {seed}"
    assert checked > 100


def test_clock_starts_with_the_first_input() -> None:
    timeline = run(pipe(4, 1, 1), {"in": stall_patterns.late(100)})
    assert (timeline.start, timeline.cycles) == (100, 5)


def outcome(graph: TimingGraph, stalls: Mapping[str, Pattern], *, fast_forward: bool) -> object:
    """Everything that may not depend on the fast-forward."""
    try:
        timeline = run(graph, stalls, record=[node.name for node in graph.nodes], fast_forward=fast_forward)
    except Deadlock as deadlock:
        return deadlock.cycle, deadlock.waits
    fired = {name: cycles.tolist() for name, cycles in timeline.fired.items()}
    return timeline.start, timeline.end, timeline.last_issue, timeline.issued, dict(timeline.stalls), fired


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("longest", [6, 15, 40])
def test_fast_forward_changes_nothing(longest: int, uneven: bool) -> None:
    compared = 0
    for seed in range(500):
        graph = random_graph(seed, longest=longest, uneven=uneven)
        if sum(node.firings for node in graph.nodes) > 50_000:
            continue
        stalls = random_patterns(graph, seed)
        compared += 1
        slow = outcome(graph, stalls, fast_forward=False)
        assert outcome(graph, stalls, fast_forward=True) == slow, f"seed {seed}, loops up to {longest}"
    assert compared > (300 if uneven else 400)


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(1509, id="repeats_before_the_first_input"),
        pytest.param(8131, id="sink_pattern_after_a_skip"),
    ],
)
def test_fast_forward_changes_nothing_where_it_once_did(seed: int) -> None:
    graph = random_graph(seed, longest=12)
    stalls = random_patterns(graph, seed)
    assert outcome(graph, stalls, fast_forward=True) == outcome(graph, stalls, fast_forward=False)


@pytest.mark.parametrize("name", stall_patterns.names())
def test_fast_forward_changes_nothing_under_stall_profiles(name: str) -> None:
    graph = tiled_gemm(tokens=7, columns=9, tiles=60)
    stalls = stall_patterns.profile(name, graph, seed=3)
    assert outcome(graph, stalls, fast_forward=True) == outcome(graph, stalls, fast_forward=False)


@pytest.mark.parametrize(
    ("graph", "stalls"),
    [
        pytest.param(tiled_gemm(64, 108, 80), {}, id="gemm"),
        pytest.param(tiled_gemm(64, 108, 80, buffers=1), {}, id="single_buffer"),
        pytest.param(
            tiled_gemm(3, 108, 1200), {"wgt": stall_patterns.rate(Fraction(7, 16))}, id="memory_bound"
        ),
        pytest.param(tiled_gemm(64, 108, 80), {"out": stall_patterns.burst(4)}, id="bursts"),
        pytest.param(
            pipe(10**6, 5000, 3, 1, 2), {"out": stall_patterns.rate(Fraction(2, 5))}, id="fifo_that_fills_up"
        ),
        pytest.param(naive_attention(2048, 4, 2048 + 7), {}, id="attention"),
    ],
)
def test_long_runs_are_skipped(graph: TimingGraph, stalls: Mapping[str, Pattern]) -> None:
    timeline = run(graph, stalls)
    assert timeline.end + 1 - timeline.skipped < 3000
    assert timeline.cycles > 500_000


def test_fast_forward_really_skips_and_can_be_switched_off() -> None:
    graph = tiled_gemm(4, 4, 400)
    assert run(graph).skipped > 6000
    assert run(graph, fast_forward=False).skipped == 0


def test_same_answer_twice_from_one_graph() -> None:
    """The structure is cached: a second run, and one with other counts, must not see the first."""
    first, other = tiled_gemm(3, 4, 5), tiled_gemm(5, 4, 3)
    before = run(first)
    assert run(other).cycles != before.cycles
    assert run(first) == before


def test_recorded_firings_are_all_there() -> None:
    graph = tiled_gemm(4, 5, 60)
    timeline = run(graph, record=[node.name for node in graph.nodes])
    for node in graph.nodes:
        assert len(timeline.fired[node.name]) == node.firings
        assert (np.diff(timeline.fired[node.name]) >= node.interval).all()


# What must fail ----------------------------------------------------------------------------------------------------


def message(graph: TimingGraph, stalls: Mapping[str, Pattern] | None = None) -> str:
    with pytest.raises(Deadlock) as caught:
        run(graph, stalls or {})
    return str(caught.value)


@pytest.mark.parametrize("fast_forward", [True, False])
def test_deadlock_names_who_waits_for_what(fast_forward: bool) -> None:
    with pytest.raises(Deadlock) as caught:
        run(naive_attention(8, 1, 7), fast_forward=fast_forward)
    assert caught.value.full == ("long",)
    assert caught.value.empty == ("to_sum", "sums", "weights", "outputs")
    assert Wait("score", "long", "full") in caught.value.waits
    assert str(caught.value) == (
        "Deadlock after cycle 7: 'score' waits for a slot of 'long'; 'sum' waits for a token of 'to_sum'; "
        "'divide' waits for a token of 'sums'; 'multiply' waits for a token of 'weights'; "
        "'result' waits for a token of 'outputs'"
    )


def test_deadlock_of_a_ring_without_a_first_token() -> None:
    loops = (Loop("i", 3),)
    a = Node("a", loops, (Access("back", "i"),), (Access("forth", "i"),))
    b = Node("b", loops, (Access("forth", "i"),), (Access("back", "i"),))
    graph = TimingGraph((a, b), (Channel("forth", 4), Channel("back", 4)), "a")
    assert (
        message(graph)
        == "Deadlock after cycle -1: 'a' waits for a token of 'back'; 'b' waits for a token of 'forth'"
    )


def test_stall_pattern_that_never_opens_is_a_deadlock() -> None:
    assert message(pipe(3, 2, 1), {"out": CLOSED}) == (
        "Deadlock after cycle 1: 'source' waits for a slot of 'fifo'; 'sink' waits for stream 'out' to open"
    )
    assert message(pipe(3, 2, 1), {"in": CLOSED}) == (
        "Deadlock after cycle -1: 'source' waits for stream 'in' to open; 'sink' waits for a token of 'fifo'"
    )


@pytest.mark.parametrize(
    ("graph", "text"),
    [
        (pipe(3, 0, 1), "Channel 'fifo': capacity must be at least 1, not 0"),
        (pipe(3, 1, 0), "Channel 'fifo': latency must be at least 1, not 0"),
        (pipe(3, 1, 1, 2), "Channel 'fifo': response must be 0 or 1, not 2"),
        (pipe(3, 1, 1, 0, 0), "Node 'source': interval must be at least 1, not 0"),
        (pipe(0, 1, 1), "Node 'source': loop 'beat' must run at least once, not 0 times"),
        (replace(pipe(3, 1, 1), issue="sweep"), "Node must be one of source, sink, not 'sweep'"),
    ],
)
@pytest.mark.parametrize("structure_seen", [False, True])
def test_graph_that_means_nothing_is_refused(graph: TimingGraph, text: str, structure_seen: bool) -> None:
    if structure_seen:
        run(pipe(3, 1, 1))
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        run(graph)


def test_token_counts_that_differ_are_refused_for_a_known_structure() -> None:
    graph = pipe(3, 1, 1)
    run(graph)
    sink = replace(graph.node("sink"), loops=(Loop("beat", 4),))
    with pytest.raises(ValueError, match=r"^Channel 'fifo': 3 tokens are produced but 4 consumed$"):
        run(replace(graph, nodes=(graph.node("source"), sink)))


def test_stall_pattern_of_an_unknown_stream_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Stall pattern must be for one of in, out, not 'act'$"):
        run(pipe(3, 1, 1), {"act": CLOSED})


def test_stall_pattern_of_numbers_is_refused() -> None:
    numbers = np.array([1, 0])
    text = "Stall pattern of stream 'in' must be a one-dimensional boolean array, not array([1, 0])"
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        run(pipe(3, 1, 1), {"in": numbers})


def test_recording_an_unknown_node_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Node must be one of source, sink, not 'drain'$"):
        run(pipe(3, 1, 1), record=["drain"])


def test_timeline_counts_both_ends() -> None:
    assert Timeline(5, 5, 5, 1, {}, {}).cycles == 1


def test_long_runs_of_uneven_firings_that_repeat_are_skipped() -> None:
    """Firings of one to three cycles in turn: what is skipped changes nothing, and is most of the run."""
    graph = tiled_gemm(8, 6, 400)
    nodes = [
        replace(node, durations=[1 + place % 3 for place in range(node.firings)])
        if node.name == "multiply" else node
        for node in graph.nodes
    ]  # fmt: skip
    graph = replace(graph, nodes=tuple(nodes))
    timeline = run(graph)
    assert timeline.skipped > timeline.cycles // 2
    assert outcome(graph, {}, fast_forward=True) == outcome(graph, {}, fast_forward=False)
