"""Each verb on a small design: the JSON keys that scripts rely on, the files written, the honest exit code."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.files.design import read_design
from blueprint.workloads.tasks import Gemm
from ternforge.cli import run

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = str(ROOT / "examples" / "ternary_lut" / "design.yaml")
SMALL = ["--set", "lut_count=2", "--set", "fetch_count=2", "--set", "k_max=64", "--set", "n_max=16"]


def answer(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, Any]:
    assert run([*arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_generate_gives_the_same_bytes_and_leaves_nothing_of_an_earlier_design(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    found = answer(["generate", EXAMPLE, "--out", str(first), *SMALL], capsys)
    answer(["generate", EXAMPLE, "--out", str(second), *SMALL, "--set", "mu=3"], capsys)
    answer(["generate", EXAMPLE, "--out", str(second), *SMALL], capsys)
    assert {path for path in files(first) if path.startswith("rtl/")} == set(found["files"])
    written = files(second)
    assert {path: written[path] for path in files(first)} == files(first)
    assert sorted(path for path in written if path.startswith("rtl/")) == sorted(found["files"])


def test_generate_says_what_the_manifest_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["generate", EXAMPLE, "--out", str(tmp_path / "out"), *SMALL], capsys)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert found == {**manifest, "folder": str(tmp_path / "out")}
    assert found["parameters"]["k_max"] == 64


@pytest.mark.parametrize("flow", ["files", "fusesoc", "yosys"])
def test_export_names_the_next_command(flow: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    found = answer(["export", EXAMPLE, "--flow", flow, "--out", str(out), *SMALL], capsys)
    assert str(out) in found["next"]
    named = {"files": "files.f", "yosys": "synth.ys", "fusesoc": f"{found['top']}.core"}[flow]
    assert (out / named).is_file()


def test_export_to_an_unknown_flow_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", EXAMPLE, "--flow", "yossys", "--out", str(tmp_path / "out")]) == 2
    expected = (
        "Flow must be one of files, fusesoc, yosys in this version, not 'yossys'; did you mean 'yosys'?\n"
    )
    assert capsys.readouterr().err == expected
    assert files(tmp_path) == {}


def test_simulate_counts_what_the_closed_form_counts(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["simulate", EXAMPLE, "--gemm", "2x100x50", "--set", "mu=3"], capsys)
    spec = read_design(EXAMPLE, {"mu": "3"}).spec
    assert found["cycles"] == spec.cycles(Gemm(2, 100, 50))
    assert found["macs"] == 2 * 100 * 50
    assert found["utilization"] == pytest.approx(found["macs"] / found["cycles"] / spec.peak_macs)
    assert (found["mismatches"], found["checked"]) == (0, 100)
    assert set(found["stalls"]) == {"output", "dependency", "input", "memory"}


def test_values_that_come_back_otherwise_from_their_beats_are_mismatches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A family that reads results of another order than its streams declare, by one column."""
    family = type(read_design(EXAMPLE, {}).spec)
    read = family.collect
    monkeypatch.setattr(
        family,
        "collect",
        lambda spec, beats, task: {"out": np.roll(read(spec, beats, task)["out"], 1, axis=1)},
    )
    found = answer(["simulate", EXAMPLE, "--gemm", "2x64x50"], capsys, code=1)
    assert 50 < found["mismatches"] <= found["checked"] == 100
    assert run(["simulate", EXAMPLE, "--gemm", "2x64x50"]) == 1
    told = f"FAIL: {found['mismatches']} values are others in the beats that the manifest describes"
    assert told in capsys.readouterr().out.splitlines()


def test_simulate_adds_up_the_layers_of_a_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    workload = tmp_path / "tiny.yaml"
    workload.write_text("schema: ternforge/workload/v1\nmodel: tiny\nphase: prefill\ntokens: 3\n")
    found = answer(["simulate", EXAMPLE, "--workload", str(workload), "--no-values"], capsys)
    assert [layer["name"] for layer in found["layers"]] == ["q", "k", "v", "o", "gate", "up", "down"]
    assert found["cycles"] == sum(layer["cycles"] for layer in found["layers"])
    assert found["macs"] == 3 * 86_016
    assert found["checked"] == 0


