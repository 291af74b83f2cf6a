"""Attention as a task: what it counts, what it refuses, how it is read, and which family runs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from blueprint.errors import ParamError
from blueprint.files.document import read_text
from blueprint.parameters import parameter
from blueprint.registry import get
from blueprint.shell import RegisterFile, Size
from blueprint.spec import Spec
from blueprint.workloads.model import attention, load
from blueprint.workloads.tasks import Attention, Gemm
from blueprint.workloads.workload import Workload, of_model, of_task, read_workload


@dataclass(frozen=True, kw_only=True)
class Attends(Spec):
    family: ClassVar[str] = "attends"
    name = "attends"
    peak_macs = 1
    title: ClassVar[str] = "Attends"
    task = Attention

    keys_max: int = parameter("keys", bounds="keys", default=64, minimum=1, maximum=1 << 20)

    def register_file(self) -> RegisterFile:
        return RegisterFile((Size("keys", self.keys_max, 1, "keys of the next run"),), {})

    def register_values(self, workload: Attention) -> dict[str, int]:
        return {"keys": workload.keys}


def seen(task: Attention) -> list[int]:
    """Keys that every query sees, counted one by one."""
    found = []
    for query in range(task.queries):
        own = task.keys - task.queries + query
        keys = set(range(task.keys)) if task.mask == "none" else set(range(own + 1))
        if task.mask == "window":
            keys = {key for key in keys if key > own - task.window}
        if task.mask == "lambda":
            keys = {key for key in keys if key > own - task.window or key < task.sinks}
        found.append(len(keys))
    return found


@pytest.mark.parametrize("mask", ["none", "causal", "window", "lambda"])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (1, 9), (7, 7), (5, 12), (12, 12)])
@pytest.mark.parametrize("window", [1, 3, 20])
def test_visible_keys_and_macs_are_those_counted_one_by_one(
    mask: str, queries: int, keys: int, window: int
) -> None:
    limits = {"window": window if mask in ("window", "lambda") else 0, "sinks": 2 if mask == "lambda" else 0}
    task = Attention(queries, keys, 6, 2, 16, mask, **limits, count=3)
    expected = seen(task)
    assert task.visible(np.arange(queries)).tolist() == expected
    assert [task.visible(query) for query in range(queries)] == expected
    assert task.pairs == sum(expected)
    assert task.macs == 3 * 6 * 2 * 16 * sum(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"queries": 0}, "Attention queries must be at least 1, not 0"),
        ({"dim": 0}, "Attention dim must be at least 1, not 0"),
        ({"kv_heads": 4}, "Attention kv_heads must divide the 6 heads, not be 4"),
        (
            {"keys": 3, "mask": "causal"},
            "Attention keys must be at least the 4 queries for mask causal, not 3",
        ),
        ({"mask": "diagonal"}, "Attention mask must be one of none, causal, window, lambda, not 'diagonal'"),
        ({"mask": "window"}, "Attention window must be at least 1, not 0"),
        ({"window": 2}, "Attention window must be 0 for mask none, not 2"),
        ({"mask": "window", "window": 2, "sinks": 1}, "Attention sinks must be 0 for mask window, not 1"),
        ({"mask": "lambda", "window": 2, "sinks": -1}, "Attention sinks must be at least 0, not -1"),
    ],
)
def test_attention_that_means_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError) as caught:
        replace(Attention(4, 8, 6, 2), **changes)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [True, 2.0, "2"])
def test_sizes_that_are_no_integers_are_refused(value: Any) -> None:
    with pytest.raises(TypeError) as caught:
        Attention(value, 8)
    assert str(caught.value) == f"Attention queries must be an integer, not {value!r}"


def test_attention_is_read_and_seq_stands_for_both_sizes() -> None:
    text = (
        "attention: {queries: 4, keys: 16, heads: 8, kv_heads: 2, dim: 32, mask: lambda, window: 3, sinks: 1}"
    )
    task = Attention(4, 16, 8, 2, 32, "lambda", 3, 1)
    assert read_workload(read_text(text)) == Workload("4x16 lambda, 8/2 heads of 32", (task,))
    found = read_workload(read_text("attention: {seq: 9}\nname: nine"))
    assert found == Workload("nine", (Attention(9, 9),))
    assert (found.gemms, found.macs) == ((), 2 * 64 * 81)


def test_a_family_is_given_its_own_kind_of_task_only() -> None:
    with pytest.raises(ParamError) as caught:
        Attends.tasks(of_task(Gemm(1, 2, 3)))
    assert str(caught.value) == "Family attends runs attention, not gemm of 1x2x3"
    with pytest.raises(ParamError) as caught:
        get("ternary_lut").tasks(of_task(Attention(1, 2)))
    assert str(caught.value) == "Family ternary_lut runs gemm, not attention of 1x2, 1/1 heads of 64"


def test_a_model_is_products_to_one_family_and_attention_to_another() -> None:
    model = load("bitnet_2b4t")
    decode, prefill = of_model(model, "decode", 3, 100), of_model(model, "prefill", 50, 10)
    assert get("ternary_lut").tasks(decode) == decode.gemms == decode.tasks
    sizes = (model.heads, model.kv_heads, model.head_dim, "causal")
    # The sequences of a batch do not see each other.
    assert Attends.tasks(decode) == (Attention(1, 101, *sizes, count=3 * model.layers),)
    assert Attends.tasks(prefill) == (Attention(50, 60, *sizes, count=model.layers),)
    with pytest.raises(ParamError, match=r"^Phase must be one of decode, prefill, not 'train'$"):
        attention(model, "train")


def test_a_design_too_small_for_a_task_is_refused_by_its_own_limits() -> None:
    spec = Attends(keys_max=64)
    spec.check_workload(Attention(2, 64))
    with pytest.raises(ParamError, match=r"^Attention keys must be at most keys_max 64, not 65$"):
        spec.check_workload(Attention(2, 65))
    assert spec.sized_for(Attention(2, 9)).keys_max == 9
