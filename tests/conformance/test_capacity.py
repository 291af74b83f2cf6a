"""What the explorer takes for able to run a workload is what every other command takes for that, and nothing more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from blueprint.registry import families
from blueprint.spec import Spec
from blueprint.workloads.workload import Gemm
from dse.explore import explore

FAMILIES = sorted(families())
#: Rules of capacity that are about closed forms, not about what can be run.
ABOUT_TIME = ("long_depth",)


SYSTOLIC = {
    "organization": "output_stationary", "pe": "ternary", "rows": 2, "cols": 2, "act_width": 4, "weight_width": 2,
}  # fmt: skip


def drawn(family: str, number: int) -> Spec:
    return families()[family].sample(np.random.default_rng([23, number]))


def runs(spec: Spec, task: Any) -> bool:
    try:
        spec.check_workload(task)
    except (ParamError, ValueError):
        return False
    return True


@pytest.mark.parametrize("family", FAMILIES)
def test_capacity_of_many_designs_is_the_check_of_each(family: str) -> None:
    """Tasks made for one design are given to all others."""
    specs = [drawn(family, number) for number in range(40)]
    names = specs[0].parameters
    many = families()[family].columns({n: np.array([s.parameters[n] for s in specs]) for n in names})
    refused = 0
    for number, maker in enumerate(specs[:25]):
        task = maker.sample_workload(np.random.default_rng([24, number]))
        fits = np.ones(len(specs), bool)
        for rule in many.capacity((task,)):
            if rule.parameter not in ABOUT_TIME:
                fits &= np.asarray(rule.holds)
        assert fits.tolist() == [runs(spec, task) for spec in specs], task
        refused += int((~fits).sum())
    assert refused > 100  # or nothing was tried


def test_a_task_that_several_designs_cannot_run_names_each_reason() -> None:
    kind = families()["streaming_attention"]
    task = drawn("streaming_attention", 1).sample_workload(np.random.default_rng(1))
    for rule in kind.columns({**drawn("streaming_attention", 2).parameters, "dim": task.dim + 1}).capacity(
        (task,)
    ):
        if rule.parameter == "dim":
            assert not rule.holds and rule.reason == f"dim must be {task.dim}, that of the workload's heads"
            return
    raise AssertionError("no rule about dim")


SPACE = """\
schema: ternforge/space/v1
family: streaming_attention
parameters: {{dim: [64, 128, 256], parallel: [1, 2], head_group: 1, keys_max: 4096, mask: [{masks}]}}
workload: {workload}
technology: asap7
objectives: {{area_um2: min, cycles: min}}
"""


@pytest.mark.parametrize(
    ("workload", "masks", "taken"),
    [
        (
            "{model: bitnet_2b4t, phase: decode, context: 100}",
            "none, causal, window",
            ["none", "causal", "window"],
        ),
        (
            "{attention: {queries: 4, keys: 8, dim: 128, mask: causal}}",
            "none, causal, window",
            ["causal", "window"],
        ),
        (
            "{attention: {queries: 4, keys: 8, dim: 128, mask: window, window: 3}}",
            "window, lambda",
            ["window"],
        ),
        (
            "{attention: {queries: 4, keys: 8, dim: 128, mask: lambda, window: 3, sinks: 1}}",
            "window, lambda",
            ["lambda"],
        ),
    ],
)
def test_no_design_of_a_study_does_more_than_it_can(
    workload: str, masks: str, taken: list[str], tmp_path: Path
) -> None:
    text = SPACE.format(workload=workload, masks=masks)
    if "model" in workload:
        text = text.replace("cycles: min", "attention_tokens_per_second: max")
    else:
        text = text.replace("parameters: {", "parameters: {queries_max: 8, ")
    (tmp_path / "space.yaml").write_text(text)
    with explore(tmp_path / "space.yaml", tmp_path / "study") as study:
        batches = list(study.batches())
        rows = [row for batch in batches for row in study.rows(batch)]
    feasible = [row for row in rows if row["feasible"]]
    assert {row["dim"] for row in feasible} == {128}
    assert sorted({row["mask"] for row in feasible}) == sorted(taken)
    assert all(0 < row["utilization"] <= 1 for row in feasible)
    reasons = {row["reason"] for row in rows if not row["feasible"]}
    assert "dim must be 128, that of the workload's heads" in reasons


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_tasks_the_largest_counts_in_every_size(order: int) -> None:
    kind = families()["systolic"]
    spec = kind.from_mapping({**SYSTOLIC, "k_max": 9, "n_max": 8, "m_max": 7})
    tasks = [Gemm(m=7, k=3, n=2), Gemm(m=1, k=9, n=3), Gemm(m=2, k=2, n=8)][::order]
    assert all(rule.holds for rule in spec.capacity(tasks))
    for size, most in (("m", 7), ("k", 9), ("n", 8)):
        small = kind.from_mapping({**spec.parameters, f"{size}_max": most - 1})
        broken = [rule.reason for rule in small.capacity(tasks) if not rule.holds]
        assert broken == [f"{size}_max must be at least {most}, the workload's largest {size}"]