def test_stalls_cost_cycles_and_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    quick = answer(["simulate", EXAMPLE, "--gemm", "1x512x512"], capsys)
    slow = answer(["simulate", EXAMPLE, "--gemm", "1x512x512", "--stall", "slow_source"], capsys)
    assert slow["cycles"] > 2 * quick["cycles"]
    assert slow["stalls"]["memory"] > quick["stalls"]["memory"]


def test_trace_is_a_chrome_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "deep" / "trace.json.gz"
    found = answer(["simulate", EXAMPLE, "--gemm", "1x64x64", "--trace", str(path)], capsys)
    assert found["trace"] == str(path)
    events = json.loads(gzip.decompress(path.read_bytes()))
    events = events["traceEvents"] if isinstance(events, dict) else events
    assert {"X", "M"} <= {event["ph"] for event in events}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Workload must be given, by --workload FILE or --gemm MxKxN"),
        (["--gemm", "1x2"], "Gemm must be three sizes MxKxN as in 1x2560x6912, not '1x2'"),
        (["--gemm", "1x9999x1"], "Gemm k must be at most k_max 6912, not 9999"),
        (
            ["--gemm", "1x1x1", "--workload", "w.yaml"],
            "Workload must be given by --workload or --gemm, not both",
        ),
        (["--workload", "w.yaml"], "w.yaml:1:1: file must exist, and there is none"),
        (
            ["--gemm", "1x8x8", "--window", "9:3", "--trace", "t.json"],
            "Trace window must be a:b .*, not '9:3'",
        ),
        (["--gemm", "1x8x8", "--trace", "t.txt"], "Output file must end in .json or .json.gz, not 't.txt'"),
        (["--gemm", "1x8x8", "--stall", "nap"], "Stall profile must be one of none, .*, not 'nap'"),
    ],
)
def test_simulate_refuses_and_writes_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    assert run(["simulate", EXAMPLE, *arguments, "-q"]) == 2
    assert re.fullmatch(message + "\n", capsys.readouterr().err)
    assert files(tmp_path) == {}


@pytest.mark.parametrize("verb", [["plot"], ["report"], ["apply"]])
def test_a_study_that_is_not_there_is_named(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["knee", "--out", str(tmp_path / "x.yaml")] if verb == ["apply"] else []
    assert run([*verb, str(tmp_path / "none"), *more]) == 2
    expected = (
        f"{tmp_path / 'none'}/study.db: study must exist, and there is none; run `ternforge explore` first\n"
    )
    assert capsys.readouterr().err == expected
    assert files(tmp_path) == {}


def test_technologies_are_listed_with_their_corner(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["tech", "list"], capsys)["technologies"]
    assert {"asap7", "ihp_sg13g2", "sky130hd"} <= {technology["name"] for technology in found}
    assert all(technology["corner"]["voltage"]["source"] for technology in found)
    assert run(["tech", "show", "asap8"]) == 2
    assert capsys.readouterr().err.endswith("not 'asap8'; did you mean 'asap7'?\n")


def test_estimate_gives_the_keys_that_scripts_rely_on(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["estimate", EXAMPLE, "--gemm", "1x2560x6912"], capsys)
    wanted = (
        "area_um2",
        "flip_flops",
        "clock_mhz",
        "critical_path_ps",
        "energy_pj",
        "cycles",
        "macs",
        "utilization",
    )
    assert all(found[key] > 0 for key in wanted)
    assert found["area_um2"] == pytest.approx(sum(found["area_breakdown_um2"].values()))
    assert found["clock_mhz"] == pytest.approx(1e6 / found["critical_path_ps"])
    assert found["source"] == "analytical model, technology asap7"


def test_estimate_takes_the_technology_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    fine, coarse = (answer(["estimate", EXAMPLE, "--tech", tech], capsys) for tech in ("asap7", "sky130hd"))
    assert coarse["technology"] == "sky130hd"
    assert coarse["area_um2"] > 20 * fine["area_um2"]


def test_a_clock_that_cannot_be_met_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fast.yaml"
    path.write_text(Path(EXAMPLE).read_text() + "clock_mhz: 20000\n")
    found = answer(["estimate", str(path)], capsys, code=1)
    assert (found["meets_clock"], found["clock_mhz"]) == (False, 20000.0)
    path.write_text(Path(EXAMPLE).read_text() + "clock_mhz: 100\n")
    assert answer(["estimate", str(path)], capsys)["clock_mhz"] == 100.0


def test_synth_puts_the_prediction_beside_the_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["synth", EXAMPLE, *SMALL, "-q"], capsys)
    assert found["flip_flops"] == found["predicted"]["flip_flops"] == found["measured"]["flip_flops"]
    assert found["area_um2"] == found["measured"]["area_um2"]
    assert found["predicted"]["area_um2"] == pytest.approx(found["area_um2"], rel=0.15)


