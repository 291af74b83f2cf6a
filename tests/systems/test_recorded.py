"""Every number of a few small decoders against the record (`python -m tests.systems.recorded`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests import skips
from tests.systems import recorded

KEPT = recorded.kept()


def same(found: Any, expected: Any) -> bool:
    """Equal but for rounding of floats, through mappings and lists."""
    if isinstance(expected, Mapping):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float) and not isinstance(found, bool):
        return bool(found == pytest.approx(expected, rel=1e-9, abs=0.0))
    return bool(found == expected)


def check(found: Any, part: str, *keys: str) -> None:
    expected = KEPT[part]
    for key in keys:
        expected = expected[key]
    found = json.loads(json.dumps(found))
    assert found.keys() == expected.keys()
    assert [key for key in expected if not same(found[key], expected[key])] == []


PARTS = {
    "memory": recorded.memory,
    "programs": recorded.programs,
    "values": recorded.values,
    "around": recorded.around,
}


@pytest.mark.parametrize("name", recorded.NAMES)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_the_recorded_one(part: str, name: str) -> None:
    check(PARTS[part](name), part, name)


@pytest.mark.parametrize("name", recorded.NAMES)
@pytest.mark.parametrize("behavior", recorded.MEMORIES)
def test_cycles_are_the_recorded_ones(name: str, behavior: str) -> None:
    check(recorded.cycles(name, behavior), "cycles", name, behavior)


@pytest.mark.parametrize("technology", recorded.TECHNOLOGIES)
def test_estimates_are_the_recorded_ones(technology: str) -> None:
    check(recorded.estimates(technology), "estimates", technology)


@pytest.mark.parametrize("name", recorded.EMITTED)
def test_files_are_the_recorded_ones(name: str) -> None:
    skips.if_written_by_others(KEPT)
    check(recorded.files(name), "files", name)


def test_a_number_that_moves_is_noticed() -> None:
    """The failing twin: of a float the tenth digit may differ, of an integer nothing."""
    assert same({"a": [1.0, 2]}, {"a": [1.0 + 1e-12, 2]})
    assert not same({"a": [1.0, 2]}, {"a": [1.0 + 1e-8, 2]}) and not same([2], [3]) and not same([1], [1, 1])
    assert not same({"a": 1}, {"b": 1}) and not same(True, False)
