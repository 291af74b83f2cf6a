"""``compare`` and ``apply --where`` on the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from ternforge.cli import run
from ternforge.verbs.apply import apply
from ternforge.verbs.compare import compare
from ternforge.verbs.explore import explore
from tests.ternforge.test_plot import SPACE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("studies")
    for name, technology in (("a7", "asap7"), ("sky", "sky130hd")):
        (made / f"{name}.yaml").write_text(SPACE.replace("asap7", technology))
        explore(made / f"{name}.yaml", made / name)
    return made


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_two_technologies_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "a7", "sky", "-o", str(tmp_path / "both.html")]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = "study front best area [µm²] best cycles hypervolume on joint front share"
    assert " ".join(lines[0].split()) == heads
    assert lines[1].startswith("a7 ") and lines[1].endswith(" 100.0 %")
    assert lines[2].startswith("sky ") and lines[2].endswith(" 0.0 %")
    assert lines[3] == "technology differs: a7 asap7; sky sky130hd"
    assert lines[4].startswith("technology facts differs: a7 ")
    assert lines[-2].startswith("reference of the hypervolumes: area ")
    assert lines[-1] == f"wrote {tmp_path / 'both.html'}" and (tmp_path / "both.html").exists()


def test_the_answer_is_plain_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "a7", "sky", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["differs"]) == {"technology", "technology facts"}
    assert [row["study"] for row in found["studies"]] == ["a7", "sky"]
    assert found["studies"][0]["on_joint_front"] == found["joint_front"] == found["studies"][0]["front"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a7", "Studies to compare must be at least 2, not 1"),
        ("a7 a7/../a7", "Study must be given once to be compared, and a7/../a7 is given twice"),
        ("a7 skyy", "Study must exist, and there is none: skyy; did you mean 'sky'?"),
        ("a7 sky -o x.txt", "Output file must end in .html or .png or .svg or .pdf, not 'x.txt'"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", *words.split()]) == 2
    assert capsys.readouterr().err == f"{message}\n" and not Path("x.txt").exists()


def test_a_limit_that_is_kept_is_said_and_the_design_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "d.yaml")
    assert run(["apply", "a7", "knee", "--where", "area_um2<=1e9", "-o", out]) == 0
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first.endswith(" keeps area_um2<=1e9") and second.startswith(f"wrote {out}: ")
    assert run(["apply", "a7", "knee", "--where", "area_um2<=1e9"]) == 0
    assert capsys.readouterr().out == f"{first}\n"


def test_a_limit_that_is_broken_names_what_would_have_to_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "d.yaml"
    with Path("a7/points.csv").open(newline="") as file:
        before = float(next(row for row in csv.DictReader(file) if row["id"] == "p000000")["cycles"])
    bound = f"{0.7 * before:g}"
    answer = apply("a7", "p000000", where=[f"cycles<={bound}"])
    found, row = answer["change"], answer["change"]["metrics"]["cycles"]
    assert row["from"] == before and row["to"] <= 0.7 * before and found["parameters"]
    assert run(["apply", "a7", "p000000", "--where", f"cycles<={bound}", "-o", str(out)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"FAIL: p000000: cycles must be at most {bound}"
    moved = ", ".join(f"{name} {each['from']} -> {each['to']}" for name, each in found["parameters"].items())
    assert lines[1] == f"nearest design that keeps it: {found['point']}, {moved}"
    assert any(
        line.startswith("  cycles ") and line.endswith(f"({100 * row['change']:+.1f} %)") for line in lines
    )
    assert lines[-1] == f"next: ternforge apply a7 {found['point']} -o design.yaml"
    assert not out.exists()
    assert run(["apply", "a7", found["point"], "--where", f"cycles<={bound}"]) == 0


def test_a_limit_that_no_design_keeps_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["apply", "a7", "knee", "--where", "cycles<=1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(": cycles must be at most 1")
    assert lines[1].startswith("no design of the study keeps it; nearest p0000") and "cycles " in lines[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("apply a7 knee", "Missing option '-o' / '--out'."),
        ("apply a7 knee --where area", "--where must be METRIC<=NUMBER or METRIC>=NUMBER, not 'area'"),
        (
            "apply a7 knee --where cycle<=3",
            "--where must name a metric of the study, not 'cycle'; did you mean 'cycles'?",
        ),
        ("apply a7 knee -o d.txt", "Output file must end in .yaml or .yml, not 'd.txt'"),
    ],
)
def test_a_wrong_limit_is_one_sentence(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.split()) == 2
    assert capsys.readouterr().err == f"{message}\n" and not Path("d.txt").exists()


def test_public_functions_take_the_same(tmp_path: Path) -> None:
    import ternforge

    assert ternforge.compare(["a7", "sky"]) == compare(["a7", "sky"])
    with pytest.raises(ValueError, match=r"^Output must be given, unless where is$"):
        ternforge.apply("a7", "knee")
    assert ternforge.apply("a7", "knee", where=["cycles>=0"])["breaks"] == []
    with pytest.raises(TypeError) as refused:
        ternforge.apply("a7", "knee", where="cycles>=0")
    assert str(refused.value) == (
        "Argument where of ternforge.apply must be a list of texts, not 'cycles>=0'; put one text into a list"
    )
