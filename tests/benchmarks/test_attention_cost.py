"""The page of the attention graphs' cost shows designs that exist, with the flip-flops they have."""

import re

import pytest

from benchmarks import attention_cost
from blueprint.errors import ParamError
from blueprint.unit import flip_flops


def rows() -> list[list[str]]:
    lines = attention_cost.PAGE.read_text(encoding="utf-8").splitlines()
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in found if row[0] in attention_cost.DESIGNS]


def test_page_has_every_design_in_every_technology() -> None:
    assert [row[0] for row in rows()] == list(attention_cost.DESIGNS) * len(attention_cost.TECHNOLOGIES)


def test_flip_flops_of_the_page_are_those_of_the_designs() -> None:
    for row in rows():
        spec = attention_cost.design(attention_cost.DESIGNS[row[0]])
        assert int(row[4].replace(",", "")) == int(flip_flops(spec.units())), row[0]


def test_predictions_of_area_are_close() -> None:
    errors = [abs(float(row[2].rstrip("%"))) for row in rows()]
    assert sum(errors) / len(errors) < 5 and max(errors) < 15


def test_what_grows_with_the_row_is_in_memories() -> None:
    memories = {row[0]: float(row[3].replace(",", "")) for row in rows()[: len(attention_cost.DESIGNS)]}
    assert memories["scaled"] > memories["naive"] > 2 * memories["memory_free"]


def test_a_design_that_cannot_be_built_is_no_row() -> None:
    message = "^" + re.escape("kv_width must be 8, or 4 for int8, not 4 for fp16")
    with pytest.raises(ParamError, match=message):
        attention_cost.design({"format": "fp16", "acc_format": "fixed", "kv_width": 4})
