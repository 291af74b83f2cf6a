"""Patterns, reports and sizes that a run is judged by: each is written out, or compared with a second, naive way."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from blueprint.port import Stream
from blueprint.workloads.tasks import Gemm
from simulator import simulate, sizing, stall_patterns, trace
from simulator.cosim import runs
from simulator.cosim.folder import _UNKNOWN, Exported
from simulator.cosim.report import Case, Checked, Outcome, Report
from simulator.engine.kernel import run
from simulator.engine.machine import NEVER
from simulator.engine.patterns import distances
from tests.simulator.graphs import naive_attention, tiled_gemm

CASE = Case(Gemm(1, 2, 3), "none", 1)
GOOD = Outcome(CASE, mismatches=0, values=3, cycles_rtl=9, cycles_register=9, cycles_simulator=9)
DONE = Checked("sizes", "sizes", (), True)


def bits(pattern: Any) -> str:
    """A pattern as text: an open cycle is 1."""
    return "".join("1" if cycle else "0" for cycle in pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (stall_patterns.burst(1), "10"),
        (stall_patterns.burst(2), "1100"),
        (stall_patterns.burst(2, 1), "0110"),
        (stall_patterns.rate(Fraction(1, 3)), "100"),
        (stall_patterns.rate(Fraction(2, 3)), "110"),
        (stall_patterns.rate(Fraction(2, 5)), "10100"),
        (stall_patterns.rate(1), ""),
        (stall_patterns.late(0, 4), ""),
        (stall_patterns.late(1, 4), "0111"),
        (stall_patterns.late(3, 4), "0001"),
        (stall_patterns.single(0, 4), "0111"),
        (stall_patterns.single(3, 4), "1110"),
        (stall_patterns.random(0, np.random.default_rng(1), 5), "11111"),
    ],
)
def test_a_pattern_is_open_in_these_cycles(pattern: Any, text: str) -> None:
    assert bits(pattern) == text


def test_a_random_pattern_that_hardly_opens_opens_once() -> None:
    assert np.count_nonzero(stall_patterns.random(1 - 1e-15, np.random.default_rng(3))) == 1
    assert len(stall_patterns.random(0.5, np.random.default_rng(3))) == 1024


#: Period and open cycles of a source and of a sink in each profile; random ones within six standard deviations.
PROFILES = {
    "none": ((0, 0), (0, 0)),
    "random_10": ((1024, 922), (1024, 922)),
    "random_50": ((1024, 512), (1024, 512)),
    "random_90": ((1024, 102), (1024, 102)),
    "source_random_50": ((1024, 512), (0, 0)),
    "sink_random_50": ((0, 0), (1024, 512)),
    "burst_1": ((2, 1), (2, 1)),
    "burst_4": ((8, 4), (8, 4)),
    "burst_64": ((128, 64), (128, 64)),
    "slow_source": ((3, 1), (0, 0)),
    "slow_sink": ((0, 0), (3, 1)),
    "memory_latency_100": ((65536, 65436), (0, 0)),
    "sink_dead_1000": ((0, 0), (65536, 64536)),
}


@pytest.mark.parametrize("name", stall_patterns.names())
def test_a_profile_stalls_sources_and_sinks_as_its_name_says(name: str) -> None:
    graph = tiled_gemm(8, 10, 5, buffers=1)
    found = stall_patterns.profile(name, graph, seed=5)
    for stream, direction in stall_patterns.directions(graph).items():
        period, opened = PROFILES[name][0 if direction == "in" else 1]
        pattern = found[stream]
        spread = 6 * 16 if "random" in name else 0
        assert len(pattern) == period and abs(int(pattern.sum()) - opened) <= spread


def test_a_seed_counts_by_its_lower_32_bits() -> None:
    graph = tiled_gemm(8, 10, 5, buffers=1)
    for one, other in ((-1, 2**32 - 1), (2**32, 0)):
        left, right = (stall_patterns.profile("random_50", graph, seed) for seed in (one, other))
        assert all((left[name] == right[name]).all() for name in left)


@pytest.mark.parametrize(
    ("text", "opens", "closes"),
    [
        ("0110", [1, 0, 0, 2], [0, 2, 1, 0]),
        ("1", [0], [NEVER]),
        ("0", [NEVER], [0]),
        ("1000", [0, 3, 2, 1], [1, 0, 0, 0]),
        ("0001", [3, 2, 1, 0], [0, 0, 0, 1]),
    ],
)
def test_distances_to_the_next_open_and_closed_cycle(text: str, opens: Any, closes: Any) -> None:
    found = np.zeros((2, len(text)), np.int64)
    distances(np.array([letter == "1" for letter in text]), found[0], found[1])
    assert found[0].tolist() == [min(n, NEVER) for n in opens] and found[1].tolist() == closes


def test_sizes_hold_under_the_patterns_that_were_given() -> None:
    graph = tiled_gemm(8, 10, 5, buffers=1)
    slow = stall_patterns.profile("slow_source", graph)
    found = sizing.smallest_capacity(graph, "buffers", slow)
    cycles = [
        run(sizing.with_capacity(graph, "buffers", depth), slow).cycles for depth in (found.deadlock_free, 50)
    ]
    assert (found.cycles_at_deadlock_free, found.cycles) == tuple(cycles)
    assert found.cycles > sizing.smallest_capacity(graph, "buffers").cycles
    assert found.channel == "buffers" and found.deadlock_free <= found.full_speed


@pytest.mark.parametrize(
    "wrong",
    [
        {"mismatches": 1},
        {"cycles_rtl": 8},
        {"cycles_register": 10},
        {"cycles_simulator": 8},
        {"findings": ("x",)},
    ],
)
def test_a_run_fails_by_anything_that_differs(wrong: dict[str, Any]) -> None:
    bad = replace(GOOD, **wrong)
    assert GOOD.ok and not bad.ok
    assert Report((GOOD,), (DONE,)).ok and not Report((GOOD, bad), (DONE,)).ok
    assert Report((GOOD, bad, bad), ()).mismatches == 2 * bad.mismatches


@pytest.mark.parametrize(
    ("checks", "stopped", "failure"),
    [
        ((DONE,), "", None),
        ((DONE, Checked("axi", "", ("first", "second"), True)), "", "axi: first"),
        ((Checked("axi", "", ("a",), True), Checked("sizes", "", ("b",), True)), "", "axi: a"),
        ((DONE, Checked("axi", "", (), False)), "", "the bench ended before axi was through"),
        ((DONE, Checked("axi", "", (), False)), "it hangs", "it hangs"),
        ((Checked("axi", "", ("a",), False), DONE), "it hangs", "axi: a; it hangs"),
        (
            (Checked("axi", "", ("a",), False), DONE),
            "",
            "axi: a; the bench ended before axi was through",
        ),
    ],
)
def test_a_report_says_what_failed_first_and_why_it_stopped(
    checks: tuple[Checked, ...], stopped: str, failure: str | None
) -> None:
    report = Report((GOOD,), checks, stopped)
    assert (report.failure, report.ok) == (failure, failure is None)


def test_cases_begin_with_the_tasks_asked_for_and_take_the_profiles_in_turn() -> None:
    spec: Any = SimpleNamespace(
        sample_workload=lambda generator: Gemm(1, 1, int(generator.integers(1, 1000)))
    )
    first = [Gemm(2, 3, 4), Gemm(5, 6, 7)]
    found = runs.cases(spec, 14, 3, first)
    assert [case.task for case in found[:2]] == first
    assert [(case.profile, case.seed) for case in found[:2]] == [("none", 3)] * 2
    assert [case.profile for case in found[2:]] == [*runs.PROFILES, *runs.PROFILES[:2]]
    assert found == runs.cases(spec, 14, 3, first) != runs.cases(spec, 14, 4, first)
    assert len({case.seed for case in found[2:]}) == 12 and max(case.seed for case in found) < 1 << 31


@pytest.mark.parametrize("kind", ["UNDRIVEN", "MULTIDRIVEN", "PINMISSING", "IMPLICIT", "LATCH", "UNOPTFLAT"])
def test_warnings_of_signals_without_a_value_are_findings(kind: str) -> None:
    found = _UNKNOWN.match(f"%Warning-{kind}: top.v:3:1: signal")
    assert found is not None and found[2] == "top.v:3:1: signal"
    assert _UNKNOWN.match("%Warning-WIDTH: top.v:3:1: signal") is None


def test_counters_are_those_that_stand_in_the_shell(tmp_path: Path) -> None:
    (tmp_path / "shell.v").write_text("  reg [31:0] cycles_held;\n  reg [15:0] stall_input_held;\n")
    (tmp_path / "other.v").write_text("  reg [31:0] stall_output_held;\n")
    spec: Any = None
    folder = Exported(tmp_path, spec, "top", (tmp_path / "other.v", tmp_path / "shell.v"), "shell")
    assert folder.counters == ["cycles"]


class Design:
    """A stand-in for a spec whose timing is that of naive attention."""

    peak_macs = 3
    data_dependent = False

    def timing(self, workload: Any, operands: Any = None) -> Any:
        return naive_attention(6, 2, 40)

    def operands(self, workload: Any, seed: int) -> Any:
        return {"a": np.array([seed])}

    def reference(self, operands: Any) -> Any:
        return {"out": operands["a"] + 1}

    def too_shallow(self, workload: Any) -> str:
        return ""

    def streams(self) -> tuple[Stream, ...]:
        return ()


def test_a_repeated_task_takes_as_many_times_the_cycles_and_is_no_busier() -> None:
    design = Design()
    once, three = (simulate.simulate(design, Gemm(1, 2, 5, count=n), values=n > 1) for n in (1, 3))
    assert three.cycles == 3 * once.cycles == 3 * run(naive_attention(6, 2, 40)).cycles
    assert three.stalls == {reason: 3 * cycles for reason, cycles in once.stalls.items()}
    assert (once.macs, three.macs, once.repeats, three.repeats) == (10, 30, 1, 3)
    assert three.utilization == once.utilization == 10 / (once.cycles * 3)
    assert not once.operands and not once.outputs and not once.accepted
    assert three.operands["a"] == 0 and three.outputs["out"] == 1


def test_a_trace_of_as_many_bytes_as_a_viewer_opens_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = trace.trace(naive_attention(3, 1, 9))
    monkeypatch.setattr(trace, "estimated_bytes", lambda _: 2_000_000_000)
    size = trace.write(view, tmp_path / "a.json")
    assert size == (tmp_path / "a.json").stat().st_size
    monkeypatch.setattr(trace, "estimated_bytes", lambda _: 2_001_000_000)
    with pytest.raises(ValueError, match=r"^Trace of about 2001 MB is too large to open; use a window"):
        trace.write(view, tmp_path / "b.json")


def test_a_trace_names_cycles_and_tracks() -> None:
    view = trace.trace(naive_attention(3, 1, 9), clock_mhz=2.0)
    events = json.loads(json.dumps(list(trace.events(view))))
    names = [e["args"]["name"] for e in events if e["ph"] == "M"]
    assert names == ["accelerator", *(node.name for node in view.graph.nodes)]
    assert [e["tid"] for e in events if e["name"] == "thread_name"] == list(range(1, len(names)))
    slices = [e for e in events if e["ph"] == "X"]
    assert slices and all(
        e["ts"] == e["args"]["cycle"] / 2 and e["dur"] == e["args"]["cycles"] / 2 for e in slices
    )
    last = max(e["args"]["cycle"] + e["args"]["cycles"] for e in slices)
    assert view.window == (0, last) and trace.trace(view.graph).clock_mhz == 1000.0


@pytest.mark.parametrize("window", [(2, 2), (3, 2), (-1, 2)])
def test_a_window_that_holds_no_cycle_is_refused(window: tuple[int, int]) -> None:
    text = f"^Trace window must be a:b with 0 <= a < b, not {window[0]}:{window[1]}$"
    with pytest.raises(ValueError, match=text):
        trace.trace(naive_attention(3, 1, 9), window=window)


#: Sum over the patterns of source and sink with seed 5: the same seed gives the same patterns in every version.
KEPT = {
    "random_10": (4004523161, 4276227272),
    "random_50": (144424271, 2214983716),
    "random_90": (401814016, 3825495953),
    "source_random_50": (35101067, 0),
    "sink_random_50": (0, 3497588868),
    "burst_1": (2707236321, 3477152822),
    "burst_4": (392855942, 3301541886),
    "burst_64": (1882804977, 3298165827),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_seed_gives_the_patterns_that_it_always_gave(name: str) -> None:
    found = stall_patterns.profile(name, tiled_gemm(8, 10, 5, buffers=1), seed=5)
    assert tuple(crc32(bits(found[stream]).encode()) for stream in ("act", "out")) == KEPT[name]
