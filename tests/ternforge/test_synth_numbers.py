"""``ternforge synth`` prints what synthesis measured as measured and what the model predicts as predicted."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from blueprint.files.design import read_design
from blueprint.unit import flip_flops
from costmodel.groundtruth import synthesis
from costmodel.model import estimate, evaluate
from costmodel.technology import importing, liberty_text, technology
from ternforge.cli import run

EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "ternary_lut" / "design.yaml")
FOUND = synthesis.Synthesis(
    top="top",
    technology="asap7",
    area_um2=12345.0,
    combinational_area_um2=12000.0,
    register_area_um2=300.0,
    macro_area_um2=45.0,
    flip_flops=777,
    critical_path_ps=800.0,
    path=(),
    path_classes_ps={},
    cells={},
    modules={},
    recipe=str(technology.load("asap7").recipe),
)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    monkeypatch.setattr(synthesis, "mapped", lambda *_, **__: None)
    monkeypatch.setattr(synthesis, "summary", lambda _: FOUND)
    assert run(["synth", EXAMPLE, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_measured_numbers_are_those_of_synthesis(answer: dict[str, Any]) -> None:
    numbers = {"area_um2": 12345.0, "flip_flops": 777, "critical_path_ps": 800.0, "clock_mhz": 1250.0}
    assert {key: answer[key] for key in numbers} == numbers
    assert answer["measured"]["flip_flops"] == 777
    assert (
        answer["logic_area_um2"] == 12345.0 - 45.0
    )  # cells of both kinds; what has no registers has another name
    assert answer["measured"]["combinational_area_um2"] == 12000.0
    assert "logic_area_um2" not in answer["measured"]


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
    monkeypatch.setattr(synthesis, "mapped", lambda *_, **__: None)
    monkeypatch.setattr(synthesis, "summary", lambda _: FOUND)
    assert run(["synth", EXAMPLE]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    predicted = int(flip_flops(read_design(EXAMPLE).spec.units()))
    assert "777" in rows["flip-flops"] and f"{predicted:,}" in rows["flip-flops"]
    assert f"{100 * (predicted / 777 - 1):+.1f} %" in rows["flip-flops"]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A technology file with cells and no model."""
    monkeypatch.setattr(synthesis, "mapped", lambda *_, **__: None)
    monkeypatch.setattr(synthesis, "summary", lambda _: FOUND)
    path = tmp_path / "mine.yaml"
    path.write_text(importing.dump(dataclasses.replace(technology.load("asap7"), name="mine", model={})))
    return str(path)


