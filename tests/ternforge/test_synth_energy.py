"""``ternforge synth --energy``: parts that add up, data that matter, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ternforge.cli import run

EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "ternary_lut" / "design.yaml")
SMALL = ["--set", "lut_count=2", "--set", "fetch_count=2", "--set", "k_max=64", "--set", "n_max=16"]
CAUSES = ("useful", "glitches", "clock", "leakage")


def measured(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert run(["synth", EXAMPLE, *SMALL, "--energy", *options, "--json", "-q"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["energy"]
    return found


def test_parts_add_up_and_data_matter(capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(capsys)
    for cause in CAUSES:
        parts = [place[cause] for place in found["places"].values()]
        assert min(parts) >= 0 and found["causes"][cause] == pytest.approx(sum(parts))
    assert found["energy_pj"] == pytest.approx(sum(found["causes"].values()))
    assert found["pj_per_mac"] * found["utilization"] * 8 == pytest.approx(
        found["energy_pj"]
    )  # 2 x 2 x 2 products
    assert found["data"] == {"zeros": 0.42, "positive": 0.5, "spread": "normal"}
    assert 0.1 < found["causes"]["glitches"] / found["causes"]["useful"] < 2
    assert 0 < found["standard_error"] < 0.02
    sparse = measured(capsys, "--data", "zeros=0.95")
    assert sparse["places"]["lane"]["useful"] < 0.75 * found["places"]["lane"]["useful"]
    assert sparse["causes"]["clock"] == found["causes"]["clock"]


def test_the_table_has_every_place_and_cause(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["synth", EXAMPLE, *SMALL, "--energy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (head,) = (line for line in lines if all(cause in line for cause in CAUSES))
    assert head.split() == ["pJ", *CAUSES, "share"] or head.split() == ["fJ", *CAUSES, "share"]
    places = {line.split()[0] for line in lines[lines.index(head) + 1 :]}
    assert {"lane", "fetch", "build", "tile", "control", "shell", "sum"} <= places


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "zeros=0.3"], "Data must be given with --energy, which alone depends on it"),
        (["--energy", "--data", "zeros"], "Data must be NAME=VALUE, not 'zeros'"),
        (
            ["--energy", "--data", "zero=0.3"],
            "Data must be one of zeros, positive, spread, not 'zero'; did you mean 'zeros'?",
        ),
        (["--energy", "--data", "zeros=2"], "Data zeros must be a share from 0 to 1, not 2"),
    ],
)
def test_wrong_data_are_refused(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["synth", EXAMPLE, *options]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"{message}\n")
