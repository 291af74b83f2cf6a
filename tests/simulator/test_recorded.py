"""Runs, traces, patterns and sums against the record (`python -m tests.simulator.recorded`)."""

from __future__ import annotations

import json

import pytest

from tests.simulator import recorded
from tests.systems.test_recorded import same

KEPT = recorded.kept()


@pytest.mark.parametrize("part", recorded.PARTS)
def test_a_part_is_the_recorded_one(part: str) -> None:
    make, cases = recorded.PARTS[part]
    assert list(KEPT[part]) == [" ".join(case) for case in cases]
    found = {" ".join(case): json.loads(json.dumps(make(*case))) for case in cases}
    assert [name for name, values in KEPT[part].items() if not same(found[name], values)] == []
