"""Stall profiles: what they let through, that seeds decide, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from blueprint.port import Stream
from blueprint.record import Field, Record
from simulator import stall_patterns
from simulator.engine.kernel import run
from tests.simulator.graphs import tiled_gemm

STREAMS = tuple(
    Stream(name, direction, Record((Field(name, 8, (1,)),)))  # type: ignore[arg-type]
    for name, direction in (("act", "in"), ("wgt", "in"), ("out", "out"))
)
KNOWN = ", ".join(stall_patterns.names())
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("name", stall_patterns.names())
def test_every_profile_opens_each_stream_at_times_and_is_repeatable(name: str) -> None:
    first, again = stall_patterns.profile(name, STREAMS, 5), stall_patterns.profile(name, STREAMS, 5)
    assert list(first) == ["act", "wgt", "out"]
    for stream, pattern in first.items():
        assert pattern.dtype == np.bool_
        assert not len(pattern) or pattern.any()
        assert np.array_equal(pattern, again[stream])


def test_seed_and_stream_change_random_patterns() -> None:
    one, two = (
        stall_patterns.profile("random_50", STREAMS, 1),
        stall_patterns.profile("random_50", STREAMS, 2),
    )
    assert not np.array_equal(one["act"], two["act"])
    assert not np.array_equal(one["act"], one["wgt"])


def test_graph_and_ports_name_the_same_streams() -> None:
    assert stall_patterns.directions(tiled_gemm(1, 1, 1)) == stall_patterns.directions(STREAMS)


@pytest.mark.parametrize("stall", [0.1, 0.5, 0.9])
def test_random_stall_pattern_is_closed_as_often_as_asked(stall: float) -> None:
    pattern = stall_patterns.random(stall, np.random.default_rng(0), period=100_000)
    assert abs(1 - pattern.mean() - stall) < 0.01


@pytest.mark.parametrize("share", [Fraction(1, 3), Fraction(7, 16), Fraction(2, 5), Fraction(99, 100)])
def test_rate_lets_through_its_share_evenly(share: Fraction) -> None:
    pattern = stall_patterns.rate(share)
    assert Fraction(int(pattern.sum()), len(pattern)) == share
    assert pattern[0]
    gaps = np.diff(np.flatnonzero(np.tile(pattern, 2)))
    assert gaps.max() - gaps.min() <= 1


def test_rate_of_a_beat_per_cycle_or_more_is_no_limit() -> None:
    assert len(stall_patterns.rate(1)) == len(stall_patterns.rate(Fraction(9, 4))) == 0


def test_sides_are_stalled_separately() -> None:
    slow_source, slow_sink = (stall_patterns.profile(name, STREAMS) for name in ("slow_source", "slow_sink"))
    assert [len(pattern) for pattern in slow_source.values()] == [3, 3, 0]
    assert [len(pattern) for pattern in slow_sink.values()] == [0, 0, 3]


def test_late_and_single_close_where_they_say() -> None:
    assert stall_patterns.late(2, 5).tolist() == [False, False, True, True, True]
    assert stall_patterns.single(2, 4).tolist() == [True, True, False, True]
    assert stall_patterns.burst(2, phase=1).tolist() == [False, True, True, False]


def test_profiles_slow_a_run_down() -> None:
    graph = tiled_gemm(2, 3, 5)
    free = run(graph).cycles
    slower = [
        run(graph, stall_patterns.profile(name, graph, 1)).cycles
        for name in ("random_50", "random_90", "slow_source")
    ]
    assert min(slower) > free


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: stall_patterns.profile("storm", STREAMS),
            f"Stall profile must be one of {', '.join(stall_patterns.names())}, not 'storm'",
        ),
        (lambda: stall_patterns.rate(0), "Rate must be above 0 beats per cycle, not 0"),
        (lambda: stall_patterns.burst(0), "Burst length must be at least 1, not 0"),
        (
            lambda: stall_patterns.random(1.0, np.random.default_rng(0)),
            "Stall probability must be at least 0 and below 1, not 1.0",
        ),
        (lambda: stall_patterns.late(9, 9), "Late pattern must be closed for 0 to 8 cycles, not 9"),
        (lambda: stall_patterns.single(-1, 9), "The closed cycle must be from 0 to 8, not -1"),
    ],
)
def test_stall_patterns_that_mean_nothing_are_refused(call, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == text


def test_seed_must_be_an_integer() -> None:
    with pytest.raises(TypeError, match=r"^Seed must be an integer, not '1'$"):
        stall_patterns.profile("none", STREAMS, "1")  # type: ignore[arg-type]
