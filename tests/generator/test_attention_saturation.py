"""The status bit `saturated` of attention cores is that of the golden model, in every place where values can leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic import floating
from blueprint.arithmetic.softmax.arithmetic import Scales
from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.workloads.tasks import Attention
from generator.export import write_hardware
from simulator.rtl import rtl
from tests.volume import first

BIT = 4


def design(format: str, acc_format: str, graph: str, **given: Any) -> StreamingAttentionSpec:
    sizes = {"dim": 2, "keys_max": 4, "queries_max": 4, "heads_max": 2} | given
    return StreamingAttentionSpec(format=format, acc_format=acc_format, graph=graph, **sizes)


def words(spec: StreamingAttentionSpec, values: Any) -> Any:
    exact = np.asarray(values, np.float64)
    whole = spec.format == "int8"
    return exact.astype(np.int64) if whole else floating.from_float64(floating.get(spec.format), exact)


def case(
    spec: StreamingAttentionSpec,
    keys: list[float],
    scale: float,
    *,
    value: float = 1.0,
    gain: float = 1.0,
    offset: int = 0,
    queries: list[float] | None = None,
    mask: str = "none",
) -> tuple[Attention, dict[str, Any]]:
    """One head whose scores are products of ``queries`` (ones unless given) and ``keys``."""
    q = np.array(queries or [1.0])
    workload = Attention(len(q), len(keys), 1, 1, spec.dim, mask)
    registers = Scales.of(spec.softmax, scale, gain, offset)
    row = [registers.multiplier, registers.shift, registers.offset]
    row += [registers.output_multiplier, registers.output_shift]
    first = np.arange(spec.dim) == 0
    operands = {
        "query": words(spec, np.where(first, q[:, None], 0.0))[None],
        "key": words(spec, np.where(first, np.array(keys)[:, None], 0.0))[None],
        "value": words(spec, np.full((len(keys), spec.dim), value))[None],
        "scale": np.array([row]),
        "mask": np.array([int(mask != "none" or spec.mask != "none"), 0, 0]),
    }
    return workload, operands


def statuses(spec: StreamingAttentionSpec, folder: Path, cases: list[Any]) -> list[int]:
    """The status after every run, one after the other on one core; values have to be the golden ones."""
    write_hardware(spec, folder)
    todo = []
    for workload, operands in cases:
        graph = spec.timing(workload, operands)
        outputs = {n.stream: n.firings for n in graph.nodes if n.stream and n.direction == "out"}
        todo.append(rtl.Job(spec.stimulus(operands), outputs, {}, spec.register_values(workload)))
    runs = rtl.load(folder, optimize="-O0").run_all(todo)
    for (workload, operands), run in zip(cases, runs, strict=True):
        found, golden = spec.collect(dict(run.data), workload), spec.reference(operands)
        assert np.array_equal(found["out"], golden["out"])
    assert [run.registers["status"] for run in runs] == [spec.status(operands) for _, operands in cases]
    return [run.registers["status"] >> BIT & 1 for run in runs]


CASES: dict[str, tuple[StreamingAttentionSpec, list[tuple[list[float], float, dict[str, Any]]]]] = {
    "int8-memory_free": (
        design("int8", "integer", "memory_free"),
        [
            ([3, 5], 1.0, {}),
            ([100, 5], 3.0, {"queries": [127]}),  # 38,100
            ([100, 5], 2.5, {"queries": [127]}),
            ([-127, -127], 2.1, {"queries": [127]}),
            ([-127, 5], 2.1, {"queries": [127]}),
            ([3, 5], 1.0, {"value": 64, "gain": 2.0}),
            ([3, 5], 1.0, {"value": -64, "gain": 2.0}),
        ],
    ),
    "int8-naive": (
        design("int8", "integer", "naive", mask="causal", parallel=2),
        [
            ([5, 5], 1.0, {"offset": 5, "mask": "causal", "queries": [1, 1]}),
            ([5, 5, 5], 1.0, {"offset": 4, "mask": "causal", "queries": [1, 1, 1]}),
            # The last key is seen by the last query only, and the second row has one query, at position 0.
            ([0, 0, 5], 1.0, {"offset": 0, "mask": "causal", "queries": [1, 1, 0]}),
            ([0, 0, 5], 1.0, {"offset": 0, "mask": "causal", "queries": [1, 0, 1]}),
            ([0, 0, -1], 1.0, {"offset": 1, "mask": "causal", "queries": [1, 1, 1]}),
            ([0, 0, -1], 1.0, {"offset": 2, "mask": "causal", "queries": [1, 1, 1]}),
            ([-127, -127], 2.1, {"offset": -32767, "queries": [127], "mask": "causal"}),
        ],
    ),
    "fp16-fixed-reordered": (
        design("fp16", "fixed", "reordered"),
        [
            ([2044.0, 2048.0], 0.125, {}),
            ([32752.0, 1.0], 1e-3, {}),
            ([32768.0, 1.0], 1e-3, {}),
            ([32768.0, np.inf], 1e-3, {}),
            ([-40000.0, 1.0], 1e-3, {}),
            ([np.inf, 1.0], 1e-3, {}),
        ],
    ),
    "bf16-fixed-scaled": (
        design("bf16", "fixed", "scaled"),
        [
            ([1.0, 2.0], 1.0, {"value": 65280.0}),
            ([1.0, 2.0], 1.0, {"value": -65536.0}),
            ([1.0, 2.0], 1.0, {"value": np.nan}),
            ([1.0, 2.0], 1.0, {"value": np.inf}),
        ],
    ),
    "bf16-same-naive": (
        design("bf16", "same", "naive", keys_max=300),
        [
            ([0.0] * 255, 1.0, {}),
            ([0.0] * 256, 1.0, {}),
            ([1.0], 1.0, {}),
            ([np.nan], 1.0, {}),
            ([-2.0], 1.0, {}),
            ([-1.0], 1.0, {"value": np.inf}),
            ([-1.0, -1.0], 1.0, {"value": 2.5e38}),
        ],
    ),
    "fp16-same-memory_free": (
        design("fp16", "same", "memory_free", parallel=2),
        [
            ([100.0, 3.0], 1.0, {"queries": [1, 1, 1]}),
            ([300.0, 3.0], 1.0, {"queries": [1, 1, 1]}),
            ([-300.0, 3.0], 1.0, {"queries": [1, 1, 1]}),
            ([-300.0, -301.0], 1.0, {"queries": [1, 1, 1]}),
            ([60000.0, 3.0], 1e-3, {"queries": [1, 1, 2]}),
        ],
    ),
}
WANTED = {
    "int8-memory_free": [0, 1, 0, 1, 0, 1, 0],
    "int8-naive": [0, 1, 0, 1, 0, 1, 1],
    "fp16-fixed-reordered": [0, 0, 1, 1, 1, 0],
    "bf16-fixed-scaled": [0, 1, 0, 0],
    "bf16-same-naive": [0, 1, 1, 0, 1, 1, 0],
    "fp16-same-memory_free": [0, 1, 0, 1, 1],
}
QUICK = ("int8-memory_free", "int8-naive")
SLOW = sorted(set(CASES) - set(QUICK))


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in first(2, SLOW))]
)
def test_the_status_says_what_the_golden_model_does(name: str, tmp_path: Path) -> None:
    spec, given = CASES[name]
    cases = [case(spec, keys, scale, **more) for keys, scale, more in given]
    assert [spec.flags(operands)["saturated"] for _, operands in cases] == WANTED[name]
    assert statuses(spec, tmp_path, cases) == WANTED[name]
