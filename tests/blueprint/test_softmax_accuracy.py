"""The page on accuracy keeps its bounds, and a part of it is measured again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import attention_pruning
from benchmarks.attention_accuracy import (
    FLOAT_BOUND,
    INTEGER_BOUND,
    KEYS,
    TEXT,
    floats,
    integer_error,
    integers,
    number,
    worst_float,
    worst_integer,
)
from benchmarks.attention_cases import DIM, DISTRIBUTIONS, FLOAT_CASES, tail_case
from blueprint.arithmetic.pruning import Traffic
from blueprint.arithmetic.softmax.arithmetic import GRAPHS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "attention_accuracy.md"
Table = dict[str, dict[str, str]]


def tables() -> dict[str, Table]:
    """Every table of the page by its corner: row, column, cell."""
    found: dict[str, Table] = {}
    for block in re.findall(r"(?:^\|.*\n)+", PAGE.read_text(), re.MULTILINE):
        header, _, *lines = (
            [cell.strip() for cell in line.strip("|\n").split("|")] for line in block.splitlines()
        )
        found[header[0]] = {line[0]: dict(zip(header[1:], line[1:], strict=True)) for line in lines}
    return found


def test_committed_int8_errors_are_within_the_bound() -> None:
    table = tables()["int8, error in LSB"]
    assert list(table) == list(DISTRIBUTIONS)
    for row in table.values():
        assert list(row) == [*GRAPHS, "memory_free, output filled"]
        assert max(map(float, row.values())) <= INTEGER_BOUND


@pytest.mark.parametrize("acc_format", ["fixed", "fp32"])
@pytest.mark.parametrize("inputs", ["fp16", "bf16"])
def test_committed_float_errors_are_within_the_bound(inputs: str, acc_format: str) -> None:
    table = tables()[f"{inputs}, {acc_format}, error in ulp"]
    assert list(table) == list(FLOAT_CASES)
    for row in table.values():
        assert list(row) == list(GRAPHS)
        assert max(map(float, row.values())) <= FLOAT_BOUND


def test_the_worst_tail_is_within_the_bound_by_default_only() -> None:
    row = tables()["int8, memory_free, error in LSB"]["worst tail"]
    *few, default = map(float, row.values())
    assert default <= INTEGER_BOUND < min(few)


def test_narrow_accumulators_report_a_loss() -> None:
    for inputs in ("fp16", "bf16"):
        table = tables()[f"{inputs}, same, error in ulp"]
        assert max(float(cell) for row in table.values() for cell in row.values()) > FLOAT_BOUND


@pytest.mark.parametrize("name", ["random", "rising steps", "lost tail, int8"])
def test_committed_int8_errors_are_measured_again(name: str) -> None:
    again = number(worst_integer(integers("memory_free", KEYS), name, KEYS), 2)
    assert tables()["int8, error in LSB"][name]["memory_free"] == again


@pytest.mark.slow
@pytest.mark.parametrize("acc_format", ["fixed", "fp32", "same"])
def test_committed_float_errors_are_measured_again(acc_format: str) -> None:
    a = floats("fp16", acc_format, "scaled", KEYS)
    again = number(worst_float(a, "rising steps", KEYS), 2)
    assert tables()[f"fp16, {acc_format}, error in ulp"]["rising steps"]["scaled"] == again


@pytest.mark.parametrize("graph", GRAPHS)
def test_few_keys_keep_the_int8_bound(graph: str) -> None:
    errors = {name: worst_integer(integers(graph, 48), name, 48) for name in DISTRIBUTIONS}
    assert {name: error for name, error in errors.items() if error > INTEGER_BOUND} == {}


@pytest.mark.parametrize("graph", ["scaled", "memory_free"])
def test_few_keys_keep_the_float_bound(graph: str) -> None:
    errors = {name: worst_float(floats("fp16", "fixed", graph, 24), name, 24) for name in FLOAT_CASES}
    assert {name: error for name, error in errors.items() if error > FLOAT_BOUND} == {}


def test_too_few_bits_of_weights_break_the_bound() -> None:
    assert integer_error(integers("memory_free", KEYS, 12), tail_case(KEYS, 12, 1)) > INTEGER_BOUND


def test_the_table_of_pruning_is_measured_again() -> None:
    got, traffic = attention_pruning.measure("retrieval", 64), Traffic.of(attention_pruning.DIM, 2048, 64)
    wanted = (
        f"| retrieval | 64 | {traffic.saved:.2f}x | {traffic.saved_on_chip:.1f}x | {got.found:.1%} | {got.kept:.1%} | "
        f"{got.ideal:.1%} | {got.mean_error:.2f} | {got.largest_error:.1f} |"
    )
    assert wanted in PAGE.read_text()


def test_more_candidates_are_more_accurate_and_save_less() -> None:
    rows = re.findall(r"^\| (?:Gaussian|attention|retrieval).*$", PAGE.read_text(), re.MULTILINE)
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert len(cells) == len(attention_pruning.DISTRIBUTIONS) * len(attention_pruning.CANDIDATES)
    for one, more in zip(cells, cells[1:], strict=False):
        if one[0] == more[0]:
            assert float(more[2][:-1]) < float(one[2][:-1])
            assert float(more[5][:-1]) >= float(one[5][:-1])
            assert float(more[7]) <= float(one[7])


def test_the_page_is_the_text_around_the_tables() -> None:
    text = TEXT.read_text().replace("{keys}", str(KEYS)).replace("{dim}", str(DIM))
    text = text.replace("{pruning_dim}", str(attention_pruning.DIM))
    between = [re.escape(part) for part in re.split(r"\{\w+\}", text)]
    assert re.fullmatch(r"(?:\|.*\n?)+?".join(between), PAGE.read_text())
