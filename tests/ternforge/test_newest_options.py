"""The newest options refuse what they cannot take before any work, and replace no file of others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ternforge
from blueprint.errors import ParamError
from blueprint.files.names import NAME_RULE
from costmodel.calibration import calibration
from ternforge import folder
from ternforge.cli import run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DESIGN = str(EXAMPLES / "ternary_lut" / "design.yaml")
NAMED = "it must be one of asap7, ihp_sg13g2, sky130hd, or a file, not empty"
GIVEN = [
    # wires and periods, before anything is synthesized
    (
        ["synth", DESIGN, "--wires", "libary"],
        "Wires must be one of none, library, model, not 'libary'; did you mean 'library'?",
    ),
    (
        ["synth", DESIGN, "--wires", "library"],
        "Wires must be none or model, since asap7 has no wire-load models",
    ),
    (
        ["synth", DESIGN, "--period", "0x10"],
        "Invalid value for '--period': it must be a number of ps, not '0x10'",
    ),
    (
        ["synth", DESIGN, "--period", "1_000"],
        "Invalid value for '--period': it must be a number of ps, not '1_000'",
    ),
    (
        ["verify", DESIGN, "--cases", "1_0"],
        "Invalid value for '--cases': it must be an integer from 1 to 10000, not '1_0'",
    ),
    (
        ["estimate", DESIGN, "--explain", "aera"],
        "Explanation must be one of area, clock, energy, cycles, not 'aera'; did you mean 'area'?",
    ),
    (
        ["estimate", DESIGN, "--gemm", "1x2x99999999999999999999"],
        "Gemm n must be from 1 to 1048576, not 99999999999999999999",
    ),
    # what is given twice
    (
        ["synth", DESIGN, "--energy", "--data", "zeros=1", "--data", "zeros=0"],
        "Data zeros must be given once, not '1' and '0'",
    ),
    (
        ["synth", DESIGN, "--energy", "--data", "zero=1"],
        "Data must be one of zeros, positive, spread, not 'zero'; did you mean 'zeros'?",
    ),
    (["check", DESIGN, "--set", "mu=1", "--set", "mu=2"], "--set mu must be given once, not '1' and '2'"),
    (
        ["check", DESIGN, "--set", "mu=1", "--set", "parameters.mu=1"],
        "--set mu must be given once, not '1' and '1'",
    ),
    (
        ["check", DESIGN, "--set", f"mu={10**20}"],
        f"--set mu={10**20}: integer must fit 64 bits, not '{10**20}'",
    ),
    # names that are empty, which a path would take for the current folder
    (["estimate", DESIGN, "--tech", ""], f"Invalid value for '--tech': {NAMED}"),
    (["tech", "show", ""], f"Invalid value for 'NAME': {NAMED}"),
    (["check", ""], "Invalid value for 'FILE': it must name a file, not be empty"),
    (
        ["estimate", DESIGN, "--workload", ""],
        "Invalid value for '--workload': it must name a file, not be empty",
    ),
    (["synth", DESIGN, "--netlist", ""], "Invalid value for '--netlist': it must name a file, not be empty"),
    (
        ["export", DESIGN, "--flow", "yosys", "--out", ""],
        "Invalid value for '-o' / '--out': it must name a folder, not be empty",
    ),
    (["plot", "study", "--out", ""], "Invalid value for '-o' / '--out': it must name a folder, not be empty"),
    (["verify", "--rtl", ""], "Invalid value for '--rtl': it must name a folder, not be empty"),
    (["init", ""], "Invalid value for 'NAME': it must name a folder, not be empty"),
    # outputs
    (["synth", DESIGN, "--netlist", "out"], "Output file must end in .v, not 'out'"),
    (
        ["tech", "import", "a.lib", "--name", "a b", "--out", "a.yaml"],
        f"Technology name must be {NAME_RULE}, not 'a b'",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), GIVEN, ids=[message[:40] for _, message in GIVEN])
def test_a_wrong_option_is_one_sentence_before_any_work(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert capsys.readouterr().err == f"{message}\n" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["n.v", "n.lib", "n.sdc"])
def test_a_netlist_replaces_no_file_of_others(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_text("mine\n")
    assert run(["synth", DESIGN, "--netlist", str(tmp_path / "n.v")]) == 2
    what = "Output must be new or as ternforge wrote it, not a file of others"
    assert capsys.readouterr().err == f"{what}: {path}; --force replaces it\n"
    assert path.read_text() == "mine\n" and list(tmp_path.iterdir()) == [path]


def test_a_netlist_replaces_its_own_files_and_by_force_all(tmp_path: Path) -> None:
    small = {"lut_count": "1", "fetch_count": "1", "k_max": "16", "n_max": "16", "m_max": "1"}
    path = tmp_path / "n.v"
    for _ in range(2):
        assert ternforge.synth(DESIGN, overrides=small, netlist=path)["files"] == [
            str(tmp_path / name) for name in ("n.v", "n.lib", "n.sdc")
        ]
    made = path.read_text()
    path.write_text("changed")
    with pytest.raises(
        ParamError, match=r"^Output must be new or as ternforge wrote it, not a file changed since: "
    ):
        ternforge.synth(DESIGN, overrides=small, netlist=path)
    assert path.read_text() == "changed"
    ternforge.synth(DESIGN, overrides=small, netlist=path, force=True)
    assert path.read_text() == made and made.startswith("module ")


@pytest.mark.parametrize(
    ("arguments", "new"),
    [
        (["tech", "calibrate", "asap7"], "a technology"),
        (["tech", "validate", "asap7"], "a technology"),
        (["tech", "import", "a.lib", "--name", "a"], "a technology"),
        (["model", "import", "folder"], "a model"),
    ],
)
def test_a_file_of_ours_is_replaced_only_by_one_of_its_kind(
    arguments: list[str],
    new: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text('{"model_type": "llama"}')
    assert run(["init", "mine", "-q"]) == 0
    before = (tmp_path / "mine" / "design.yaml").read_text()
    assert run([*arguments, "--out", "mine/design.yaml"]) == 2
    message = f"Output must be new or {new}, not a design: mine/design.yaml; --force replaces it\n"
    assert capsys.readouterr().err == message and (tmp_path / "mine" / "design.yaml").read_text() == before


def test_a_window_behind_the_end_of_the_run_writes_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "t.json"
    arguments = ["simulate", DESIGN, "--gemm", "1x2x3", "--trace", str(trace), "-q"]
    assert run([*arguments, "--window", "4:9"]) == 2
    assert (
        capsys.readouterr().err
        == "Trace window must begin before the run ends, which takes 4 cycles, not at 4\n"
    )
    assert not trace.exists()
    assert run([*arguments, "--window", "3:9"]) == 0


def test_a_folder_that_takes_no_files_is_told_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:  # as a read-only file system does, also to root
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(folder.tempfile, "TemporaryFile", refuse)
    assert run(["tech", "calibrate", "asap7", "--out", str(tmp_path / "a.yaml")]) == 2
    message = f"Output must lie in a folder that can be written, not in {tmp_path}\n"
    assert capsys.readouterr().err == message and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "designs"),
    [
        ([], None),
        (["--designs", "60"], 60),
        (["--designs", "systolic=42, ternary_lut=6"], {"systolic": 42, "ternary_lut": 6}),
    ],
)
def test_a_calibration_takes_as_many_designs_as_asked(
    given: list[str], designs: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def calibrate(facts: Any, *_: object, **named: object) -> Any:
        asked.append(named["designs"])
        return facts

    monkeypatch.setattr(calibration, "calibrate", calibrate)
    assert run(["tech", "calibrate", "asap7", "--out", str(tmp_path / "a.yaml"), "-q", *given]) == 0
    assert asked == [designs]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("4", "Invalid value for '--designs': it must be an integer from 5 to 1000, not '4'"),
        ("systolic=4", "Invalid value for '--designs': it must be an integer from 5 to 1000, not '4'"),
        (
            "vector=5,vector=6",
            "Invalid value for '--designs': it must be N or NAME=N,... with every name once, not 'vector=5,vector=6'",
        ),
        (
            "=6",
            "Invalid value for '--designs': it must be N or NAME=N,... with every name once, not '=6'",
        ),
        (
            "systolc=6",
            "Family must be one of streaming_attention, systolic, ternary_lut, vector, not 'systolc'; did you mean "
            "'systolic'?",
        ),
    ],
)
def test_numbers_of_designs_that_cannot_be_are_refused(
    given: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["tech", "calibrate", "asap7", "--out", str(tmp_path / "a.yaml"), "--designs", given]) == 2
    assert capsys.readouterr().err == f"{text}\n" and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("designs", "message"),
    [
        (0, "designs must be from 5 to 1000, not 0"),
        ({"vector": 6, "systolic": 1001}, "designs must be from 5 to 1000, not 1001"),
        (
            {"vector": "6"},
            "Argument designs of ternforge.technology_calibrate must be an integer or a dict of integers, not "
            "{'vector': '6'}",
        ),
        (
            2.5,
            "Argument designs of ternforge.technology_calibrate must be an integer or a dict of integers, not 2.5",
        ),
    ],
)
def test_a_script_asks_for_as_many_designs_as_the_command_line(
    designs: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises((ParamError, TypeError)) as problem:
        ternforge.technology_calibrate("asap7", tmp_path / "a.yaml", designs=designs)
    assert str(problem.value) == message and not list(tmp_path.iterdir())


def test_a_number_that_is_0_is_refused_like_any_other() -> None:
    for name in ("context", "prompt", "batch"):
        with pytest.raises(ParamError, match=f"^{name} must be given for a system, not for a design$"):
            ternforge.estimate(DESIGN, **{name: 0})
    with pytest.raises(ParamError, match=r"^Tokens must be at least 1, not 0$"):
        ternforge.model_generate(EXAMPLES / "tiny_lm" / "tiny_kjv", "In", 0)


def test_a_validation_of_no_design_is_refused() -> None:
    for given, message in (
        ({"designs": 0}, "designs must be from 1 to 1000, not 0"),
        ({"designs": 1, "large": -1}, "large must be from 0 to 1000, not -1"),
    ):
        with pytest.raises(ParamError, match=f"^{message}$"):
            ternforge.technology_validate("asap7", seed=1, **given)


def test_a_terminal_without_unicode_gets_plain_letters() -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    found = subprocess.run(
        [sys.executable, "-m", "ternforge", "estimate", DESIGN],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0 and not found.stderr
    assert "area um2" in found.stdout and " | clock " in found.stdout
