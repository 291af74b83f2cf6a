"""What a validation judges and records, on comparisons made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.errors import ParamError
from costmodel.calibration import sampling, validation
from costmodel.calibration.validation import BOUNDS, Comparison, Validation
from costmodel.model import provenance
from costmodel.technology import technology
from ternforge.cli import run

ROOT = Path(__file__).resolve().parents[2]
KIND = registry.families()["systolic"]
ASAP7 = technology.load("asap7")


def _row(seed: int, **changes: float) -> Comparison:
    """A design predicted to the last digit, but for ``changes``."""
    spec = KIND.sample(np.random.default_rng(seed))
    same: dict[str, Any] = {
        "predicted_um2": 100.0, "measured_um2": 100.0, "predicted_areas": {}, "measured_areas": {},
        "predicted_flip_flops": 7, "measured_flip_flops": 7, "predicted_ps": 50.0, "measured_ps": 50.0,
        "predicted_pj": 2.0, "measured_pj": 2.0, "predicted_macro_um2": 10.0, "measured_macro_um2": 10.0,
    }  # fmt: skip
    return Comparison(spec, **{**same, **changes})


def _found(*changes: dict[str, float]) -> Validation:
    rows = tuple(_row(seed, **change) for seed, change in enumerate(changes))
    return Validation("asap7", 1, rows, "area/9", "2026-01-02")


def test_exact_predictions_are_within_all_bounds() -> None:
    found = _found({}, {})
    assert found.ok and set(found.judged()) == set(BOUNDS) == {"area", "clock", "energy", "memories"}


@pytest.mark.parametrize(
    ("quantity", "change"),
    [
        ("area", {"predicted_um2": 84.0}),
        ("clock", {"predicted_ps": 61.0}),
        ("energy", {"predicted_pj": 1.5}),
        ("memories", {"predicted_macro_um2": 20.0}),
        ("memories", {"measured_macro_um2": 0.0}),
    ],
)
def test_each_quantity_is_judged_by_itself(quantity: str, change: dict[str, float]) -> None:
    found = _found(*[{}] * 40, change)
    assert not found.ok
    assert [name for name, item in found.judged().items() if not item["ok"]] == [quantity]
    assert found.worst(quantity=quantity)[0] == found.rows[-1]


def test_a_missing_flip_flop_fails() -> None:
    assert not _found({"predicted_flip_flops": 6}).ok


def test_a_record_gives_the_bands_of_later_results_and_changes_no_number() -> None:
    known = validation.recorded(ASAP7, _found({"predicted_um2": 102.0}, {"predicted_um2": 96.0}))
    assert provenance.band(known, "area") == {
        "mean": 0.03,
        "worst": 0.04,
        "of": "2 random designs outside the fit, seed 1, recipe area/9, 2026-01-02",
    }
    assert known.digest == ASAP7.digest
    assert ASAP7.with_model({"area": {}}).digest != ASAP7.digest


@pytest.mark.slow
def test_large_designs_are_large() -> None:
    low, high = validation.LARGE
    specs = sampling.designs(KIND, 2, 1, smallest=low, largest=high)
    assert all(low <= sampling.gates(spec) <= high for spec in specs)


def test_designs_of_a_size_that_there_is_not_are_refused() -> None:
    with pytest.raises(ParamError, match="^Calibration must find 2 designs of 20 to 50 gates, not 0$"):
        sampling.designs(KIND, 2, 1, smallest=20, largest=50)


def test_the_command_lists_the_worst_five_and_writes_the_bands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def validate(*_: Any, **named: Any) -> Validation:
        asked.update(named)
        return _found(*[{}] * 6, {"predicted_pj": 1.0})

    monkeypatch.setattr(validation, "validate", validate)
    out = tmp_path / "judged.yaml"
    assert run(["tech", "validate", "asap7", "--designs", "3", "--large", "2", "-o", str(out)]) == 1
    assert (asked["designs"], asked["large"], asked["seed"]) == (3, 2, 1)
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("worst five by energy:")
    assert _row(6).spec.name in lines[place + 1] and "-50.0 %" in lines[place + 1]
    assert any(line.startswith("energy: mean error 7.1 % (at most 10 %), worst 50.0 %") for line in lines)
    assert lines[-1] == f"wrote {out}"
    design = str(ROOT / "examples" / "systolic" / "design.yaml")
    assert run(["estimate", design, "--tech", str(out), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert figures["energy_pj"]["band"]["worst"] == 0.5
