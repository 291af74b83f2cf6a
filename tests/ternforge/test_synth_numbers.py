"""``ternforge synth`` prints what synthesis measured as measured and what the model predicts as predicted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blueprint.files.design import read_design
from blueprint.unit import flip_flops
from costmodel.groundtruth import synthesis
from costmodel.model import evaluate
from costmodel.technology import technology
from ternforge.cli import run

EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "ternary_lut" / "design.yaml")
FOUND = synthesis.Synthesis(
    top="top",
    technology="asap7",
    area_um2=12345.0,
    logic_area_um2=12000.0,
    register_area_um2=300.0,
    macro_area_um2=45.0,
    flip_flops=777,
    critical_path_ps=800.0,
    path=(),
    path_classes_ps={},
    cells={},
    modules={},
)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    monkeypatch.setattr(synthesis, "synthesize", lambda *_, **__: FOUND)
    assert run(["synth", EXAMPLE, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_measured_numbers_are_those_of_synthesis(answer: dict[str, Any]) -> None:
    numbers = {"area_um2": 12345.0, "flip_flops": 777, "critical_path_ps": 800.0, "clock_mhz": 1250.0}
    assert {key: answer[key] for key in numbers} == numbers
    assert answer["measured"]["flip_flops"] == 777


def test_predicted_numbers_are_those_of_the_model(answer: dict[str, Any]) -> None:
    spec = read_design(EXAMPLE).spec
    found = evaluate.of_design(spec, technology.load("asap7"))
    predicted = answer["predicted"]
    assert predicted["flip_flops"] == int(flip_flops(spec.units())) != 777
    assert predicted["area_um2"] == pytest.approx(found.area_um2)
    assert predicted["critical_path_ps"] == pytest.approx(found.critical_path_ps)
    assert predicted["clock_mhz"] == pytest.approx(1e6 / found.critical_path_ps)


def test_the_table_shows_both_with_the_error_of_the_prediction(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(synthesis, "synthesize", lambda *_, **__: FOUND)
    assert run(["synth", EXAMPLE]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    predicted = int(flip_flops(read_design(EXAMPLE).spec.units()))
    assert "777" in rows["flip-flops"] and f"{predicted:,}" in rows["flip-flops"]
    assert f"{100 * (predicted / 777 - 1):+.1f} %" in rows["flip-flops"]
