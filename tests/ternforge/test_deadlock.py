"""A design that stops in the middle of its work is an answer, not an accident."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ternforge.cli import run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "streaming_attention"


WORDS = "Deadlock after cycle 20: 'load' waits for a slot of 'queries'; 'score' waits for a slot of 'long_weights'"


def test_a_deadlock_is_one_sentence_that_names_nodes_and_channels(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(EXAMPLES / "deadlock.yaml"), "--workload", str(EXAMPLES / "rows.yaml")]
    assert run(["simulate", *arguments, "-q"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(WORDS)
    assert "Internal error" not in err


def test_estimate_and_verify_say_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    design = str(EXAMPLES / "deadlock.yaml")
    assert run(["estimate", design, "--workload", str(EXAMPLES / "rows.yaml"), "-q"]) == 1
    assert capsys.readouterr().err.startswith(WORDS)
    assert run(["verify", design, "--set", "dim=2", "--cases", "4", "-q"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Deadlock after cycle ") and "a slot of 'long_weights'" in err


def test_estimate_counts_what_shallow_fifos_lose(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(EXAMPLES / "deadlock.yaml"), "--workload", str(EXAMPLES / "rows.yaml"), "--json"]
    found = []
    for depth in ("0", "64"):
        assert run(["estimate", *arguments, "--set", f"long_depth={depth}"]) == 0
        found.append(json.loads(capsys.readouterr().out)["cycles"])
        assert run(["simulate", *arguments, "--set", f"long_depth={depth}"]) == 0
        assert json.loads(capsys.readouterr().out)["cycles"] == found[-1]
    assert found[0] < found[1]
