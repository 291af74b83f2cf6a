"""The share of cycles in which external memory moves data: its closed forms against the cycles one by one."""

from __future__ import annotations

from dataclasses import replace
from math import gcd
from pathlib import Path

import pytest

from blueprint.systems.memory_port import FINEST, MemoryPort, of_memory
from blueprint.systems.reader import read_system

PRESET = Path(__file__).resolve().parents[2] / "examples" / "tiny_decoder" / "system.yaml"
RATES = [
    (beats, interval)
    for interval in range(1, 24)
    for beats in range(1, interval + 1)
    if gcd(beats, interval) == 1
]


@pytest.mark.parametrize(("beats", "interval"), RATES)
def test_moves_are_counted_as_they_come(beats: int, interval: int) -> None:
    port = MemoryPort(beats=beats, interval=interval)
    moves = [cycle for cycle in range(6 * interval) if port.moves(cycle)]
    assert moves[: 4 * beats] == [cycle for cycle in moves if cycle < 4 * interval]
    for cycle in range(2 * interval):
        later = [one for one in moves if one >= cycle]
        assert [port.move(cycle, count) for count in range(3)] == later[:3]
    assert [port.cycles(words) for words in range(2 * beats)] == moves[: 2 * beats]


@pytest.mark.parametrize("clock_mhz", [1, 150, 199, 200, 200.5, 201, 205, 221.37, 333.3, 900, 7_777, 51_200])
def test_the_rate_is_that_of_the_file_at_any_clock(clock_mhz: float) -> None:
    """Nothing jumps where the clock passes a multiple of the rate, and nothing is faster than the port."""
    memory = read_system(PRESET).memory
    port = of_memory(memory, clock_mhz)
    peak = memory.width / 8 * clock_mhz / 1e3
    sustained = port.beats / port.interval * peak
    assert sustained == pytest.approx(min(peak, memory.bandwidth_gb_s), rel=1 / FINEST)


def test_a_memory_of_less_than_a_beat_in_256_cycles_keeps_its_rate() -> None:
    memory = replace(read_system(PRESET).memory, bandwidth_gb_s=0.001)
    assert (of_memory(memory, 200).beats, of_memory(memory, 200).interval) == (1, 1600)
