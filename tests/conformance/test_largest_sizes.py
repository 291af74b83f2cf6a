"""Runs at the largest sizes of a design, all powers of two: one bit more than a counter from 0 needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blueprint.registry import get
from blueprint.spec import Spec
from blueprint.workloads.tasks import Attention, Gemm, Rowwise, Task
from generator.export import write_hardware
from simulator.rtl import rtl
from ternforge.conformance import agreement
from tests.volume import first

KEYS, QUERIES, DIM = 4, 8, 2
ATTENTION = {"dim": DIM, "keys_max": KEYS, "queries_max": QUERIES, "heads_max": 2}
ARRAY = {"rows": 2, "cols": 2, "act_width": 2, "weight_width": 2, "k_max": 8, "n_max": 8, "m_max": 4}
DESIGNS: dict[str, tuple[str, dict[str, Any], tuple[Task, ...]]] = {
    **{
        f"attention-{mask}-{parallel}": (
            "streaming_attention",
            ATTENTION | {"mask": mask, "parallel": parallel},
            tuple(
                Attention(queries, KEYS, heads, heads, DIM, mask, window, sinks)
                for queries in ((QUERIES, 1) if mask == "none" else (KEYS, 1))
                for heads in (1, 2)
            ),
        )
        for mask, window, sinks in (("none", 0, 0), ("causal", 0, 0), ("window", KEYS, 0), ("lambda", 2, 2))
        for parallel in (1, 2)
        if mask != "none" or parallel == 1
    },
    "tables": (
        "ternary_lut",
        {"mu": 2, "lut_count": 2, "fetch_count": 2, "act_width": 4, "k_max": 8, "n_max": 8, "m_max": 4},
        (Gemm(4, 8, 8), Gemm(1, 8, 8), Gemm(4, 1, 1)),
    ),
    **{
        organization: (
            "systolic",
            ARRAY | {"organization": organization, "pe": "ternary"},
            (Gemm(4, 8, 8), Gemm(1, 8, 8)),
        )
        for organization in ("weight_stationary", "output_stationary")
    },
    "rows": (
        "vector",
        {"lanes": 2, "length_max": 8, "rows_max": 4},
        (Rowwise(4, 8, "norm+quantize"), Rowwise(4, 8), Rowwise(1, 8, "add")),
    ),
}
#: Those that together have every mask and every family stand first.
FIRST = (
    "attention-none-1",
    "attention-window-2",
    "attention-lambda-1",
    "tables",
    "weight_stationary",
    "rows",
)
NAMES = sorted(DESIGNS, key=lambda name: name not in FIRST)


def _jobs(spec: Spec, tasks: tuple[Task, ...]) -> list[agreement.Run]:
    found = []
    for task in tasks:
        operands = spec.operands(task, 0)
        graph = spec.timing(task, operands)
        outputs = {n.stream: n.firings for n in graph.nodes if n.stream and n.direction == "out"}
        job = rtl.Job(spec.stimulus(operands), outputs, {}, spec.register_values(task))
        found.append((task, operands, job))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", first(6, NAMES))
def test_the_largest_sizes_run(name: str, tmp_path: Path) -> None:
    family, parameters, tasks = DESIGNS[name]
    spec = get(family).from_mapping(parameters)
    bounds = spec.bounds()
    for size in bounds:
        largest = max(int(task.sizes[size]) for task in tasks)
        assert largest == getattr(spec, bounds[size]) or size == "queries"
    write_hardware(spec, tmp_path)
    todo = _jobs(spec, tasks)
    runs = rtl.load(tmp_path, optimize="-O0").run_all([job for *_, job in todo])
    assert agreement.differences(spec, todo, runs) == []