def test_a_library_without_a_model_is_synthesized_without_a_prediction(
    bare: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["synth", EXAMPLE, "--tech", bare]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == (
        f"no prediction: mine is not calibrated; run ternforge tech calibrate {bare} (about "
        f"{estimate.CALIBRATION_MINUTES} minutes on two cores)"
    )
    assert not any("predicted" in line for line in lines)
    assert run(["synth", EXAMPLE, "--tech", bare, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["predicted"] is None and answer["area_um2"] == 12345.0
    assert answer["unpredicted"].startswith("mine is not calibrated; run ternforge tech calibrate ")


def test_cells_of_other_files_have_no_prediction_of_the_technology(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(synthesis, "mapped", lambda *_, **__: None)
    monkeypatch.setattr(synthesis, "summary", lambda _: FOUND)
    file = tmp_path / "other.lib"
    file.write_text("library (other) {\n}\n")
    assert run(["synth", EXAMPLE, "--liberty", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f" in {file} (" in lines[0]
    assert lines[-1] == (
        f"no prediction: the model of asap7 was fitted to other cells than those of {file}; import them with "
        "ternforge tech import and calibrate that technology"
    )
    assert run(["synth", EXAMPLE, "--liberty", str(tmp_path / "none.lib")]) == 2
    assert "a Liberty file must be readable: No such file or directory" in capsys.readouterr().err


def test_a_technology_is_recognized_by_the_contents_of_its_files(tmp_path: Path) -> None:
    file = tmp_path / "cells.lib"
    file.write_text("library (other) {\n}\n")
    digest = "a" * 64
    known = technology.load("asap7")
    assert not importing.is_made_of(dataclasses.replace(known, sources=(("cells.lib", digest),)), [file])
    made = dataclasses.replace(known, sources=(("elsewhere.lib", liberty_text.digest(file)),))
    assert importing.is_made_of(made, [file])
    assert not importing.is_made_of(dataclasses.replace(known, sources=()), [])


SMALL = """schema: ternforge/design/v1
family: systolic
parameters: {organization: output_stationary, pe: ternary, rows: 1, cols: 1, act_width: 4, weight_width: 2, k_max: 4,
  n_max: 4}
technology: asap7
"""


def test_prediction_of_another_recipe_does_not_stand_beside_a_measurement(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = dataclasses.replace(FOUND, recipe="area/4", wires="no wires", buffer_area_um2=1234.5)
    monkeypatch.setattr(synthesis, "mapped", lambda *_, **__: None)
    monkeypatch.setattr(synthesis, "summary", lambda _: other)
    assert run(["synth", EXAMPLE, "--recipe", "area/4"]) == 0
    text = capsys.readouterr().out
    assert "recipe area/4; no wires; buffers 10.0% of area" in text
    assert "no prediction: asap7 was calibrated by recipe buffered/1" in text
    assert "predicted" not in text.splitlines()[1]
    assert run(["synth", EXAMPLE, "--recipe", "area/4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (
        found["predicted"] is None
        and found["predicted_recipe"] == "buffered/1"
        and found["recipe"] == "area/4"
    )


def test_clock_gates_are_told_where_there_are_any(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gated = dataclasses.replace(
        FOUND,
        recipe="gated/1",
        wires="no wires",
        buffer_area_um2=1234.5,
        clock_gates=1059,
        clock_gate_area_um2=246.9,
    )
    monkeypatch.setattr(synthesis, "mapped", lambda *_, **__: None)
    monkeypatch.setattr(synthesis, "summary", lambda _: gated)
    assert run(["synth", EXAMPLE, "--recipe", "gated/1"]) == 0
    text = capsys.readouterr().out
    assert "recipe gated/1; no wires; buffers 10.0%, 1,059 clock gates 2.0% of area" in text
    assert run(["synth", EXAMPLE, "--recipe", "gated/1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["clock_gates"], found["clock_gate_area_um2"]) == (1059, 246.9)


def _without_gates(folder: Path) -> Path:
    """The technology sky130hd as a file that names no clock gate."""
    path = folder / "bare.yaml"
    text = Path(technology.load("sky130hd").path or "").read_text()
    found = re.sub(r"(?m)^  clock_gate: .*\n", "", text)
    assert found != text
    path.write_text(found)
    return path


def test_clock_gates_that_a_library_has_not_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, bare = tmp_path / "out.v", _without_gates(tmp_path)
    options = ["--recipe", "gated/1", "--tech", str(bare), "--netlist", str(out)]
    assert run(["synth", EXAMPLE, *options]) == 2
    told = capsys.readouterr()
    assert told.out == "" and not out.exists()
    assert told.err == (
        "Recipe must be one without clock gates for sky130hd, whose technology file names no clock gate that a "
        "rising clock can use\n"
    )


def test_netlist_is_written_with_its_cells_and_constraints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d.yaml").write_text(SMALL)
    out = tmp_path / "out.v"
    assert (
        run(["synth", str(tmp_path / "d.yaml"), "--recipe", "buffered/1", "--netlist", str(out), "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == [str(out.with_suffix(end)) for end in (".v", ".lib", ".sdc")]
    period = re.search(r"create_clock -name clock -period ([0-9.]+)", out.with_suffix(".sdc").read_text())
    assert period and float(period[1]) == pytest.approx(found["critical_path_ps"], rel=1e-5)
    instances = re.findall(r"^  (\w+_ASAP7_75t_R) ", out.read_text(), re.MULTILINE)
    cells = re.findall(r"^  cell \((\w+)\)", out.with_suffix(".lib").read_text(), re.MULTILINE)
    assert set(instances) == set(cells) == set(found["measured"]["cells"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--period", "0"], "Period must be above 0 ps and finite, not 0"),
        (["--period", "-4"], "Period must be above 0 ps and finite, not -4"),
        (["--recipe", "fast"], "Recipe must be one of area/4, buffered/1, gated/1, not 'fast'"),
    ],
)
def test_recipe_that_cannot_be_writes_nothing(
    options: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.v"
    assert run(["synth", EXAMPLE, *options, "--netlist", str(out)]) == 2
    assert text in capsys.readouterr().err and not out.exists()


def test_period_that_is_not_reached_ends_with_the_shortest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d.yaml").write_text(SMALL)
    assert run(["synth", str(tmp_path / "d.yaml"), "--period", "3"]) == 2
    assert re.search(r"Period must be at least [0-9]+ ps, the shortest that ", capsys.readouterr().err)
