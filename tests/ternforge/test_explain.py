"""``ternforge estimate --explain``: lines that add up to the estimate, each figure with its source and band."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.errors import ParamError
from costmodel.model import explain, glitches, provenance
from costmodel.model.evaluate import of_design
from costmodel.technology import technology
from ternforge.cli import run
from ternforge.verbs.estimate import estimate

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = str(ROOT / "examples" / "ternary_lut" / "design.yaml")
FAMILIES = registry.families()


@pytest.mark.parametrize("name", technology.names())
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_lines_add_up_to_the_estimate(family: str, name: str) -> None:
    facts = technology.load(name)
    for seed in range(8):
        spec = FAMILIES[family].sample(np.random.default_rng(seed))
        found = of_design(spec, facts)
        assert explain.total(explain.area(spec, facts)) == pytest.approx(found.area_um2, rel=1e-9)
        assert explain.total(explain.clock(spec, facts)[1]) == pytest.approx(found.critical_path_ps, rel=1e-9)
        lines = explain.energy(spec, facts, 1e-6 / found.clock_mhz)
        assert explain.total(lines) == pytest.approx(found.energy_pj, rel=1e-9)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_closed_forms_end_with_their_cycles(family: str) -> None:
    for seed in range(8):
        spec = FAMILIES[family].sample(np.random.default_rng(seed))
        task = spec.typical_workload()
        cycles, statements = explain.cycles(spec, task)
        assert cycles == int(spec.cycles(task)) == int(statements[-1].value)
        assert statements[-1].text.startswith("cycles = ") and len(statements) > 2


@pytest.mark.parametrize(
    ("what", "figure"),
    [("area", "area_um2"), ("clock", "critical_path_ps"), ("energy", "energy_pj")],
)
def test_explanations_on_the_command_line(what: str, figure: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estimate", EXAMPLE, "--explain", what, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    explained = found["explanation"]
    assert explained["total"] == pytest.approx(found[figure])
    assert sum(line["count"] * line["coefficient"] * line["term"] for line in explained["lines"]) == (
        pytest.approx(found[figure])
    )
    assert run(["estimate", EXAMPLE, "--explain", what]) == 0
    text = capsys.readouterr().out.splitlines()
    assert text[-1].startswith("total ") and text[-1].endswith("the sum of count x coefficient x term")


def test_cycles_are_explained_for_a_workload(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estimate", EXAMPLE, "--gemm", "1x64x64", "--explain", "cycles", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["explanation"]["total"] == found["cycles"]
    assert run(["estimate", EXAMPLE, "--explain", "cycles"]) == 2
    assert capsys.readouterr().err.strip() == (
        "Explanation of cycles must have a workload; give --workload or --gemm"
    )


def test_cycles_of_a_fifo_that_is_too_shallow_for_the_closed_form_are_those_of_the_simulator(
    capsys: pytest.CaptureFixture[str],
) -> None:
    attention = str(ROOT / "examples" / "streaming_attention" / "design.yaml")
    asked = [
        "--workload",
        str(ROOT / "examples" / "streaming_attention" / "workload.yaml"),
        "--set",
        "short_depth=1",
    ]
    assert run(["estimate", attention, *asked, "--explain", "cycles", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    last = [run["statements"][-1] for run in found["explanation"]["runs"]]
    told = "cycles of the simulator, as a FIFO is shallower than the closed form takes it to be"
    assert {statement["text"] for statement in last} == {told}
    assert found["explanation"]["total"] == found["cycles"]


@pytest.mark.parametrize("what", ["area", "clock", "energy"])
def test_no_two_lines_of_an_explanation_differ_in_their_count_alone(what: str) -> None:
    design = ROOT / "examples" / "streaming_attention" / "design.yaml"
    steps = {
        "short_steps": "true",
        "dot_stages": "3",
        "scale_stages": "2",
        "exp_stages": "8",
        "divide_stages": "4",
    }
    found = estimate(str(design), overrides=steps, explain=what)["explanation"]["lines"]
    kinds = [
        (line["place"], line["what"], str(line["dims"]), line["coefficient"], line["term"]) for line in found
    ]
    assert len(set(kinds)) == len(kinds)


def test_only_figures_are_explained() -> None:
    with pytest.raises(
        ParamError, match="^Explanation must be one of area, clock, energy, cycles, not 'price'$"
    ):
        estimate(EXAMPLE, explain="price")


def test_every_figure_has_a_source_and_a_band() -> None:
    found = estimate(EXAMPLE)["figures"]
    assert {item["source"] for item in found.values()} <= set(provenance.SOURCES)
    for name in ("area_um2", "critical_path_ps", "energy_pj"):
        assert found[name]["source"] == "analytic"
        assert 0 < found[name]["band"]["mean"] < found[name]["band"]["worst"]
    assert found["flip_flops"]["band"] is None


def test_bands_are_those_of_the_validation_where_there_is_one() -> None:
    facts = technology.load("asap7")
    errors = {"area": {"mean": 0.011, "worst": 0.042, "designs": 24}, "source": "24 designs, seed 1"}
    known = facts.with_model({**facts.model, provenance.VALIDATION: errors})
    band = provenance.band(known, "area")
    assert band == {"mean": 0.011, "worst": 0.042, "designs": 24, "of": "24 designs, seed 1"}
    assert provenance.text(band) == "+-1.1 % mean, 4.2 % worst"
    fitted = provenance.band(known, "clock")
    assert fitted is not None and fitted == provenance.band(facts, "clock")
    assert provenance.band(facts.with_model({}), "area") is None
    assert provenance.text(None) == "no band"


def test_laws_that_were_assumed_say_so() -> None:
    law = technology.load("asap7").sram.law("area", "single_port")
    assert provenance.source_of(law) == "library"
    assert provenance.source_of(type(law)(law.coefficients, "um2", "assumed: no macro")) == "assumed"
    assert provenance.source_of(type(law)(law.coefficients, "um2", "7 nm scaled from 28 nm")) == "scaled"


def test_the_cost_of_a_design_is_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    evaluated = glitches.cost
    monkeypatch.setattr(glitches, "cost", lambda *given: asked.append(given) or evaluated(*given))
    estimate(EXAMPLE, workload="1x64x64")
    assert len(asked) == 1
