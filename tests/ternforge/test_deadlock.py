"""A design that stops in the middle of its work is an answer, not an accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from ternforge.cli import run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "streaming_attention"


def test_a_deadlock_is_one_sentence_that_names_nodes_and_channels(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(EXAMPLES / "deadlock.yaml"), "--workload", str(EXAMPLES / "rows.yaml")]
    assert run(["simulate", *arguments, "-q"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(
        "Deadlock after cycle 20: 'load' waits for a slot of 'queries'; 'score' waits for a slot of"
    )
    assert "'long_weights'" in err and "Internal error" not in err
