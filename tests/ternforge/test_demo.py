"""The closing table of the demo tells equal from unequal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ternforge import demo
from ternforge.demo import comparison
from ternforge.verbs.apply import apply
from ternforge.verbs.estimate import estimate

ESTIMATED = {
    "logic_area_um2": 105.0,
    "memory_area_um2": 50.0,
    "critical_path_ps": 900.0,
    "flip_flops": 40,
    "cycles": 7,
}
CASE = {"cycles_rtl": 7, "cycles_simulator": 7}
VERIFIED: dict[str, Any] = {"ok": True, "mismatches": 0, "cases": [CASE]}
SYNTHESIZED = {"logic_area_um2": 100.0, "memory_area_um2": 50.0, "critical_path_ps": 1000.0, "flip_flops": 40}


def test_agreement_is_fine_and_area_is_in_percent() -> None:
    rows, fine = comparison(ESTIMATED, VERIFIED, SYNTHESIZED)
    assert fine
    assert [row[3] for row in rows] == ["equal"] * 4 + ["+5.0 %", "one law for both", "-10.0 %"]


def test_memories_that_differ_say_how_far() -> None:
    rows, _ = comparison(ESTIMATED, VERIFIED, SYNTHESIZED | {"memory_area_um2": 40.0})
    assert rows[5][3] == "+25.0 %"


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


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand-ins for the verbs, which write down that they were called and with what."""
    called: list[str] = []

    def stand_in(name: str, answer: dict[str, Any]) -> None:
        def verb(*arguments: Any, **_: Any) -> dict[str, Any]:
            called.append(" ".join([name, *(Path(str(argument)).name for argument in arguments)]))
            return answer

        monkeypatch.setattr(demo, name, verb)

    stand_in("explore", {"knee": "p000007"})
    stand_in("plot", {"files": [Path("front.png")]})
    stand_in("apply", {})
    stand_in("generate", {"files": ["a.v", "b.v"], "top": "the_top"})
    stand_in("verify", VERIFIED)
    stand_in("synth", SYNTHESIZED)
    stand_in("estimate", ESTIMATED)
    monkeypatch.setattr(demo, "front_lines", lambda *_: ["the front"])
    monkeypatch.setattr(demo, "verify_lines", lambda answer: [f"ok is {answer['ok']}"])
    return called


def test_every_step_is_run_and_shown(
    steps: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert demo.main([str(tmp_path)]) == 0
    assert steps == [
        f"explore {demo.SPACE.name} study",
        "plot study",
        "apply study knee design.yaml",
        "generate design.yaml rtl",
        "verify design.yaml",
        "synth design.yaml",
        "estimate design.yaml",
        "verify system.yaml",
    ]
    lines = capsys.readouterr().out.splitlines()
    assert [line[:3] for line in lines if line.startswith("[")] == [f"[{step}/" for step in range(1, 7)]
    assert "the front" in lines and "  wrote front.png" in lines
    assert f"  {tmp_path}/rtl: 2 modules, top the_top" in lines
    table = [line.split() for line in lines[-11:-3]]
    assert table[0] == ["predicted", "measured", "difference"]
    assert ["flip-flops", "40", "40", "equal"] in table and table[-1][-2:] == ["-10.0", "%"]
    assert lines[-2] == "  ok is True"
    assert lines[-1].startswith("all checks hold; ")
    monkeypatch.setattr(demo, "estimate", lambda *_, **__: ESTIMATED | {"flip_flops": 41})
    assert demo.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("FAIL; ")


def test_a_decoder_that_writes_other_text_is_a_failure(
    steps: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        demo, "verify", lambda given, **_: VERIFIED | {"ok": Path(given).name != demo.SYSTEM.name}
    )
    assert demo.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[-2:][0] == "  ok is False"


def test_the_table_of_the_readme_predicts_what_the_demo_does(tmp_path: Path) -> None:
    """The measured column needs a tool chain; the one beside it is the estimate of the knee of the demo's space."""
    demo._explore(tmp_path / "study")
    design = tmp_path / "design.yaml"
    apply(tmp_path / "study", "knee", design)
    rows, _ = comparison(estimate(design, workload=demo.LAYER), VERIFIED, SYNTHESIZED)
    readme = Path(__file__).resolve().parents[2] / "README.md"
    (shown,) = re.findall(
        r"```text\n +predicted  measured.*?```", readme.read_text(encoding="utf-8"), re.DOTALL
    )
    stated = {
        name: predicted
        for name, predicted, *_ in (re.split(" {2,}", line) for line in shown.split("\n")[2:-1])
    }
    texts = {
        str(name): f"{number:,}" if isinstance(number, int) else str(number) for name, number, *_ in rows
    }
    simulated = "cycles, simulator and RTL"
    assert stated.keys() == texts.keys() and stated[simulated] == stated["cycles, analytic and RTL"]
    assert {**stated, simulated: ""} == {**texts, simulated: ""}
