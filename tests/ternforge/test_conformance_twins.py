"""The checks of a family can fail: each thing that is made wrong is named, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ternforge
from blueprint import registry
from blueprint.spec import Spec
from blueprint.timing import STALL_REASONS
from blueprint.unit import flip_flops
from generator import export
from simulator.engine import kernel
from simulator.rtl import rtl
from ternforge.conformance import agreement, suite
from toolchain import process, verilator

KIND = registry.get("ternary_lut")
SPEC = KIND.from_mapping({"mu": 2, "lut_count": 2, "fetch_count": 2, "act_width": 4, "k_max": 16, "n_max": 8})
JOBS = agreement.jobs(SPEC, 0)


def right_run(run: agreement.Run) -> rtl.RtlRun:
    """What the RTL would have done: golden values in place of bytes, times of the simulator."""
    _, operands, job = run
    ports = {node.name: node.stream for node in SPEC.timing(run[0], operands).nodes if node.stream}
    line = kernel.run(SPEC.timing(run[0], operands), job.patterns, record=ports)
    registers = {"cycles": line.cycles, "status": SPEC.status(operands)}
    registers |= {f"stall_{reason}": line.stalls[reason] for reason in STALL_REASONS}
    accepted = {stream: line.fired[node] for node, stream in ports.items()}
    return rtl.RtlRun(accepted, dict(SPEC.reference(operands)), {}, registers, line.cycles, 0.0)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[rtl.RtlRun]:
    monkeypatch.setattr(KIND, "collect", lambda self, data, task: data)
    return [right_run(run) for run in JOBS]


def test_right_runs_have_no_differences(runs: list[rtl.RtlRun]) -> None:
    assert agreement.differences(SPEC, JOBS, runs) == []


def _register(name: str) -> Callable[[rtl.RtlRun], rtl.RtlRun]:
    return lambda run: dataclasses.replace(run, registers=run.registers | {name: run.registers[name] + 1})  # type: ignore[operator]


def _stream(name: str) -> Callable[[rtl.RtlRun], rtl.RtlRun]:
    return lambda run: dataclasses.replace(run, accepted=run.accepted | {name: run.accepted[name] + 1})  # type: ignore[operator]


def _values(run: rtl.RtlRun) -> rtl.RtlRun:
    return dataclasses.replace(run, data={name: value + 1 for name, value in run.data.items()})


TWINS: dict[str, tuple[Callable[[rtl.RtlRun], rtl.RtlRun], str]] = {
    "values": (_values, "out differs"),
    "cycles": (lambda run: dataclasses.replace(run, cycles=run.cycles + 1), "cycles ["),
    "counter": (_register("cycles"), "cycles ["),
    "status": (_register("status"), "status 3, not 2, at the end"),
    **{r: (_register(f"stall_{r}"), f"{r} stalls ") for r in STALL_REASONS},
    **{s.name: (_stream(s.name), f"beats of {s.name} move in other cycles") for s in SPEC.streams()},
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("number", range(len(JOBS)))
def test_a_wrong_run_differs_in_what_is_wrong(name: str, number: int, runs: list[rtl.RtlRun]) -> None:
    twin, expected = TWINS[name]
    runs[number] = twin(runs[number])
    [found] = agreement.differences(SPEC, JOBS, runs)
    assert found.startswith(f"{JOBS[number][0]}: {expected}")


def test_jobs_ask_for_all_results_and_of_nothing_else() -> None:
    outputs = {stream.name for stream in SPEC.streams() if stream.direction == "out"}
    inputs = {stream.name for stream in SPEC.streams()} - outputs
    assert len(JOBS) == agreement.RUNS and all(set(job.outputs) == outputs for *_, job in JOBS)
    assert all(set(job.stimulus) == inputs for *_, job in JOBS)
    assert [bool(job.patterns) for *_, job in JOBS] == [False, True, True, True]


def test_patterns_of_stalls_are_open_at_times_and_closed_at_times() -> None:
    random = np.random.default_rng(5)
    found = [pattern for _ in range(60) for pattern in agreement.patterns(SPEC, random, 1).values()]
    assert {len(pattern) for pattern in found} == {1, 7, 37, 101} and all(pattern.any() for pattern in found)
    shares = [pattern.mean() for pattern in found if len(pattern) == 101]
    assert len(shares) > 20 and 0.05 < min(shares) < 0.25 and 0.8 < max(shares) < 1.0


# Many designs at once -----------------------------------------------------------------------------------------------

DESIGNS = [dataclasses.replace(SPEC, mu=mu, lut_count=count) for mu in (1, 2) for count in (2, 4)]


def is_many(spec: Spec) -> bool:
    return any(np.ndim(value) for value in spec.parameters.values())


def fewer(units: Any) -> Any:
    """Without the registers."""
    return tuple(unit for unit in units if unit.kind != "register")


COLUMNS: dict[str, tuple[str, Callable[[Any], Any], list[str]]] = {
    "units": ("units", fewer, ["flip-flops", "area"]),
    "area": ("units", lambda units: tuple(u for u in units if u.kind == "register"), ["area"]),
    "paths": ("paths", lambda paths: paths[:0], ["critical path"]),
    "cycles": ("cycles", lambda cycles: cycles + 1, ["cycles"]),
    "traffic": ("dram_bits", lambda bits: {name: 2 * value for name, value in bits.items()}, ["traffic"]),
    "feasibility": ("feasible", lambda found: (found[0] & False, *found[1:]), ["feasibility"]),
}


def test_designs_and_their_columns_agree() -> None:
    assert list(suite.check_columns(DESIGNS)) == []


@pytest.mark.parametrize("name", COLUMNS)
def test_a_formula_that_is_wrong_for_columns_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, change, expected = COLUMNS[name]
    true = getattr(KIND, method)

    def wrong(self: Spec, *arguments: Any) -> Any:
        return change(true(self, *arguments)) if is_many(self) else true(self, *arguments)

    monkeypatch.setattr(KIND, method, wrong)
    assert list(suite.check_columns(DESIGNS)) == [
        f"{what} of many designs at once is not that of each" for what in expected
    ]


def test_a_peak_that_is_wrong_for_columns_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    true: Any = KIND.peak_macs
    peak = property(lambda self: true.fget(self) * (2 if is_many(self) else 1))
    monkeypatch.setattr(KIND, "peak_macs", peak)
    assert list(suite.check_columns(DESIGNS)) == ["peak of many designs at once is not that of each"]


# One design ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand-ins for what takes long: tools that find nothing, unless a test says what they find."""
    found: dict[str, Any] = {"compare": [], "faults": [], "lint": [], "extra": 0, "again": lambda out: None}

    real = process.run

    def again(command: list[str], *, tool: str, **options: Any) -> Any:
        if tool != "Python":
            return real(command, tool=tool, **options)
        export.write_hardware(SPEC, Path(command[-1]))
        return found["again"](Path(command[-1]))

    monkeypatch.setattr(rtl, "load", lambda *_, **__: None)
    monkeypatch.setattr(suite, "compare", lambda *_: found["compare"])
    monkeypatch.setattr(suite, "faults", lambda _: found["faults"])
    monkeypatch.setattr(verilator, "lint", lambda *_: found["lint"])
    monkeypatch.setattr(process, "run", again)
    counted = int(flip_flops(SPEC.units()))
    both = "netlist_flip_flops_both_ways"
    monkeypatch.setattr(suite, both, lambda _: (counted, counted + found["extra"]))
    return found


