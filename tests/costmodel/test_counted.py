"""Numbers of several memories of one kind, and of pins that a library says nothing of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from costmodel.model import estimate, evaluate
from costmodel.technology import liberty
from tests.costmodel import recorded, recorded_fits, tiny


def test_areas_and_leakage_of_memories_are_those_of_all_and_times_those_of_one() -> None:
    facts = recorded.imported("whole")
    one = estimate.memories(recorded_fits.spec("attention").units())[0]
    alone, three = (evaluate.memory_line(replace(one, count=count), facts) for count in (1, 3))
    assert (alone["count"], three["count"]) == (1, 3)
    for name in ("area_um2", "leakage_nw"):
        assert three[name] == pytest.approx(3 * alone[name]) and alone[name] > 0
    for name in ("words", "width", "access_ps", "read_pj", "write_pj", "kind", "source"):
        assert three[name] == alone[name]


@pytest.mark.parametrize(("said", "expected_ff"), [("", 0.0), ("default_input_pin_cap : 0.004;", 4.0)])
def test_a_pin_without_a_capacitance_has_that_of_the_library(
    said: str, expected_ff: float, tmp_path: Path
) -> None:
    path = tmp_path / "x.lib"
    path.write_text(tiny.HEAD + said + "cell (A) { area : 1; pin (P) { direction : input; } } }")
    assert liberty.parse(path).cells["A"].pin("P").capacitance == pytest.approx(expected_ff, abs=1e-12)
