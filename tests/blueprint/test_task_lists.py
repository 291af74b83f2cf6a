"""A workload that lists tasks: read, written back, refused, and the sum of its tasks in every view."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from blueprint.errors import ParamError, SpecError
from blueprint.files.design import Design
from blueprint.files.document import read_text
from blueprint.registry import get
from blueprint.workloads.tasks import Attention, Gemm
from blueprint.workloads.workload import Workload, of_task, of_tasks, read_workload, workload_content
from ternforge.verbs.estimate import estimate
from ternforge.verbs.simulate import simulate

TEXT = """\
tasks:
  - {name: qkv, gemm: {m: 1, k: 64, n: 128}, count: 2}
  - {gemm: {m: 3, k: 64, n: 160}}
name: layer
"""
TASKS = (Gemm(1, 64, 128, "qkv", 2), Gemm(3, 64, 160))
PARAMETERS = {"mu": 2, "lut_count": 4, "fetch_count": 8, "act_width": 8, "k_max": 64, "n_max": 160}


def test_a_list_is_read_in_its_order_and_reads_back_as_the_same() -> None:
    section = read_text(TEXT)
    found = read_workload(section)
    assert found == Workload("layer", TASKS)
    assert found.macs == 2 * 64 * 128 + 3 * 64 * 160
    again = yaml.safe_dump(workload_content(found, section))
    assert read_workload(read_text(again)) == found


def test_a_list_of_attention() -> None:
    found = read_workload(
        read_text("tasks: [{attention: {seq: 9}, count: 30}, {attention: {queries: 1, keys: 8}}]")
    )
    assert found == Workload("2 tasks", (Attention(9, 9, count=30), Attention(1, 8)))


def test_a_list_of_one_is_named_by_its_sizes() -> None:
    assert read_workload(read_text("tasks: [{gemm: {m: 1, k: 2, n: 3}}]")).name == "1x2x3"


@pytest.mark.parametrize("tasks", [(Gemm(1, 2, 3), Attention(1, 2)), ()])
def test_tasks_of_no_one_kind_are_refused(tasks: Any) -> None:
    found = "gemm and attention" if tasks else "none"
    with pytest.raises(ParamError) as caught:
        of_tasks(tasks)
    assert str(caught.value) == f"Tasks must be of one kind, which a family runs, not {found}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks: [{gemm: {m: 1, k: 2}}]", "1:10: tasks[0].gemm.n: n must be given, and is missing"),
        (
            "tasks: [{gemm: {m: 1, k: 2, n: 3}, count: 1.5}]",
            "1:36: tasks[0].count: count must be an integer, not 1.5",
        ),
        ("tasks: {gemm: {m: 1}}", "1:1: tasks: tasks must be a list, not a mapping"),
        (
            "tasks: [{gemm: {m: 1, k: 2, n: 3}, phase: decode}]",
            "1:36: tasks[0].phase: key must be one of gemm, attention, rowwise, count, name, not 'phase'",
        ),
    ],
)
def test_what_is_no_list_of_tasks_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_workload(read_text(text))
    assert str(caught.value).split(":", 1)[1] == message


def _sum(answers: list[dict[str, Any]], key: str) -> Any:
    return sum(count * answer[key] for count, answer in zip((2, 1), answers, strict=True))


def test_cycles_and_energy_of_a_list_are_the_sum_of_its_tasks() -> None:
    design = Design(get("ternary_lut").from_mapping(PARAMETERS), "d", None, "asap7")
    whole, alone = of_tasks(TASKS), [of_task(replace(task, count=1)) for task in TASKS]
    one, each = estimate(design, workload=whole), [estimate(design, workload=work) for work in alone]
    assert one["cycles"] == _sum(each, "cycles") and one["macs"] == _sum(each, "macs")
    assert one["energy_pj"] == pytest.approx(_sum(each, "energy_pj"), rel=1e-12)
    ran, parts = simulate(design, whole), [simulate(design, work) for work in alone]
    assert ran["cycles"] == _sum(parts, "cycles") == one["cycles"]
    assert ran["mismatches"] == 0 and [layer["count"] for layer in ran["layers"]] == [2, 1]
