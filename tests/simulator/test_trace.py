"""Traces: slices that do not overlap, stalls that add up, occupancies within capacity, files that open."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from simulator import stall_patterns, trace
from simulator.engine.kernel import Deadlock
from simulator.tokens import occupancy, token_firings
from tests.simulator.graphs import naive_attention, random_graph, random_patterns, tiled_gemm
from tests.simulator.reference_clock import spell


def load(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    document = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    assert isinstance(document["traceEvents"], list)
    return list(document["traceEvents"])


def overlaps(events: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Neighboring slices of one track of which the first ends after the second begins."""
    tracks = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            tracks[event["tid"]].append(event)
    found = []
    for track in tracks.values():
        track.sort(key=lambda e: e["args"]["cycle"])
        found += [
            (a, b)
            for a, b in pairwise(track)
            if a["args"]["cycle"] + a["args"]["cycles"] > b["args"]["cycle"]
        ]
    return found


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_file_has_a_track_per_node_and_a_counter_per_channel(tmp_path: Path, name: str) -> None:
    graph = tiled_gemm(2, 3, 5)
    path = tmp_path / name
    written = trace.write(trace.trace(graph, stall_patterns.profile("random_50", graph)), path)
    assert path.stat().st_size == written
    events = load(path)
    tracks = [e["args"]["name"] for e in events if e["name"] == "thread_name"]
    assert tracks == ["act", "wgt", "load", "multiply", "out"]
    assert {e["name"] for e in events if e["ph"] == "C"} == {f"{c.name} (slots)" for c in graph.channels}
    assert {e["ph"] for e in events} == {"M", "X", "C"}
    assert not overlaps(events)


def test_overlaps_are_noticed() -> None:
    slices = [{"ph": "X", "tid": 1, "args": {"cycle": c, "cycles": 2}} for c in (0, 1)]
    assert len(overlaps(slices)) == 1


@pytest.mark.parametrize("uneven", [False, True])
def test_busy_cycles_are_the_firings_and_stalls_the_breakdown(uneven: bool) -> None:
    checked = 0
    for seed in range(200):
        graph = random_graph(seed, uneven=uneven)
        try:
            view = trace.trace(graph, random_patterns(graph, seed))
        except Deadlock:
            continue
        checked += 1
        events = list(trace.events(view))
        assert not overlaps(events), f"seed {seed}"
        cycles: Counter[str] = Counter()
        for event in events:
            if event["ph"] == "X":
                cycles[event["name"]] += event["args"]["cycles"]
        busy = {n.name: n.firings if n.durations is None else sum(n.durations) for n in graph.nodes}
        busy[graph.issue] = graph.node(graph.issue).firings
        assert cycles.pop("busy") == sum(busy.values()), f"seed {seed}"
        stalls = {f"stall: {reason}": count for reason, count in view.timeline.stalls.items() if count}
        assert cycles == stalls, f"seed {seed}"
    assert checked > 80


def test_tokens_of_ragged_loops_are_those_spelled_out() -> None:
    for seed in range(300):
        for node in random_graph(seed, uneven=True).nodes:
            for access in (*node.consumes, *node.produces):
                first, last = token_firings(node, access)
                assert list(zip(first.tolist(), last.tolist(), strict=True)) == spell(node, access), seed
                assert len(first) == node.tokens(access)


def test_slots_in_use_never_exceed_the_capacity_where_firings_take_long() -> None:
    for seed in range(200):
        graph = random_graph(seed, uneven=True)
        try:
            view = trace.trace(graph, random_patterns(graph, seed))
        except Deadlock:
            continue
        for channel in graph.channels:
            used = occupancy(graph, view.timeline, channel.name)[1]
            assert used.min(initial=0) >= 0 and used.max(initial=0) <= channel.capacity, f"seed {seed}"


def test_occupancy_stays_within_the_capacity_and_reaches_it() -> None:
    graph = naive_attention(16, 3, 16)
    highest: Counter[str] = Counter()
    for event in trace.events(trace.trace(graph)):
        if event["ph"] == "C":
            assert event["args"]["used"] >= 0
            highest[event["name"]] = max(highest[event["name"]], event["args"]["used"])
    for channel in graph.channels:
        assert highest[f"{channel.name} (slots)"] <= channel.capacity
    assert highest["long (slots)"] == 16


def test_times_are_microseconds_of_the_clock() -> None:
    view = trace.trace(tiled_gemm(2, 3, 5), clock_mhz=500)
    for event in trace.events(view):
        if event["ph"] == "X":
            assert event["ts"] == event["args"]["cycle"] / 500
            assert event["dur"] == event["args"]["cycles"] / 500


def test_window_shows_what_the_whole_shows_there() -> None:
    graph = tiled_gemm(2, 3, 5)

    def busy(window: tuple[int, int] | None) -> set[tuple[int, int]]:
        slices = [e for e in trace.events(trace.trace(graph, window=window)) if e["name"] == "busy"]
        return {(e["tid"], e["args"]["cycle"] + i) for e in slices for i in range(e["args"]["cycles"])}

    assert busy((20, 40)) == {(track, cycle) for track, cycle in busy(None) if 20 <= cycle < 40}


def test_size_is_estimated_within_a_third(tmp_path: Path) -> None:
    graph = tiled_gemm(20, 10, 30)
    view = trace.trace(graph, stall_patterns.profile("random_50", graph))
    written = trace.write(view, tmp_path / "t.json")
    assert trace.estimated_bytes(view) == pytest.approx(written, rel=1 / 3)


def test_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.json.gz", "b.json.gz"):
        trace.write(trace.trace(tiled_gemm(2, 3, 5)), tmp_path / name)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_trace_that_no_viewer_opens_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "estimated_bytes", lambda view: 2_500_000_000)
    text = r"^Trace of about 2500 MB is too large to open; use a window of fewer cycles$"
    with pytest.raises(ValueError, match=text):
        trace.write(trace.trace(tiled_gemm(1, 1, 1)), tmp_path / "t.json")
    assert not list(tmp_path.iterdir())


def test_other_file_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^Trace file must end in .json or .json.gz, not 'trace.vcd'$"):
        trace.write(trace.trace(tiled_gemm(1, 1, 1)), tmp_path / "trace.vcd")


@pytest.mark.parametrize("text", ["5", "5:", "9:3", "a:b", "-1:4", "3:3"])
def test_windows_that_hold_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        trace.parse_window(text)
    assert str(caught.value) == f"Trace window must be a:b with 0 <= a < b, not {text!r}"


def test_window_is_read() -> None:
    assert trace.parse_window("100:250") == (100, 250)


def test_clock_must_tick() -> None:
    with pytest.raises(ValueError, match=r"^Clock must be above 0 MHz, not 0$"):
        trace.trace(tiled_gemm(1, 1, 1), clock_mhz=0)