SPACE = """\
schema: ternforge/space/v1
family: ternary_lut
parameters: {mu: [1, 2, 3], lut_count: [2, 4], fetch_count: [2, 4], act_width: 8, k_max: 64, n_max: 64}
workload: {gemm: {m: 1, k: 64, n: 64}}
technology: asap7
objectives: {area_um2: min, cycles: min}
constraints: {area_um2: {max: %s}}
"""


def test_a_study_from_space_to_design_figure_and_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space, study, design = tmp_path / "space.yaml", tmp_path / "study", tmp_path / "best.yaml"
    space.write_text(SPACE % "1e6")
    found = answer(["explore", str(space), "--out", str(study), "-q"], capsys)
    assert (found["evaluated"], found["feasible"], found["exact"]) == (12, 12, True)
    assert answer(["explore", str(space), "--out", str(study), "-q"], capsys) == found
    applied = answer(["apply", str(study), "knee", "-o", str(design)], capsys)
    assert applied["point"] == found["knee"]
    knee = next(row for row in found["front"] if row["id"] == found["knee"])
    assert read_design(design).spec.parameters["mu"] == knee["mu"]
    assert answer(["estimate", str(design)], capsys)["area_um2"] == pytest.approx(knee["area_um2"])
    drawn = answer(["plot", str(study)], capsys)["files"]
    assert sorted(Path(path).name for path in drawn) == ["pareto.html", "pareto.png", "pareto.svg"]
    page = Path(answer(["report", str(study), "--out", str(tmp_path / "report.html")], capsys)["file"])
    assert found["knee"] in page.read_text()


def test_a_space_without_a_feasible_design_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space, study = tmp_path / "space.yaml", str(tmp_path / "study")
    space.write_text(SPACE % "1")
    found = answer(["explore", str(space), "--out", study, "-q"], capsys, code=1)
    assert found["infeasible"] == {"area_um2 must be at most 1": 12}
    assert run(["apply", study, "knee", "-o", str(tmp_path / "x.yaml")]) == 2
    expected = f"Study must have a feasible point to take its knee, and {study} has none\n"
    assert capsys.readouterr().err == expected
    assert run(["explore", str(space), "--out", study, "-q"]) == 1
    assert not (tmp_path / "x.yaml").exists()


def test_a_study_goes_on_only_with_its_own_space(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space, study = tmp_path / "space.yaml", str(tmp_path / "study")
    space.write_text(SPACE % "1e6")
    answer(["explore", str(space), "--out", study, "-q"], capsys)
    space.write_text((SPACE % "1e6").replace("mu: [1, 2, 3]", "mu: [1, 2]"))
    assert run(["explore", str(space), "--out", study, "-q"]) == 2
    assert "study must be continued with the space it was started with" in capsys.readouterr().err
