"""Whole systems: programs by hand on RTL, equal to golden models, and to the machine in every begin and end."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.spec import Spec
from blueprint.systems import control
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import MOVED, Instruction
from blueprint.systems.memory_port import BEHAVIORS
from blueprint.workloads.tasks import Attention, Gemm, Rowwise
from generator.emission import emit
from generator.systems.top import SystemTop
from simulator.systems import rtl
from tests.systems.system_bench import DATA, SIZE, Writing, agrees, compared, memories, program, status
from tests.systems.test_dma import WAIVED
from toolchain import process, verilator

#: Units that are quick to build, each with a task whose operands fit its staging.
MATRIX: dict[str, Any] = {"mu": 2, "lut_count": 2, "fetch_count": 4, "act_width": 8, "k_max": 32, "n_max": 32}
ATTENTION: dict[str, Any] = {
    "dim": 4, "parallel": 1, "head_group": 1, "keys_max": 16, "heads_max": 4, "mask": "causal",
}  # fmt: skip
VECTOR: dict[str, Any] = {"lanes": 4, "length_max": 32, "rows_max": 8}


def unit(family: str, parameters: dict[str, Any]) -> Spec:
    return registry.get(family)(**parameters)


@functools.cache
def small(width: int = 64) -> Hardware:
    return control.built("small", {"matrix": unit("ternary_lut", MATRIX)}, width=width, burst=8)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program(small(), tmp_path_factory.mktemp("small"))


def products(count: int = 2) -> Writing:
    """A product after the other: the next one loads while this one runs."""
    writing = Writing(small())
    for number in range(count):
        writing.run("matrix", Gemm(1, 12 + 4 * number, 8), number)
    writing.end()
    return writing


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_products_end_in_the_cycle_of_the_model(behavior: str, bench: Path) -> None:
    compared(bench, products(), behavior)
