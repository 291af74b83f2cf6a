"""When operations run beside a memory that fetches ahead: limits in closed form, and a memory byte by byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blueprint.systems.operations import Operation
from blueprint.systems.reader import read_system
from costmodel.systems.timeline import Timeline, timeline

FILE = Path(__file__).parents[1] / "blueprint" / "hosted_system.yaml"
#: A memory of one byte a second without latency: sizes are also times.
SYSTEM = read_system(FILE)
SLOW = replace(SYSTEM.memory, bandwidth_gb_s=1e-9, latency_ns=0)


def run(pairs: list[tuple[int, int]], weights: int, *, latency: float = 0.0, gathered: int = -1) -> Timeline:
    """Operations of (bytes, seconds of compute) with a buffer of so many bytes."""
    ops = [
        Operation(str(i), "product", "product", "matrix", 1, 1, 1, weights=size, gathered=i == gathered)
        for i, (size, _) in enumerate(pairs)
    ]
    memory = replace(SLOW, latency_ns=latency * 1e9)
    system = replace(SYSTEM, memory=memory, buffers=replace(SYSTEM.buffers, weights=weights))
    return timeline(system, ops, 1000.0, lambda op: float(pairs[int(op.name)][1]))


def drawn(seed: int) -> list[tuple[int, int]]:
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 400, 40) * (random.random(40) < 0.6)  # the others read nothing
    return [(int(size), int(random.integers(1, 400))) for size in sizes]


def byte_by_byte(pairs: list[tuple[int, int]], buffer: int) -> float:
    """The same for every byte: it is requested when there is room for it, and worked on behind the one before."""
    fetched, used, now = [0.0], [0.0], 0.0
    for size, spent in pairs:
        start = now
        for _ in range(size):
            number = len(fetched)
            room = used[number - buffer] if number > buffer else 0.0
            fetched.append(max(fetched[-1], room) + 1)
            start = max(fetched[-1], start + spent / size)
            used.append(start)
        now = start if size else now + spent
    return now


@pytest.mark.parametrize("seed", range(3))
def test_without_a_buffer_each_operation_takes_the_longer_of_compute_and_memory(seed: int) -> None:
    pairs = drawn(seed)
    assert run(pairs, 0).seconds == pytest.approx(sum(max(pair) for pair in pairs))


@pytest.mark.parametrize("seed", range(3))
def test_with_room_for_all_only_arrival_and_order_count(seed: int) -> None:
    pairs, arrived, now = drawn(seed), 0, 0
    for size, spent in pairs:
        arrived += size
        now = max(now + spent, arrived if size else 0)
    assert run(pairs, 10**6).seconds == pytest.approx(now)


@pytest.mark.parametrize("buffer", [16, 100, 300, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_close_to_a_memory_byte_by_byte(seed: int, buffer: int) -> None:
    pairs = drawn(seed)
    assert run(pairs, buffer).seconds == pytest.approx(byte_by_byte(pairs, buffer), rel=0.01)


def test_a_larger_buffer_is_never_slower_and_compute_and_memory_bound_it() -> None:
    pairs = drawn(7)
    times = [run(pairs, buffer).seconds for buffer in (0, 10, 50, 200, 800, 5000)]
    assert times == sorted(times, reverse=True) and times[0] > times[-1]
    assert times[-1] >= max(sum(size for size, _ in pairs), sum(spent for _, spent in pairs))


def test_a_buffer_of_just_the_first_operation() -> None:
    assert run([(100, 10), (100, 10)], 100).seconds == pytest.approx(200)


def test_waiting_is_what_is_not_compute_and_ports_are_busy_for_the_bytes() -> None:
    found = run([(100, 10), (0, 50), (20, 30)], 0)
    assert [(step.start, step.end, step.wait) for step in found.steps] == [
        (0, 100, 90),
        (100, 150, 0),
        (150, 180, 0),
    ]
    assert (found.port_seconds, found.port_busy) == (120, 120 / 180)


def test_latency_counts_once_and_again_before_what_is_gathered() -> None:
    assert run([(10, 1), (10, 1)], 100, latency=5).seconds == pytest.approx(25)
    assert run([(10, 1), (10, 1)], 100, latency=5, gathered=1).seconds == pytest.approx(15 + 5 + 10)


def test_what_a_host_reads_passes_by_the_ports() -> None:
    op = Operation("norm", "elements", "elements", "host", 1, 1, 1, weights=1000)
    found = timeline(replace(SYSTEM, memory=SLOW), [op], 1000.0, lambda _: 2.0)
    assert (found.seconds, found.port_seconds) == (2.0, 0.0)


def test_what_is_written_takes_time_of_the_memory_that_later_reads_wait_for() -> None:
    writes = Operation("k", "positions", "positions", "matrix", 1, 1, 1, cache_written=30)
    reads = Operation("o", "product", "product", "matrix", 1, 1, 1, weights=10)
    system = replace(SYSTEM, memory=SLOW, buffers=replace(SYSTEM.buffers, weights=100))
    found = timeline(system, [writes, reads], 1000.0, lambda _: 1.0)
    assert (found.seconds, found.port_seconds) == (40.0, 40.0)
