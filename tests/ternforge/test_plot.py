"""One picture by the ending of its name."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from ternforge.cli import run
from ternforge.verbs.explore import explore
from ternforge.verbs.plot import plot

ROOT = Path(__file__).resolve().parents[2]
SPACE = """\
schema: ternforge/space/v1
family: ternary_lut
parameters: {mu: [1, 2, 3], lut_count: [2, 4], fetch_count: [2, 4], act_width: 8, k_max: 64, n_max: 64}
workload: {gemm: {m: 1, k: 64, n: 64}}
technology: asap7
objectives: {area_um2: min, cycles: min}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plotted")
    (folder / "space.yaml").write_text(SPACE)
    explore(folder / "space.yaml", folder / "study")
    return folder / "study"


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF-"), ("a.html", b"<!doctype html>")],
)
def test_the_ending_of_a_name_says_which_picture(
    name: str, start: bytes, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plot", str(study), "-o", str(tmp_path / name)]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / name}\n"
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir() if path.name != ".ternforge.json"] == [name]


def test_a_pdf_is_the_same_every_time(study: Path, tmp_path: Path) -> None:
    plot(study, tmp_path / "a.pdf")
    plot(study, tmp_path / "b.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert b"/CreationDate" not in (tmp_path / "a.pdf").read_bytes()


def test_a_folder_may_end_like_a_picture(study: Path, tmp_path: Path) -> None:
    (tmp_path / "figures.svg").mkdir()
    files = plot(study, tmp_path / "figures.svg")["files"]
    assert [path.name for path in files] == ["pareto.png", "pareto.svg", "pareto.html"]


def test_a_diagram_of_a_system_goes_to_the_file_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    system = str(ROOT / "examples" / "tiny_decoder" / "system.yaml")
    assert run(["plot", system, "-o", str(tmp_path / "blocks.svg")]) == 0
    ElementTree.parse(tmp_path / "blocks.svg")
    capsys.readouterr()
    assert run(["plot", system, "-o", str(tmp_path / "blocks.pdf")]) == 2
    assert capsys.readouterr().err == "Output file must end in .svg, not 'blocks.pdf'\n"
    assert not (tmp_path / "blocks.pdf").exists()


def test_another_file_is_not_replaced(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot(study, tmp_path / "a.svg")
    (tmp_path / "a.svg").write_text("mine")
    assert run(["plot", str(study), "-o", str(tmp_path / "a.svg")]) == 2
    assert capsys.readouterr().err.startswith(
        "Output must be new or as ternforge wrote it, not a file changed"
    )
    assert (tmp_path / "a.svg").read_text() == "mine"
