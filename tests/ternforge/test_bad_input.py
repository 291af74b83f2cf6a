"""Files that are wrong: one exact sentence each, exit code 2, nothing written, no traceback.

``tests/bad_input/expected.txt`` holds the sentence for every file beside it (and for two that do not exist), as
printed when ``ternforge check FILE`` runs in that folder.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ternforge.cli import run

FOLDER = Path(__file__).resolve().parents[1] / "bad_input"
EXPECTED = {
    line.split(":", 1)[0]: line for line in (FOLDER / "expected.txt").read_text(encoding="utf-8").splitlines()
}
#: The verb that reads a kind of file for its work, and what else it needs.
VERBS = {
    "design": ["generate", "FILE", "--out", "OUT"],
    "space": ["explore", "FILE", "--out", "OUT"],
}


def snapshot(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_every_file_is_in_the_table_and_there_are_many() -> None:
    files = {path.name for path in FOLDER.iterdir()} - {"expected.txt"}
    assert sorted(files - set(EXPECTED)) == []
    assert sorted(set(EXPECTED) - files) == ["nowhere.yaml", "space_bugdet_zero.yaml"]
    assert len(EXPECTED) >= 100


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_check_says_exactly_what_is_wrong(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(FOLDER)
    before = snapshot(FOLDER)
    assert run(["check", name]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", EXPECTED[name] + "\n")
    assert re.match(r"[\w.]+:\d+:\d+: ", err)
    assert snapshot(FOLDER) == before


@pytest.mark.parametrize("name", [name for name in sorted(EXPECTED) if name.split("_")[0] in VERBS])
def test_working_verbs_refuse_alike_and_write_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(FOLDER)
    replaced = {"FILE": name, "OUT": str(tmp_path / "deep" / "out")}
    assert run([replaced.get(word, word) for word in VERBS[name.split("_")[0]]]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and "Traceback" not in err
    if "schema" not in name:  # a verb that knows its kind names that schema alone
        assert err == EXPECTED[name] + "\n"
    assert snapshot(tmp_path) == []


@pytest.mark.parametrize("name", ["empty.yaml", "design_negative.yaml", "space_range_step_zero.yaml"])
def test_json_answer_carries_the_same_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(FOLDER)
    assert run(["--json", "check", name]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out) == {"error": EXPECTED[name]}
    assert err == EXPECTED[name] + "\n"


def test_a_file_beyond_a_mebibyte_is_refused_unread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"# " + b"x" * (1 << 20))
    assert run(["check", str(path)]) == 2
    assert capsys.readouterr().err == f"{path}:1:1: file must be at most 1048576 bytes, not 1048578\n"


def test_a_folder_or_a_device_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{tmp_path}:1:1: file must be a YAML file, not a directory\n"
    assert run(["check", "/dev/zero"]) == 2
    assert capsys.readouterr().err == "/dev/zero:1:1: file must be a regular file, not a device or pipe\n"


def test_a_megabyte_of_nesting_is_refused_in_a_moment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("a: " + "[" * 1_000_000)
    assert run(["check", str(path)]) == 2
    assert capsys.readouterr().err == f"{path}:1:35: nesting must be at most 32 levels deep\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chekc", "x"], "Command must be one of .*, not 'chekc'; did you mean 'check'\\?"),
        (["check"], "Missing argument 'FILE'\\."),
        (["check", "a", "b"], "Got unexpected extra argument \\(b\\)"),
        (["check", "--colour", "a"], "No such option '--colour'\\."),
        (["generate", "x.yaml"], "Missing option '-o' / '--out'\\."),
        (["check", "x.yaml", "--set", "mu"], "--set must be key=value, not 'mu'"),
        (["check", "x.yaml", "--set", "=3"], "--set must be key=value, not '=3'"),
        (
            ["model", "show", "falcon3-1c"],
            "Model must be one of .*, not 'falcon3-1c'; did you mean 'falcon3_1b'\\?",
        ),
        (["model", "show", "tiny", "--phase", "both"], "Phase must be one of decode, prefill, not 'both'"),
        (
            ["model", "show", "tiny", "--tokens", "0"],
            "Invalid value for '--tokens': it must be an integer from 1 to 1048576, not '0'",
        ),
        (["init", "a b"], "Folder name must be a letter followed by .*, not 'a b'"),
        (["init", "x", "--preset", "ternary-lut"], "Preset must be one of .*; did you mean 'ternary_lut'\\?"),
        (
            ["model", "import", "nowhere", "--out", "m.yaml"],
            "nowhere:1:1: folder must exist, and there is none",
        ),
    ],
)
def test_command_lines_are_refused_in_one_sentence(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(message + "\n", err)
    assert snapshot(tmp_path) == []
