"""A drawn library and netlists of its cells against the record (`python -m tests.costmodel.recorded`)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.costmodel import recorded
from tests.systems.test_recorded import same

KEPT = recorded.kept()
CASES = [(part, name) for part, (_, names) in recorded.PARTS.items() for name in names]


def differs(found: Any, part: str, name: str) -> list[str]:
    """The keys whose numbers are not the recorded ones."""
    expected, made = KEPT[part][name], json.loads(json.dumps(found))
    assert made.keys() == expected.keys()
    return [key for key in expected if not same(made[key], expected[key])]


@pytest.mark.parametrize(("part", "name"), CASES, ids=lambda value: str(value))
def test_a_part_is_the_recorded_one(part: str, name: Any) -> None:
    assert differs(recorded.PARTS[part][0](name), part, str(name)) == []


def test_statistical_wires_are_the_recorded_ones() -> None:
    assert differs(recorded.wires(), "wires", "all") == []


def test_every_part_of_the_record_is_looked_at() -> None:
    assert KEPT.keys() == {"recipe", "wires", *recorded.PARTS}
    assert {(part, str(name)) for part, name in CASES} == {
        (part, name) for part in recorded.PARTS for name in KEPT[part]
    }
