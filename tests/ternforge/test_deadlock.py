"""Rows that a shallow FIFO cannot hold: the answer names who waits for what, and which depth is enough."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.engine.kernel import Deadlock, Wait
from ternforge.cli import run
from ternforge.verbs import model

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "streaming_attention"
DESIGN, ROWS = str(EXAMPLES / "deadlock.yaml"), str(EXAMPLES / "rows.yaml")
WAITS = "Deadlock after cycle 20: 'load' waits for a slot of 'queries'; 'score' waits for a slot of 'long_weights'; "
WORDS = (
    "; long_depth must be at least 64 for this workload, or 0 for full speed, not 16: "
    "the hardware refuses keys 64 with size_error, since keys <= 16 must hold\n"
)


@pytest.mark.parametrize("verb", ["simulate", "estimate", "verify"])
def test_a_deadlock_is_one_sentence_that_names_nodes_channels_and_the_remedy(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([verb, DESIGN, "--workload", ROWS, "-q"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(WAITS) and err.endswith(WORDS) and err.count("\n") == 1


def test_the_remedy_is_the_smallest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", DESIGN, "--workload", ROWS, "-q", "--set", "long_depth=63"]) == 1
    assert capsys.readouterr().err.endswith(WORDS.replace("16", "63"))
    for depth in ("64", "0"):
        assert run(["simulate", DESIGN, "--workload", ROWS, "-q", "--set", f"long_depth={depth}"]) == 0


@pytest.mark.slow
def test_verify_draws_rows_that_the_hardware_accepts(capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["--set", "dim=2", "--set", "keys_max=40", "--set", "long_depth=6"]
    assert run(["verify", DESIGN, *changes, "--cases", "6", "--json"]) == 0
    cases = json.loads(capsys.readouterr().out)["cases"]
    assert {case["ok"] for case in cases} == {True} and max(case["keys"] for case in cases) in (4, 5, 6)


def test_a_deadlock_is_still_an_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Should a design ever deadlock in a run that its hardware starts."""

    def stuck() -> None:
        raise Deadlock(20, (Wait("score", "fifo", "full"),))

    monkeypatch.setattr(model, "models", stuck)
    assert run(["model", "list"]) == 1
    assert capsys.readouterr() == ("", "Deadlock after cycle 20: 'score' waits for a slot of 'fifo'\n")


def test_estimate_counts_what_shallow_fifos_lose(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [DESIGN, "--workload", ROWS, "--json"]
    found = []
    for depth in ("0", "64"):
        assert run(["estimate", *arguments, "--set", f"long_depth={depth}"]) == 0
        found.append(json.loads(capsys.readouterr().out)["cycles"])
        assert run(["simulate", *arguments, "--set", f"long_depth={depth}"]) == 0
        assert json.loads(capsys.readouterr().out)["cycles"] == found[-1]
    assert found[0] < found[1]
