"""``promote`` on the command line: what it prints, what it refuses, and what other verbs say of its study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dse.fidelity import child
from dse.fidelity.promotion import Promotion
from dse.fidelity.request import Request
from ternforge import fidelity
from ternforge.cli import run
from ternforge.faults import interrupted
from ternforge.verbs.explore import explore
from tests.ternforge.test_plot import SPACE


def measure(level: str, request: Request, **_: Any) -> Promotion:
    """Synthesis finds a fifth more area; simulation fails."""
    if level == "simulated":
        return Promotion(request.point, level, {}, log="Level simulated was killed by SIGSEGV: oh\nthe log")
    found = {"area_um2": 1.2 * request.known["area_um2"]}
    return Promotion(request.point, level, found, request.known)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("promoted")
    (made / "space.yaml").write_text(SPACE)
    explore(made / "space.yaml", made / "study")
    explore(made / "space.yaml", made / "plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "measure", measure)
        patch.chdir(made)
        assert run(["promote", "study", "--budget", "3600", "-q"]) == 0
    return made


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_the_answer_counts_levels_and_names_failures(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["promote", "study", "--json"]) == 0  # nothing is left to be measured
    found = json.loads(capsys.readouterr().out)
    count = len(found["front"])
    levels = found["fidelity"]["levels"]
    assert levels["simulated"]["failed"] >= count and levels["simulated"]["ok"] == 0
    assert levels["synthesized"]["failed"] == 0 and levels["synthesized"]["ok"] >= count
    assert {row["reason"] for row in found["fidelity"]["failed"]} == {
        "Level simulated was killed by SIGSEGV: oh"
    }
    assert all(row["level"].startswith("synthesized: area_um2; analytic: ") for row in found["front"])


def test_the_text_has_a_level_for_every_design(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explore", "space.yaml", "--out", "study"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "the front is exact" not in lines[0]
    assert lines[1].split()[-1] == "level" and lines[2].split()[-1] == "synthesized"
    assert sum(
        line.endswith(" failed: Level simulated was killed by SIGSEGV: oh") for line in lines
    ) in range(1, 6)
    assert any(line.startswith("measured: 0 simulated (") for line in lines)
    assert run(["explore", "space.yaml", "--out", "plain"]) == 0
    text = capsys.readouterr().out
    assert "the front is exact" in text and "level" not in text and "measured" not in text


def test_a_design_says_where_its_numbers_are_from(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for study, said in (("study", True), ("plain", False)):
        assert run(["apply", study, "knee", "-o", f"{study}.yaml"]) == 0
        text = capsys.readouterr().out
        assert ("its numbers in the study are synthesized: area_um2; analytic: " in text) == said


def test_a_correction_is_shown_with_its_error() -> None:
    taught = {
        "level": "synthesized",
        "metric": "area_um2",
        "designs": 7,
        "before": 0.2,
        "after": 0.0125,
        "used": True,
    }
    same = {**taught, "metric": "flip_flops", "before": 0.0, "after": 0.0, "used": False}
    failed = [{"point": f"p{n}", "level": "simulated", "reason": "why"} for n in range(7)]
    levels = {"simulated": {"ok": 0, "failed": 7}, "synthesized": {"ok": 7, "failed": 0}}
    found = fidelity.lines({"levels": levels, "failed": failed, "corrections": [taught, same]})
    assert found[0] == "measured: 0 simulated (7 failed), 7 synthesized"
    assert found[5:7] == ["p4 failed: why", "2 more failed; --json names them"]
    assert [" ".join(line.split()) for line in found[7:]] == [
        "correction by metric designs error corrected used",
        "synthesized area_um2 7 20.00 % 1.25 % yes",
    ]
    assert fidelity.lines(None) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "promote study --level rtl",
            "Level must be one of simulated, synthesized, not 'rtl'",
        ),
        (
            "promote study --budget 0",
            "Invalid value for '--budget': it must be an integer from 1 to 10000000, not '0'",
        ),
        (
            "promote study --budget 10m",
            "Invalid value for '--budget': it must be an integer from 1 to 10000000, not '10m'",
        ),
        (
            "promote study --memory 8",
            "Invalid value for '--memory': it must be an integer from 256 to 16777216, not '8'",
        ),
        ("promote studi", "Study must exist, and there is none: studi; did you mean 'study'?"),
        (
            "promote space.yaml",
            "Study must be the folder that `ternforge explore` wrote, "
            "not a space, which `ternforge explore` takes: space.yaml",
        ),
    ],
)
def test_bad_input_is_one_sentence(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.split()) == 2
    assert capsys.readouterr().err.splitlines() == [message]


def test_a_table_that_others_changed_is_not_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    explore("space.yaml", "mine")
    (folder / "mine" / "front.csv").write_text("my own\n")
    assert run(["promote", "mine", "--budget", "1"]) == 2
    what = "Output must be new or as ternforge wrote it, not a file changed since"
    message = f"{what}: mine/front.csv; --force replaces it"
    assert capsys.readouterr().err.splitlines() == [message]
    assert (folder / "mine" / "front.csv").read_text() == "my own\n"


def test_an_interrupted_run_says_how_to_go_on() -> None:
    assert interrupted(["promote", "study"]) == (
        "Interrupted; what was measured is kept, and the same command goes on: ternforge promote study"
    )
