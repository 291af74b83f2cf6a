"""The closing table of the demo tells equal from unequal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ternforge import demo
from ternforge.demo import comparison

ESTIMATED = {"area_um2": 105.0, "critical_path_ps": 900.0, "flip_flops": 40, "cycles": 7}
CASE = {"cycles_rtl": 7, "cycles_simulator": 7}
VERIFIED: dict[str, Any] = {"ok": True, "mismatches": 0, "cases": [CASE]}
SYNTHESIZED = {"area_um2": 100.0, "critical_path_ps": 1000.0, "flip_flops": 40}


def test_agreement_is_fine_and_area_is_in_percent() -> None:
    rows, fine = comparison(ESTIMATED, VERIFIED, SYNTHESIZED)
    assert fine
    assert [row[3] for row in rows] == ["equal"] * 4 + ["+5.0 %", "-10.0 %"]


@pytest.mark.parametrize(
    ("estimated", "verified", "synthesized"),
    [
        ({"cycles": 8}, {}, {}),
        ({}, {"cases": [{**CASE, "cycles_simulator": 8}]}, {}),
        ({}, {"mismatches": 1}, {}),
        ({}, {"ok": False}, {}),
        ({}, {}, {"flip_flops": 41}),
    ],
)
def test_any_difference_is_a_failure(
    estimated: dict[str, Any], verified: dict[str, Any], synthesized: dict[str, Any]
) -> None:
    _, fine = comparison(ESTIMATED | estimated, VERIFIED | verified, SYNTHESIZED | synthesized)
    assert not fine


def test_a_folder_of_others_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "thesis.tex").write_text("mine")
    assert demo.main([str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("Output folder must be new or empty") and err.count("\n") == 1
