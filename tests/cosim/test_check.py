"""The proof of a design by cocotb on Verilator: it holds where it should, and a broken design is caught."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from blueprint import registry
from blueprint.spec import Spec
from blueprint.workloads.tasks import Gemm
from generator.export import write_hardware
from simulator.cosim import check as cosim
from simulator.cosim.report import Case
from ternforge.cli import run

EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "ternary_lut" / "design.yaml")
SMALL = ["--set", "lut_count=2", "--set", "fetch_count=2", "--set", "k_max=64", "--set", "n_max=16"]


@pytest.fixture(scope="module")
def spec() -> Spec:
    sizes = {"mu": 2, "lut_count": 2, "fetch_count": 2, "act_width": 4, "k_max": 64, "n_max": 16}
    return registry.get("ternary_lut")(**sizes)


@pytest.fixture
def folder(spec: Spec, tmp_path: Path) -> Path:
    write_hardware(spec, tmp_path)
    return tmp_path


def break_design(folder: Path, text: str, other: str) -> None:
    """Replace a piece of the Verilog wherever it stands."""
    changed = 0
    for path in (folder / "rtl").glob("*.v"):
        before = path.read_text()
        path.write_text(before.replace(text, other))
        changed += before.count(text)
    assert changed, f"the Verilog must contain {text!r} to be broken there"


def test_values_and_cycles_agree_under_every_profile(spec: Spec, folder: Path) -> None:
    todo = cosim.cases(spec, len(cosim.PROFILES), seed=3)
    assert {case.profile for case in todo} == set(cosim.PROFILES)
    report = cosim.check(spec, folder, todo)
    outcomes = report.outcomes
    assert report.failure is None and report.ok and len(outcomes) == len(todo)
    assert all(outcome.values == outcome.case.task.m * outcome.case.task.n for outcome in outcomes)


def test_wrong_values_are_counted(spec: Spec, folder: Path) -> None:
    class Other(type(spec)):  # type: ignore[misc]
        """A golden model that is off by one in one element."""

        def reference(self, operands):  # type: ignore[no-untyped-def]
            out = super().reference(operands)["out"].copy()
            out[0, 0] += 1
            return {"out": out}

    other = Other(**spec.parameters)
    report = cosim.check(other, folder, [Case(Gemm(2, 9, 5), "none", 1)])
    (outcome,) = report.outcomes
    assert not outcome.ok and not report.ok
    assert report.failure == "runs: 2x9x5 under none: 1 of 10 values differ from the golden model"
    assert (outcome.mismatches, outcome.values) == (1, 10)


def test_wrong_cycles_are_no_agreement(spec: Spec, folder: Path) -> None:
    (outcome,) = cosim.check(spec, folder, [Case(Gemm(2, 9, 5), "random_50", 1)]).outcomes
    assert outcome.ok
    for count in ("cycles_rtl", "cycles_register", "cycles_simulator"):
        assert not dataclasses.replace(outcome, **{count: getattr(outcome, count) + 1}).ok


def test_a_design_that_does_not_hold_its_output_is_caught(spec: Spec, folder: Path) -> None:
    top = json.loads((folder / "manifest.json").read_text())["top"]
    text = (folder / "rtl" / f"{top}.v").read_text()
    renamed = text.replace(f"module {top}(", f"module {top}_core(")
    (folder / "rtl" / f"{top}.v").write_text(renamed + _dropping_wrapper(top, text))
    report = cosim.check(spec, folder, [Case(Gemm(2, 9, 5), "slow_sink", 1)])
    assert report.failure is not None
    assert "m_axis_out: tvalid must stay until tready, not fall in cycle" in report.failure


def _dropping_wrapper(top: str, text: str) -> str:
    """A top module around the design that shows ``tvalid`` only while ``tready`` is high in every second cycle."""
    ports = text.split(f"module {top}(", 1)[1].split(");", 1)[0]
    names = [name.strip() for name in ports.split(",")]
    lines = [line for line in text.splitlines() if line.strip().startswith(("input ", "output "))]
    declared = {line.strip().rstrip(";").split()[-1]: line.split(";")[0] + ";" for line in lines}
    heads = "\n".join(declared[name] for name in names)
    wires = ", ".join(f".{n}({'valid' if n == 'm_axis_out_tvalid' else n})" for n in names)
    body = "reg odd = 0; wire valid; always @(posedge aclk) odd <= !odd;\nassign m_axis_out_tvalid = valid & odd;\n"
    return f"\nmodule {top}({ports});\n{heads}\n{body}{top}_core core({wires});\nendmodule\n"


def test_cases_are_the_same_for_the_same_seed(spec: Spec) -> None:
    assert cosim.cases(spec, 6, 5) == cosim.cases(spec, 6, 5)
    assert cosim.cases(spec, 6, 5) != cosim.cases(spec, 6, 6)
    first = Gemm(1, 64, 16)
    assert cosim.cases(spec, 3, 5, [first])[0] == Case(first, "none", 5)


def test_command_exits_0_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", EXAMPLE, *SMALL, "--cases", "2", "--json", "--gemm", "1x64x16"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["mismatches"], len(answer["cases"])) == (True, 0, 2)
    first = answer["cases"][0]
    assert (first["m"], first["k"], first["n"], first["stalls"]) == (1, 64, 16, "none")
    assert first["cycles_rtl"] == first["cycles_simulator"] == first["cycles_register"]


def test_command_exits_1_where_the_design_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from generator import export

    honest = export.write_hardware

    def broken(spec: Spec, out: Path, **options: float | None) -> dict[str, object]:
        manifest = honest(spec, out, **options)
        break_design(out, " + ", " - ")
        return manifest

    monkeypatch.setattr(export, "write_hardware", broken)
    assert run(["verify", EXAMPLE, *SMALL, "--cases", "2", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert not answer["ok"]
    assert answer["failure"] or answer["mismatches"]


def test_product_too_large_for_the_design_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", EXAMPLE, *SMALL, "--gemm", "1x65x16"]) == 2
    assert capsys.readouterr().err == "Gemm k must be at most k_max 64, not 65\n"
