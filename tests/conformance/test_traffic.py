"""The traffic a design is charged for is what crosses its streams, beat for beat, and peaks are what no run exceeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blueprint.registry import families
from blueprint.spec import Spec

FAMILIES = sorted(families())


def moved(spec: Spec, task: Any, seed: int) -> list[int]:
    """Bits of every stream in one run: input beats as packed, output beats as the timing graph fires them."""
    operands = spec.operands(task, seed)
    bits = [8 * beats.size for beats in spec.stimulus(operands).values()]
    fired = {node.stream: node.firings for node in spec.timing(task, operands).nodes if node.stream}
    bits += [fired[stream.name] * stream.width for stream in spec.streams() if stream.direction == "out"]
    return sorted(bit for bit in bits if bit)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", range(40))
def test_traffic_is_what_crosses_the_streams(family: str, number: int) -> None:
    random = np.random.default_rng([17, number])
    spec = families()[family].sample(random)
    for run in range(3):
        task = spec.sample_workload(random)
        charged = sorted(int(bits) for bits in spec.dram_bits(task).values() if bits)
        assert charged == moved(spec, task, run), (spec, task)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", range(40))
def test_no_run_does_more_than_the_peak(family: str, number: int) -> None:
    random = np.random.default_rng([18, number])
    spec = families()[family].sample(random)
    tasks = [spec.typical_workload(), *(spec.sample_workload(random) for _ in range(3))]
    for task in tasks:
        cycles = spec.cycles_of(task, spec.operands(task, 0))
        assert 0 < task.macs <= cycles * int(spec.peak_macs), (spec, task)


@pytest.mark.parametrize("family", FAMILIES)
def test_some_run_comes_close_to_the_peak(family: str) -> None:
    """Of many designs on long tasks the best reaches nearly its peak: a peak twice too high would show."""
    best = 0.0
    for number in range(60):
        spec = families()[family].sample(np.random.default_rng([19, number]))
        task = spec.typical_workload()
        best = max(best, task.macs / (float(np.asarray(spec.cycles(task))) * int(spec.peak_macs)))
    assert 0.8 < best <= 1.0
