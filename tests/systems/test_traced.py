"""Traces and energies of shapes: slices and rows add up to the cycles, bytes and energies that are printed."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from blueprint.systems import control
from blueprint.systems.instructions import UNITS
from ternforge import cli, estimate, simulate
from tests.costmodel import gated

PRESET = Path(__file__).resolve().parents[2] / "examples" / "tiny_decoder" / "system.yaml"
CLOCK = 200
Event = dict[str, Any]


def events(path: Path) -> list[Event]:
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    found: list[Event] = json.loads(text)["traceEvents"]
    return found


def cycles_of(found: Iterable[Event]) -> dict[str, int]:
    """Cycles of all slices by track."""
    found = list(found)
    names = {one["tid"]: one["args"]["name"] for one in found if one["ph"] == "M"}
    counts = Counter[str]()
    for one in found:
        if one["ph"] == "X":
            counts[names[one["tid"]]] += round(one["dur"] * CLOCK)
    return dict(counts)


def agree(found: list[Event], phase: Mapping[str, Any]) -> None:
    """A trace has the cycles, bytes and the end that a phase says."""
    counts = cycles_of(found)
    assert counts.pop("pass") == phase["cycles"]
    assert counts == {unit: round(share * phase["cycles"]) for unit, share in phase["busy"].items()}
    moved = {name: size for name, size in phase["traffic_bytes"].items() if name != "program fetch"}
    assert sum(one["args"].get("bytes", 0) for one in found if one["ph"] == "X") == sum(moved.values())
    last = max(one["args"]["cycle"] + round(one["dur"] * CLOCK) for one in found if one["args"].get("bytes"))
    assert 0 < phase["cycles"] - last <= control.DISPATCH + control.CLEAR + 3


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Event]]:
    """A token behind seven others of the preset, and its trace."""
    path = tmp_path_factory.mktemp("traced") / "token.json.gz"
    answer = simulate(PRESET, context=7, trace=path)
    assert answer["trace"] == path
    return answer["phases"]["decode"], events(path)


def test_the_slices_of_a_token_add_up_to_what_is_printed(traced: tuple[dict[str, Any], list[Event]]) -> None:
    phase, found = traced
    agree(found, phase)
    assert {one["args"]["name"] for one in found if one["ph"] == "M"} == {*UNITS, "pass"}


def test_a_trace_that_lacks_a_slice_or_ends_elsewhere_does_not_agree(
    traced: tuple[dict[str, Any], list[Event]],
) -> None:
    phase, found = traced
    late = {**phase, "cycles": phase["cycles"] + 1}
    short = [one for one in found if one["args"].get("instruction") != found[9]["args"]["instruction"]]
    assert len(short) == len(found) - 1
    for events_, said in ((short, phase), (found, late)):
        with pytest.raises(AssertionError):
            agree(events_, said)


def test_a_layer_and_a_window_are_parts_of_the_token(
    traced: tuple[dict[str, Any], list[Event]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phase, whole = traced
    for window in ("L2", "1000:30000"):
        path = tmp_path / f"{window[:2]}.json"
        arguments = ["simulate", str(PRESET), "--context", "7", "--trace", str(path), "--window", window]
        assert cli.run(arguments) == 0
        assert f"wrote {path}: open it in https://ui.perfetto.dev\n" in capsys.readouterr().out
        found = events(path)
        counts = cycles_of(found)
        assert counts.pop("pass") == phase["cycles"]
        slices = [one for one in found if one["ph"] == "X" and "instruction" in one["args"]]
        if window == "L2":
            assert counts == phase["layers"]["L2"]["cycles"]
            assert {one["name"].split()[0] for one in slices} == {"L2"}
        else:
            begins = [one["args"]["cycle"] for one in slices]
            wanted = [
                one
                for one in whole
                if "instruction" in one["args"]
                and one["args"]["cycle"] < 30000
                and one["args"]["cycle"] + round(one["dur"] * CLOCK) > 1000
            ]
            assert slices == wanted and min(begins) < 1000 < max(begins) < 30000


@pytest.mark.parametrize("rows", ["steps", "layers"])
def test_energies_of_rows_add_up_to_those_of_units_and_memory(
    rows: str, traced: tuple[dict[str, Any], list[Event]]
) -> None:
    _rows_add_up(traced[0], rows)


def test_energies_of_rows_add_up_where_clocks_are_gated(
    traced: tuple[dict[str, Any], list[Event]], tmp_path: Path
) -> None:
    phase = simulate(PRESET, context=7, technology=gated.written(tmp_path))["phases"]["decode"]
    assert phase["energy_pj"]["matrix"] != traced[0]["energy_pj"]["matrix"]
    for rows in ("steps", "layers"):
        _rows_add_up(phase, rows)


def _rows_add_up(phase: Mapping[str, Any], rows: str) -> None:
    parts = [row["energy_pj"] for row in phase[rows].values()] + list(phase["energy_beside_pj"].values())
    for place, energy in phase["energy_pj"].items():
        assert sum(part.get(place, 0) for part in parts) == pytest.approx(energy, rel=1e-9)
        assert sum(part.get(place, 0) for part in parts[1:]) != pytest.approx(energy, rel=1e-9) or not parts[
            0
        ].get(place)
    assert sum(sum(part.values()) for part in parts) == pytest.approx(phase["energy_pj_per_token"])


def test_energies_are_those_of_the_estimate(traced: tuple[dict[str, Any], list[Event]]) -> None:
    phase, _ = traced
    expected = estimate(PRESET, context=7)["phases"]["decode"]["energy_breakdown_pj"]
    assert [*phase["energy_pj"]] == [*expected]
    for cause, energy in expected.items():
        assert phase["energy_pj"][cause] == pytest.approx(energy, rel=0.001), cause


def test_the_report_has_energy_by_step_and_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["simulate", str(PRESET), "--context", "7", "--json"]) == 0
    phase = json.loads(capsys.readouterr().out)["phases"]["decode"]
    assert cli.run(["simulate", str(PRESET), "--context", "7"]) == 0
    out = capsys.readouterr().out.partition("energy in µJ  ")[2]
    rows = {line.split("  ")[0]: line.split()[-1] for line in out.splitlines()[1:]}
    assert float(rows.pop("total")) == pytest.approx(phase["energy_pj_per_token"] / 1e6, abs=1e-3)
    assert [*rows] == [*phase["steps"], "program", "clocks, buffers, leakage"]
    assert sum(map(float, rows.values())) == pytest.approx(phase["energy_pj_per_token"] / 1e6, abs=0.02)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"window": "1:9"}, "Window must stand beside a trace, and there is none; give a file with --trace"),
        (
            {"window": "L4", "trace": "t.json"},
            "Trace window must be cycles a:b or one of -, L0, L1, L2, L3, head, not 'L4'",
        ),
        ({"window": "9:3", "trace": "t.json"}, "Trace window must be a:b with 0 <= a < b, not '9:3'"),
        (
            {"window": "900000:900001", "trace": "t.json"},
            "Trace window must begin before the run ends, which takes 177964 cycles, not at 900000",
        ),
        (
            {"checkpoint": "model", "prompt": "And", "context": None, "window": "1:9", "trace": "t.json"},
            "window must be given without a checkpoint, which has its own",
        ),
    ],
)
def test_a_window_that_cannot_be_shown_says_why(
    given: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        simulate(PRESET, **{"context": 0} | given)
    assert str(caught.value) == message
    assert not [*tmp_path.iterdir()]
