"""Tasks: what their sizes may be, and what is counted of them, by a second and naive count."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from blueprint.workloads.tasks import (
    LARGEST,
    MANY_TOKENS,
    Attention,
    Gemm,
    Rowwise,
    check_temperature,
    parse_gemm,
)

SIZES: dict[Any, dict[str, int]] = {
    Gemm: {"m": 2, "k": 3, "n": 5, "count": 7},
    Attention: {"queries": 2, "keys": 6, "heads": 4, "kv_heads": 2, "dim": 8, "count": 3},
    Rowwise: {"rows": 3, "length": 8, "count": 5},
}
EACH = [(task, what) for task, sizes in SIZES.items() for what in sizes]


@pytest.mark.parametrize("given", [True, False, 2.0, "2", None])
@pytest.mark.parametrize(("task", "what"), EACH)
def test_a_size_is_an_integer_and_no_truth(task: Any, what: str, given: Any) -> None:
    message = f"{task.__name__} {what} must be an integer, not {given!r}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        task(**SIZES[task] | {what: given})


@pytest.mark.parametrize(("task", "what"), EACH)
def test_a_size_is_at_least_one(task: Any, what: str) -> None:
    with pytest.raises(ParamError) as caught:
        task(**SIZES[task] | {what: 0})
    assert str(caught.value) == f"{task.__name__} {what} must be at least 1, not 0"
    assert caught.value.parameter == what  # type: ignore[attr-defined]
    ones = dict.fromkeys(SIZES[task], 1)
    assert getattr(task(**ones), what) == 1


@pytest.mark.parametrize(
    ("given", "what", "message"),
    [
        ({"mask": "diagonal"}, "mask", "mask must be one of none, causal, window, lambda, not 'diagonal'"),
        ({"mask": "window"}, "window", "window must be at least 1, not 0"),
        ({"mask": "lambda"}, "window", "window must be at least 1, not 0"),
        ({"mask": "causal", "window": 2}, "window", "window must be 0 for mask causal, not 2"),
        ({"mask": "window", "window": 2, "sinks": 1}, "sinks", "sinks must be 0 for mask window, not 1"),
        (
            {"mask": "lambda", "window": 2, "sinks": -1},
            "sinks",
            "sinks must be at least 0, not -1",
        ),
        ({"kv_heads": 3}, "kv_heads", "kv_heads must divide the 4 heads, not be 3"),
        (
            {"queries": 7, "mask": "causal"},
            "keys",
            "keys must be at least the 7 queries for mask causal, not 6",
        ),
    ],
)
def test_attention_that_contradicts_itself_is_refused(given: dict[str, Any], what: str, message: str) -> None:
    with pytest.raises(ParamError) as caught:
        Attention(**SIZES[Attention] | given)
    assert str(caught.value) == f"Attention {message}"
    assert caught.value.parameter == what  # type: ignore[attr-defined]


def test_attention_at_the_edge_of_what_is_refused() -> None:
    Attention(queries=6, keys=6, mask="causal")
    Attention(queries=7, keys=6)
    Attention(queries=2, keys=6, mask="lambda", window=1, sinks=0)


def seen(task: Attention, query: int) -> set[int]:
    """Keys that a query sees, one by one."""
    at = task.keys - task.queries + query
    return {
        key
        for key in range(task.keys)
        if task.mask == "none"
        or key <= at
        and (task.mask == "causal" or key > at - task.window or task.mask == "lambda" and key < task.sinks)
    }


def test_visible_keys_and_pairs_are_those_counted_one_by_one() -> None:
    """With two sinks a window slides behind them: what both show of the first positions counts once."""
    masks = [("none", 0, 0), ("causal", 0, 0), ("window", 1, 0), ("window", 3, 0), ("lambda", 2, 2)]
    for queries, more, (mask, window, sinks) in product((1, 2, 5), (0, 1, 4, 9), masks):
        task = Attention(queries, queries + more, 4, 2, 8, mask=mask, window=window, sinks=sinks, count=3)
        counted = [len(seen(task, query)) for query in range(queries)]
        assert [task.visible(query) for query in range(queries)] == counted, task
        assert task.visible(np.arange(queries)).tolist() == counted, task
        assert task.pairs == sum(counted), task
        assert task.macs == sum(counted) * (8 + 8) * 4 * 3, task


def test_what_tasks_say_of_themselves() -> None:
    gemm = Gemm(**SIZES[Gemm])
    assert (gemm.macs, gemm.tokens, gemm.label) == (2 * 3 * 5 * 7, 2, "2x3x5")
    assert gemm.sizes == {"m": 2, "k": 3, "n": 5}
    attention = Attention(**SIZES[Attention])
    assert (attention.tokens, attention.label) == (2, "2x6, 4/2 heads of 8")
    causal = Attention(**SIZES[Attention], mask="lambda", window=2, sinks=1)
    assert causal.label == "2x6 lambda, 4/2 heads of 8"
    assert causal.sizes == {
        "queries": 2, "keys": 6, "heads": 4, "kv_heads": 2, "dim": 8, "mask": "lambda", "window": 2, "sinks": 1,
    }  # fmt: skip
    rows = Rowwise(**SIZES[Rowwise], operation="norm+quantize")
    assert (rows.macs, rows.tokens, rows.label) == (3 * 8 * 5, 3, "3x8 norm+quantize")
    assert rows.sizes == {"rows": 3, "length": 8, "operation": "norm+quantize"}
    drawn = Rowwise(3, 8, "dot", temperature=0.5, seed=4, position=6)
    assert drawn.sizes == {
        "rows": 3, "length": 8, "operation": "dot", "temperature": 0.5, "seed": 4, "position": 6,
    }  # fmt: skip


def test_what_is_not_said_of_a_task() -> None:
    assert MANY_TOKENS == 0b1111_1111_1111_1111
    assert (Gemm(2, 3, 5).count, Gemm(2, 3, 5).macs) == (1, 30)
    assert Attention(2, 6).sizes == {
        "queries": 2, "keys": 6, "heads": 1, "kv_heads": 1, "dim": 64, "mask": "none", "window": 0, "sinks": 0,
    }  # fmt: skip
    assert (Attention(2, 6).count, Rowwise(3, 8).count, Rowwise(3, 8).operation) == (1, 1, "copy")
    assert (Rowwise(3, 8).temperature, Rowwise(3, 8).seed, Rowwise(3, 8).position) == (0, 0, 0)


@pytest.mark.parametrize("given", [True, "1", None])
def test_a_temperature_is_a_number_and_no_truth(given: Any) -> None:
    with pytest.raises(TypeError, match=rf"^Heat must be a number, not {given!r}$"):
        check_temperature("Heat", given)


def test_temperatures_from_the_least_to_the_most() -> None:
    for given in (0, 0.0, 0.01, 1, 100.0):
        check_temperature("Heat", given)
    for given, shown in ((0.0099, "0.0099"), (100.5, "100.5"), (-1, "-1")):
        with pytest.raises(ParamError) as caught:
            check_temperature("Heat", given)
        assert str(caught.value) == f"Heat must be 0 or from 0.01 to 100, not {shown}"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"operation": "quantize+norm"}, None),
        ({"operation": "norm+norm"}, None),
        ({"operation": "dot+copy"}, None),
        ({"operation": "quantize+dot"}, None),
        ({"operation": "norm+dot"}, "operation must not have norm or quantize beside dot, as in norm+dot"),
        ({"operation": "rotate", "length": 7}, "length must be even to rotate pairs, not 7"),
        ({"operation": "norm", "temperature": 1.0}, "temperature must be 0 without dot, not 1"),
        ({"operation": "dot", "seed": 3}, "seed must be 0 without a temperature, not 3"),
        ({"operation": "dot", "position": 3}, "position must be 0 without a temperature, not 3"),
        ({"operation": "dot", "temperature": 1.0, "seed": 1 << 32}, None),
        ({"operation": "dot", "temperature": 1.0, "position": LARGEST}, None),
    ],
)
def test_runs_on_rows_that_contradict_themselves_are_refused(
    given: dict[str, Any], message: str | None
) -> None:
    with pytest.raises(ParamError) as caught:
        Rowwise(**SIZES[Rowwise] | given)
    assert message is None or str(caught.value) == f"Rowwise {message}"


def test_runs_on_rows_at_the_edge_of_what_is_refused() -> None:
    Rowwise(3, 7, "norm")
    Rowwise(3, 7, "copy")
    Rowwise(3, 8, "dequantize+gate+add+rotate+norm+quantize")
    Rowwise(3, 8, "dot", temperature=1.0, position=LARGEST - 1)


def test_a_product_is_read_from_its_three_sizes() -> None:
    assert parse_gemm(" 1X2560x6912\n") == Gemm(1, 2560, 6912)
    assert parse_gemm(f"0000000001x{LARGEST}x01") == Gemm(1, LARGEST, 1)
    for text, message in (
        ("1x2", "Gemm must be three sizes MxKxN as in 1x2560x6912, not '1x2'"),
        ("1x2x3x4", "Gemm must be three sizes MxKxN as in 1x2560x6912, not '1x2x3x4'"),
        ("7" * 70, f"Gemm must be three sizes MxKxN as in 1x2560x6912, not {'7' * 60!r}"),
        ("0x2x3", f"Gemm m must be from 1 to {LARGEST}, not 0"),
        (f"1x{LARGEST + 1}x3", f"Gemm k must be from 1 to {LARGEST}, not {LARGEST + 1}"),
        (f"1x2x{'9' * 70}", f"Gemm n must be from 1 to {LARGEST}, not {'9' * 60}"),
    ):
        with pytest.raises(ParamError) as caught:
            parse_gemm(text)
        assert str(caught.value) == message