def test_a_right_design_has_no_faults(tools: dict[str, Any], tmp_path: Path) -> None:
    assert suite.check_design(SPEC, tmp_path) == []


@pytest.mark.parametrize("tool", ["compare", "faults", "lint"])
def test_what_a_tool_finds_is_said(tool: str, tools: dict[str, Any], tmp_path: Path) -> None:
    tools[tool] = ["something"]
    assert suite.check_design(SPEC, tmp_path) == ["something"]


def test_faults_of_netlists_files_and_reading_are_said(
    tools: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = int(flip_flops(SPEC.units()))
    tools |= {"extra": 1, "again": lambda out: (out / "files.f").write_text("")}
    other = dataclasses.replace(SPEC, mu=3)
    true = suite.read_design
    monkeypatch.setattr(suite, "read_design", lambda file: dataclasses.replace(true(file), spec=other))
    assert suite.check_design(SPEC, tmp_path) == [
        f"flip-flops of the netlist, flat, are {counted + 1}, not {counted}",
        "files.f differs when it is written again",
        "a file of the design reads as another design",
    ]


@pytest.mark.parametrize(
    ("changes", "findings"),
    [
        ({}, []),
        ({"area_um2": 0.0}, ["area_um2 must be above 0, not 0.0"]),
        ({"critical_path_ps": -1.0}, ["critical_path_ps must be above 0, not -1.0"]),
        ({"cycles": 7}, ["cycles of the estimate must be 99, not 7"]),
        (
            {"area_um2": 0.0, "flip_flops": 7},
            ["area_um2 must be above 0, not 0.0", "flip_flops of the estimate must be 99, not 7"],
        ),
    ],
)
def test_an_estimate_that_misses_a_figure_is_named(
    changes: dict[str, float], findings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = ternforge.estimate(SPEC, "asap7", SPEC.typical_workload())
    monkeypatch.setattr(ternforge, "estimate", lambda *given: right | changes)
    cycles, held = int(right["cycles"]), int(right["flip_flops"])
    expected = [
        text.replace("must be 99", f"must be {cycles if text.startswith('cycles') else held}")
        for text in findings
    ]
    assert suite.check_estimate(SPEC) == expected
