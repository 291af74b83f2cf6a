"""FIFO depths of streaming attention against the closed forms, and searches that cannot succeed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.engine.kernel import Deadlock, run
from simulator.sizing import smallest_capacity, with_capacity
from tests.simulator.graphs import naive_attention, tiled_gemm


@pytest.mark.parametrize("latency", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("seq", [5, 9, 16, 33, 50])
def test_attention_needs_the_depths_of_the_closed_forms(seq: int, latency: int) -> None:
    """Naive attention: N slots avoid deadlock, N + 2l - 1 give full speed, which is N^2 + N + 4l - 1 cycles."""
    sizing = smallest_capacity(naive_attention(seq, latency, 1), "long")
    assert sizing.deadlock_free == seq
    assert sizing.full_speed == seq + 2 * latency - 1
    assert sizing.cycles == seq**2 + seq + 4 * latency - 1


def test_one_slot_less_is_slower_or_dead() -> None:
    seq, latency = 16, 3
    full = seq + 2 * latency - 1
    best = run(naive_attention(seq, latency, full)).cycles
    assert run(naive_attention(seq, latency, full - 1)).cycles > best
    last = seq - 2 + latency  # the sum takes the last score that found a slot
    with pytest.raises(
        Deadlock, match=rf"^Deadlock after cycle {last}: 'score' waits for a slot of 'long'; "
    ):
        run(naive_attention(seq, latency, seq - 1))


def test_short_fifos_of_attention_need_as_many_slots_as_cycles_of_latency() -> None:
    """With slots refilled in the cycle in which they empty; the literature's l + 1 has one to spare."""
    for latency in (1, 4):
        graph = naive_attention(16, latency, 64)
        assert smallest_capacity(graph, "to_sum").full_speed == latency
        slow = tuple(replace(channel, response=1) for channel in graph.channels)
        assert smallest_capacity(replace(graph, channels=slow), "to_sum").full_speed == latency + 1


def test_second_weight_buffer_is_enough_when_sweeps_are_longer_than_loads() -> None:
    sizing = smallest_capacity(tiled_gemm(8, 10, 5, buffers=1), "buffers")
    assert (sizing.deadlock_free, sizing.full_speed) == (1, 2)
    assert sizing.cycles < sizing.cycles_at_deadlock_free


def test_no_depth_helps_a_graph_that_is_stuck_elsewhere() -> None:
    stuck = with_capacity(naive_attention(8, 1, 8), "long", 7)
    with pytest.raises(Deadlock, match=r"'score' waits for a slot of 'long'"):
        smallest_capacity(stuck, "weights")


def test_unknown_channel_is_refused() -> None:
    text = r"^Channel must be one of to_sum, long, sums, weights, outputs, not 'short'$"
    with pytest.raises(ValueError, match=text):
        smallest_capacity(naive_attention(4, 1, 4), "short")
