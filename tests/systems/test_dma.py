"""Movers: values by NumPy, every event in the cycle of the model, under four behaviors of memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from blueprint.systems.memory_port import BEHAVIORS
from tests.systems.dma_bench import expected, program, random_case, random_dma, run

SIZE = 1 << 14


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("direction", ["read", "write"])
def test_random_transfers_end_in_the_cycle_of_the_model(direction: str, number: int, tmp_path: Path) -> None:
    random = np.random.default_rng([number, direction == "read"])
    dma = random_dma(direction, random)
    bench = program(dma, tmp_path)
    for name, behavior in BEHAVIORS.items():
        port = dataclasses.replace(behavior, size=SIZE, depth=int(random.integers(1, 12)))
        case = random_case(dma, port, random)
        found = run(bench, case, tmp_path)
        assert found.events == case.events(), name
        assert found.image == expected(case), name
